"""The pipeline in hardware: the HDMI port watched from Python, all between camera and packets in one C thread."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from thinair.link.errors import ConfigError, DeviceError
from thinair.link.files import writing
from thinair.link.native import HardwarePipeline, Tx, now_us
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.config import SenderConfig, split_plain_output
from thinair.sender.encoders.hardware import KINDS, clamp_bitrate, find_hardware, key_interval_pictures
from thinair.sender.hdmi.port import Port, Start, Stop, port_of
from thinair.sender.hdmi.rate_meter import RateMeter
from thinair.sender.pipeline.base import Counts, Hooks
from thinair.sender.pipeline.frame_log import FrameLog, FrameRecord
from thinair.sender.pipeline.sdp import describe_stream

if TYPE_CHECKING:
    from thinair.sender.pipeline.preview import Thumbnail
    from thinair.sender.pipeline.slate_encoder import CodedSlate, SlateStream

FOURCCS = ("UYVY", "YUYV", "NV12")  # what the encoders take as it is, the best first
_IDLE_US = 500_000
_PLAIN_KEY_INTERVAL_S = 1.0
_NTP_EPOCH_S = 2_208_988_800  # RFC 5905: from 1900 to 1970
_TRIAL = Mode(1280, 720, Fraction(60))
# Of the Raspberry Pi's encoder, as ITU-T H.264 table A-1 has them for level 4.0.
_MACROBLOCKS, _MACROBLOCKS_S = 8192, 245_760


class NativePipeline(Protocol):
    """What the extension's pipeline offers."""

    eventfd: int
    notes: list[str]

    def allow(self, allowed: bool, /) -> None: ...
    def request_key_frame(self) -> None: ...
    def set_bitrate(self, bitrate_bps: int, /) -> None: ...
    def state(self) -> tuple[str, str, str]: ...
    def stats(self) -> dict[str, int]: ...
    def records(self) -> list[FrameRecord]: ...
    def parameter_sets(self) -> bytes: ...
    def thumbnail(self) -> tuple[int, int, bytes] | None: ...
    def stop(self) -> bool: ...


