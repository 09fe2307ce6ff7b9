"""The pipeline in software, with a real encoder and socket, and a source that gives what a test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import pytest

import thinair.sender.pipeline.software
from thinair.link.native import Tx, now_us
from thinair.link.protocol.source_state import DETAIL_BYTES, SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.config import SenderConfig
from thinair.sender.picture import Colour, NewMode, NoPicture, Picture
from thinair.sender.pipeline.base import Hooks
from thinair.sender.pipeline.factory import open_pipeline
from thinair.sender.pipeline.software import SoftwarePipeline
from thinair.sender.sources import testcard

pytestmark = pytest.mark.quick

SMALL, OTHER = Mode.parse("640x360@25"), Mode.parse("800x450@50")
NO_CABLE = NoPicture(SourceState(SourceCode.NO_CABLE, 1))
Item = Mode | NewMode | NoPicture  # a mode stands for one picture of it


class Given:
    """See Source: gives the items, then ends."""

    colour = Colour()

    def __init__(self, items: Sequence[Item], name: str = "given") -> None:
        self.name = name
        self.mode = SMALL
        self.closed = False
        self._items = iter(items)
        self._cards = {mode: testcard.Testcard(mode) for mode in items if isinstance(mode, Mode)}
        self._seq = 0

    def open(self) -> None:
        for card in self._cards.values():
            card.open()

    def next(self) -> Picture | NewMode | NoPicture | None:
        item = next(self._items, None)
        if not isinstance(item, Mode):
            return item
        self._seq += 1
        at_us = now_us()
        return Picture(self._cards[item].draw(self._seq, self._seq, at_us), self._seq, at_us, at_us, 0)

    def close(self) -> None:
        self.closed = True


class Heard:
    """What the hooks were told, in order."""

    def __init__(self) -> None:
        self.log: list[object] = []
        self.detail = ""  # of the last state that had one
        self.hooks = Hooks(
            mode=self.log.append,
            state=self._state,
            key_frame=lambda _: self.log.append("key"),
            log=self.log.append,
        )

    def _state(self, state: SourceState) -> None:
        self.log.append(state.code)
        self.detail = state.detail or self.detail


@contextmanager
def opened(
    monkeypatch: pytest.MonkeyPatch, source: Given, config: SenderConfig | None = None
) -> Iterator[tuple[SoftwarePipeline, Heard]]:
    def give(*_: object, **__: object) -> Given:
        source.open()
        return source

    monkeypatch.setattr(thinair.sender.pipeline.software, "open_source", give)
    heard = Heard()
    with closing(Tx(host="127.0.0.1", port=9, mode="rtp")) as tx:
        pipeline = open_pipeline(config or SenderConfig(encoder="x264", priority=0), tx, heard.hooks)
        assert isinstance(pipeline, SoftwarePipeline)
        with closing(pipeline):
            yield pipeline, heard
    assert source.closed


def test_a_new_mode_begins_with_a_key_frame_of_another_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Given([SMALL, SMALL, NewMode(OTHER, Colour()), OTHER, OTHER])
    with opened(monkeypatch, source) as (pipeline, heard):
        pipeline.allow(True)
        pipeline.run(threading.Event())
        assert heard.log == [SMALL, SourceCode.LIVE, "key", OTHER, "key"]
        assert (pipeline.counts.captured, pipeline.counts.encoded, pipeline.counts.sent) == (4, 4, 4)


def test_the_picture_after_a_gap_is_a_key_frame_and_told_as_live(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Given([SMALL, NO_CABLE, NO_CABLE, NewMode(SMALL, Colour()), SMALL, SMALL])
    with opened(monkeypatch, source) as (pipeline, heard):
        pipeline.allow(True)
        pipeline.run(threading.Event())
    dark = [SourceCode.NO_CABLE, SourceCode.NO_CABLE]
    assert heard.log == [SMALL, SourceCode.LIVE, "key", *dark, SMALL, SourceCode.LIVE, "key"]


def test_a_mode_the_encoder_refuses_is_a_state_and_the_next_one_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = NewMode(Mode(641, 361, SMALL.rate), Colour())
    with opened(monkeypatch, Given([SMALL, odd, SMALL, NewMode(SMALL, Colour()), SMALL])) as (pipeline, heard):
        pipeline.allow(True)
        pipeline.run(threading.Event())
        live = [SourceCode.LIVE, "key"]
        assert heard.log == [SMALL, *live, SourceCode.UNSUPPORTED, SMALL, *live]
        assert (pipeline.counts.captured, pipeline.counts.encoded) == (3, 2)
    assert "641x361" in heard.detail
    assert len(heard.detail.encode()) <= DETAIL_BYTES


def test_without_a_receiver_nothing_is_encoded_and_the_state_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(monkeypatch, Given([SMALL, NO_CABLE, SMALL])) as (pipeline, heard):
        pipeline.run(threading.Event())
        assert (pipeline.counts.captured, pipeline.counts.encoded) == (2, 0)
        assert heard.log[1:] == [SourceCode.LIVE, SourceCode.NO_CABLE, SourceCode.LIVE]


def test_an_hdmi_source_opens_its_encoder_with_its_first_mode_at_the_bitrate_asked_for_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Given([NO_CABLE, NewMode(OTHER, Colour()), OTHER], name="hdmi")
    with opened(monkeypatch, source) as (pipeline, heard):
        pipeline.set_bitrate(3_000_000)
        pipeline.request_key_frame()
        pipeline.allow(True)
        assert pipeline.describe() == "x264, no mode yet"
        pipeline.run(threading.Event())
        assert heard.log == [SourceCode.NO_CABLE, OTHER, SourceCode.LIVE, "key"]
        assert "3 Mbit/s" in pipeline.describe()


def test_a_plain_output_gets_a_slate_for_each_word_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Given([NO_CABLE, NO_CABLE, NewMode(OTHER, Colour()), OTHER, NO_CABLE], name="hdmi")
    config = SenderConfig(output="rtp://127.0.0.1:9", encoder="x264", priority=0)
    with opened(monkeypatch, source, config) as (pipeline, heard):
        pipeline.allow(True)
        pipeline.run(threading.Event())
        assert (pipeline.counts.captured, pipeline.counts.encoded, pipeline.counts.sent) == (1, 4, 4)
        assert heard.log.count("key") == 2, "one for each encoder"
