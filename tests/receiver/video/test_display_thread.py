"""The display thread and the decode thread share a window."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import av
import pytest

from thinair.link.native import AccessUnit
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.receiver.config import ReceiverConfig
from thinair.receiver.video.decoder import Decoded
from thinair.receiver.video.display_thread import DisplayThread, Shown
from thinair.receiver.video.mailbox import Mailbox

pytestmark = pytest.mark.quick


class Rig:
    """A headless display in its thread, and what became of its pictures."""

    def __init__(self) -> None:
        self.ended: list[tuple[Decoded, Shown | None]] = []
        self.first = threading.Event()
        self.mailbox: Mailbox[Decoded] = Mailbox()
        self.display = DisplayThread(ReceiverConfig(headless=True), self.mailbox, self._post, self._ended)
        self._thread = threading.Thread(target=self.display.run)

    def __enter__(self) -> Rig:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mailbox.close()
        self._thread.join()

    def _post(self, work: Callable[[], None]) -> None:
        work()

    def _ended(self, decoded: Decoded, shown: Shown | None) -> None:
        self.ended.append((decoded, shown))
        self.first.set()


def decoded(at_us: int, width: int = 64) -> Decoded:
    unit = cast(AccessUnit, SimpleNamespace(frame_id=at_us, last_us=at_us))
    return Decoded(unit, av.VideoFrame(width, 48, "yuv420p"), at_us)


def test_before_there_is_a_window_and_after_a_change_of_size_pictures_go_to_the_display_thread() -> None:
    with Rig() as rig:
        assert not rig.display.offer(decoded(1))
        rig.mailbox.put(decoded(1))
        assert rig.first.wait(10)
        attempt = 2
        while not rig.display.offer(decoded(attempt)):  # the window may be in use for a moment
            attempt += 1
        assert rig.ended[-1][0].decoded_us == attempt
        assert rig.ended[-1][1] is not None
        assert not rig.display.offer(decoded(5000, width=128))


def test_a_picture_overtaken_while_it_changed_threads_is_counted_and_not_shown() -> None:
    with Rig() as rig:
        rig.mailbox.put(decoded(10))
        assert rig.first.wait(10)
        rig.first.clear()
        rig.mailbox.put(decoded(9))
        assert rig.first.wait(10)
    assert [(one.decoded_us, one.superseded, shown is None) for one, shown in rig.ended] == [
        (10, False, False),
        (9, True, True),
    ]


def test_the_last_picture_before_the_end_is_shown() -> None:
    for number in range(100):
        with Rig() as rig:
            rig.mailbox.put(decoded(1))
            if number % 2:
                rig.display.wake()
        assert [(one.decoded_us, shown is None) for one, shown in rig.ended] == [(1, False)]


def test_a_picture_that_comes_after_the_window_was_closed_is_counted_and_not_shown() -> None:
    rig = Rig()
    rig.mailbox.put(decoded(1))
    rig.display.discard(rig.mailbox.get(0.0))
    rig.display.discard(rig.mailbox.get(0.0))
    assert [(one.superseded, shown is None) for one, shown in rig.ended] == [(True, True)]


def test_the_newer_of_a_picture_and_the_senders_word_is_believed() -> None:
    no_cable, live = (SourceState(code, 0) for code in (SourceCode.NO_CABLE, SourceCode.LIVE))
    with Rig() as rig:
        lacks = []
        for arrived_us in (900_000, 1_030_000, 1_060_000):  # before the word, still on its way, after it
            rig.display.source = (no_cable, 1_000_000)
            rig.first.clear()
            rig.mailbox.put(decoded(arrived_us))
            assert rig.first.wait(10)
            lacks.append(rig.display.absence())
        rig.display.source = (no_cable, 1_500_000)
        lacks.append(rig.display.absence())
        rig.display.source = (live, 1_600_000)
        lacks.append(rig.display.absence())
    assert lacks == [no_cable, no_cable, None, no_cable, None]
