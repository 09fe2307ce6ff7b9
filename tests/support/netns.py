"""Two network namespaces with a cable between them. Root only; always removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace: prefix a command with `inside` to run it there."""

    name: str
    address: str
    device: str

    @property
    def inside(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)


@dataclass(frozen=True, slots=True)
class Cable:
    sender: Host
    receiver: Host

    def set_up(self, up: bool) -> None:
        _ip("-n", self.sender.name, "link", "set", self.sender.device, "up" if up else "down")


@contextmanager
def cable() -> Iterator[Cable]:
    stem = f"ta{os.getpid()}"
    ends = Host(f"{stem}s", "10.97.0.1", f"{stem}s"), Host(f"{stem}r", "10.97.0.2", f"{stem}r")
    made = []
    try:
        for end in ends:
            _ip("netns", "add", end.name)
            made.append(end)
            _ip("-n", end.name, "link", "set", "lo", "up")
        first, second = ends
        _ip("-n", first.name, "link", "add", first.device, "type", "veth", "peer", second.device, "netns", second.name)
        for end in ends:
            _ip("-n", end.name, "address", "add", f"{end.address}/24", "dev", end.device)
            _ip("-n", end.name, "link", "set", end.device, "up")
        yield Cable(*ends)
    finally:
        for end in made:
            _ip("netns", "delete", end.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
