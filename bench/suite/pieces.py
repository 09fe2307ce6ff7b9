"""thinair's own hot pieces on the path of a frame, each as a call that does the work of one frame.

`python -m thinair.bench.suite.pieces NAME COUNT` repeats one, for thinair.bench.suite.instructions. Nothing here
imports numpy or PyAV, whose start would dominate the count."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

FRAME_BYTES = 40_000  # 1080p25 at 8 Mbit/s
PACKET_BYTES = 1_200
WIDTH, HEIGHT = 1920, 1080
_SSRC, _INTERVAL_US = 0x7A1A, 40_000
_KEYS = bytes(range(88))
_FRAMES = 64  # different ones, in turn
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Piece:
    name: str
    what: str
    size_bytes: int  # of the data that one call processes
    make: Callable[[], Callable[[], object]]


def units(count: int = _FRAMES) -> list[bytes]:
    """Access units of one slice of noise, which resembles entropy coding, without start codes."""
    rng = random.Random(1)
    head = b"\x00\x00\x00\x01\x41\x9a"
    return [head + rng.randbytes(FRAME_BYTES - len(head)).replace(b"\x00", b"\x01") for _ in range(count)]


def _turns(items: Sequence[T], act: Callable[[T], object]) -> Callable[[], object]:
    at = 0

    def one() -> object:
        nonlocal at
        at = (at + 1) % len(items)
        return act(items[at])

    return one


def _scan() -> Callable[[], object]:
    from thinair.link.native import split_nals

    return _turns(units(), split_nals)


def _packetize() -> Callable[[], object]:
    from thinair.link.native import Packetizer

    packetizer, number = Packetizer(ssrc=_SSRC, elements=True), 0

    def one(unit: bytes) -> object:
        nonlocal number
        number += 1
        return packetizer.packetize(unit, frame_id=number, rtp_time=3600 * number & 0xFFFFFFFF, capture_us=number)

    return _turns(units(), one)


def _packets() -> list[list[bytes]]:
    """Of consecutive frames."""
    from thinair.link.native import Packetizer

    packetizer = Packetizer(ssrc=_SSRC, elements=True)
    return [
        packetizer.packetize(unit, frame_id=n, rtp_time=3600 * n, capture_us=n + 1) for n, unit in enumerate(units())
    ]


def _reassemble() -> Callable[[], object]:
    from thinair.link.native import Reassembler

    frames = _packets()
    reassembler, at = Reassembler(elements=True), -1

    def one() -> object:
        nonlocal at
        at += 1
        if at == len(frames):  # the same packets again would be duplicates
            reassembler.reset()
            at = 0
        if reassembler.push_many(frames[at], 1) != 1:
            raise RuntimeError("a frame was not reassembled")
        return None

    return one


def _repair() -> Callable[[], object]:
    """A frame's repair symbols at a repair ratio of 25 %, and as many packets restored."""
    from thinair.link.native import RepairDecoder, RepairEncoder

    k = FRAME_BYTES // PACKET_BYTES + 1
    r = k // 4
    rng = random.Random(2)
    blocks = [[rng.randbytes(PACKET_BYTES) for _ in range(k)] for _ in range(8)]
    encoder = RepairEncoder(max_sources=k, max_source=PACKET_BYTES)
    decoder = RepairDecoder(max_sources=k, max_source=PACKET_BYTES)

    def one(block: list[bytes]) -> object:
        encoder.reset()
        encoder.add(*block)
        decoder.begin(k)
        for j in range(r, k):
            decoder.source(j, block[j])
        for i in range(r):
            decoder.symbol(i, encoder.symbol(i))
        if decoder.restore(0) != block[0]:
            raise RuntimeError("a wrong packet was restored")
        for j in range(1, r):
            decoder.restore(j)
        return None

    return _turns(blocks, one)


def _seal() -> Callable[[], object]:
    """A frame's packets, sealed and opened."""
    from thinair.link.native import Seal

    own, peer, sequence = Seal(), Seal(), 0
    own.install(_KEYS, bytes(88), _SSRC)
    peer.install(bytes(88), _KEYS, _SSRC)
    payload = random.Random(3).randbytes(PACKET_BYTES)

    def one() -> object:
        nonlocal sequence
        for _ in range(FRAME_BYTES // PACKET_BYTES):
            sequence = sequence + 1 & 0xFFFF
            packet = b"\x80\x60" + sequence.to_bytes(2, "big") + bytes(4) + _SSRC.to_bytes(4, "big") + payload
            if isinstance(peer.unseal_rtp(own.seal_rtp(packet), 1), str):
                raise RuntimeError("a sealed packet was not opened")
        return None

    return one


def _convert() -> Callable[[], object]:
    """A captured UYVY picture converted for the encoder."""
    from thinair.link.native import raw_to_i420

    raws = [random.Random(seed).randbytes(WIDTH * 2) * HEIGHT for seed in range(3)]
    y, u, v = (bytearray(WIDTH * HEIGHT // part) for part in (1, 4, 4))

    def one(raw: bytes) -> None:
        raw_to_i420(raw, "UYVY", WIDTH * 2, WIDTH, HEIGHT, y, u, v, WIDTH, WIDTH // 2, WIDTH // 2)

    return _turns(raws, one)


def _paint() -> Callable[[], object]:
    """A decoded picture converted for the screen."""
    from thinair.link.native import i420_to_bgrx

    rng = random.Random(4)
    pictures = [
        tuple(rng.randbytes(width) * height for width, height in ((WIDTH, HEIGHT), *((WIDTH // 2, HEIGHT // 2),) * 2))
        for _ in range(3)
    ]

    def one(planes: tuple[bytes, ...]) -> object:
        strides = WIDTH, WIDTH // 2, WIDTH // 2
        y, u, v = planes
        return i420_to_bgrx(y, u, v, *strides, WIDTH, HEIGHT, bt709=True, full_range=False)

    return _turns(pictures, one)


def _clock() -> Callable[[], object]:
    """One clock probe after a minute of probes, and the estimate then."""
    from thinair.link.protocol.clock_sync import ClockSync

    rng, clock, now = random.Random(5), ClockSync(), 0

    def one() -> object:
        nonlocal now
        now += 500_000
        there, back = 2_000 + int(rng.expovariate(1 / 800)), 2_000 + int(rng.expovariate(1 / 800))
        clock.push(now, now + 777 + there, now + 790 + there, now + 13 + there + back, boot_id=1)
        return clock.estimate(now)

    for _ in range(130):
        one()
    return one


PIECES = (
    Piece("scan", "start codes of a frame", FRAME_BYTES, _scan),
    Piece("packetize", "packets of a frame", FRAME_BYTES, _packetize),
    Piece("reassemble", "a frame from its packets", FRAME_BYTES, _reassemble),
    Piece("repair", "25 % repair symbols, as many packets restored", FRAME_BYTES, _repair),
    Piece("seal", "packets of a frame, sealed and opened", FRAME_BYTES, _seal),
    Piece("convert", "UYVY to I420, 1080p", WIDTH * HEIGHT * 2, _convert),
    Piece("paint", "I420 to BGRX, 1080p", WIDTH * HEIGHT * 4, _paint),
    Piece("clock", "a clock probe", 0, _clock),
)
BY_NAME = {piece.name: piece for piece in PIECES}


def main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    act = BY_NAME[name].make()
    for _ in range(count):
        act()


if __name__ == "__main__":
    main()
