"""The whole way: vivid's HDMI picture in the guest, the sender with x264, packets out of the guest, the player and its
window on this machine.

Emulated, the sender gets through some 10 to 30 pictures a second of vivid's 60: times are counted in those pictures."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Glass
from tests.processes import Running, environment, running
from tests.vm import osd
from tests.vm.machine import HOST, Machine, Process

MODES = {0: [640, 480], 2: [720, 480]}  # in vivid's menu
PATIENCE_S = 40.0
STATE_FRAMES, MODE_FRAMES = 2, 6  # from the driver's event to the screen
STEADY = 8  # pictures that tell the guest's rate
WARM_UP = 4  # rounds after which nothing may grow any more
GROWTH_KB = 4096
PASSING = 2  # descriptors that are open for a moment, such as to ask a node for its formats


@dataclass(slots=True)
class Chain:
    vm: Machine
    node: str
    sender: Process
    player: Running
    _seen: int = 0  # lines of the player

    def cable(self, what: str | int) -> int:
        """Done in the guest; when, on its clock."""
        return int(self.vm.run("cable.py", self.node, str(what)).output)

    def next(self, wanted: str) -> dict[str, Any]:
        """The next line of this kind, `picture` or `notice`."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            while self._seen < len(self.player.lines):
                line = self.player.lines[self._seen][1]
                self._seen += 1
                if line.startswith("{") and wanted in (told := json.loads(line)):
                    return dict(told)
            assert self.sender.exit is None, self.sender.output
            self.vm.pump(lambda: False, time.monotonic() + 0.01)
        raise AssertionError(f"no {wanted}; player:\n{self.player.text()[-2000:]}\nsender:\n{self.sender.output}")

    def picture_of(self, size: list[int]) -> dict[str, Any]:
        while (told := self.next("picture"))["picture"] != size:
            pass
        return told

    def gaps_us(self, size: list[int]) -> list[int]:
        """Between the pictures of a steady stream."""
        times = [int(self.picture_of(size)["at_us"]) for _ in range(STEADY)]
        return [after - before for before, after in itertools.pairwise(times)]

    def holds(self) -> tuple[list[int], list[int]]:
        """(descriptors, mappings of the camera's buffers, resident kB) of sender and player."""
        script = """pid=$(pgrep -of "thinair send"); ls /proc/$pid/fd | wc -l; grep -c /dev/video /proc/$pid/maps
            grep VmRSS /proc/$pid/status | tr -dc 0-9"""
        theirs = [int(word) for word in self.vm.run("sh", "-c", script, check=False).output.split()]
        ours = Path("/proc") / str(self.player.process.pid)
        resident = next(line for line in (ours / "status").read_text().splitlines() if line.startswith("VmRSS"))
        return theirs, [len(list((ours / "fd").iterdir())), 0, int(resident.split()[1])]


@pytest.fixture
def chain(vm: Machine, vivid: str, glass: Glass) -> Iterator[Chain]:
    """A sender and a player that have found each other, with pictures of MODES[0]."""
    vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings_signal_mode=4", "-c", "dv_timings=0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--to", f"{HOST}:{port}", "--source", f"hdmi:{vivid}", "--encoder", "x264", "--bitrate", "4M"]
    words += ["--priority", "0"]  # real-time threads that fill the emulated processors would starve the rest
    with contextlib.ExitStack() as stack:
        player = stack.enter_context(
            running(
                [sys.executable, "-m", "tests.vm.viewer", "--listen", f"127.0.0.1:{port}"],
                env=environment(DISPLAY=glass.name),
            )
        )
        player.wait_for("listening")
        sender = stack.enter_context(vm.running("python", "-m", "thinair", "send", *words, timeout_s=3000))
        sender.until("linked", 60)
        yield Chain(vm, vivid, sender, player)


def test_the_camera_s_picture_comes_through_with_its_number(chain: Chain, glass: Glass) -> None:
    pictures = [chain.picture_of(MODES[0]) for _ in range(60)][10:]
    numbers = [picture["number"] for picture in pictures]
    assert None not in numbers
    assert all(before < after for before, after in itertools.pairwise(numbers))
    for picture in pictures:  # no later than it was shown, and not longer ago than the way takes, emulated
        age_us = picture["at_us"] - (picture["capture_us"] - picture["offset_us"])
        assert -picture["bound_us"] <= age_us < 2_000_000
    green = glass.pixels()[:, :, 1]
    lines, columns = np.nonzero(green)  # the window stands on black
    on_glass = osd.read(green[lines.min() :, columns.min() :])
    assert on_glass is not None
    assert on_glass.number >= numbers[-1]


def follow(chain: Chain, rounds: int) -> None:
    """In each: another mode while live, the cable pulled, the cable back. The unit of time is the longest gap between
    pictures right before and right after, for this machine may be busy with other things as well."""
    worst = {"mode": 0.0, "pulled": 0.0, "back": 0.0}
    settled: tuple[list[int], list[int]] | None = None
    before = chain.gaps_us(MODES[0])
    for count in range(rounds):
        new = 2 if count % 2 == 0 else 0
        event_us = chain.cable(new)
        changed = chain.picture_of(MODES[new])
        offset_us = changed["offset_us"]  # of the guest's clock
        took_us = {"mode": changed["at_us"] - event_us + offset_us}
        between = chain.gaps_us(MODES[new])

        event_us = chain.cable("no-signal")
        while "HDMI" not in (notice := chain.next("notice"))["notice"]:
            pass
        took_us["pulled"] = notice["at_us"] - event_us + offset_us

        event_us = chain.cable("signal")
        took_us["back"] = chain.picture_of(MODES[new])["at_us"] - event_us + offset_us
        after = chain.gaps_us(MODES[new])

        units = {"mode": before + between, "pulled": between + after, "back": between + after}
        for kind, took in took_us.items():
            worst[kind] = max(worst[kind], took / max(units[kind]))
        before = after
        if count == WARM_UP:
            settled = chain.holds()
    assert settled is not None
    for held_before, held in zip(settled, chain.holds(), strict=True):
        assert held[0] <= held_before[0] + PASSING, "descriptors leak"
        assert held[1] == held_before[1], "buffers leak"
        assert held[2] < held_before[2] + GROWTH_KB, "memory leaks"
    assert worst["pulled"] <= STATE_FRAMES, worst
    assert max(worst["mode"], worst["back"]) <= MODE_FRAMES, worst


@pytest.mark.timeout(400)
def test_a_pulled_cable_and_a_new_mode_are_shown_at_once_twenty_times_in_a_row(chain: Chain) -> None:
    follow(chain, 20)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_pulled_cable_and_a_new_mode_are_shown_at_once_two_hundred_times(chain: Chain) -> None:
    follow(chain, 200)
