"""`thinair send`: an asyncio loop keeps the session, a thread runs the pipeline from source to packets, and the C pump
owns the packets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any

from thinair.link.endpoint import Endpoint
from thinair.link.errors import ConfigError, Exit, NetworkError, NoPeerError
from thinair.link.files import check_writable
from thinair.link.host import random_bits
from thinair.link.native import MAX_LINK_PACKET, Tx, now_us
from thinair.sender.bitrate_control import BitrateControl
from thinair.sender.board.status_led import LedInputs, StatusLed, choose_state, find_led
from thinair.sender.config import SenderConfig, split_plain_output
from thinair.sender.heartbeat import Heartbeat, network_up
from thinair.sender.pipeline import pacing
from thinair.sender.pipeline.base import Pipeline
from thinair.sender.pipeline.events import PipelineEvents
from thinair.sender.pipeline.factory import open_pipeline
from thinair.sender.report import write_report
from thinair.sender.run_log import RunLog
from thinair.sender.session_loop import SessionLoop
from thinair.sender.status import SenderStatus
from thinair.sender.systemd.sd_notify import SdNotify

_USUAL_RATE = Fraction(25)  # pacing hardly depends on it
_STREAMING_US = 1_000_000  # without an access unit for this long, the LED shows linked only
_SWITCH_INTERVAL_S = 0.0005  # a thread that wakes takes the interpreter from a busy one after this long


def run(config: SenderConfig) -> int:
    """Sends until the source ends, the time is over or a signal comes. Raises LinkError."""
    transport, endpoint = _destination(config)
    if config.sdp is not None and transport != "rtp":
        raise ConfigError("--sdp needs an RTP output: add --output rtp://HOST:PORT")
    if transport == "thinair" and config.max_packet > MAX_LINK_PACKET:
        raise ConfigError(
            f"--max-packet {config.max_packet} is too large: give {MAX_LINK_PACKET} or less; repair needs the rest"
        )
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    check_writable(config.report, config.frames, config.sdp)
    rate = config.mode.rate if config.mode is not None else _USUAL_RATE
    pace_us = pacing.pace_us(config.pace, endpoint.host, rate, config.bitrate_bps, config.max_packet)
    ssrc = random_bits(32)
    tx = _open_tx(config, transport, endpoint, ssrc, pace_us)
    try:
        log = RunLog(config.log_format)
        events = PipelineEvents(log)
        pipeline = open_pipeline(config, tx, events.hooks())
        try:
            service = Service(config, tx, pipeline, events, ssrc=ssrc, pace_us=pace_us, transport=transport, log=log)
            log.add(_start_line(service.status, endpoint, transport))
            with service.metrics():
                asyncio.run(_in_this_process(service))
            return service.result()
        finally:
            pipeline.close()
    finally:
        tx.close()


def _start_line(status: SenderStatus, endpoint: Endpoint, transport: str) -> str:
    """Such as `sending testcard 1920x1080@25, x264 …, encrypted; waiting for a paired receiver`."""
    source = " ".join(str(part) for part in (status.config.source, status.mode) if part)
    if transport != "thinair":
        return f"sending {source}, {status.encoder}, to {transport}://{endpoint}"
    security = "encrypted" if status.encrypted else "unencrypted"
    if not endpoint.port:
        return f"sending {source}, {status.encoder}, {security}; waiting for a paired receiver"
    return f"sending {source}, {status.encoder}, {security}; waiting for the receiver at {endpoint}"


async def _in_this_process(service: Service) -> None:
    """Signals and garbage collection are the process's, not the service's."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, service.stop)
    gc.collect()
    gc.freeze()
    await service.run()


def _destination(config: SenderConfig) -> tuple[str, Endpoint]:
    if config.encryption and config.output is None:
        return "thinair", config.to or Endpoint("", 0)
    if (config.to is None) == (config.output is None):
        raise ConfigError("no destination: give --to HOST:PORT, or --output rtp://HOST:PORT for other players")
    if config.to is not None:
        return "thinair", config.to
    return split_plain_output(config.output or "")


def _open_tx(config: SenderConfig, transport: str, endpoint: Endpoint, ssrc: int, pace_us: int) -> Tx:
    try:
        return Tx(
            host=endpoint.host,
            port=endpoint.port,
            mode=transport,
            ssrc=ssrc,
            max_packet=config.max_packet,
            pace_group=pacing.GROUP,
            pace_us=pace_us,
            fixed_pace=config.pace != "auto",
            priority=config.priority,
            encrypted=config.encryption and transport == "thinair",
        )
    except ValueError as error:
        raise NetworkError(f"cannot send to {endpoint}: unknown host") from error
    except OSError as error:
        raise NetworkError(f"cannot send to {endpoint}: {error.strerror}") from error


