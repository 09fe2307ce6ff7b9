"""`thinair send`: one thread turns pictures into access units, an asyncio loop keeps the session, the C pump owns the
packets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from link.config import Endpoint, SenderConfig, split_plain_output
from link.errors import ConfigError, Exit, FileError, NetworkError, NoPeerError
from link.files import check_writable
from link.native import Tx, now_us, realtime, rewrite_au
from link.session import KeyFrameRequested, Linked, MediaDescription, SenderSession, Unlinked
from sender import pacing
from sender.encoders import AccessUnitOut, Encoder, EncoderConfig, open_encoder
from sender.report import FrameLog, write_report
from sender.sdp import describe_stream
from sender.sources import Picture, Source, open_source

_PLAIN_KEY_INTERVAL_S = 1.0
_NTP_EPOCH_S = 2_208_988_800  # RFC 5905: from 1900 to 1970
_SWITCH_INTERVAL_S = 0.0005  # a thread that wakes takes the interpreter from a busy one after this long


def run(config: SenderConfig) -> int:
    """Sends until the source ends, the time is over or a signal comes. Raises LinkError."""
    mode, endpoint = _destination(config)
    if config.sdp is not None and mode != "rtp":
        raise ConfigError("--sdp describes a plain RTP stream: add --plain rtp://HOST:PORT")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    check_writable(config.report, config.frames, config.sdp)
    source = open_source(config.source, config.mode, visual_code=config.visual_code)
    encoder: Encoder | None = None
    tx: Tx | None = None
    try:
        key_interval_s = (
            config.key_interval_s if mode == "thinair" else min(config.key_interval_s, _PLAIN_KEY_INTERVAL_S)
        )
        encoder = open_encoder(
            EncoderConfig(source.mode, config.bitrate_bps, int(key_interval_s * 1e6), source.colour),
            preset=config.preset,
            threads=config.encoder_threads,
        )
        pace_us = pacing.pace_us(config.pace, endpoint.host, source.mode.rate, config.bitrate_bps, config.max_packet)
        ssrc = secrets.randbits(32)
        tx = _open_tx(config, mode, endpoint, ssrc, pace_us)
        service = Service(config, source, encoder, tx, ssrc, pace_us, mode)
        service.say(f"sending {config.source} {source.mode} to {endpoint} as {mode}, {encoder.describe()}")
        return service.run()
    finally:
        if tx is not None:
            tx.close()
        if encoder is not None:
            encoder.close()
        source.close()


def _destination(config: SenderConfig) -> tuple[str, Endpoint]:
    if (config.to is None) == (config.plain is None):
        raise ConfigError("say where to send: --to HOST:PORT, or --plain rtp://HOST:PORT for other players")
    if config.to is not None:
        return "thinair", config.to
    return split_plain_output(config.plain or "")


def _open_tx(config: SenderConfig, mode: str, endpoint: Endpoint, ssrc: int, pace_us: int) -> Tx:
    try:
        return Tx(
            host=endpoint.host,
            port=endpoint.port,
            mode=mode,
            ssrc=ssrc,
            max_packet=config.max_packet,
            pace_group=pacing.GROUP,
            pace_us=pace_us,
            priority=config.priority,
        )
    except ValueError as error:
        raise NetworkError(f"cannot send to {endpoint}: no such host") from error
    except OSError as error:
        raise NetworkError(f"cannot send to {endpoint}: {error.strerror}") from error


@dataclass(slots=True)
class Counts:
    captured: int = 0
    skipped: int = 0  # pictures the source left out because encoding came late
    encoded: int = 0
    sent: int = 0
    refused: int = 0  # access units that could not be sent; each forces a key frame


@dataclass(slots=True)
class Service:
    config: SenderConfig
    source: Source
    encoder: Encoder
    tx: Tx
    ssrc: int
    pace_us: int
    mode: str
    counts: Counts = field(default_factory=Counts)
    notes: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _linked: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None
    _in_vain: bool = False  # the time was over and no receiver had come
    _began_us: int = 0
    _ntp_offset_s: float = 0.0
    _log: FrameLog | None = None
    _sdp_due: bool = False
    _key_us: int = 0  # when the encoder gave its newest key frame
    control: dict[str, int] = field(default_factory=dict)

    def run(self) -> int:
        self._began_us = now_us()
        # Wall time only labels the capture stamps for others; a later step of the wall clock does not reach them.
        self._ntp_offset_s = time.time() - self._began_us / 1e6 + _NTP_EPOCH_S
        self._sdp_due = self.config.sdp is not None
        self.notes += self.tx.notes
        with FrameLog(self.config.frames) as self._log:
            asyncio.run(self._main())
        if self.config.report is not None:
            write_report(self.config.report, self)
        if self._failure is not None:
            raise self._failure
        if self._in_vain:
            raise NoPeerError(f"no receiver answered at {self.config.to} in {self.config.seconds:g} s")
        return int(Exit.OK)

    def say(self, text: str) -> None:
        print(f"thinair: {text}", file=sys.stderr, flush=True)

    # ---- session ------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, done.set)
        pictures = threading.Thread(
            target=self._pictures, args=(lambda: loop.call_soon_threadsafe(done.set),), name="thinair-pictures"
        )
        gc.collect()
        gc.freeze()
        pictures.start()
        session = asyncio.create_task(self._session()) if self.mode == "thinair" else None
        if session is None:
            self._linked.set()
        else:
            session.add_done_callback(lambda _: done.set())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.seconds or None):
                await done.wait()
        self._in_vain = not done.is_set() and self.mode == "thinair" and not self.counts.encoded
        self._stop.set()
        if session is not None:
            session.cancel()
            await asyncio.wait([session])
        await asyncio.to_thread(pictures.join)
        if session is not None and not session.cancelled():
            session.result()  # raises what ended it

    async def _session(self) -> None:
        mode = self.source.mode
        media = MediaDescription(
            mode.width, mode.height, Fraction(mode.rate), self.config.bitrate_bps, name=self.config.name
        )
        session = SenderSession(secrets.randbits(63) + 1, secrets.randbits(63) + 1, self.ssrc, media)
        self.tx.set_cookie(session.cookie, session.boot_id)
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.tx.eventfd, arrived.set)
        try:
            while (due_us := session.next_timeout(now_us())) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((due_us - now_us()) / 1e6):
                        await arrived.wait()
                arrived.clear()
                self._talk(session)
        finally:
            loop.remove_reader(self.tx.eventfd)
            session.close(now_us())
            self._talk(session)
            self.control = {
                "lost_packets": session.tally.lost,
                "reported_packets": session.tally.judged,
                **session.dropped,
            }

    def _talk(self, session: SenderSession) -> None:
        if self._key_us:
            session.key_frame_encoded(self._key_us)
        for datagram, arrival_us in self.tx.control():
            session.receive_datagram(datagram, arrival_us)
        while (out := session.next_datagram(now_us())) is not None:
            self.tx.send_control(out)
        while (event := session.next_event()) is not None:
            self._on_event(event)

    def _on_event(self, event: object) -> None:
        match event:
            case Linked():
                self.encoder.request_key_frame()
                self.tx.allow_media(True)
                self._linked.set()
                self.say("linked: a receiver is there")
            case Unlinked(reason=reason):
                self.tx.allow_media(False)
                self._linked.clear()
                if reason != "closed":  # by ourselves
                    self.say(f"no receiver ({reason}); still calling")
            case KeyFrameRequested():
                self.encoder.request_key_frame()

    # ---- pictures -------------------------------------------------------------------------------------------------

    def _pictures(self, ended: Any) -> None:
        if self.config.priority and (why := realtime(max(1, self.config.priority // 2))) is not None:
            self.notes.append(f"no real-time priority for the encoder ({why})")
        try:
            self.encoder.settle()  # opened by the thread that encodes, whose priority its own threads inherit
            while not self._stop.is_set():
                picture = self.source.next()
                if picture is None:
                    break
                if not isinstance(picture, Picture):
                    continue
                self.counts.captured += 1
                self.counts.skipped += picture.skipped
                if self._linked.is_set():
                    self._one(picture)
        except Exception as error:  # raised again by run()
            self._failure = error
        finally:
            ended()

    def _one(self, picture: Picture) -> None:
        unit = self.encoder.encode(picture)
        if unit.key:
            self._key_us = unit.encode_out_us
        data = memoryview(rewrite_au(unit.data) if unit.key else unit.data)
        frame_id = self.counts.encoded & 0xFFFFFFFF
        self.counts.encoded += 1
        try:
            packets = self.tx.push(
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
            self.encoder.request_key_frame()
        self.counts.sent += packets > 0
        self._after(picture, unit, frame_id, len(data), packets)

    def _after(self, picture: Picture, unit: AccessUnitOut, frame_id: int, size: int, packets: int) -> None:
        """What can wait until the frame is on its way."""
        if self._log is not None:
            self._log.add(picture, unit, frame_id=frame_id, size=size, packets=packets, sent=self.tx.sent())
        if self._sdp_due and unit.key and self.config.sdp is not None:
            self._sdp_due = False
            self._write_sdp(self.config.sdp, unit.data)
        self.encoder.settle()

    def _write_sdp(self, path: Path, key_unit: bytes) -> None:
        _, endpoint = _destination(self.config)
        try:
            path.write_text(describe_stream(endpoint, key_unit, self.config.name))
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror}") from error
