"""A player with the workers and viewers of its row: `python -m thinair.bench.players.player_process KIND PORT DISPLAY
HOME`.

Ends on SIGINT and leaves HOME/shares.json: the share of a core that recorder and dashboard used."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import aiohttp

from thinair.bench.harness.chromium import QUIET, answers, chromium
from thinair.bench.harness.free_ports import free_tcp_port
from thinair.link.child_process import python_code, python_module

KINDS = {
    "off": "no recorder, no dashboard",
    "record": "recorder only",
    "dashboard": "dashboard without a viewer",
    "reader": "recorder, dashboard, one socket that reads all pictures, metrics read every second",
    "browser": "recorder, dashboard, Chromium on the same cores, metrics read every second",
    "ten": "dashboard with ten sockets that read all pictures and decode none",
}
_SETTLE_S = 3.0
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def main() -> int:
    kind, port, display, home = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    page = free_tcp_port() if kind not in {"off", "record"} else 0
    folder = Path(home)
    arguments = ["--listen", f"127.0.0.1:{port}", "--presenter", "x11", "--display", display, "--fullscreen"]
    arguments += ["--priority", "0", "--frames", str(folder / "receiver.csv"), "--record-to", str(folder / "set")]
    arguments += ["--dashboard", str(page or "off")] + (["--record"] if kind in {"record", "reader", "browser"} else [])
    player = subprocess.Popen(python_module("thinair", "play", *arguments))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The player gives its workers ordinary scheduling; the viewers, which stand for other machines, get it here.
    viewers = _Viewers(kind, page, folder)
    try:
        began = time.monotonic()
        before: dict[str, int] = {}
        while player.poll() is None:
            time.sleep(0.25)
            viewers.update()
            if not before and time.monotonic() - began > _SETTLE_S:
                began, before = time.monotonic(), _ticks()
    except KeyboardInterrupt:
        seconds, after = time.monotonic() - began, _ticks()
        shares = {
            name: (ticks - before.get(name, 0)) / os.sysconf("SC_CLK_TCK") / seconds for name, ticks in after.items()
        }
        (folder / "shares.json").write_text(json.dumps(shares))
    finally:
        viewers.stop()
        player.send_signal(signal.SIGINT)
        player.wait(20)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
    return 0


class _Viewers:
    """Started once the page is served; reads the metrics."""

    def __init__(self, kind: str, page: int, folder: Path) -> None:
        self._kind, self._page, self._folder = kind, page, folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._metrics_read_s = 0.0

    def update(self) -> None:
        if not self._page or not answers(self._page):
            return
        if not self._processes and self._kind in {"reader", "browser", "ten"}:
            command = python_code(
                f"from thinair.bench.players.player_process import read; read({self._page}, {self._count()})"
            )
            if self._kind == "browser":
                program = chromium()
                assert program is not None, "checked by run()"
                profile = f"--user-data-dir={self._folder / 'chromium'}"
                command = [program, *QUIET, profile, "--headless", f"http://127.0.0.1:{self._page}/"]
            self._processes.append(subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL))
            os.sched_setscheduler(self._processes[-1].pid, os.SCHED_OTHER, os.sched_param(0))
        if self._kind in {"reader", "browser"} and time.monotonic() - self._metrics_read_s > 1:
            self._metrics_read_s = time.monotonic()
            with urllib.request.urlopen(f"http://127.0.0.1:{self._page}/metrics", timeout=5) as answer:
                answer.read()

    def _count(self) -> int:
        return 10 if self._kind == "ten" else 1

    def stop(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read(page: int, count: int) -> None:
    """Opens sockets that read every picture and discard it."""

    async def one(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"http://127.0.0.1:{page}/ws", max_msg_size=0) as ws:
            await ws.send_str('{"do": "watch", "as": "h264"}')
            async for _ in ws:
                pass

    async def all_of_them() -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(one(session) for _ in range(count)))

    asyncio.run(all_of_them())


def _ticks() -> dict[str, int]:
    """Clock ticks of the processes of recorder and dashboard, with all threads (proc(5))."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            for name in ("record", "dashboard"):
                if f"receiver.{name}\0--fd".encode() in line and _ours(int(entry.name)):
                    words = (entry / "stat").read_text().rpartition(")")[2].split()
                    found[name] = int(words[11]) + int(words[12])
    return found


def _ours(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == os.getpid()


if __name__ == "__main__":
    sys.exit(main())
