"""Real access units for tests: x264's, of a card that moves, encoded once."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from thinair.receiver.workers.ipc import Unit


@lru_cache(maxsize=8)
def encoded(
    count: int, width: int = 320, height: int = 192, rate: int = 30, key_every: int = 30
) -> tuple[tuple[bytes, bool], ...]:
    """(Annex B access unit, is a key frame), parameter sets with every key frame, one picture each."""
    import av
    from av.video.codeccontext import VideoCodecContext

    encoder = VideoCodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, rate), Fraction(rate)
    encoder.options = {
        "preset": "ultrafast", "tune": "zerolatency", "g": str(key_every), "x264-params": "annexb=1:repeat-headers=1",
    }  # fmt: skip
    noise = np.random.default_rng(7).integers(16, 235, (height * 3 // 2, width), np.uint8)
    units: list[tuple[bytes, bool]] = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, 3 * index, axis=1), format="yuv420p")
        frame.pts = index
        units += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    assert len(units) == count
    return tuple(units)


def unit(
    index: int, *, at_us: int, stream: int = 1, lost_before: int = 0, arrival_us: int | None = None, **size: int
) -> Unit:
    """The picture of this index, captured `at_us`; it repeats after 300."""
    data, key = encoded(300, **size)[index % 300]
    arrival = at_us + 5_000 if arrival_us is None else arrival_us
    return Unit(stream, index, key, lost_before > 0, lost_before, True, at_us, at_us, arrival, data)
