"""A player with its dashboard, and a sender, as processes of their own."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.processes import HANG_S, LISTENING, THINAIR, Running, environment, running
from thinair.link.security.pairing_store import introduce

WIDTH, HEIGHT, RATE = 640, 360, 30


class Rig:
    """The processes of a rig, started and ended by name."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.media = self.port = 0  # those of the first player, which later ones take over
        self.words = words
        self.env = environment(THINAIR_STATE=introduce(folder.parent / "state"))  # strangers to every other rig
        self._stacks: dict[str, ExitStack] = {}
        self.running: dict[str, Running] = {}

    def play(self) -> Running:
        words = ("--listen", str(self.media), "--record-to", str(self.folder), "--headless")
        where = () if "--dashboard" in self.words else ("--dashboard", str(self.port))
        one = self.start("play", *words, *where, *self.words)
        self.media, self.port = one.port(LISTENING), one.port(r"dashboard: http://[^/]+:")
        return one

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def send(self, *words: str) -> Running:
        mode = ("--mode", f"{WIDTH}x{HEIGHT}@{RATE}", "--bitrate", "3M", "--name", "A-CAM")
        return self.start("send", "--to", f"127.0.0.1:{self.media}", *mode, *words)

    def start(self, name: str, *words: str) -> Running:
        self.end(name)
        stack = self._stacks[name] = ExitStack()
        self.running[name] = stack.enter_context(running([*THINAIR, name, *words], env=self.env))
        return self.running[name]

    def end(self, name: str) -> None:
        if stack := self._stacks.pop(name, None):
            self.running.pop(name).stop()
            stack.close()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=HANG_S) as answer:  # noqa: S310 -- our own
            text: str = answer.read().decode()
            return text

    def metric(self, name: str) -> float:
        for line in self.get("metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(f"no {name}")

    def close(self) -> None:
        for name in list(self._stacks):
            self.end(name)


def eventually(done: Callable[[], Any], timeout_s: float = HANG_S, every_s: float = 0.05) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := done()) and time.monotonic() < deadline:
        time.sleep(every_s)
    assert found
    return found


def report(rig: Rig) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rig.get("report.json"))
    return found