class Service:
    """Joins the parts and runs them until one of them ends, stop() is called, or the time is over."""

    def __init__(
        self,
        config: SenderConfig,
        tx: Tx,
        pipeline: Pipeline,
        events: PipelineEvents,
        *,
        ssrc: int,
        pace_us: int,
        transport: str,
        log: RunLog,
    ) -> None:
        """`pipeline` is open, with the hooks of `events`."""
        self._config, self._tx, self._transport = config, tx, transport
        self._pipeline, self._events, self._log = pipeline, events, log
        bitrate = BitrateControl(config.bitrate_bps, pipeline, events)
        self._session = SessionLoop(tx, pipeline, events, bitrate, ssrc=ssrc, name=config.name, log=log)
        encrypted = config.encryption and transport == "thinair"
        self.status = SenderStatus(
            config,
            tx,
            pipeline,
            events,
            bitrate=bitrate,
            session=self._session,
            log=log,
            pace_us=pace_us,
            encrypted=encrypted,
            led=lambda: choose_state(self._led_inputs()),
        )
        self._done = asyncio.Event()
        self._pipeline_stop = threading.Event()
        self._failure: BaseException | None = None  # of the pipeline's thread
        self._nobody_came = False  # the time was over before a receiver was there
        self._sent = (0, -_STREAMING_US)  # access units, and when there was one more
        self._tasks: list[asyncio.Task[None]] = []

    def stop(self) -> None:
        """Ends run(). In the loop."""
        self._done.set()

    async def run(self) -> None:
        """Raises what ended one of the tasks."""
        loop = asyncio.get_running_loop()
        pictures = threading.Thread(target=self._run_pipeline, args=(loop,), name="thinair-pictures")
        self._events.running = True
        pictures.start()
        systemd = SdNotify()
        led = StatusLed(find_led() if self._config.status_led == "auto" else None)
        self._start(Heartbeat(led, systemd, self._led_inputs, self._progress).run())
        systemd.ready(f"sending {self._config.source}")
        if self._transport == "thinair":
            self._start(self._run_session()).add_done_callback(lambda _: self._done.set())
        else:
            self._pipeline.allow(True)
            self._start(self._session.run_plain())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.seconds or None):
                await self._done.wait()
        linked_or_plain = self._session.was_linked or self._transport != "thinair"
        self._nobody_came = not self._done.is_set() and not linked_or_plain
        self._pipeline_stop.set()
        systemd.stopping()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        systemd.close()
        await asyncio.to_thread(pictures.join)
        for task in self._tasks:
            if not task.cancelled():
                task.result()  # raises what ended it

    def metrics(self) -> contextlib.ExitStack:
        """Serves them where that is configured. Raises ConfigError, NetworkError."""
        stack = contextlib.ExitStack()
        if self._config.metrics is not None:
            from thinair.sender.metrics import serve

            stack.callback(serve(self._config.metrics, self.status, self._log.add))
        return stack

    def result(self) -> int:
        """Of the run that has ended: writes the report, then gives the exit code or raises what went wrong."""
        if self._config.report is not None:
            write_report(self._config.report, self.status)
        if self._failure is not None:
            raise self._failure
        if self._nobody_came:
            where = f" at {self._config.to}" if self._config.to is not None else ""
            raise NoPeerError(f"no receiver{where} within {self._config.seconds:g} s: is the player running?")
        return int(Exit.OK)

    async def _run_session(self) -> None:
        if not self.status.encrypted:
            await self._session.run(None)
            return
        from thinair.sender.connection.encrypted_link import EncryptedLink  # loads TLS
        from thinair.sender.control.startup import ControlApi

        control = ControlApi(self._config.control, self._log.add)
        with contextlib.closing(control):
            link = EncryptedLink(self._tx, self.status, self._session, self._log.add, control)
            self.status.receiver = link
            task = self._start(
                control.serve(
                    link.server,
                    link.identity,
                    self.status,
                    session=self._session,
                    preview=self._pipeline.preview,
                    stop=self.stop,
                )
            )
            task.add_done_callback(self._stop_if_failed)
            await self._session.run(link)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def _stop_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._done.set()

    def _run_pipeline(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._pipeline.run(self._pipeline_stop)
        except Exception as error:  # raised again by result()
            self._failure = error
        finally:
            loop.call_soon_threadsafe(self._done.set)

    def _led_inputs(self) -> LedInputs:
        sent, at_us = self._pipeline.counts.sent, now_us()
        if sent != self._sent[0]:
            self._sent = sent, at_us
        return LedInputs(
            fault=self._failure is not None,
            network=network_up(),
            source=self._events.source_code,
            linked=self._session.linked or self._transport != "thinair",
            streaming=at_us - self._sent[1] < _STREAMING_US,
        )

    def _progress(self) -> int:
        """Rises while the pipeline lives: pictures, or reports that there are none."""
        return self._pipeline.counts.captured + self._events.reports
