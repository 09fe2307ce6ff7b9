"""`python -m tests.support.scripted_source STEPS SEND-WORDS...`: the sender with a source that follows a script.

STEPS have commas between: `1280x720@50` (test card pictures of that mode) or `NO_CABLE` (a state of the source, told
twice a second). Each begins with a line `step WHAT µs`, on CLOCK_MONOTONIC, and lasts until a line comes on standard
input; with the last one's end the sender ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import thinair.sender.pipeline.software
from thinair.cli import main
from thinair.link.native import now_us, sleep_until_us
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, NewMode, NoPicture, Picture
from thinair.sender.sources.base import Pace
from thinair.sender.sources.testcard import Testcard

_TELL_S = 0.5


class Script:
    """See Source."""

    name = "script"
    colour = Colour()

    def __init__(self, steps: list[Mode | SourceCode]) -> None:
        self._steps = steps
        self._over = [threading.Event() for _ in steps]
        modes = [what for what in steps if isinstance(what, Mode)]
        self.mode = modes[0]
        self._cards = {mode: Testcard(mode) for mode in modes}
        self._items = self._follow()
        self._seq = 0

    def open(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        for card in self._cards.values():
            card.open()

    def next(self) -> Picture | NewMode | NoPicture | None:
        return next(self._items, None)

    def close(self) -> None:
        for card in self._cards.values():
            card.close()

    def _listen(self) -> None:
        for over, _ in zip(self._over, sys.stdin, strict=False):
            over.set()

    def _follow(self) -> Iterator[Picture | NewMode | NoPicture]:
        for what, over in zip(self._steps, self._over, strict=True):
            print(f"step {what.name if isinstance(what, SourceCode) else what} {now_us()}", flush=True)
            if isinstance(what, Mode):
                if what != self.mode:
                    self.mode = what
                    yield NewMode(what, self.colour)
                yield from self._pictures(what, over)
            else:
                state = SourceState(what, now_us())
                yield NoPicture(state)
                while not over.wait(_TELL_S):
                    yield NoPicture(state)

    def _pictures(self, mode: Mode, over: threading.Event) -> Iterator[Picture]:
        pace = Pace(mode.rate, now_us())
        while not over.is_set():
            due_us, skipped = pace.take(now_us())
            sleep_until_us(due_us)
            began_us = now_us()
            frame = self._cards[mode].draw(pace.index, self._seq, began_us)
            yield Picture(frame, self._seq, began_us, now_us(), skipped)
            self._seq += 1


def parse(text: str) -> list[Mode | SourceCode]:
    """Steps with commas between."""
    return [SourceCode[what] if what in SourceCode.__members__ else Mode.parse(what) for what in text.split(",")]


if __name__ == "__main__":
    script = Script(parse(sys.argv[1]))
    script.open()
    vars(thinair.sender.pipeline.software)["open_source"] = lambda *_, **__: script
    raise SystemExit(main(["send", *sys.argv[2:]]))
