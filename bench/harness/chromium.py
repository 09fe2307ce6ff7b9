"""The browser's row of `thinair bench glass`: a headless player, and Chromium that fills the screen with its page's
picture. `python -m thinair.bench.harness.chromium PORT DISPLAY WIDTH HEIGHT HOME`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from thinair.bench.harness.free_ports import free_tcp_port
from thinair.link.child_process import python_module

# No sandbox, since benches may run as root; the rest prevents network traffic and questions at the first start.
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--password-store=basic"),
)
_START_TIMEOUT_S = 10.0
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def main() -> int:
    port, display, width, height, home = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it
    # Chromium's processes outlive their parent: as children of this process their time counts as the bench's.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    page = free_tcp_port()
    player = subprocess.Popen(
        [
            *(*python_module("thinair"), "play", "--headless", "--listen", f"127.0.0.1:{port}"),
            *("--dashboard", str(page), "--priority", "0"),
        ]
    )
    browser = None
    try:
        until = time.monotonic() + _START_TIMEOUT_S
        while not answers(page) and time.monotonic() < until:
            time.sleep(0.05)
        browser = start_browser(f"http://127.0.0.1:{page}/?view=picture", display, (width, height), Path(home))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        player.wait()
    except KeyboardInterrupt:
        pass
    finally:
        if browser is not None:
            os.killpg(browser.pid, signal.SIGKILL)
        player.send_signal(signal.SIGINT)
        player.wait(_START_TIMEOUT_S)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
    return 0


def start_browser(
    url: str, display: str, size: tuple[str, str], home: Path, flags: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Chromium in a process session of its own, with a window that fills the screen."""
    program = chromium()
    assert program is not None, "checked by the caller"
    return subprocess.Popen(
        [
            *(program, *QUIET, *flags, f"--user-data-dir={home / 'chromium'}", "--kiosk"),
            *(f"--window-size={size[0]},{size[1]}", "--window-position=0,0", "--hide-scrollbars", f"--app={url}"),
        ],
        env={**os.environ, "DISPLAY": display},
        start_new_session=True,
    )


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
