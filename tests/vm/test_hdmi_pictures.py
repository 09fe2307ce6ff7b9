"""The HDMI source on the kernel's vivid driver: what a software encoder is given."""

from __future__ import annotations

import json
from typing import Any

from tests.vm.machine import Machine
from tests.vm.test_capture import BARS, LEVEL, bt709


def kinds(items: list[list[Any]]) -> list[str]:
    """Kinds of items in their order, repetitions left out."""
    names = [item[1] if item[0] == "state" else item[0] for item in items]
    return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]


def test_the_source_follows_the_camera_and_its_pictures_are_right(vm: Machine, vivid: str) -> None:
    result = vm.run("hdmi_pictures.py", vivid, timeout_s=90)
    acts = dict(json.loads(line) for line in result.output.splitlines() if line.startswith("["))

    start = acts["start"]
    modes = [item for item in start if item[0] == "mode"]
    assert modes == [["mode", "1280x720@60", True, False]]
    pictures = [item for item in start if item[0] == "picture"]
    assert start.index(modes[0]) < start.index(pictures[0])
    assert [item[3] for item in pictures] == list(range(len(pictures)))
    assert all(item[1:3] == [1280, 720] and item[4] for item in pictures)

    wanted = [bt709(*(LEVEL * part for part in bar)) for bar in BARS]
    for got, want in zip(acts["bars"], wanted, strict=True):
        assert max(abs(a - b) for a, b in zip(got, want, strict=True)) <= 2.5, (got, want)

    assert kinds(acts["lost"])[-1] == "NO_SYNC"
    back = kinds(acts["back"])
    assert back[-1] == "picture"
    assert "mode" in back
    smaller = acts["smaller"]
    assert [item[1] for item in smaller if item[0] == "mode"][-1].startswith("640x480@")
    assert all(item[1:3] == [640, 480] for item in smaller[-5:])
