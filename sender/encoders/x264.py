"""x264 through PyAV, set up so that each picture leaves as one access unit at once and of bounded size.

A one-frame VBV (buffer = bitrate / rate) keeps every access unit, key frames among them, near the same size. A change
of bitrate opens the encoder anew on a key frame: PyAV reaches x264's bitrate but not its VBV
(docs/adr/0002-x264-rate-change.md).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from thinair.link.errors import ConfigError, DeviceError
from thinair.link.native import map_large_blocks, now_us
from thinair.sender.encoders.base import AccessUnitOut, EncoderConfig
from thinair.sender.picture import Picture

MIN_BITRATE_BPS, MAX_BITRATE_BPS = 100_000, 200_000_000
_I_PICTURE, _ANY_PICTURE = 1, 0  # AVPictureType
_PROBE_PICTURES = 3
_ALL_MADE = 5  # pictures after which x264 has taken all the memory that it will
_TUNE = "zerolatency"
# The VBV's size and rate in frames of the bitrate, and what x264 aims for. With all at 1, x264 stays 22 % below the
# bitrate on mixed pictures and codes more rows twice (12 % more time). No access unit grows beyond VBV_FRAMES.
VBV_FRAMES = 1.12
_AIM = 1.05
_tried: set[tuple[str, int]] = set()  # preset and threads that were seen to hold no picture back


class X264:
    """See Encoder. `threads` slices are encoded at once."""

    delay_frames = 0

    def __init__(
        self, config: EncoderConfig, *, preset: str = "ultrafast", threads: int = 2, vbv_frames: float = VBV_FRAMES
    ) -> None:
        if not MIN_BITRATE_BPS <= config.bitrate_bps <= MAX_BITRATE_BPS:
            raise ConfigError(
                f"bitrate {config.bitrate_bps}: must lie between {MIN_BITRATE_BPS} and {MAX_BITRATE_BPS} bit/s"
            )
        self.config = config
        self._preset = preset
        self._threads = threads
        self._vbv_frames = vbv_frames
        self._wanted_bps = config.bitrate_bps
        self._open_bps = 0
        self._context: Any = None  # av.VideoCodecContext; its stubs leave much out
        self._pts = 0
        self._key_wanted = True
        self._last_key_us = 0

    def open(self) -> None:
        """Tries the settings out, once: a camera's new mode does not wait for that again. The encoder in use is opened
        by settle(), so that x264's own threads inherit the priority of the thread that encodes."""
        if (self._preset, self._threads) in _tried:
            return
        self._reopen(self._wanted_bps)
        self._assert_no_delay()
        self._context, self._open_bps, self._pts = None, 0, 0
        _tried.add((self._preset, self._threads))

    def encode(self, picture: Picture) -> AccessUnitOut:
        self.settle()
        encode_in_us = now_us()
        key = self._key_wanted or encode_in_us - self._last_key_us >= self.config.key_interval_us
        self._key_wanted = False
        packet = self._one_packet(picture.frame, key)
        data = bytes(packet)
        encode_out_us = now_us()
        if packet.is_keyframe:
            self._last_key_us = encode_in_us
        return AccessUnitOut(data, packet.is_keyframe, encode_in_us, encode_out_us)

    def set_bitrate(self, bitrate_bps: int) -> None:
        self._wanted_bps = min(max(bitrate_bps, MIN_BITRATE_BPS), MAX_BITRATE_BPS)

    def request_key_frame(self) -> None:
        self._key_wanted = True

    def settle(self) -> None:
        wanted_bps = self._wanted_bps
        if wanted_bps != self._open_bps:
            self._reopen(wanted_bps)

    def describe(self) -> str:
        rate = f"VBV of {self._vbv_frames:g} frames, {self._wanted_bps / 1e6:g} Mbit/s"
        return f"x264 {self._preset} zerolatency, {self._threads} sliced threads, {rate}"

    def close(self) -> None:
        self._context = None

    def _reopen(self, bitrate_bps: int) -> None:
        mode, colour = self.config.mode, self.config.colour
        map_large_blocks(True)  # an encoder before this one has left holes
        context: Any = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = mode.width, mode.height, "yuv420p"
        context.framerate = mode.rate
        context.time_base = 1 / mode.rate
        context.bit_rate = int(bitrate_bps * min(_AIM, self._vbv_frames))
        context.thread_count = self._threads
        matrix = 1 if colour.bt709 else 6  # ITU-T H.273: BT.709, SMPTE 170M
        context.colorspace = context.color_primaries = context.color_trc = matrix
        context.color_range = 2 if colour.full_range else 1
        context.options = {
            "preset": self._preset,
            "tune": _TUNE,
            "maxrate": str(int(bitrate_bps * self._vbv_frames)),
            "bufsize": str(int(bitrate_bps * self._vbv_frames / mode.rate)),
            "forced-idr": "1",
            # Above 51 x264 throws whole residuals away to hold the VBV, and parts of the picture stand still.
            "x264-params": "keyint=infinite:scenecut=0:sliced-threads=1:qpmax=51",
        }
        try:
            context.open()
        except av.FFmpegError as error:
            raise DeviceError(f"x264 refuses {mode} at {bitrate_bps} bit/s: {error}") from error
        self._context, self._open_bps, self._key_wanted, self._pts = context, bitrate_bps, True, 0

    def _one_packet(self, frame: av.VideoFrame, key: bool) -> Any:
        frame.pts = self._pts
        frame.time_base = 1 / Fraction(self.config.mode.rate)
        frame.pict_type = _I_PICTURE if key else _ANY_PICTURE
        self._pts += 1
        if self._pts == _ALL_MADE:
            map_large_blocks(False)
        packets = self._context.encode(frame)
        if len(packets) != 1:
            raise DeviceError(f"x264 gave {len(packets)} access units for one picture: it must hold none back")
        return packets[0]

    def _assert_no_delay(self) -> None:
        frame = av.VideoFrame(self.config.mode.width, self.config.mode.height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for _ in range(_PROBE_PICTURES):
            self._one_packet(frame, key=False)
