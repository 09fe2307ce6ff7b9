"""A guest with real V4L2 and HDMI drivers, one for a whole run of pytest. See README.md beside this file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

MADE = ROOT / "build" / "vm"
SCRIPTS = Path(__file__).parent / "guest"
HOST = "10.0.2.2"  # this machine, seen from the guest
BOOT_S = 90
ANSWER_S = 20  # how long the agent may be late before the guest counts as dead
MEMORY_MB = 1024
# The kernel's own words for a fault of a driver or of the kernel.
COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|general protection|[Kk]ernel panic|stack-protector|UBSAN|refcount_t:|list_(add|del) corruption"
    r"|possible (circular|recursive) locking|INFO: task .* blocked|[Uu]se-after-free|double free|Bad page"
)


class GuestError(AssertionError):
    """A program in the guest failed, or was late, or the guest itself is gone."""


@dataclass(frozen=True, slots=True)
class Result:
    exit: int  # negative: the signal that ended it
    output: str  # stdout and stderr, in the order written
    timed_out: bool


@dataclass(slots=True)
class Process:
    """A program running in the guest."""

    machine: Machine
    number: int
    what: str
    deadline: float  # of the guest's own stop, by this machine's clock
    output: str = ""
    exit: int | None = None
    timed_out: bool = False

    def wait(self, *, check: bool = True) -> Result:
        """Until it has ended, within its timeout. `check`: an exit other than 0 or a timeout is an error."""
        self.machine.pump(lambda: self.exit is not None, self.deadline + ANSWER_S)
        if self.exit is None:
            raise self.machine.dead(f"the guest does not answer while it runs {self.what}")
        if check and (self.exit or self.timed_out):
            raise GuestError(f"{self.what}: {'timed out' if self.timed_out else f'exit {self.exit}'}\n{self.output}")
        return Result(self.exit, self.output, self.timed_out)

    def until(self, pattern: str, timeout_s: float = 30) -> re.Match[str]:
        """Waits until what it has printed holds the regular expression `pattern`."""
        self.machine.pump(
            lambda: self.exit is not None or re.search(pattern, self.output, re.M) is not None,
            time.monotonic() + timeout_s,
        )
        if found := re.search(pattern, self.output, re.M):
            return found
        why = "ended" if self.exit is not None else f"ran {timeout_s} s"
        raise GuestError(f"{self.what} {why} without printing {pattern!r}:\n{self.output}")

    def send_signal(self, number: signal.Signals) -> None:
        self.machine.send({"id": self.number, "signal": int(number)})

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Result:
        """A signal, then its end, whatever the exit code."""
        if self.exit is None:
            self.send_signal(number)
        return self.wait(check=False)


@dataclass(slots=True)
class Machine:
    """Belongs to one thread of the test. Nothing here waits for ever."""

    work: Path  # console.log, and share/ which the guest sees as /share, writable
    kernel: list[str] = field(default_factory=list, repr=False)  # what the guest's kernel has said
    mark: int = 0  # where in it the current test began
    session_port: int = 5010  # of a sender in the guest, and of the host's loopback; the tests' network is their own
    _qemu: subprocess.Popen[bytes] | None = None
    _port: socket.socket | None = None
    _pending: bytes = field(default=b"", repr=False)
    _processes: dict[int, Process] = field(default_factory=dict, repr=False)
    _count: int = 0
    _ready: bool = False
    _synced: int = 0

    # --- life ---

    @property
    def share(self) -> Path:
        return self.work / "share"

    @property
    def console(self) -> Path:
        return self.work / "console.log"

    @property
    def alive(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    def boot(self) -> None:
        self.share.mkdir(parents=True, exist_ok=True)
        self._port, theirs = socket.socketpair()
        self._ready, self._pending = False, b""
        self._processes.clear()
        with theirs:
            self._qemu = subprocess.Popen(
                self._command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pump(lambda: self._ready, time.monotonic() + BOOT_S)
        if not self._ready:
            raise self.dead("the guest did not boot")

    def _command(self, port: int) -> list[str]:
        release = (MADE / "release").read_text().strip()
        kernel_line = (
            f"console=ttyS0 loglevel=4 panic=-1 mitigations=off nosoftlockup rcupdate.rcu_cpu_stall_suppress=1 "
            f"repository={ROOT} python={sys.executable} modules={MADE}/kernel/lib/modules/{release}"
        )
        accel = os.environ.get("THINAIR_VM_ACCEL", "tcg")
        nine = "security_model=none,multidevs=remap"
        return shlex.split(
            f"""qemu-system-x86_64 -accel {accel} -cpu max -M q35 -m {MEMORY_MB} -smp 2 -nodefaults -display none
            -vga none -monitor none -no-reboot -serial file:{self.console}
            -kernel {MADE}/vmlinux -initrd {MADE}/initramfs.gz
            -append "{kernel_line}" -device virtio-rng-pci
            -fsdev local,id=host,path=/,readonly=on,{nine} -device virtio-9p-pci,fsdev=host,mount_tag=host
            -fsdev local,id=share,path={self.share},{nine} -device virtio-9p-pci,fsdev=share,mount_tag=share
            -chardev socket,id=agent,fd={port} -device virtio-serial-pci -device virtserialport,chardev=agent,name=agent
            -netdev user,id=net,hostfwd=tcp:127.0.0.1:{self.session_port}-:{self.session_port}
            -device virtio-net-pci,netdev=net,romfile="""
        )

    def halt(self) -> None:
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
        if self._port is not None:
            self._port.close()
        self._qemu = self._port = None

    def dead(self, why: str) -> GuestError:
        """Ends the guest; the next use boots another."""
        self.halt()
        tail = self.console.read_text(errors="replace")[-4000:] if self.console.exists() else ""
        return GuestError(f"{why}; the end of {self.console}:\n{tail}")

    # --- messages ---

    def send(self, message: dict[str, Any]) -> None:
        if not self.alive or self._port is None:
            self.boot()
        assert self._port is not None
        self._port.sendall(json.dumps(message).encode() + b"\n")

    def pump(self, done: Callable[[], bool], deadline: float) -> None:
        """Takes in what the guest says until `done()` or the deadline."""
        while not done() and self._port is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._port], [], [], left)[0]:
                return
            data = self._port.recv(65536)
            if not data:
                raise self.dead("the guest has gone")
            *lines, self._pending = (self._pending + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        process = self._processes.get(message.get("id", -1))
        if "kernel" in message:
            self.kernel.append(message["kernel"])
        elif "ready" in message:
            self._ready = True
        elif "sync" in message:
            self._synced = message["sync"]
        elif process and "output" in message:
            process.output += message["output"]
        elif process:
            process.exit, process.timed_out = message["exit"], message["timed_out"]

    def settle(self) -> list[str]:
        """Ends what still runs and takes in what the kernel has to say; returns what had to be ended."""
        if not self.alive:
            return []
        running = [process for process in self._processes.values() if process.exit is None]
        for process in running:
            process.stop(signal.SIGKILL)
        self._processes.clear()
        self._count += 1
        want = self._count
        self.send({"sync": want})
        self.pump(lambda: self._synced == want, time.monotonic() + ANSWER_S)
        if self._synced != want:
            raise self.dead("the guest does not answer")
        return [process.what for process in running]

    # --- what tests use ---

    def start(self, *argv: str | Path, timeout_s: float = 60, env: dict[str, str] | None = None) -> Process:
        """Starts a program of the guest, or a script of tests/vm/guest (its bare name, ending in .py), or of any path.
        It and its children are killed after `timeout_s`."""
        command = [str(word) for word in argv]
        if command[0].endswith(".py") and "/" not in command[0]:
            command[0] = str(SCRIPTS / command[0])
        if command[0] == "python":
            command[0] = sys.executable
        if not self.alive:
            self.boot()
        self._count += 1
        process = Process(self, self._count, shlex.join(map(str, argv)), time.monotonic() + timeout_s)
        self._processes[process.number] = process
        self.send(
            {
                "id": process.number,
                "run": command,
                "env": {"PYTHONPATH": str(ROOT), **(env or {})},
                "timeout_s": timeout_s,
            }
        )
        return process

    def run(
        self, *argv: str | Path, timeout_s: float = 60, check: bool = True, env: dict[str, str] | None = None
    ) -> Result:
        return self.start(*argv, timeout_s=timeout_s, env=env).wait(check=check)

    @contextlib.contextmanager
    def running(self, *argv: str | Path, timeout_s: float = 60, env: dict[str, str] | None = None) -> Iterator[Process]:
        """start(), and stopped at the end of the block."""
        process = self.start(*argv, timeout_s=timeout_s, env=env)
        try:
            yield process
        finally:
            if self.alive:
                process.stop()

    def load(self, module: str, **parameters: int | str) -> None:
        self.run("modprobe", module, *(f"{name}={value}" for name, value in parameters.items()))

    def unload(self, *modules: str) -> None:
        """Fails where something still holds one of them. What they stand on stays: it costs most of the time."""
        self.run("rmmod", *modules)

    def is_loaded(self, module: str) -> bool:
        return self.run("test", "-d", f"/sys/module/{module.replace('-', '_')}", check=False).exit == 0

    def device(self, name: str) -> str:
        """The node whose driver calls it `name`: /dev/video0."""
        return self.run("device.py", name).output.strip()
