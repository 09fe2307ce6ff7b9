"""How soon a live picture is back after the sender, the player or the path was gone: for `thinair bench desk`."""

from __future__ import annotations

import csv
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from thinair.bench.glass.row import Settings, free_port, sender_command
from thinair.link.child_process import python_module

GONE_S = 2.5  # longer than either end's patience
_LIVE_US = 250_000  # a picture older than this is not live
_SETTLE_S = 2.0
KINDS = ("sender", "player", "path")


def times_ms(kind: str, settings: Settings, count: int) -> list[float]:
    """From the return (its process says that it is there; the path carries packets) to the first live picture."""
    with tempfile.TemporaryDirectory(prefix="thinair-back-") as home:
        return {"sender": _sender, "player": _player, "path": _path}[kind](Path(home), settings, count)


def _sender(home: Path, settings: Settings, count: int) -> list[float]:
    port, returns = free_port(), []
    with playing(home, port) as frames:
        for _ in range(count):
            with started(sender_command("thinair", port, settings, home / "sender.csv"), "sending ") as (one, said_us):
                returns.append(said_us)
                time.sleep(_SETTLE_S)
                one.kill()
            time.sleep(GONE_S)
    return first_live(frames, returns)


def _player(home: Path, settings: Settings, count: int) -> list[float]:
    port, found = free_port(), []
    with started(sender_command("thinair", port, settings, home / "sender.csv"), "sending "):
        for number in range(count):
            with playing(home, port, f"frames-{number}.csv") as frames:
                said_us = time.monotonic_ns() // 1000
                time.sleep(_SETTLE_S)
            found += first_live(frames, [said_us])
            time.sleep(GONE_S)
    return found


def _path(home: Path, settings: Settings, count: int) -> list[float]:
    inner, outer, returns = free_port(), free_port(), []
    # A sealed link would go around what stands between: the player says at the sender's door where it is.
    sender = [*sender_command("thinair", outer, settings, home / "sender.csv"), "--no-encryption"]
    with (
        playing(home, inner, more=["--no-encryption"]) as frames,
        _Path(outer, inner) as path,
        started(sender, "sending "),
    ):
        for _ in range(count):
            time.sleep(_SETTLE_S)
            path.carries = False
            time.sleep(GONE_S)
            path.carries = True
            returns.append(time.monotonic_ns() // 1000)
        time.sleep(_SETTLE_S)
    return first_live(frames, returns)


@contextmanager
def playing(home: Path, port: int, name: str = "frames.csv", more: Sequence[str] = ()) -> Iterator[Path]:
    """Its frames are whole once it has ended."""
    words = ["play", "--headless", "--dashboard", "off", "--listen", f"127.0.0.1:{port}", "--priority", "0", *more]
    with started(python_module("thinair", *words, "--frames", str(home / name)), "listening "):
        yield home / name


@contextmanager
def started(argv: list[str], word: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and when it said `word`."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if word in line:
                break
        said_us = time.monotonic_ns() // 1000
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process, said_us
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def first_live(frames: Path, returns: list[int]) -> list[float]:
    with frames.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] == "presented"]
    shown = [
        (int(row["presented_us"]), int(row["capture_us"]) if row["capture_us"] else None, int(row["first_packet_us"]))
        for row in rows
    ]
    found = []
    for returned_us in returns:
        # Before the clocks agree a capture is not known: then the first packet's arrival says that it is new.
        live = [
            at for at, captured, came in shown
            if at > returned_us and came > returned_us and (captured is None or at - captured < _LIVE_US)
        ]  # fmt: skip
        if live:
            found.append(round((min(live) - returned_us) / 1000, 1))
    return found


class _Path:
    """Carries datagrams both ways between the sender and the player, or neither."""

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
