"""`thinair play`: the C pump completes access units, a thread decodes, a thread presents, this asyncio loop keeps the
session and the books. What it does for a frame waits until that frame is on the screen.

A little over 500 lines: threads, session and books meet here and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import secrets
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from thinair.link.errors import Exit, NoPeerError
from thinair.link.files import check_writable
from thinair.link.native import AccessUnit, Rx, now_us, realtime
from thinair.link.protocol.congestion_control import Decision
from thinair.link.protocol.frame_trace import FrameTraces
from thinair.link.protocol.receiver_session import (
    ARRIVALS,
    SENDER_SILENCE_US,
    EncryptedSender,
    ModeUnavailable,
    NewSender,
    ReceiverSession,
    SenderBack,
    SenderChanged,
    SenderLost,
    SourceChanged,
)
from thinair.link.protocol.sender_session import MediaDescription
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.receiver.config import ReceiverConfig, split_plain_input
from thinair.receiver.connection.encrypted_link import SealedLink
from thinair.receiver.connection.open_rx import open_rx, suspended_us
from thinair.receiver.stats import report
from thinair.receiver.stats.pcap import PacketLog
from thinair.receiver.stats.report import Figures, FrameCsv, Rates, Recent, write_json
from thinair.receiver.stats.terminal_table import LiveTable
from thinair.receiver.video import hud, snapshot
from thinair.receiver.video.decoder import Decoded, Decoder
from thinair.receiver.video.display_thread import Screen, Showing, Shown
from thinair.receiver.video.mailbox import Mailbox
from thinair.receiver.workers.hub import Desk

if TYPE_CHECKING:
    pass

_SWITCH_INTERVAL_S = 0.0005  # a thread that wakes takes the interpreter from a busy one after this long
_LOOK_S = 1 / 120
_HUD_TICKS = 15
_SECOND_TICKS = 120
_WAIT_US = 100_000
_STALE_US = 400_000
_SLEPT_US = 500_000
_EVENTS = 256  # kept for the report
_POLL_S = 0.05  # how soon media that completes no frame is noticed


Conditions = Callable[[], dict[str, Any]]


def run(config: ReceiverConfig, conditions: Conditions) -> int:
    """Plays until `q`, a signal or the end of --seconds. `conditions` tells, at the end, what the run stood on. Raises
    LinkError."""
    mode, endpoint = ("thinair", config.listen) if config.plain is None else split_plain_input(config.plain)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    check_writable(config.report, config.frames, config.packets)
    rx = open_rx(config, mode, endpoint)
    try:
        return Player(config, rx, mode, conditions).run()
    finally:
        rx.close()


class Player:
    def __init__(self, config: ReceiverConfig, rx: Rx, mode: str, conditions: Conditions) -> None:
        self.config = config
        self._conditions = conditions
        self.mode = mode
        self.rx = rx
        self.sealed = config.sealed and mode == "thinair"
        self.session = ReceiverSession(secrets.randbits(63) + 1, sealed=self.sealed)
        self.clock = self.session.clock
        self.book = FrameTraces(self.clock)
        self.figures = Figures()
        self.rates = Rates()
        self.recent = Recent(hud.GRAPH_S)
        self.decoder = Decoder(config.decoder_threads)
        self.notes = list(rx.notes)
        self.sender: NewSender | None = None
        self.description: MediaDescription | None = None
        self.source: SourceState | None = None  # the camera's, as its sender last said it
        self.events: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        self._began_us = now_us()
        self._asleep_us = suspended_us()
        self._told = (0, 0, 0)  # of `_tell_frames`
        self._mailbox: Mailbox[Decoded] = Mailbox()
        self._screen = Screen(config, self._mailbox, self._post, self._book, self._wish)
        self._screen.say_state(f"waiting for a {'sender' if mode == 'thinair' else 'stream'} on port {rx.local_port}")
        self._posted: deque[Callable[[], None]] = deque()
        self._woken: asyncio.Event
        self._done: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._failure: BaseException | None = None
        self._in_vain = False  # the time was over and nothing had come
        self._stop = threading.Event()
        self._need_key = True
        self.generation = 0  # counts senders: what was decoded for an earlier one is not booked
        self._csv = FrameCsv(config.frames)
        self._packets = PacketLog(config.packets, rx)
        self._table = LiveTable(self)
        self.desk = Desk(self, config)
        self._link: SealedLink | None = None
        if self.sealed:
            note = partial(self.note_event, "sender")
            self._link = SealedLink(
                config, rx, self.session, figures=self._for_operator, waiting=self._screen.say_state, note=note
            )
        self._last_media_us = 0
        self.decision: Decision | None = None  # of the policy, newest

    def run(self) -> int:
        try:
            asyncio.run(self._main())
        finally:
            self._csv.close()
            self._packets.close()
        if self.config.report is not None:
            write_json(self.config.report, self.report())
        if self._failure is not None:
            raise self._failure
        if self._in_vain:
            raise NoPeerError(f"nothing came on port {self.rx.local_port} in {self.config.seconds:g} s")
        return int(Exit.OK)

    # ---- the loop -----------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken, self._done = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._done.set)
        self._loop.add_reader(self.rx.eventfd, self._woken.set)
        threads = [
            threading.Thread(target=self._guard, args=(work,), name=f"thinair-{name}")
            for name, work in (("decode", self._decode), ("screen", self._screen.run))
        ]
        gc.collect()
        gc.freeze()
        for thread in threads:
            thread.start()
        self._table.hello()
        await self.desk.start()
        works = [self._talk(), self._tick(), self._table.run(), *([self._link.run()] if self._link else [])]
        tasks = [asyncio.create_task(work) for work in works]
        for task in tasks:
            task.add_done_callback(self._on_task_end)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.seconds or None):
                await self._done.wait()
        self._in_vain = not self._done.is_set() and not self.figures.completed
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop.remove_reader(self.rx.eventfd)
        self.session.close(now_us())
        self._send_control(now_us())
        self._stop.set()
        self._mailbox.close()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        self._book_posted()
        self._finish(self.book.flush())
        await self.desk.close()
        self._table.close()

    async def _talk(self) -> None:
        """Control in and out; wakes for datagrams, for what the threads post, and for the session's own times."""
        while True:
            self._woken.clear()
            self._book_posted()
            self.desk.forward()
            for datagram, arrival_us, host, port in self.rx.control():
                self.session.receive_datagram(datagram, arrival_us, host, port)
            if self._link is not None:
                self._link.hear_calls()
            if self.session.source is not None:
                self._screen.source = (self.session.source, self.session.source_heard_us)
            now = now_us()
            self._see_media(now)
            self._look_at_air(now)
            if self.session.feedback_due(now):
                self.session.report(self.rx.arrivals(ARRIVALS), now)
            self._send_control(now)
            due_us = self.session.next_timeout(now)
            wait_s = _POLL_S if due_us is None else min(_POLL_S, max(0.0, (due_us - now) / 1e6))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    def _send_control(self, now: int) -> None:
        """What an event asks for is done before the datagram leaves: media may follow a WELCOME at once."""
        while True:
            out = self.session.next_datagram(now)
            while (event := self.session.next_event()) is not None:
                self._on_event(event)
            if out is None:
                return
            self.rx.send_control(*out)

    async def _tick(self) -> None:
        """What the air does, to be answered before the next picture is encoded; glass age at each refresh; the HUD's
        figures four times a second, between pictures."""
        for count in itertools.count():
            await asyncio.sleep(_LOOK_S)
            self._look_at_air(now_us())
            self._send_control(now_us())
            if count % 2:
                continue
            self._packets.drain()
            self._see_sleep()
            age_us = self.figures.glass.tick(now_us())
            if count % _SECOND_TICKS == 0:
                self._tell_frames()
            if count % (2 * _HUD_TICKS) == 0:
                self.rates.update(self.figures, now_us())
                self.desk.state()
                self._screen.hud.figures = report.hud_figures(self, age_us)

    def _see_sleep(self) -> None:
        """CLOCK_MONOTONIC stands still while the machine is suspended: what the clocks had agreed on is void."""
        asleep_us = suspended_us()
        slept_us, self._asleep_us = asleep_us - self._asleep_us, asleep_us
        if slept_us > _SLEPT_US:
            self._need_key = True
            self.session.slept(now_us())
            self.note_event("player", f"this machine slept for {slept_us / 1e6:.0f} s")

    def _look_at_air(self, now: int) -> None:
        if self.mode != "thinair":
            return
        decision = self.session.frames(self.rx.frames(), now)
        if decision is None:
            return
        if (policy := self.session.congestion) is not None:
            self.rx.timing(0, round(policy.rtt_us), policy.standing_queue_us)
        if self.decision is not None and decision.bitrate_bps < self.decision.bitrate_bps:
            rate = f"{decision.bitrate_bps / 1e6:.1f} Mbit/s"
            self.note_event("rate", f"bitrate cut to {rate}: {decision.reason.name.lower().replace('_', ' ')}")
        self.decision = decision

    def _see_media(self, now: int) -> None:
        last_us, _ = self.rx.progress()
        if last_us > self._last_media_us:
            self._last_media_us = last_us
            self.session.media_seen(now)

    def _on_event(self, event: object) -> None:
        match event:
            case NewSender(description=description):
                self.sender = event
                self.description = description
                self.rx.accept(event.host, event.port, event.ssrc, self.session.ssrc, event.cookie)
                self.generation += 1
                self._need_key = True
                self._finish(self.book.flush())
                self.book = FrameTraces(self.clock)
                self.source = self._screen.source = None
                self._describe()
            case SenderChanged(description=description):
                self.description = description
                self._describe()
            case SourceChanged(state=state):
                self._see_source(state)
            case SenderLost(reason=reason) if reason != "closed":  # that was us
                words, heard_us = (
                    ("network silent", SENDER_SILENCE_US) if reason == "silent" else ("the sender has ended", 0)
                )
                self._screen.say_state(words, now_us() - heard_us)
                self.note_event("sender", f"{words}; still listening")
            case ModeUnavailable(width=width, height=height, rate=rate):
                kept = report.mode_words(self.description) if self.description else "its own"
                self.note_event("mode", f"the sender keeps {kept}: its source has no {width}x{height}@{rate}")
            case EncryptedSender(name=name):
                words = f"{name or 'a sender'} wants a sealed link: --no-encryption at both ends, or neither"
                self._screen.say_state(words)
                self.note_event("sender", words)
            case SenderBack():
                self._screen.say_state("")
                self.note_event("sender", "the sender is heard again")

    def _for_operator(self) -> dict[str, int]:
        """How late the picture is, for the page at the camera; {}: unknown."""
        figures = self._screen.hud.figures
        if figures.latency_ms[0] is None or figures.bound_ms is None:
            return {}
        return {"latency_us": round(figures.latency_ms[0] * 1000), "bound_us": round(figures.bound_ms * 1000)}

    @property
    def refused(self) -> Counter[str]:
        """What the sealed link turned down, by reason."""
        return self._link.caller.refused if self._link is not None else Counter()

    def _describe(self) -> None:
        media = self.description
        assert media is not None
        self._screen.say_state("")
        self.desk.camera(media.name)
        if media.rate is not None:
            self.figures.set_interval(float(1_000_000 / media.rate))
            self._screen.interval_us = self.figures.interval_us
            self.rx.timing(round(self.figures.interval_us), 0, 0)
        self.note_event("mode", f"sender {media.name}: {report.mode_words(media)}")

    def _see_source(self, state: SourceState) -> None:
        before, self.source = self.source, state
        self._screen.wake()
        if state.code is not SourceCode.LIVE:
            self.note_event("source", state.title())
        elif before is not None and before.code is not SourceCode.LIVE:
            self.note_event("source", "the camera's picture is back")

    def _tell_frames(self) -> None:
        """What became of frames in the last second, for page and recording: too much for a terminal or a report."""
        counts = self.figures.lost, self.figures.repaired, self.session.key_frames_asked
        lost, repaired, asked = (now - before for now, before in zip(counts, self._told, strict=True))
        self._told = counts
        for kind, count, what in (("lost", lost, "lost"), ("repaired", repaired, "repaired")):
            if count:
                self.desk.event(self._event(kind, f"{count} frame{'s' * (count > 1)} {what}"))
        if asked:
            self.desk.event(self._event("key", "key frame asked for, since frames were lost"))

    def _event(self, kind: str, text: str) -> dict[str, Any]:
        now = now_us()
        return {"at_s": round((now - self._began_us) / 1e6, 3), "now_us": now, "kind": kind, "text": text}

    def note_event(self, kind: str, text: str) -> None:
        event = self._event(kind, text)
        self.events.append(event)
        self.desk.event(event)
        self._table.say(f"{text} (at {event['at_s']:.1f} s)", kind, at_s=event["at_s"])

    # ---- what the desk wants ----------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        self._table.say(text)

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        task.add_done_callback(self._on_task_end)

    def ask_key_frame(self, why: str) -> None:
        if self.mode == "thinair" and self.session.key_frame_needed(now_us()):
            self._told = (*self._told[:2], self._told[2] + 1)
            self.note_event("key", f"key frame asked for: {why}")

    def set_limits(self, min_bps: int | None, max_bps: int | None) -> None:
        self.session.set_limits(min_bps, max_bps)
        words = ["no lower limit" if min_bps is None else f"{min_bps / 1e6:g} Mbit/s at least"]
        words += ["no upper limit" if max_bps is None else f"{max_bps / 1e6:g} Mbit/s at most"]
        self.note_event("rate", f"bitrate: {', '.join(words)}")

    def _wish(self, wish: str) -> None:
        """By the screen's thread: what a key asks for."""
        if wish == "record":
            self._post(self.desk.record)
        elif wish == "snapshot":
            frame, name = self._screen.last, self.description.name if self.description else self.mode
            if frame is None:
                self._wish("say: no snapshot: there has been no picture yet")
            else:
                snapshot.save(frame, self.desk.folder, name, lambda text: self._wish(f"say: {text}"))
        elif wish.startswith("say: "):
            self._post(partial(self.note_event, "player", wish.removeprefix("say: ")))

    def ask_mode(self, text: str) -> None:
        mode = Mode.parse(text)
        if self.session.ask_mode(mode.width, mode.height, mode.rate, now_us()):
            self.note_event("mode", f"the sender is asked for {mode}")

    def see_recording(self, status: dict[str, Any]) -> None:
        self._screen.recording = status

    def set_latency(self, mode: str) -> None:
        self._screen.latency = mode
        self.note_event("player", f"latency mode: {mode}")

    # ---- threads --------------------------------------------------------------------------------------------------

    def _post(self, work: Callable[[], None]) -> None:
        """From any thread: `work` is done by the loop."""
        self._posted.append(work)
        with contextlib.suppress(RuntimeError):  # the loop has ended; what is left is done by run()
            self._loop.call_soon_threadsafe(self._woken.set)

    def _book_posted(self) -> None:
        while self._posted:
            self._posted.popleft()()

    def _guard(self, work: Callable[[], None]) -> None:
        """A thread that ends, ends the player: by `q`, by an error for the person, by a defect."""
        try:
            work()
        except Exception as error:  # raised again by run()
            self._failure = error
        finally:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._done.set)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._done.set()

    def _decode(self) -> None:
        if self.config.priority and (why := realtime(max(1, self.config.priority - 1))) is not None:
            self.notes.append(f"no real-time priority for the decoder ({why})")
        generation = self.generation
        while not self._stop.is_set():
            unit = self.rx.wait(_WAIT_US)
            if unit is None:
                continue
            self.desk.tap(unit)
            if generation != self.generation:
                generation = self.generation
                self.decoder.reset()
            stale = unit.taken_us - unit.last_us > _STALE_US  # it lay in a buffer while this process or machine slept
            if unit.gap or stale or self._need_key:
                self._need_key = stale or not unit.key
                if self._need_key:  # without what was lost, the picture would be damaged until the next key frame
                    self._post(partial(self._book_skipped, unit))
                    continue
            refusal = self.decoder.refusal
            frame = self.decoder.decode(unit)
            if self.decoder.refusal not in {None, refusal}:
                self._post(partial(self._refuse, self.decoder.refusal))
            decoded = Decoded(unit, frame, now_us(), captured_us=self._captured_us(unit))
            if frame is None or frame.is_corrupt:
                self._need_key = True
            if frame is None:
                self._post(partial(self._book, decoded, None))
                continue
            if self._screen.offer(decoded):
                continue
            superseded = self._mailbox.put(decoded)
            if superseded is not None:
                superseded.superseded, superseded.frame = True, None
                self._post(partial(self._book, superseded, None))

    def _captured_us(self, unit: AccessUnit) -> int | None:
        if unit.capture_us:
            return unit.capture_us
        return unit.rtp_time * 100 // 9 if self.mode == "rtp" else None

    def _refuse(self, why: str) -> None:
        words = f"this stream cannot be shown: {why}"
        self._screen.say_state(words)
        self._table.say(words)

    # ---- books ------------------------------------------------------------------------------------------------------

    def _book_completed(self, unit: AccessUnit) -> None:
        figures = self.figures
        figures.completed += 1
        figures.bytes += unit.size
        figures.lost += unit.lost_before
        for back in range(min(unit.lost_before, 32), 0, -1):
            self.book.lost(unit.frame_id - back)
        if unit.key:
            self.session.key_frame_arrived()
        if self._need_key:
            self.session.key_frame_needed(now_us())
        self.figures.repaired += unit.repaired
        self.session.frame_completed(unit.first_seq, lambda: self.rx.arrivals(ARRIVALS), now_us())
        self._look_at_air(now_us())

    def _book_skipped(self, unit: AccessUnit) -> None:
        self._book_completed(unit)
        self.book.join_stamps(unit)
        self.figures.skipped += 1

    def _book(self, decoded: Decoded, shown: Shown | None) -> None:
        """A frame has reached its end, one way or another."""
        unit, now = decoded.unit, now_us()
        self._book_completed(unit)
        trace = self.book.received(unit)
        if not decoded.good:
            self.book.undecoded(unit.frame_id, now)
        else:
            self.figures.decoded += 1
            self.book.decoded(unit.frame_id, decoded.decoded_us)
            if shown is None:
                self.figures.superseded += 1
                self.book.superseded(unit.frame_id, now)
            else:
                self.figures.presented += 1
                self.book.presented(unit.frame_id, shown.in_us, shown.presented_us)
                self.figures.glass.shown(trace.local(trace.capture_us), shown.presented_us)
        self._finish(self.book.finished())

    def _finish(self, traces: list[Any]) -> None:
        for trace in traces:
            self.figures.add(trace)
            self._csv.add(trace)
            self.recent.add(trace)
        self.desk.frames(traces)

    # ---- what others see ------------------------------------------------------------------------------------

    def showing(self) -> Showing:
        return self._screen.showing

    @property
    def hud_size(self) -> str:
        return self._screen.hud.size

    @property
    def latency(self) -> str:
        return self._screen.latency

    def trouble(self) -> str:
        """Why no picture comes, in words; "" while one does."""
        return self._screen.trouble(now_us())

    def absence(self) -> str:
        """What the camera lacks, with its age; "" where it lacks nothing or its sender is not there to say it."""
        state = self._screen.absence()
        return "" if state is None or self._screen.stated else state.words(now_us())

    def report(self) -> dict[str, Any]:
        return report.full(self, self._conditions())
