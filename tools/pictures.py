"""Makes the pictures of README.md and docs/, in true colours: `tools/pictures.sh`.

Sender and player run as in `thinair demo`, with a window on an Xvfb. The window is read from the framebuffer, the pages
are opened in Chromium."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from thinair.bench.harness.chromium import QUIET, chromium
from thinair.bench.harness.processes import Process, process, realtime
from thinair.bench.harness.xvfb_screen import Framebuffer, VirtualScreen, xvfb
from thinair.link.child_process import python_module
from thinair.link.security.pairing_store import introduce

WIDTH, HEIGHT, MODE = 1280, 720, "1280x720@30"
LARGEST_BYTES = 300_000
FILL_S = 20.0  # until the graphs of window and page show something
TOKEN = "open-sesame-1"  # noqa: S105 -- of the page in the picture
_CAMERA = "A-CAM"
_BITS = (8, 7, 6)  # per colour


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="thinair-pictures-") as home, ExitStack() as stack:
        os.environ["THINAIR_STATE"] = introduce(Path(home) / "state")
        screen = stack.enter_context(xvfb(WIDTH, HEIGHT))
        realtime()  # for the processes below, so that the figures in the pictures are those of a machine with time
        page, control = _tcp_port(), _tcp_pair()
        media = _tcp_port()
        stack.enter_context(_player(media, page, screen, Path(home)))
        stack.enter_context(_sender(media, control, Path(home)))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        time.sleep(FILL_S)
        save(window(screen), folder / "window.png")
        with sync_playwright() as playwright:
            name = socket.gethostname()
            rules = f"--host-resolver-rules=MAP {name} 127.0.0.1"
            browser = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET, rules])
            local, remote = f"http://127.0.0.1:{page}/?token={TOKEN}", f"http://{name}:{page}/?token={TOKEN}"
            shoot(browser, local, folder / "page-dark.png", 1080, 1150, full=False)
            shoot(browser, local, folder / "page-phone.png", 390, 1200, dark=False, full=False)
            shoot(browser, remote, folder / "page-insecure.png", 1080, 720, full=False)
            shoot(browser, f"http://127.0.0.1:{control + 1}/", folder / "sender-phone.png", 390, 844)
            run = _recorded_run(Path(home))
            shoot(browser, run.as_uri(), folder / "run.png", 1080, 1000, dark=False, full=False)
            browser.close()


def _player(media: int, page: int, screen: VirtualScreen, home: Path) -> AbstractContextManager[Process]:
    arguments = ["--listen", f"127.0.0.1:{media}", "--presenter", "x11", "--display", screen.display, "--fullscreen"]
    arguments += ["--hud", "full", "--marks", "--record", "--record-to", str(home / "recordings"), "--priority", "0"]
    arguments += ["--dashboard", f"0.0.0.0:{page}", "--dashboard-token", TOKEN]
    return process(python_module("thinair", "play", *arguments), home / "play.log", {"DISPLAY": screen.display})


def _sender(media: int, control: int, home: Path) -> AbstractContextManager[Process]:
    arguments = ["--to", f"127.0.0.1:{media}", "--name", _CAMERA, "--source", "testcard", "--mode", MODE]
    arguments += ["--bitrate", "8M", "--control", str(control), "--priority", "0"]
    return process(python_module("thinair", "send", *arguments), home / "send.log", {})


def window(screen: VirtualScreen) -> Image.Image:
    """The whole screen, from the X server's framebuffer."""
    data = screen.file.read_bytes()
    where = Framebuffer.parse(data)
    lines = np.frombuffer(data, np.uint8, where.stride * where.height, where.offset)
    pixels = lines.reshape(where.height, where.stride // 4, 4)[:, : where.width, 2::-1]  # BGRX
    return Image.fromarray(np.ascontiguousarray(pixels), "RGB")


def shoot(
    browser: Browser, url: str, file: Path, width: int, height: int, *, dark: bool = True, full: bool = True
) -> None:
    """`full`: the whole page, else what fits the window."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page: Page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(8_000 if url.startswith("http") else 500)
    save(Image.open(io.BytesIO(page.screenshot(full_page=full))).convert("RGB"), file)
    context.close()


def save(image: Image.Image, file: Path) -> None:
    """As RGB, without a palette. The test card's noise compresses badly: a picture that becomes too large gets fewer
    levels per colour, then fewer pixels."""
    while True:
        for bits in _BITS:
            highest = (1 << bits) - 1
            levels = [round(round(value / 255 * highest) / highest * 255) for value in range(256)] * 3
            image.point(levels).save(file, optimize=True)
            if file.stat().st_size <= LARGEST_BYTES:
                size = f"{image.width}x{image.height}, {bits} bits per colour, {file.stat().st_size // 1000} kB"
                print(f"{file}: {size}", flush=True)
                return
        image = image.resize((image.width * 7 // 8, image.height * 7 // 8), Image.Resampling.LANCZOS)


def _recorded_run(home: Path) -> Path:
    file = home / "run.html"
    command = ["bench", "loop", "--mode", MODE, "--seconds", "16", "--rounds", "2", "--html", str(file)]
    subprocess.run(python_module("thinair", *command), stdout=subprocess.DEVNULL, check=False)
    return file


def _tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tcp_pair() -> int:
    """The control API's port: HTTPS there, HTTP on the next one."""
    while True:
        port = _tcp_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        return port


if __name__ == "__main__":
    main()
