"""`python -m tests.support.scripted_source STEPS SEND-WORDS...`: the sender with a source that follows a script.

STEPS have commas between: `1280x720@50:SECONDS` (test card pictures of that mode) or `NO_CABLE:SECONDS` (a state of the
source, told twice a second). Each begins with a line `step WHAT µs`, on CLOCK_MONOTONIC."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import thinair.sender.pipeline.software
from thinair.cli import main
from thinair.link.native import now_us, sleep_until_us
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, NewMode, NoPicture, Picture
from thinair.sender.sources.base import Pace
from thinair.sender.sources.testcard import Testcard

_TELL_US = 500_000


class Script:
    """See Source."""

    name = "script"
    colour = Colour()

    def __init__(self, steps: list[tuple[Mode | SourceCode, float]]) -> None:
        self._steps = steps
        modes = [what for what, _ in steps if isinstance(what, Mode)]
        self.mode = modes[0]
        self._cards = {mode: Testcard(mode) for mode in modes}
        self._items = self._follow()
        self._seq = 0

    def open(self) -> None:
        for card in self._cards.values():
            card.open()

    def next(self) -> Picture | NewMode | NoPicture | None:
        return next(self._items, None)

    def close(self) -> None:
        for card in self._cards.values():
            card.close()

    def _follow(self) -> Iterator[Picture | NewMode | NoPicture]:
        for what, seconds in self._steps:
            end_us = now_us() + int(seconds * 1e6)
            print(f"step {what.name if isinstance(what, SourceCode) else what} {now_us()}", flush=True)
            if isinstance(what, Mode):
                if what != self.mode:
                    self.mode = what
                    yield NewMode(what, self.colour)
                yield from self._pictures(what, end_us)
            else:
                state = SourceState(what, now_us())
                while now_us() < end_us:
                    yield NoPicture(state)
                    time.sleep(max(0, min(_TELL_US, end_us - now_us())) / 1e6)

    def _pictures(self, mode: Mode, end_us: int) -> Iterator[Picture]:
        pace = Pace(mode.rate, now_us())
        while now_us() < end_us:
            due_us, skipped = pace.take(now_us())
            sleep_until_us(due_us)
            began_us = now_us()
            frame = self._cards[mode].draw(pace.index, self._seq, began_us)
            yield Picture(frame, self._seq, began_us, now_us(), skipped)
            self._seq += 1


def parse(text: str) -> list[tuple[Mode | SourceCode, float]]:
    """Steps with commas between."""
    steps: list[tuple[Mode | SourceCode, float]] = []
    for step in text.split(","):
        what, _, seconds = step.rpartition(":")
        steps.append((SourceCode[what] if what in SourceCode.__members__ else Mode.parse(what), float(seconds)))
    return steps


if __name__ == "__main__":
    script = Script(parse(sys.argv[1]))
    script.open()
    vars(thinair.sender.pipeline.software)["open_source"] = lambda *_, **__: script
    raise SystemExit(main(["send", *sys.argv[2:]]))
