"""One movie file: access units in, a container out, made by libavformat through PyAV.

MP4 is written in fragments of a second, each whole on the disk before the next begins; at the end it becomes an
ordinary file with one index (mov muxer, movflags hybrid_fragmented). Matroska is written in clusters as long.
"""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from thinair.link.native import split_nals
from thinair.receiver.record.disk import DiskFile
from thinair.receiver.video.decoder import refusal

TIME_BASE = Fraction(1, 90_000)
_FRAGMENT_US = 900_000  # with the frame that ends it less than a second
_SPS, _PPS = 7, 8
_OPTIONS = {
    "mp4": {"movflags": "hybrid_fragmented+empty_moov+default_base_moof", "frag_duration": str(_FRAGMENT_US)},
    "mkv": {"cluster_time_limit": str(_FRAGMENT_US // 1000)},
}
_MUXERS = {"mp4": "mp4", "mkv": "matroska"}
FORMATS = tuple(_MUXERS)


def parameter_sets(unit: bytes) -> bytes:
    """SPS and PPS of an access unit as Annex B, b"" where it has not both."""
    view = memoryview(unit)
    found = [(view[at] & 0x1F, bytes(view[at : at + size])) for at, size in split_nals(view)]
    kinds = {kind for kind, _ in found}
    if not {_SPS, _PPS} <= kinds:
        return b""
    return b"".join(b"\0\0\0\1" + nal for kind, nal in found if kind in {_SPS, _PPS})


class Movie:
    """Begins with the key frame `first`, whose parameter sets hold for all of it. Raises ValueError where they say what
    nobody decodes, or libavformat does not take what it is given."""

    def __init__(self, file: DiskFile, kind: str, first: bytes, began: datetime) -> None:
        import av

        if why := refusal(first):
            raise ValueError(why)
        self.file = file
        self._packet, self._error = av.Packet, av.FFmpegError
        self._last = -1
        try:
            self._container: Any = av.open(file, "w", format=_MUXERS[kind], options=_OPTIONS[kind], buffer_size=1 << 18)
            with av.open(io.BytesIO(first), format="h264") as probe:
                self._stream: Any = self._container.add_stream_from_template(probe.streams.video[0])
        except (av.FFmpegError, IndexError) as error:
            raise ValueError(f"the stream's parameter sets do not fit a movie file: {error}") from error
        self._stream.time_base = TIME_BASE
        self._container.metadata["creation_time"] = began.astimezone(UTC).isoformat()

    def add(self, data: bytes, key: bool, time_us: int, usual_us: float) -> None:
        """`time_us` since the first; what is not later than the one before is put a tick after it. `usual_us` is how
        long the last picture of all will stand."""
        packet = self._packet(data)
        packet.stream = self._stream
        packet.time_base = TIME_BASE
        self._last = max(self._last + 1, round(time_us * 9 / 100))
        packet.pts = packet.dts = self._last
        packet.duration = max(1, round(usual_us * 9 / 100))
        packet.is_keyframe = key
        size = self.file.size
        try:
            self._container.mux_one(packet)
        except self._error as error:
            raise ValueError(f"the muxer refuses a picture: {error}") from error
        if self.file.size != size:  # a fragment has left the muxer
            self.file.sync()

    def close(self) -> None:
        with contextlib.suppress(self._error):  # then what was written stays as it is, as after a crash
            self._container.close()
        self.file.close()
