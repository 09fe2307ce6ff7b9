"""A player with its dashboard, a sender, and Debian's Chromium that looks at the page."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.support.player_with_dashboard import HEIGHT, WIDTH, Rig
from tests.support.processes import HANG_S
from thinair.bench.harness.chromium import QUIET, chromium
from thinair.sender.sources.visual_code import Code, Geometry, Reader

SHOTS = Path(os.environ.get("THINAIR_SHOTS", "build/shots"))  # to be looked at


@pytest.fixture(scope="module")  # no longer: while it lives no other test can run an event loop
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as one:
        yield one


@contextmanager
def launched(playwright: Playwright, *words: str) -> Iterator[Browser]:
    one = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET, *words])
    yield one
    one.close()


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """With its own hostname resolved to this machine, so that the page can be opened as from another one."""
    with launched(playwright, f"--host-resolver-rules=MAP {socket.gethostname()} 127.0.0.1") as one:
        yield one


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path / "set")
    yield one
    one.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One that stays: for tests that change nothing others see."""
    one = Rig(tmp_path_factory.mktemp("rig") / "set")
    one.play()
    one.send()
    yield one
    one.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """open_page(url, width=, height=, dark=): in a context of its own; a script's error fails the test."""
    with ExitStack() as stack:
        errors: list[str] = []

        def open_one(url: str, *, width: int = 1400, height: int = 1000, dark: bool = True, scale: float = 1) -> Page:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                device_scale_factor=scale,
            )
            stack.callback(context.close)
            context.set_default_timeout(HANG_S * 1000)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(url)
            return page

        yield open_one
        assert errors == []


def is_live(page: Page) -> None:
    page.locator("#status.good").wait_for()
    page.locator("#here").filter(has_text="pictures/s").wait_for()


def pixels(page: Page) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def code_of(page: Page) -> Code | None:
    """The visual code in the picture of `?view=picture`, which must have the picture's own size."""
    shown = pixels(page)
    luma = np.ascontiguousarray(shown[:HEIGHT, :WIDTH, 1])
    return Reader(Geometry(WIDTH, HEIGHT), WIDTH, pixel_bytes=1).top(luma.tobytes())
