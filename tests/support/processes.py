"""Runs `thinair` as a process of its own, the way a person does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from thinair.link.child_process import python_module

THINAIR = tuple(python_module("thinair"))
PLAY = (*THINAIR, "play", "--dashboard", "off")
LISTENING, SESSION_PORT = r"listening on port ", r"session server at \S+:"  # for port()
HANG_S = 60.0  # a process that takes so long for anything has stopped working
T = TypeVar("T")


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

    def wait_for(self, words: str, *, after_s: float = 0.0) -> float:
        """When a line with these words came. Fails with all the output."""
        return self._wait_for(lambda at_s, line: at_s if words in line and at_s >= after_s else None, words)

    def port(self, before: str) -> int:
        """The number that this process says it listens at, after the words of the pattern `before`."""
        at = re.compile(before + r"(\d+)")
        return self._wait_for(lambda _, line: int(found[1]) if (found := at.search(line)) else None, before)

    def presented(self) -> int:
        """Pictures, as a player last said in its table."""
        return max((int(number) for number in re.findall(r"presented (\d+)", self.text())), default=0)

    def wait_for_pictures(self, count: int) -> None:
        """Until a player has presented as many more."""
        before = self.presented()
        self._wait_for(lambda _, __: self.presented() - before >= count or None, f"{count} more pictures")

    def _wait_for(self, found: Callable[[float, str], T | None], what: str) -> T:
        deadline = time.monotonic() + HANG_S
        with self._news:
            while True:
                for at_s, line in self.lines:
                    if (it := found(at_s, line)) is not None:
                        return it
                assert self._news.wait(max(0.0, deadline - time.monotonic())), f"no {what!r} in:\n{self.text()}"

    def say(self, line: str = "") -> None:
        """To its standard input, which must be a pipe."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.end()

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

    def end(self) -> int:
        """The exit code once it ends by itself."""
        return self.process.wait(HANG_S)

    def read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._news:
                self.lines.append((time.monotonic(), line.rstrip("\n")))
                self._news.notify_all()
        stream.close()


@contextmanager
def running(
    words: Sequence[str],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Starts it; kills it at the end, whatever happened."""
    began_s = time.monotonic()
    process = subprocess.Popen(
        words,
        env=env or environment(),
        cwd=cwd,
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
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        reader.join(HANG_S)


def call(*words: str, timeout_s: float = HANG_S, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`thinair` with these words, to its end."""
    return subprocess.run(
        [*THINAIR, *words], env=env or environment(), capture_output=True, text=True, timeout=timeout_s, check=False
    )
