"""Fixtures of several tests: a screen that can be read; and where chance comes from."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import namespace, seeds
from thinair.bench.harness.xvfb_screen import Framebuffer, xvfb
from thinair.link.security.pairing_store import introduce

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCREEN = (1280, 800)
seeds.load_profile()
_OWN_NETWORK = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OWN_NETWORK] = namespace.enter()


def pytest_report_header(config: pytest.Config) -> str:
    own = config.stash[_OWN_NETWORK]
    return f"network: {'of the tests alone' if own else 'shared with other processes, for want of root'}"


@pytest.fixture(scope="session", autouse=True)
def _introduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A sender and a player of this machine know each other, in no home of a user; each test's link is sealed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THINAIR_STATE", introduce(tmp_path_factory.mktemp("state")))
        yield


@dataclass(frozen=True, slots=True)
class Glass:
    """An X server and what it shows."""

    name: str  # ":1"
    file: Path

    def pixels(self) -> NDArray[np.uint8]:
        """Height x width x 3: red, green, blue."""
        import numpy as np

        data = self.file.read_bytes()
        where = Framebuffer.parse(data)
        lines: Any = np.frombuffer(data, np.uint8, where.stride * where.height, where.offset)
        return lines.reshape(where.height, where.stride // 4, 4)[:, : where.width, 2::-1]  # type: ignore[no-any-return]  # Any

    def signal(self, number: signal.Signals) -> None:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"/tmp/.X11-unix/X{self.name[1:]}")  # noqa: S108 -- where X servers listen
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        os.kill(struct.unpack("3i", credentials)[0], number)


@pytest.fixture
def glass(monkeypatch: pytest.MonkeyPatch) -> Iterator[Glass]:
    """An X server without a window manager, named by $DISPLAY."""
    with xvfb(*SCREEN) as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield Glass(screen.display, screen.file)
