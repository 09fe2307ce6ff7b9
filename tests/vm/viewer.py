"""`python -m tests.vm.viewer PLAY-WORDS...`: the player, which also prints a line of JSON for all its window shows.

{"picture": [width, height], "number": vivid's or null, "frame_id", "key", "capture_us", "at_us"}: a picture stands on
the screen. {"notice": words, "at_us"}: the picture that stands is marked as no live one, with these words.
Times are this machine's CLOCK_MONOTONIC, but for `capture_us`, of the sender's; {"offset_us", "bound_us"} with each
picture say how far that is ahead. SIGUSR1: as after a loss, nothing is decoded before the next key frame."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

import thinair.receiver.player
from tests.vm import osd
from thinair.cli import main
from thinair.link.native import now_us
from thinair.receiver.player import Player
from thinair.receiver.video.decoder import Decoded
from thinair.receiver.video.display_thread import DisplayThread

if TYPE_CHECKING:
    from thinair.receiver.video.presenter import Presenter

PLAYERS: list[Player] = []


def tell(**what: Any) -> None:
    os.write(1, f"\n{json.dumps(what)}\n".encode())  # whole, whatever the other threads print


class ToldPlayer(Player):
    def __init__(self, *arguments: Any) -> None:
        PLAYERS.append(self)
        signal.signal(signal.SIGUSR1, self._lose)
        super().__init__(*arguments)

    def _lose(self, *_: object) -> None:
        self._gate.need_key = True


class ToldDisplay(DisplayThread):
    """As drawn: the lines follow the presenter's return."""

    _told = ""

    def _show(self, decoded: Decoded) -> None:
        before_us, frame = self._shown_us, decoded.frame
        super()._show(decoded)
        if frame is None or self._shown_us == before_us:
            return
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)  # type: ignore[call-overload]
        reading = osd.read(luma)
        clock = PLAYERS[0].status().clock.estimate
        self._told = ""
        tell(
            picture=[frame.width, frame.height],
            number=None if reading is None else reading.number,
            frame_id=decoded.unit.frame_id,
            key=decoded.unit.key,
            capture_us=decoded.unit.capture_us,
            at_us=self._shown_us,
            offset_us=None if clock is None else clock.offset_us,
            bound_us=None if clock is None else clock.bound_us,
        )

    def _between_pictures(self, presenter: Presenter) -> None:
        super()._between_pictures(presenter)
        words = self.hud.notice.partition(" for ")[0].partition(" · ")[0]  # without ages
        if self._dark and words != self._told:
            self._told = words
            tell(notice=words, at_us=now_us())


if __name__ == "__main__":
    vars(thinair.receiver.player).update(DisplayThread=ToldDisplay, Player=ToldPlayer)
    sys.exit(main(["play", "--dashboard", "off", *sys.argv[1:]]))
