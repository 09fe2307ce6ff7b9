"""Every hot piece of a frame's way, by itself. `make bench`; docs/measuring.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from thinair.bench.harness.stream import access_units
from thinair.bench.harness.xvfb_screen import xvfb
from thinair.bench.suite.pieces import PIECES, WIDTH, Piece
from thinair.link.native import Reassembler
from thinair.link.video_mode import Mode
from thinair.receiver.video.decoder import Decoder
from thinair.receiver.video.presenter_factory import open_presenter

MODE = Mode.parse("1920x1080@25")
Measure = Callable[..., None]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_piece(piece: Piece, measure: Measure, counted: Callable[[str], int], benchmark: Any) -> None:
    benchmark.group = "ours"
    benchmark.extra_info["instructions"] = counted(piece.name)
    measure(piece.make(), piece.size_bytes)


@pytest.fixture(scope="module")
def coded() -> list[Any]:
    """Access units as the packet thread hands them over, a key frame first."""
    from thinair.link.native import Packetizer

    packetizer, reassembler, out = Packetizer(ssrc=1, elements=True), Reassembler(elements=True), []
    for number, unit in enumerate(access_units(MODE, 8_000_000, 50)):
        for packet in packetizer.packetize(unit, frame_id=number, rtp_time=3600 * number, capture_us=number + 1):
            reassembler.push(packet, 1)
        out.append(reassembler.next(1))
    return out


def test_decode(coded: list[Any], measure: Measure, benchmark: Any) -> None:
    benchmark.group = "libraries"
    decoder, at = Decoder(), 0

    def one() -> object:
        nonlocal at
        frame = decoder.decode(coded[at])
        at = at + 1 if at + 1 < len(coded) else 1  # after the key frame they only need what came before
        assert frame is not None
        return frame

    measure(one, coded[1].size)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with xvfb(MODE.width, MODE.height) as one:
        monkeypatch.setenv("DISPLAY", one.display)
        yield


def test_present(coded: list[Any], measure: Measure, benchmark: Any, screen: None) -> None:
    del screen
    benchmark.group = "libraries"
    decoder = Decoder()
    pictures = [decoder.decode(unit) for unit in coded[:4]]
    presenter, at = open_presenter("x11", width=MODE.width, height=MODE.height, fullscreen=True), 0

    def one() -> object:
        nonlocal at
        at = (at + 1) % len(pictures)
        picture = pictures[at]
        assert picture is not None
        return presenter.present(picture)

    try:
        measure(one, 4 * WIDTH * MODE.height)
    finally:
        presenter.close()
