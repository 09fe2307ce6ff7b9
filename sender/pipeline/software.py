"""The pipeline in software: one thread takes pictures from a source, encodes, and hands access units to the C pump."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from thinair.link.errors import ConfigError, DeviceError
from thinair.link.files import writing
from thinair.link.native import READY_KEY, SKIP, Tx, map_large_blocks, now_us, raw_to_i420, realtime, rewrite_au
from thinair.link.protocol.source_state import DETAIL_BYTES, SourceCode, SourceState
from thinair.sender.config import SenderConfig, split_plain_output
from thinair.sender.encoders import AccessUnitOut, Encoder, EncoderConfig, open_encoder
from thinair.sender.picture import NewMode
from thinair.sender.pipeline.base import Counts, Hooks
from thinair.sender.pipeline.frame_log import FrameLog
from thinair.sender.pipeline.sdp import describe_stream
from thinair.sender.sources import Colour, Mode, Picture, Source, open_source

if TYPE_CHECKING:
    from thinair.sender.pipeline.preview import Thumbnail

_PLAIN_KEY_INTERVAL_S = 1.0
_NTP_EPOCH_S = 2_208_988_800  # RFC 5905: from 1900 to 1970


class SoftwarePipeline:
    """See Pipeline. On plain outputs, where nobody can be told, a slate with the words goes through the encoder while
    the source has no picture."""

    def __init__(self, config: SenderConfig, tx: Tx, hooks: Hooks) -> None:
        self.counts = Counts()
        self.notes: list[str] = []
        self._config = config
        self._tx = tx
        self._hooks = hooks
        self._plain = split_plain_output(config.output) if config.output is not None else None
        self._source: Source | None = None
        self._encoder: Encoder | None = None
        self._bitrate_bps = config.bitrate_bps
        self._thumbnail: Thumbnail | None = None
        self._preview_wanted = False
        self._requested_mode: Mode | None = None  # another mode, by the thread that pictures come in
        self._allowed = threading.Event()
        self._dark = True  # no picture since the last state that was told
        self._log = FrameLog(config.frames)
        self._sdp_due = config.sdp is not None
        self._ntp_offset_s = 0.0

    def open(self) -> None:
        config = self._config
        self._source = open_source(config.source, config.mode, visual_code=config.visual_code, edid=config.edid)
        if self._source.name != "hdmi":  # which says its mode when the camera has said it
            self._open_encoder(self._source.mode, self._source.colour)
            self._hooks.mode(self._source.mode)

    def run(self, stop: threading.Event) -> None:
        if self._config.priority and (why := realtime(max(1, self._config.priority // 2))) is not None:
            self.notes.append(f"no real-time priority for the encoder: {why}")
        # Wall time only labels the capture stamps for others; a later step of the wall clock does not reach them.
        self._ntp_offset_s = time.time() - now_us() / 1e6 + _NTP_EPOCH_S
        source = self._source
        assert source is not None
        with self._log:
            if self._encoder is not None:
                self._encoder.settle()  # opened by the thread that encodes, whose priority its own threads inherit
            while not stop.is_set():
                if self._requested_mode is not None:
                    self._change_mode(source)
                item = source.next()
                if isinstance(item, Picture):
                    self._picture(item)
                elif item is None:
                    break
                elif isinstance(item, NewMode):
                    self._follow(item)
                else:
                    self._report_no_picture(item.state)

    def allow(self, allowed: bool) -> None:
        if allowed:
            self._allowed.set()
        else:
            self._allowed.clear()

    def set_bitrate(self, bitrate_bps: int) -> None:
        self._bitrate_bps = bitrate_bps
        if (encoder := self._encoder) is not None:
            encoder.set_bitrate(bitrate_bps)

    def request_key_frame(self) -> None:
        if (encoder := self._encoder) is not None:  # a new one begins with a key frame
            encoder.request_key_frame()

    def request_mode(self, mode: Mode) -> None:
        self._requested_mode = mode

    def preview(self) -> Thumbnail | None:
        found, self._thumbnail = self._thumbnail, None
        self._preview_wanted = True
        return found

    def describe(self) -> str:
        return self._encoder.describe() if self._encoder is not None else f"{self._config.encoder}, no mode yet"

    def close(self) -> None:
        self._close_encoder()
        if self._source is not None:
            self._source.close()
            self._source = None

    def _change_mode(self, source: Source) -> None:
        mode, self._requested_mode = self._requested_mode, None
        assert mode is not None
        map_large_blocks(True)  # until the encoder that follows has all its pictures
        try:
            new = source.request_mode(mode)
        except ConfigError as error:
            self._hooks.log(f"requested mode {mode} is not available: {error}")
        else:
            if new is not None:
                self._follow(new)

    # ---- pictures and states of the source -------------------------------------------------------------------------

    def _picture(self, picture: Picture) -> None:
        self.counts.captured += 1
        self.counts.skipped += picture.skipped
        encoder = self._encoder
        if encoder is None:
            return  # of a mode that is not supported, which was reported
        if self._dark:
            self._go_live(encoder, SourceState(SourceCode.LIVE, now_us()))
        if not self._allowed.is_set():
            self._offer_preview(picture)
            return
        ready = self._tx.ready()
        if ready == SKIP:
            self.counts.skipped += 1  # an earlier one has not got through yet; the next picture will be newer
            return
        if ready == READY_KEY:
            encoder.request_key_frame()
        self._encode_and_send(encoder, picture)

    def _follow(self, new: NewMode) -> None:
        """Pictures of another mode: another encoder, which begins with a key frame."""
        encoder = self._encoder
        if encoder is None or (encoder.config.mode, encoder.config.colour) != (new.mode, new.colour):
            self._close_encoder()
            try:
                self._open_encoder(new.mode, new.colour).settle()
            except (ConfigError, DeviceError) as error:
                self._close_encoder()
                self._dark = True
                self._hooks.state(SourceState(SourceCode.UNSUPPORTED, now_us(), _cut(str(error))))
                return
        self._hooks.mode(new.mode)

    def _go_live(self, encoder: Encoder, state: SourceState) -> None:
        self._dark = False
        encoder.request_key_frame()
        self._hooks.state(state)

    def _report_no_picture(self, state: SourceState) -> None:
        if state.code is SourceCode.LIVE:
            if self._encoder is not None:
                self._go_live(self._encoder, state)
            return
        self._dark = True
        self._hooks.state(state)
        if self._plain is not None:
            self._show_slate(state)

    def _show_slate(self, state: SourceState) -> None:
        import av

        from thinair.sender.pipeline.slate import SLATE_MODE, draw_slate  # most never need it

        encoder = self._encoder or self._open_encoder(SLATE_MODE, Colour())
        mode, capture_us = encoder.config.mode, now_us()
        frame = av.VideoFrame(mode.width, mode.height, "yuv420p")
        raw = draw_slate(
            state.words(capture_us), mode.width, mode.height, "NV12", full_range=encoder.config.colour.full_range
        )
        y, u, v = frame.planes
        lines = y.line_size, u.line_size, v.line_size
        raw_to_i420(raw, "NV12", mode.width, mode.width, mode.height, y, u, v, *lines)
        self._encode_and_send(encoder, Picture(frame, self.counts.captured, capture_us, now_us(), 0))

    # ---- encoder --------------------------------------------------------------------------------------------------

    def _open_encoder(self, mode: Mode, colour: Colour) -> Encoder:
        config = self._config
        longest_s = config.key_interval_s
        key_interval_s = longest_s if self._plain is None else min(longest_s, _PLAIN_KEY_INTERVAL_S)
        encoder = open_encoder(
            EncoderConfig(mode, self._bitrate_bps, int(key_interval_s * 1e6), colour),
            choice=config.encoder,
            preset=config.preset,
            threads=config.encoder_threads,
            log=self._note,
        )
        self._encoder, self._sdp_due = encoder, config.sdp is not None
        encoder.set_bitrate(self._bitrate_bps)  # which may have changed meanwhile
        return encoder

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _close_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def _encode_and_send(self, encoder: Encoder, picture: Picture) -> None:
        unit = encoder.encode(picture)
        if not unit.data:
            self.counts.skipped += 1
            return
        if unit.key:
            self._hooks.key_frame(unit.encode_out_us)
        frame_id = self.counts.encoded & 0xFFFFFFFF
        self.counts.encoded += 1
        size, packets = self._push(encoder, unit, picture, frame_id)
        self.counts.sent += packets > 0
        self._after(picture, unit, frame_id, size, packets)
        encoder.settle()

    def _push(self, encoder: Encoder, unit: AccessUnitOut, picture: Picture, frame_id: int) -> tuple[int, int]:
        """Bytes and packets of it."""
        data = memoryview(rewrite_au(unit.data) if unit.key else unit.data)
        try:
            packets = self._tx.push(
                data,
                frame_id=frame_id,
                rtp_time=picture.capture_us * 9 // 100 & 0xFFFFFFFF,
                key=unit.key,
                capture_us=picture.capture_us,
                dequeue_us=picture.dequeue_us,
                encode_in_us=unit.encode_in_us,
                encode_out_us=unit.encode_out_us,
                capture_ntp=int((picture.capture_us / 1e6 + self._ntp_offset_s) * (1 << 32)),
            )
        except ValueError:  # too large for the wire, or the radio has stood still: what follows needs a fresh start
            packets = 0
            self.counts.refused += 1
            encoder.request_key_frame()
        return len(data), packets

    def _after(self, picture: Picture, unit: AccessUnitOut, frame_id: int, size: int, packets: int) -> None:
        """What can wait until the frame is on its way."""
        self._offer_preview(picture)
        self._log.add(picture, unit, frame_id=frame_id, size=size, packets=packets, sent=self._tx.sent())
        if self._sdp_due and unit.key and self._config.sdp is not None:
            self._sdp_due = False
            self._write_sdp(self._config.sdp, unit.data)

    def _offer_preview(self, picture: Picture) -> None:
        if not self._preview_wanted:
            return
        from thinair.sender.pipeline.preview import thumbnail_of

        self._preview_wanted = False
        self._thumbnail = thumbnail_of(picture.frame)

    def _write_sdp(self, path: Path, key_unit: bytes) -> None:
        assert self._plain is not None
        with writing(path):
            path.write_text(describe_stream(self._plain[1], key_unit, self._config.name))


def _cut(text: str) -> str:
    return text.encode()[:DETAIL_BYTES].decode(errors="ignore")
