"""`thinair play`: the C pump completes access units, a thread decodes, a thread presents, this asyncio loop keeps the
session and counts. What it does for a frame waits until that frame is on the screen.

Player wires the parts and hands itself to nobody. What is one per process belongs to `run`, the command."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import secrets
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from thinair.link.errors import Exit, NoPeerError
from thinair.link.files import check_writable
from thinair.link.host import tell_port
from thinair.link.native import Rx, now_us
from thinair.link.protocol.receiver_session import ReceiverSession
from thinair.receiver.config import ReceiverConfig, split_plain_input
from thinair.receiver.connection.congestion_watch import CongestionWatch
from thinair.receiver.connection.encrypted_link import EncryptedLink
from thinair.receiver.connection.open_rx import open_rx
from thinair.receiver.connection.sender_events import SenderEvents
from thinair.receiver.connection.session_loop import SessionLoop
from thinair.receiver.connection.sleep_watch import SleepWatch
from thinair.receiver.loop_queue import LoopQueue
from thinair.receiver.player_control import PlayerControl
from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats import player_status, report
from thinair.receiver.stats.counters import Rates, Timing
from thinair.receiver.stats.event_log import EventLog
from thinair.receiver.stats.frame_accounting import FrameAccounting
from thinair.receiver.stats.pcap import PacketLog
from thinair.receiver.stats.player_status import PlayerStatus
from thinair.receiver.stats.run_conditions import Conditions
from thinair.receiver.stats.terminal_table import LiveTable
from thinair.receiver.video import hud, snapshot
from thinair.receiver.video.decode_gate import DecodeGate
from thinair.receiver.video.decode_thread import DecodeThread
from thinair.receiver.video.decoder import Decoded, Decoder
from thinair.receiver.video.display_thread import DisplayThread
from thinair.receiver.video.hud_figures import hud_figures
from thinair.receiver.video.mailbox import Mailbox
from thinair.receiver.workers import hub
from thinair.receiver.workers.hub import WorkerHub
from thinair.receiver.workers.unit_maker import UnitMaker

_SWITCH_INTERVAL_S = 0.0005  # a thread that wakes takes the interpreter from a busy one after this long
_CONGESTION_S = 1 / 120
_FIGURES_TICKS = 30
_SECOND_TICKS = 120


def run(config: ReceiverConfig, conditions: Callable[[], Conditions]) -> int:
    """Plays until `q`, a signal or the end of --seconds. `conditions` is called for the report. Raises LinkError."""
    transport, endpoint = ("thinair", config.listen) if config.input is None else split_plain_input(config.input)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    check_writable(config.report, config.frames, config.packets)
    rx = open_rx(config, transport, endpoint)
    tell_port(rx.local_port)
    try:
        player = Player(config, rx, transport, conditions)
        asyncio.run(_main(player))
        if config.report is not None:
            report.write_json(config.report, player.report())
        player.raise_failure()
    finally:
        rx.close()
    return int(Exit.OK)


async def _main(player: Player) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, player.stop)
    gc.collect()
    gc.freeze()
    await player.run()


class Player:
    """One sender's pictures on one display. A process may hold several."""

    def __init__(self, config: ReceiverConfig, rx: Rx, transport: str, conditions: Callable[[], Conditions]) -> None:
        """`transport`: thinair, rtp or annexb. `rx` is the caller's to close. Raises FileError, DeviceError."""
        self._config, self._rx, self._transport, self._conditions = config, rx, transport, conditions
        self._encrypted = config.encryption and transport == "thinair"
        self._session = session = ReceiverSession(secrets.randbits(63) + 1, encrypted=self._encrypted)
        self._queue = LoopQueue()
        self._events = events = EventLog()
        self._gate = gate = DecodeGate()
        self._sleep = SleepWatch()
        self._rates = Rates()
        self._congestion = CongestionWatch(rx, session, events, transport=transport)
        self._accounting = FrameAccounting(
            rx, session, gate, self._congestion, table=config.frames, graph_s=hud.GRAPH_S
        )
        self._packets = PacketLog(config.packets, rx)
        self._mailbox: Mailbox[Decoded] = Mailbox()
        self._display = DisplayThread(
            config, self._mailbox, self._queue.post, self._accounting.ended, command=self._on_key, note=self._note_later
        )
        self._display.set_notice(
            f"waiting for a {'sender' if transport == 'thinair' else 'stream'} on port {rx.local_port}"
        )
        self._table = LiveTable(config.log_format, self.status)
        self._control = PlayerControl(session, self._display, events, transport=transport)
        hooks = hub.Hooks(self.status, self.report, self._see_recording, self._table.log, self._start)
        self._workers = WorkerHub(config, UnitMaker(transport, session.clock, gate), self._control, events, hooks)
        self._accounting.finished = self._workers.frames
        events.to_workers, events.to_terminal = self._workers.event, self._table.event
        self._decoder = Decoder(config.decoder_threads)
        self._decode = DecodeThread(
            rx, self._decoder, gate, self._display, self._mailbox, queue=self._queue, transport=transport,
            priority=config.priority, tap=self._workers.tap, skipped=self._accounting.skipped,
            ended=self._accounting.ended, refused=self._refuse,
        )  # fmt: skip
        self._sender = SenderEvents(
            rx, session, gate, self._accounting, self._display, events=events, camera=self._workers.camera
        )
        self._loop = SessionLoop(rx, session, self._queue, self._congestion, self._sender, each_turn=self._each_turn)
        self._link: EncryptedLink | None = None
        if self._encrypted:
            self._link = EncryptedLink(
                config, rx, session, figures=self._for_operator, waiting=self._display.set_notice,
                note=partial(events.note, "sender"),
            )  # fmt: skip
        self._done = asyncio.Event()
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """By the loop: `run` comes to its end in good order."""
        self._done.set()

    async def run(self) -> None:
        """Until `q`, `stop`, the end of --seconds or a failure; see `raise_failure`."""
        loop = asyncio.get_running_loop()
        self._queue.attach(loop)
        loop.add_reader(self._rx.eventfd, self._queue.woken.set)
        decode, display = (
            threading.Thread(target=self._guard, args=(work,), name=f"thinair-{name}")
            for name, work in (("decode", self._decode.run), ("display", self._display.run))
        )
        try:
            try:
                for thread in (decode, display):
                    thread.start()
                self._table.start(self._rx.local_port)
                await self._workers.start()
                await self._work()
            finally:  # a thread that outlived the pump would never end
                loop.remove_reader(self._rx.eventfd)
                self._loop.close(now_us())
                self._decode.stop()
                await asyncio.to_thread(decode.join)
                self._mailbox.close()
                await asyncio.to_thread(display.join)
            self._display.discard(self._mailbox.get(0.0))  # where the window was closed: every frame is counted
            self._queue.run()
            self._accounting.close()
            await self._workers.close()
            self._table.close()
        finally:
            self._accounting.close_table()
            self._packets.close()

    def raise_failure(self) -> None:
        """After `run`: what ended it, other than being asked to. Raises NoPeerError where the time was over and nothing
        had come."""
        if self._failure is not None:
            raise self._failure

    def report(self) -> report.Report:
        return report.full(self.status(), self._conditions())

    def status(self) -> PlayerStatus:
        now, session, figures = now_us(), self._session, self._accounting.figures
        refused = self._link.client.refused if self._link is not None else Counter[str]()
        return PlayerStatus(
            now_us=now,
            transport=self._transport,
            encrypted=self._encrypted,
            media=self._sender.media,
            interval_us=figures.interval_us,
            fps=self._rates.fps,
            bitrate_bps=self._rates.bitrate_bps,
            frames=figures.frames(),
            timing=Timing(figures),
            clock=player_status.Clock(
                session.clock.estimate(now), session.clock.negative_deltas, self._accounting.negative_network
            ),
            network=player_status.Network(
                receive=dict(self._rx.stats()),
                recovery=dict(self._rx.recovery()),
                drops={name: count for name, count in self._rx.drops().items() if count},
                control_drops=session.dropped + refused,
                decision=self._congestion.decision,
                capacity_bps=self._congestion.capacity_bps,
                limits=session.limits,
            ),
            picture=self._picture(now),
            decoder_errors=dict(self._decoder.counters),
            events=self._events.newest(),
            notes=(*self._rx.notes, *self._decode.notes),
        )

    def _picture(self, now: int) -> player_status.Picture:
        display, glass = self._display, self._accounting.figures.glass
        absence = display.absence()
        return player_status.Picture(
            showing=display.showing,
            latency_mode=display.latency,
            trouble=display.trouble(now),
            absence="" if absence is None or display.stated else absence.words(now),
            glass_age_us=glass.age(now),
            freezes=glass.freezes,
            longest_freeze_us=glass.longest_freeze_us,
            graph=self._accounting.recent.graph(now) if display.hud.size == "full" else (),
        )

    # ---- the loop -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Until it is done, or the time is over."""
        works = [self._loop.run(), self._tick(), self._table.run(), *([self._link.run()] if self._link else [])]
        tasks = [self._task(work) for work in works]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.seconds or None):
                await self._done.wait()
        if not self._done.is_set() and not self._accounting.figures.completed:
            where, seconds = f"port {self._rx.local_port}", f"{self._config.seconds:g} s"
            self._failure = NoPeerError(f"no stream received on {where} in {seconds}: is the sender running?")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tick(self) -> None:
        """What the network does, to be answered before the next picture is encoded; glass age at each refresh; figures
        four times a second, between pictures."""
        for count in itertools.count():
            await asyncio.sleep(_CONGESTION_S)
            self._congestion.look(now_us())
            self._loop.send(now_us())
            if count % 2:
                continue
            self._packets.drain()
            self._see_sleep()
            self._accounting.figures.glass.tick(now_us())
            if count % _SECOND_TICKS == 0:
                by_loss = self._session.key_frames_asked - self._control.key_frames
                self._accounting.report_losses(self._events, by_loss)
            if count % _FIGURES_TICKS == 0:
                self._rates.update(self._accounting.figures, now_us())
                status = self.status()
                self._workers.state(status)
                self._display.hud.figures = hud_figures(status)

    def _each_turn(self) -> None:
        self._workers.forward()
        if self._link is not None:
            self._link.receive_invites()

    def _see_sleep(self) -> None:
        if slept_us := self._sleep.slept_us():
            self._gate.need_key = True
            self._session.slept(now_us())
            self._events.note("player", f"this machine was suspended for {slept_us / 1e6:.0f} s")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task(work)

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_task_end)
        return task

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._done.set()

    def _guard(self, work: Callable[[], None]) -> None:
        """A thread that ends, ends the player: by `q`, by an error for the person, by a defect."""
        try:
            work()
        except Exception as error:  # raised again by raise_failure()
            self._failure = error
        finally:
            self._queue.call(self._done.set)

    # ---- between parts ----------------------------------------------------------------------------------------------

    def _on_key(self, command: str) -> None:
        """By the display thread: what a key asks for."""
        if command == "record":
            self._queue.post(self._workers.toggle_recording)
        else:
            self._save_snapshot()

    def _save_snapshot(self) -> None:
        frame, media = self._display.last, self._sender.media
        if frame is None:
            self._note_later("no snapshot: there has been no picture yet")
        else:
            snapshot.save(frame, self._workers.folder, media.name if media else self._transport, self._note_later)

    def _note_later(self, text: str) -> None:
        """From any thread."""
        self._queue.post(partial(self._events.note, "player", text))

    def _refuse(self, why: str) -> None:
        text = f"this stream cannot be shown: {why}"
        self._display.set_notice(text)
        self._table.log(text)

    def _see_recording(self, status: RecordingStatus) -> None:
        self._display.recording = status

    def _for_operator(self) -> dict[str, int]:
        """The latency, for the page at the camera; {}: unknown."""
        figures = self._display.hud.figures
        if figures.latency_ms[0] is None or figures.bound_ms is None:
            return {}
        return {"latency_us": round(figures.latency_ms[0] * 1000), "bound_us": round(figures.bound_ms * 1000)}
