"""The guest's only service: runs what the host asks for; tells what it prints, how it ends, and what the kernel says.

JSON lines over the virtio port "agent". From the host: {"id", "run": argv, "env": {}, "timeout_s"} or {"id", "signal"}
or {"sync"}. To the host: {"id", "output"}, {"id", "exit", "timed_out"}, {"kernel"}, {"sync"}, and {"ready"} first.

A Python script is run by a fork of this process, which has the standard library loaded already: emulated, a fresh
interpreter costs half a second."""

from __future__ import annotations

import contextlib
import ctypes  # noqa: F401 -- loaded for the scripts
import io
import json
import os
import runpy
import selectors
import signal
import socket  # noqa: F401
import subprocess  # noqa: F401
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn


@dataclass(slots=True)
class Child:
    number: int
    pid: int
    output: int  # read end of its stdout and stderr
    watch: int  # pidfd
    deadline: float
    timed_out: bool = False


def open_port() -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == "agent":
                return os.open(f"/dev/{name.parent.name}", os.O_RDWR)
        time.sleep(0.01)
    raise SystemExit("no virtio port named agent")


def become(argv: list[str], env: dict[str, str], output: int) -> NoReturn:
    """The child's side of the fork."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, 256)
        os.environ.update(env)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not argv[0].endswith(".py"):
            os.execvp(argv[0], argv)  # noqa: S606
        os._exit(run_script(argv, env))
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    os._exit(127)


def run_script(argv: list[str], env: dict[str, str]) -> int:
    sys.argv = argv
    sys.path[0:1] = [str(Path(argv[0]).parent), *env.get("PYTHONPATH", "").split(":")]
    code: Any = 0
    try:
        sys.stdout = io.TextIOWrapper(
            io.FileIO(1, "w", closefd=False), line_buffering=True
        )  # the agent's is not for it
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # joins threads, as a plain interpreter's end does
    sys.stdout.flush()
    return int(code or 0)


class Agent:
    def __init__(self) -> None:
        self.port = open_port()
        self.kernel = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}
        self.pending = b""
        self.selector.register(self.port, selectors.EVENT_READ, self.requests)
        self.selector.register(self.kernel, selectors.EVENT_READ, self.kernel_lines)

    def tell(self, **message: Any) -> None:
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(self.port, line) :]

    def serve(self) -> NoReturn:
        self.kernel_lines()
        self.tell(ready=os.uname().release)
        while True:
            for key, _ in self.selector.select(0.2):
                key.data()
            self.reap_orphans()
            now = time.monotonic()
            for child in list(self.children.values()):
                if now > child.deadline and not child.timed_out:
                    child.timed_out = True
                    self.kill(child, signal.SIGKILL)

    def requests(self) -> None:
        data = os.read(self.port, 65536)
        if not data:  # the host's end is gone, and with it the reason to be
            Path("/proc/sysrq-trigger").write_text("o")
            time.sleep(60)
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "run" in request:
                self.run(request)
            elif "signal" in request:
                if child := self.children.get(request["id"]):
                    self.kill(child, request["signal"])
            else:
                self.kernel_lines()
                self.tell(sync=request["sync"])

    def run(self, request: dict[str, Any]) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            become(request["run"], request["env"], writing)
        os.close(writing)
        os.set_blocking(reading, False)
        child = Child(request["id"], pid, reading, os.pidfd_open(pid), time.monotonic() + request["timeout_s"])
        self.children[child.number] = child
        self.selector.register(child.output, selectors.EVENT_READ, lambda: self.output(child))
        self.selector.register(child.watch, selectors.EVENT_READ, lambda: self.ended(child))

    def output(self, child: Child) -> bool:
        """Passes on what is there; whether there was any. Its end may have been seen to in the same round."""
        if child.number not in self.children:
            return False
        with contextlib.suppress(BlockingIOError):
            if data := os.read(child.output, 16384):
                self.tell(id=child.number, output=data.decode(errors="replace"))
                return True
            self.selector.unregister(child.output)
        return False

    def ended(self, child: Child) -> None:
        """The group goes with its leader: nothing stays behind to hold the pipe or a device."""
        self.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        while child.output in self.selector.get_map() and self.output(child):
            pass
        self.selector.unregister(child.watch)
        with contextlib.suppress(KeyError):
            self.selector.unregister(child.output)
        os.close(child.watch)
        os.close(child.output)
        del self.children[child.number]
        self.kernel_lines()
        self.tell(id=child.number, exit=os.waitstatus_to_exitcode(status), timed_out=child.timed_out)

    def reap_orphans(self) -> None:
        """What the guest's programs leave behind becomes a child of its first process, this one."""
        ours = {child.pid for child in self.children.values()}
        with contextlib.suppress(ChildProcessError):
            while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and dead.si_pid not in ours:
                os.waitpid(dead.si_pid, 0)

    def kill(self, child: Child, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    def kernel_lines(self) -> None:
        while True:
            try:
                record = os.read(self.kernel, 8192).decode(errors="replace")
            except BlockingIOError:
                return
            except BrokenPipeError:  # overrun: the next read goes on
                continue
            head, _, text = record.partition(";")
            stamp_us = int(head.split(",")[2])
            self.tell(kernel=f"[{stamp_us / 1e6:.6f}] {text.splitlines()[0]}")


if __name__ == "__main__":
    repository = sys.argv[1]
    os.chdir(repository)
    Agent().serve()
