"""Runs `thinair` as a process of its own, the way a person does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from thinair.link.child_process import python_module

THINAIR = tuple(python_module("thinair"))
PLAY = (*THINAIR, "play", "--dashboard", "off")  # tests run beside each other


def environment(**more: str) -> dict[str, str]:
    """This process's, with every place modules come from, so that a child finds the same build."""
    paths = os.pathsep.join(dict.fromkeys(path for path in ("", *sys.path) if path))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "error", **more}


@dataclass(slots=True)
class Running:
    """A process whose output is read all the while: `lines` holds (time.monotonic() of arrival, line)."""

    process: subprocess.Popen[str]
    began_s: float
    lines: list[tuple[float, str]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def wait_for(self, words: str, timeout_s: float = 20.0, *, after_s: float = 0.0) -> float:
        """When a line with these words came. Fails with all the output."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                for at_s, line in self.lines:
                    if words in line and at_s >= after_s:
                        return at_s
                assert self._news.wait(max(0.0, deadline - time.monotonic())), f"no {words!r} in:\n{self.text()}"

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.end(timeout_s)

    def run_on(self, seconds: float) -> None:
        """Lets it run for a while; it must not end meanwhile."""
        try:
            code = self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"ended with {code}:\n{self.text()}")

    def kill(self) -> None:
        """As if the power were cut."""
        self.process.kill()
        self.process.wait()

    def end(self, timeout_s: float = 30.0) -> int:
        """The exit code once it ends by itself."""
        return self.process.wait(timeout_s)

    def read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._news:
                self.lines.append((time.monotonic(), line.rstrip("\n")))
                self._news.notify_all()
        stream.close()


@contextmanager
def running(
    words: Sequence[str], *, env: dict[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> Iterator[Running]:
    """Starts it; kills it at the end, whatever happened."""
    began_s = time.monotonic()
    process = subprocess.Popen(
        words,
        env=env or environment(),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    one = Running(process, began_s)
    assert process.stdout is not None
    reader = threading.Thread(target=one.read, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        yield one
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(5)


def call(*words: str, timeout_s: float = 60.0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`thinair` with these words, to its end."""
    return subprocess.run(
        [*THINAIR, *words], env=env or environment(), capture_output=True, text=True, timeout=timeout_s, check=False
    )
