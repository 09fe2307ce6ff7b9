"""H.264 decoding through PyAV: one whole access unit in, its picture out, none held back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from thinair.link.errors import DeviceError
from thinair.link.missing_package import install_line
from thinair.link.native import AccessUnit, BitstreamError, parse_sps, split_nals

if TYPE_CHECKING:
    import av
    from _typeshed import ReadableBuffer as Buffer

THREADS = 2
MAX_PIXELS = 4096 * 2304
_SPS = 7


def refusal(unit: Buffer) -> str | None:
    """Why this access unit is not decoded, by its parameter sets: size and format are checked before anybody allocates
    for them. None: it is."""
    data = memoryview(unit)
    for offset, size in split_nals(data):
        if data[offset] & 0x1F != _SPS:
            continue
        try:
            sps = parse_sps(data[offset : offset + size])
        except BitstreamError:
            return "its parameter sets cannot be read"
        if sps["width"] * sps["height"] > MAX_PIXELS:
            return f"{sps['width']}x{sps['height']} exceeds the maximum of 4096x2304"
        if max(sps["bit_depth_luma"], sps["bit_depth_chroma"]) > 8:
            return "only 8 bits per sample are supported"
    return None


@dataclass(slots=True)
class Decoded:
    """What one access unit became; travels to the display and from there to accounting. The picture is released before
    that, so that a slow loop holds no picture memory."""

    unit: AccessUnit
    frame: av.VideoFrame | None
    decoded_us: int
    superseded: bool = False
    captured_us: int | None = None  # on the stream's clock; None: it tells none
    good: bool = field(init=False)  # there was a picture

    def __post_init__(self) -> None:
        self.good = self.frame is not None


def open_context(threads: int) -> Any:
    """A decoder that holds no picture back. Raises DeviceError."""
    import av

    try:
        context: Any = av.CodecContext.create("h264", "r")
    except (av.FFmpegError, ValueError) as error:
        raise DeviceError(f"this PyAV has no H.264 decoder: reinstall it with {install_line('av')}") from error
    context.thread_type = "SLICE"
    context.thread_count = threads
    context.flags |= 1 << 19  # AV_CODEC_FLAG_LOW_DELAY
    return context


class Decoder:
    """Slice threads add no delay, frame threads one picture each. `counters` tells what was not decoded and why."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads
        self._context: Any = None
        self.counters = {"error": 0, "corrupt": 0, "refused": 0, "late": 0}
        self.refusal: str | None = None  # why the stream cannot be shown, for people
        self.reset()

    def reset(self) -> None:
        """A fresh decoder: another sender, or one that choked."""
        self._context = open_context(self._threads)

    def decode(self, unit: AccessUnit) -> av.VideoFrame | None:
        """The picture, or None with a reason counted. A damaged picture is returned, counted as corrupt."""
        import av

        if unit.sps and (why := refusal(unit)) is not None:
            self.refusal = why
            self.counters["refused"] += 1
            return None
        if unit.sps:
            self.refusal = None
        packet = av.Packet(cast(Any, unit))  # any buffer will do; the stubs know bytes only
        packet.pts = unit.frame_id
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            self.counters["error"] += 1
            return None
        if not frames:
            self.counters["error"] += 1
            return None
        frame: av.VideoFrame = frames[-1]
        if frame.pts != unit.frame_id:  # an earlier picture: the stream makes the decoder hold some back
            self.counters["late"] += 1
        if frame.is_corrupt:
            self.counters["corrupt"] += 1
        return frame
