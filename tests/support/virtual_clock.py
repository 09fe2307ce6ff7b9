"""A clock that tests move."""

from __future__ import annotations

from types import ModuleType

import pytest


class VirtualClock:
    """Stands for the clock of a module that imported now_us and sleep_until_us. Reading it takes a microsecond."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, start_us: int = 5_000_000) -> None:
        self.now = start_us
        monkeypatch.setattr(module, "now_us", self.now_us)
        monkeypatch.setattr(module, "sleep_until_us", self.sleep_until_us)

    def now_us(self) -> int:
        self.now += 1
        return self.now

    def sleep_until_us(self, when_us: int, _spin_us: int = 0) -> None:
        self.now = max(self.now, when_us)
