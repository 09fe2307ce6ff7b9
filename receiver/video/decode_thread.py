"""The thread between packet thread and display: takes complete access units, decodes them, hands pictures on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from thinair.link.native import AccessUnit, Rx, now_us, realtime
from thinair.receiver.loop_queue import LoopQueue
from thinair.receiver.video.decode_gate import DecodeGate
from thinair.receiver.video.decoder import Decoded, Decoder
from thinair.receiver.video.display_thread import DisplayThread, Shown
from thinair.receiver.video.mailbox import Mailbox

_WAIT_US = 100_000
_STALE_US = 400_000


class DecodeThread:
    """`tap` gets every access unit before it is decoded, in this thread. All other callables are called by the loop:
    `skipped` for what is not decoded, `ended` for what was, `refused` with why the stream cannot be shown."""

    def __init__(
        self,
        rx: Rx,
        decoder: Decoder,
        gate: DecodeGate,
        display: DisplayThread,
        mailbox: Mailbox[Decoded],
        *,
        queue: LoopQueue,
        transport: str,
        priority: int,
        tap: Callable[[AccessUnit], None],
        skipped: Callable[[AccessUnit], None],
        ended: Callable[[Decoded, Shown | None], None],
        refused: Callable[[str], None],
    ) -> None:
        self.notes: list[str] = []  # what the system refused
        self._rx, self._decoder, self._gate, self._queue = rx, decoder, gate, queue
        self._display, self._mailbox = display, mailbox
        self._rtp, self._priority = transport == "rtp", priority
        self._tap, self._skipped, self._ended, self._refused = tap, skipped, ended, refused
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        if self._priority and (why := realtime(max(1, self._priority - 1))) is not None:
            self.notes.append(f"no real-time priority for the decoder ({why})")
        generation = self._gate.generation
        while not self._stop.is_set():
            unit = self._rx.wait(_WAIT_US)
            if unit is None:
                continue
            self._tap(unit)
            if generation != self._gate.generation:
                generation = self._gate.generation
                self._decoder.reset()
            if self._must_skip(unit):
                self._queue.post(partial(self._skipped, unit))
            else:
                self._decode(unit)

    def _must_skip(self, unit: AccessUnit) -> bool:
        """Without what was lost, the picture would be damaged until the next key frame."""
        gate = self._gate
        stale = unit.taken_us - unit.last_us > _STALE_US  # it lay in a buffer while this process or machine slept
        if unit.gap or stale or gate.need_key:
            gate.need_key = stale or not unit.key
            return gate.need_key
        return False

    def _decode(self, unit: AccessUnit) -> None:
        refusal = self._decoder.refusal
        frame = self._decoder.decode(unit)
        if (why := self._decoder.refusal) is not None and why != refusal:
            self._queue.post(partial(self._refused, why))
        decoded = Decoded(unit, frame, now_us(), captured_us=self._captured_us(unit))
        if frame is None or frame.is_corrupt:
            self._gate.need_key = True
        if frame is None:
            self._queue.post(partial(self._ended, decoded, None))
            return
        if self._display.offer(decoded):
            return
        superseded = self._mailbox.put(decoded)
        if superseded is not None:
            superseded.superseded, superseded.frame = True, None
            self._queue.post(partial(self._ended, superseded, None))

    def _captured_us(self, unit: AccessUnit) -> int | None:
        if unit.capture_us:
            return unit.capture_us
        return unit.rtp_time * 100 // 9 if self._rtp else None
