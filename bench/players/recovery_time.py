"""Recovery time after sender, player or path was gone: for `thinair bench players` and `bench encryption`."""

from __future__ import annotations

import csv
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from thinair.bench.glass.row import Settings, sender_command
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.processes import bound_ports, has_tcp_listener
from thinair.link.child_process import python_module

GONE_S = 2.5  # longer than the timeouts of both ends
_CURRENT_US = 250_000  # a picture older than this is not current
_SETTLE_S = 2.0
_READY_TIMEOUT_S = 15.0
_POLL_S = 0.002
KINDS = ("sender", "player", "path")


def times_ms(kind: str, settings: Settings, count: int) -> list[float]:
    """From the return (the process is ready; the path carries packets) to the first current picture."""
    with tempfile.TemporaryDirectory(prefix="thinair-recovery-") as home:
        return {"sender": _sender, "player": _player, "path": _path}[kind](Path(home), settings, count)


def _sender(home: Path, settings: Settings, count: int) -> list[float]:
    port, returns = free_port(), []
    with playing(home, port) as frames:
        for _ in range(count):
            with sending(home, port, settings) as (one, ready_us):
                returns.append(ready_us)
                time.sleep(_SETTLE_S)
                one.kill()
            time.sleep(GONE_S)
    return first_current(frames, returns)


def _player(home: Path, settings: Settings, count: int) -> list[float]:
    port, found = free_port(), []
    with sending(home, port, settings):
        for number in range(count):
            with playing(home, port, f"frames-{number}.csv") as frames:
                ready_us = time.monotonic_ns() // 1000
                time.sleep(_SETTLE_S)
            found += first_current(frames, [ready_us])
            time.sleep(GONE_S)
    return found


def _path(home: Path, settings: Settings, count: int) -> list[float]:
    inner, outer, returns = free_port(), free_port(), []
    # An encrypted link takes the address of its control connection for the media, and so would bypass the path.
    sender = [*sender_command("thinair", outer, settings, home / "sender.csv"), "--no-encryption"]
    with (
        playing(home, inner, more=["--no-encryption"]) as frames,
        _Path(outer, inner) as path,
        started(sender, lambda _: True),
    ):
        for _ in range(count):
            time.sleep(_SETTLE_S)
            path.carries = False
            time.sleep(GONE_S)
            path.carries = True
            returns.append(time.monotonic_ns() // 1000)
        time.sleep(_SETTLE_S)
    return first_current(frames, returns)


@contextmanager
def playing(home: Path, port: int, name: str = "frames.csv", more: Sequence[str] = ()) -> Iterator[Path]:
    """A player that listens. Its frame log is complete once it has ended."""
    arguments = ["play", "--headless", "--dashboard", "off", "--listen", f"127.0.0.1:{port}", "--priority", "0", *more]
    player = python_module("thinair", *arguments, "--frames", str(home / name))
    with started(player, lambda _: port in bound_ports()):
        yield home / name


@contextmanager
def sending(home: Path, port: int, settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A sender, and when its session server listened, µs."""
    sender = [*sender_command("thinair", port, settings, home / "sender.csv"), "--control", "off"]
    with started(sender, lambda one: has_tcp_listener(one.pid)) as found:
        yield found


@contextmanager
def started(
    argv: list[str], ready: Callable[[subprocess.Popen[bytes]], bool]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process, and when it was `ready`, µs; at the latest when it has ended, or after 15 s."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + _READY_TIMEOUT_S
    try:
        while not ready(process) and process.poll() is None and time.monotonic() < until:
            time.sleep(_POLL_S)
        yield process, time.monotonic_ns() // 1000
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def first_current(frames: Path, returns: list[int]) -> list[float]:
    """ms from each return to the first current picture after it; without those that none followed."""
    with frames.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] == "presented"]
    shown = [
        (int(row["presented_us"]), int(row["capture_us"]) if row["capture_us"] else None, int(row["first_packet_us"]))
        for row in rows
    ]
    found = []
    for returned_us in returns:
        # Before the clock is locked no capture is known: then the arrival of the first packet shows that it is new.
        current = [
            at for at, captured, received in shown
            if at > returned_us and received > returned_us and (captured is None or at - captured < _CURRENT_US)
        ]  # fmt: skip
        if current:
            found.append(round((min(current) - returned_us) / 1000, 1))
    return found


class _Path:
    """Forwards datagrams between sender and player while `carries` is true."""

    def __init__(self, outer: int, inner: int) -> None:
        self.carries = True
        self._sender: tuple[str, int] | None = None
        self._outside, self._inside = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._outside.bind(("127.0.0.1", outer))
        self._inside.connect(("127.0.0.1", inner))
        self._ended = False
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._in, self._out)]

    def __enter__(self) -> _Path:
        for one in (self._outside, self._inside):
            one.settimeout(0.2)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        for thread in self._threads:
            thread.join()
        self._outside.close()
        self._inside.close()

    def _in(self) -> None:
        while not self._ended:
            try:
                data, self._sender = self._outside.recvfrom(2048)
                if self.carries:
                    self._inside.send(data)
            except OSError:
                continue

    def _out(self) -> None:
        while not self._ended:
            try:
                data = self._inside.recv(2048)
                if self.carries and self._sender is not None:
                    self._outside.sendto(data, self._sender)
            except OSError:
                continue
