"""Control in and out of one session; wakes for datagrams, for what threads post, and for the session's own times."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from thinair.link.native import Rx, now_us
from thinair.link.protocol.receiver_session import ARRIVALS, ReceiverSession
from thinair.receiver.connection.congestion_watch import CongestionWatch
from thinair.receiver.connection.sender_events import SenderEvents
from thinair.receiver.loop_queue import LoopQueue

_POLL_S = 0.05  # how soon media that completes no frame is noticed


class SessionLoop:
    """`each_turn` is called once a turn, after posted work and before control is read."""

    def __init__(
        self,
        rx: Rx,
        session: ReceiverSession,
        queue: LoopQueue,
        congestion: CongestionWatch,
        sender: SenderEvents,
        *,
        each_turn: Callable[[], None],
    ) -> None:
        self._rx, self._session, self._queue = rx, session, queue
        self._congestion, self._sender, self._each_turn = congestion, sender, each_turn
        self._last_media_us = 0

    async def run(self) -> None:
        """Until cancelled."""
        woken = self._queue.woken
        while True:
            woken.clear()
            self._queue.run()
            self._each_turn()
            for datagram, arrival_us, host, port in self._rx.control():
                self._session.receive_datagram(datagram, arrival_us, host, port)
            self._sender.refresh_source()
            now = now_us()
            self._see_media(now)
            self._congestion.look(now)
            if self._session.feedback_due(now):
                self._session.report(self._rx.arrivals(ARRIVALS), now)
            self.send(now)
            due_us = self._session.next_timeout(now)
            wait_s = _POLL_S if due_us is None else min(_POLL_S, max(0.0, (due_us - now) / 1e6))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await woken.wait()

    def send(self, now: int) -> None:
        """What an event asks for is done before the datagram leaves: media may follow a WELCOME at once."""
        while True:
            out = self._session.next_datagram(now)
            while (event := self._session.next_event()) is not None:
                self._sender.handle(event)
            if out is None:
                return
            self._rx.send_control(*out)

    def close(self, now: int) -> None:
        """Says BYE."""
        self._session.close(now)
        self.send(now)

    def _see_media(self, now: int) -> None:
        last_us, _ = self._rx.progress()
        if last_us > self._last_media_us:
            self._last_media_us = last_us
            self._session.media_seen(now)
