"""Hardware encoders for pictures that Python holds: test card, screen, clip. Each picture is copied in once. A camera's
pictures go to them without Python and without a copy (sender/pipeline/hardware.py)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from thinair.link.errors import DeviceError
from thinair.link.native import HardwareEncoder, now_us
from thinair.link.video_mode import Mode
from thinair.sender.encoders.base import AccessUnitOut, EncoderConfig

if TYPE_CHECKING:
    import av
    from typing_extensions import Buffer

    from thinair.sender.picture import Picture

KINDS = {"v4l2m2m": "m2m", "mmal": "mmal"}  # as a person says it → as the extension does; in the order auto tries them
MIN_BITRATE_BPS, MAX_BITRATE_BPS = 100_000, 25_000_000
_FORMATS = ("YU12", "NV12")  # V4L2's names of I420 and NV12
RAW_FORMATS = (*_FORMATS, "UYVY", "YUYV")  # these two also where the device wants gaps between lines
_TIMEOUT_US = 1_000_000
_RETRY_US = (500_000, 8_000_000)  # first, and after doubling at most


def key_interval_pictures(key_interval_us: int, rate: Fraction) -> int:
    return max(1, round(key_interval_us * rate / 1_000_000))


def clamp_bitrate(bitrate_bps: int) -> int:
    return min(max(bitrate_bps, MIN_BITRATE_BPS), MAX_BITRATE_BPS)


class Hardware:
    """See Encoder. A unit without bytes is a picture that the encoder left out. One that breaks down while in use is
    opened again, at growing intervals; until then every picture is left out."""

    delay_frames = 0

    def __init__(
        self,
        name: str,
        config: EncoderConfig,
        *,
        device: str = "",
        coded: str = "H264",
        formats: tuple[str, ...] = _FORMATS,
    ) -> None:
        """`formats`: of raw pictures, the best first. encode() knows YU12 and NV12 alone."""
        self.config = config
        self.format = ""  # of raw pictures, while there is an encoder
        self.trouble = ""  # why there is none
        self._name = name
        self._device = device
        self._coded = coded
        self._formats = formats
        self._encoder: HardwareEncoder | None = None
        self._buffer = bytearray()
        self._bitrate_bps = clamp_bitrate(config.bitrate_bps)
        self._set_bps = 0
        self._key_wanted = False
        self._retry_us = 0
        self._wait_us = _RETRY_US[0]

    def open(self) -> None:
        mode, why = self.config.mode, ""
        for fourcc in self._formats:
            try:
                self._encoder = HardwareEncoder(
                    kind=KINDS[self._name],
                    width=mode.width,
                    height=mode.height,
                    fourcc=fourcc,
                    rate=(mode.rate.numerator, mode.rate.denominator),
                    bitrate_bps=self._bitrate_bps,
                    key_interval=key_interval_pictures(self.config.key_interval_us, mode.rate),
                    device=self._device,
                    coded=self._coded,
                )
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                continue
            self.format, self._set_bps, self.trouble = fourcc, self._bitrate_bps, ""
            return
        raise DeviceError(f"no {self._name} encoder for {mode}: {why}")

    def encode(self, picture: Picture) -> AccessUnitOut:
        encode_in_us = now_us()
        if not self.ready():
            return AccessUnitOut(b"", False, encode_in_us, now_us())
        self._fill(picture.frame)
        return self.encode_raw(self._buffer, picture.capture_us, encode_in_us)

    def ready(self) -> bool:
        """Whether there is an encoder; opens it where it is time to."""
        return self._encoder is not None or self._opened_again(now_us())

    def encode_raw(self, raw: Buffer, capture_us: int, encode_in_us: int) -> AccessUnitOut:
        """A picture in `format`, lines without gaps, right after ready()."""
        data, key = self._one(raw, capture_us) or (b"", False)
        return AccessUnitOut(data, key, encode_in_us, now_us())

    def set_bitrate(self, bitrate_bps: int) -> None:
        self._bitrate_bps = clamp_bitrate(bitrate_bps)

    def request_key_frame(self) -> None:
        self._key_wanted = True

    def settle(self) -> None:
        """Nothing is put off."""

    def describe(self) -> str:
        notes = "; ".join([self.trouble] if self.trouble else self._encoder.notes if self._encoder else [])
        return f"{self._name} {self._bitrate_bps / 1e6:g} Mbit/s" + (f" ({notes})" if notes else "")

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
        self._encoder = None

    def _one(self, raw: Buffer, capture_us: int) -> tuple[bytes, bool] | None:
        encoder = self._encoder
        assert encoder is not None
        if self._key_wanted:
            self._key_wanted = False
            encoder.request_key_frame()
        if self._bitrate_bps != self._set_bps:
            self._set_bps = self._bitrate_bps
            encoder.set_bitrate(self._bitrate_bps)
        try:
            coded = encoder.encode(raw, capture_us, _TIMEOUT_US)
        except OSError as error:
            self.close()
            self.trouble = f"{error.strerror}; it is opened again"
            self._retry_us = now_us() + self._wait_us
            self._wait_us = min(2 * self._wait_us, _RETRY_US[1])
            return None
        self._wait_us = _RETRY_US[0]
        return coded

    def _opened_again(self, now: int) -> bool:
        if now < self._retry_us:
            return False
        try:
            self.open()
        except DeviceError as error:
            self.trouble = str(error)
            self._retry_us = now + self._wait_us
            self._wait_us = min(2 * self._wait_us, _RETRY_US[1])
            return False
        return True

    def _fill(self, frame: av.VideoFrame) -> None:
        """The planes of a yuv420p frame, line by line where they have gaps, into the encoder's layout."""
        mode = self.config.mode
        luma = mode.width * mode.height
        quarter = luma // 4
        if not self._buffer:
            self._buffer = bytearray(luma + 2 * quarter)
        out = memoryview(self._buffer)
        y, u, v = frame.planes
        _pack(y, out[:luma], mode.width)
        if self.format == "YU12":
            _pack(u, out[luma : luma + quarter], mode.width // 2)
            _pack(v, out[luma + quarter :], mode.width // 2)
            return
        chroma = bytearray(quarter)
        for place, plane in ((0, u), (1, v)):
            _pack(plane, memoryview(chroma), mode.width // 2)
            self._buffer[luma + place :: 2] = chroma


def _pack(plane: av.video.plane.VideoPlane, out: memoryview, width: int) -> None:
    source, stride = memoryview(plane).cast("B"), plane.line_size
    if stride == width:
        out[:] = source[: len(out)]
        return
    for line in range(len(out) // width):
        out[line * width : (line + 1) * width] = source[line * stride : line * stride + width]


def find_hardware(mode: Mode, fourccs: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, str]:
    """(name, "") of the first encoder that takes one of these formats, or ("", why none does)."""
    reasons = []
    for name in names:
        why = ""
        for fourcc in fourccs:
            try:
                HardwareEncoder(
                    kind=KINDS[name],
                    width=mode.width,
                    height=mode.height,
                    fourcc=fourcc,
                    rate=(mode.rate.numerator, mode.rate.denominator),
                    bitrate_bps=MIN_BITRATE_BPS,
                    key_interval=1,
                ).close()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
            else:
                return name, ""
        reasons.append(f"no {name} ({why})")
    return "", ", ".join(reasons)