def limit(mode: Mode) -> str:
    """Why the Pi's encoder does not support a mode; empty where it does."""
    picture = -(-mode.width // 16) * -(-mode.height // 16)
    if picture > _MACROBLOCKS or picture * mode.rate > _MACROBLOCKS_S:
        return f"the encoder takes {_MACROBLOCKS_S} macroblocks/s, not {int(picture * mode.rate)}"
    return ""


def choose_hardware(choice: str, log: Callable[[str], None]) -> str:
    """The encoder for a camera's pictures by name, or "" where software has to do it; `auto` says why. Raises
    DeviceError where the one asked for is missing."""
    names = tuple(KINDS) if choice == "auto" else (choice,)
    name, why = find_hardware(_TRIAL, FOURCCS, names)
    if choice != "auto":
        if not name:
            raise DeviceError(why)
    else:
        log(f"encoder {name}" if name else f"encoder x264: {why}")
    return name


class HdmiPipeline:
    """See Pipeline. Source hdmi and the encoder `name`. What fails in use is retried by the port. On plain
    outputs, which carry no source state, slates with the reason go through an encoder of the same kind while there is
    no native pipeline; a Pi has only one encoder, so either is closed before the other opens."""

    def __init__(
        self,
        config: SenderConfig,
        tx: Tx,
        hooks: Hooks,
        name: str,
        *,
        port: Port | None = None,
        coded: str = "H264",
        open_native: Callable[..., NativePipeline] = HardwarePipeline,
    ) -> None:
        """`coded`: another format than H.264 goes out as opaque bytes, for trials."""
        self.counts = Counts()
        self.notes: list[str] = []
        self._config = config
        self._tx = tx
        self._hooks = hooks
        self._name = name
        self._coded = coded
        self._open_native = open_native
        self._port = port if port is not None else port_of(config, fourccs=FOURCCS, limit=limit)
        self._plain = split_plain_output(config.output) if config.output is not None else None
        self._native: NativePipeline | None = None
        self._mode: Mode | None = None
        self._meter: RateMeter | None = None
        self._before = Counts()  # of the native pipelines before this one
        self._frame_id = 0
        self._bitrate_bps = clamp_bitrate(config.bitrate_bps)
        self._allowed = False
        self._lock = threading.Lock()  # allow() and set_bitrate() against a pipeline that starts
        self._log = FrameLog(config.frames)
        self._sdp_due = False
        self._drain_us = 0
        self._keys = 0
        self._flowing = False  # as the port was told
        self._dark: SourceState | None = None  # why there are no pictures
        self._slates: SlateStream | None = None
        self._slate_ntp_offset_s = 0.0
        self._slate_trouble = ""  # as logged last

    def open(self) -> None:
        self._port.open()

    def run(self, stop: threading.Event) -> None:
        with self._log:
            while not stop.is_set():
                native = self._native
                events = self._port.poll(self._poll_us(), wake_fd=native.eventfd if native is not None else -1)
                self._note(self._port.notes)
                for event in events:
                    if isinstance(event, Start):
                        self._start(event)
                    elif isinstance(event, Stop):
                        self._close_native()
                    else:
                        self._dark = event.state if event.state.code is not SourceCode.LIVE else None
                        self._hooks.state(event.state)
                self._watch()
                self._show_slate()
            self._close_native()

    def allow(self, allowed: bool) -> None:
        with self._lock:
            self._allowed = allowed
            if self._native is not None:
                self._native.allow(allowed)

    def set_bitrate(self, bitrate_bps: int) -> None:
        with self._lock:
            self._bitrate_bps = clamp_bitrate(bitrate_bps)
            if self._native is not None:
                self._native.set_bitrate(self._bitrate_bps)

    def request_key_frame(self) -> None:
        with self._lock:
            if self._native is not None:  # a new one begins with a key frame
                self._native.request_key_frame()

    def request_mode(self, mode: Mode) -> None:
        try:
            self._port.request_mode(mode)
        except ConfigError as error:
            self._hooks.log(f"requested mode {mode} is not available: {error}")

    def preview(self) -> Thumbnail | None:
        with self._lock:
            found = self._native.thumbnail() if self._native is not None else None
        if found is None:
            return None
        from thinair.sender.pipeline.preview import packed_thumbnail

        return packed_thumbnail(*found)

    def describe(self) -> str:
        mode = f", {self._mode}" if self._mode is not None else ", no mode yet"
        return f"{self._name} in hardware{mode}, {self._bitrate_bps / 1e6:g} Mbit/s"

    def close(self) -> None:
        self._close_native()
        self._end_slates()
        self._port.close()

    # ---- the native pipeline

    def _start(self, start: Start) -> None:
        self._dark = None
        self._end_slates()
        mode = start.mode
        longest_s = self._config.key_interval_s
        key_interval_s = longest_s if self._plain is None else min(longest_s, _PLAIN_KEY_INTERVAL_S)
        try:
            native = self._open_native(
                tx=self._tx,
                device=start.node,
                fourcc=start.fourcc,
                width=mode.width,
                height=mode.height,
                kind=KINDS[self._name],
                dmabuf=self._name == "v4l2m2m",  # the other copies
                rate=(mode.rate.numerator, mode.rate.denominator),
                bitrate_bps=self._bitrate_bps,
                key_interval=key_interval_pictures(int(key_interval_s * 1e6), mode.rate),
                coded=self._coded,
                priority=max(1, self._config.priority // 2) if self._config.priority else 0,
                first_frame_id=self._frame_id,
                ntp_offset=int(_ntp_offset_s() * (1 << 32)),
            )
        except (OSError, ValueError) as error:
            self._fail(getattr(error, "filename", None) or "pipeline", getattr(error, "strerror", None) or str(error))
            return
        self._note(native.notes)
        self._flowing = False
        self._mode, self._meter = mode, RateMeter(mode.rate)
        self._sdp_due = self._config.sdp is not None
        self._before = replace(self.counts)
        with self._lock:
            self._native = native
            native.set_bitrate(self._bitrate_bps)
            native.allow(self._allowed)
        self._hooks.mode(mode)

    def _close_native(self) -> None:
        with self._lock:
            native, self._native = self._native, None
        if native is None:
            return
        if not native.stop():
            self._hooks.log("a device driver does not return: its thread is abandoned")
        self._drain(native)
        stats = native.stats()
        self._frame_id = stats["next_frame_id"]

    def _note(self, notes: list[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def _fail(self, part: str, why: str) -> None:
        self._hooks.log(f"{part}: {why}; retrying")
        self._port.failed(OSError(errno.EIO, why if part == "capture" else f"{part}: {why}"))

    # ---- slates

    def _poll_us(self) -> int:
        return min(_IDLE_US, self._slates.wait_us()) if self._slates is not None else _IDLE_US

    def _show_slate(self) -> None:
        if self._dark is None or self._native is not None or self._plain is None or not self._allowed:
            self._end_slates()
            return
        if self._slates is None:
            from thinair.sender.pipeline.slate_encoder import SlateStream  # most never need it

            self._slates = SlateStream(
                self._name, self._mode, self._bitrate_bps, self._log_slate_trouble, coded=self._coded
            )
            self._sdp_due = self._config.sdp is not None
            self._slate_ntp_offset_s = _ntp_offset_s()
        if (slate := self._slates.next(self._dark)) is not None:
            self._send_slate(self._slates, slate)

    def _send_slate(self, slates: SlateStream, slate: CodedSlate) -> None:
        unit, frame_id, packets = slate.unit, self._frame_id, 0
        stamps = slate.capture_us, slate.dequeue_us, unit.encode_in_us, unit.encode_out_us
        self._frame_id = (frame_id + 1) & 0xFFFFFFFF
        self.counts.encoded += 1
        try:
            packets = self._tx.push(
                unit.data,
                frame_id=frame_id,
                rtp_time=slate.capture_us * 9 // 100 & 0xFFFFFFFF,
                key=unit.key,
                capture_us=stamps[0],
                dequeue_us=stamps[1],
                encode_in_us=stamps[2],
                encode_out_us=stamps[3],
                capture_ntp=int((slate.capture_us / 1e6 + self._slate_ntp_offset_s) * (1 << 32)),
            )
        except ValueError:  # the radio has stood still: what follows needs a fresh start
            self.counts.refused += 1
            slates.request_key_frame()
        self.counts.sent += packets > 0
        size, sequence = len(unit.data), self.counts.captured
        self._log.add_record((frame_id, sequence, *stamps, size, packets, 0, unit.key, self._tx.sent()))
        if unit.key:
            self._hooks.key_frame(unit.encode_out_us)
            self._write_sdp(unit.data)

    def _log_slate_trouble(self, text: str) -> None:
        if text != self._slate_trouble:
            self._slate_trouble = text
            self._hooks.log(text)

    def _end_slates(self) -> None:
        if self._slates is not None:
            self._slates.close()
            self._slates = None

    # ---- watching

    def _watch(self) -> None:
        native = self._native
        if native is None:
            return
        state, reason, part = native.state()
        stats = native.stats()
        if self._flowing != (state == "live"):
            self._flowing = not self._flowing
            (self._port.capture_flows if self._flowing else self._port.capture_silent)(stats["last_picture_us"])
        before, counts = self._before, self.counts
        counts.captured = before.captured + stats["captured"]
        counts.skipped = before.skipped + stats["skipped"]
        counts.encoded = before.encoded + stats["encoded"]
        counts.sent = before.sent + stats["sent"]
        counts.refused = before.refused + stats["refused"]
        if stats["keys"] != self._keys or now_us() >= self._drain_us:
            self._drain(native)
        if state == "failed":
            self._close_native()
            self._fail(part, reason)

    def _drain(self, native: NativePipeline) -> None:
        self._drain_us = now_us() + _IDLE_US
        for record in native.records():
            self._log.add_record(record)
            if record[9]:
                self._hooks.key_frame(record[5])
                self._write_sdp(native.parameter_sets())
            rate = self._meter.add(record[1], record[2]) if self._meter is not None else None
            if rate is not None and self._mode is not None:
                self._mode = replace(self._mode, rate=rate)
                self._hooks.mode(self._mode)
        self._keys = native.stats()["keys"]

    def _write_sdp(self, key_unit: bytes) -> None:
        path: Path | None = self._config.sdp
        if not self._sdp_due or path is None or self._plain is None:
            return
        self._sdp_due = False
        with writing(path):
            path.write_text(describe_stream(self._plain[1], key_unit, self._config.name))


def _ntp_offset_s() -> float:
    """To add to the monotonic clock. Wall time only labels the capture stamps for others."""
    return time.time() - now_us() / 1e6 + _NTP_EPOCH_S


def open_hardware(config: SenderConfig, tx: Tx, hooks: Hooks) -> HdmiPipeline | None:
    """The pipeline for source hdmi where a hardware encoder is asked for or there; None: software does it. Raises
    DeviceError, ConfigError, FileError."""
    if config.source.partition(":")[0] != "hdmi" or config.encoder == "x264":
        return None
    name = choose_hardware(config.encoder, hooks.log)
    if not name:
        return None
    return HdmiPipeline(config, tx, hooks, name)
