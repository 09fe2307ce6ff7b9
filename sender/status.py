"""What a running sender reports of itself: the read-only view of report, metrics, announcement and control API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from thinair.link.native import Tx
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.bitrate_control import BitrateControl
from thinair.sender.board.status_led import LedState
from thinair.sender.config import SenderConfig
from thinair.sender.pipeline.base import Counts, Pipeline
from thinair.sender.pipeline.events import PipelineEvents
from thinair.sender.run_log import RunLog
from thinair.sender.session_loop import SessionLoop

if TYPE_CHECKING:
    from typing import Protocol

    from thinair.sender.pipeline.events import Event
    from thinair.sender.run_log import LogLine

    class Receiver(Protocol):
        """The paired receiver at the other end."""

        @property
        def client_name(self) -> str | None: ...

        @property
        def refused(self) -> Counter[str]:
            """Connections and requests, by reason."""
            ...

        def latency_us(self) -> tuple[int, int]:
            """As it reported lately, and the bound of its clock; 0 for unknown."""
            ...


class SenderStatus:
    """Reads the parts at each call; may be used from any thread. Counters run from the start of the process."""

    def __init__(
        self,
        config: SenderConfig,
        tx: Tx,
        pipeline: Pipeline,
        events: PipelineEvents,
        *,
        bitrate: BitrateControl,
        session: SessionLoop,
        log: RunLog,
        pace_us: int,
        encrypted: bool,
        led: Callable[[], LedState],
    ) -> None:
        self.config = config
        self.pace_us = pace_us  # between groups of packets
        self.encrypted = encrypted
        self.led = led
        self.receiver: Receiver | None = None  # of an encrypted link
        self._tx, self._pipeline, self._events = tx, pipeline, events
        self._bitrate, self._session, self._log = bitrate, session, log

    @property
    def encoder(self) -> str:
        """Name and settings, for people."""
        return self._pipeline.describe()

    @property
    def mode(self) -> Mode | None:
        """Of the pictures; None until the source has reported it."""
        return self._events.mode

    @property
    def source(self) -> SourceState | None:
        return self._events.source

    @property
    def events(self) -> Sequence[Event]:
        """The newest changes of source and bitrate."""
        return list(self._events.newest)

    @property
    def changes(self) -> int:
        """How many there were."""
        return self._events.changes

    @property
    def linked(self) -> bool:
        return self._session.linked

    @property
    def bitrate_bps(self) -> int:
        """Requested from the encoder."""
        return self._bitrate.bitrate_bps

    @property
    def limits_bps(self) -> tuple[int, int]:
        return self._bitrate.min_bps, self._bitrate.max_bps

    @property
    def counts(self) -> Counts:
        return self._pipeline.counts

    @property
    def packets(self) -> dict[str, int]:
        """Counters of the packet thread."""
        return self._tx.stats()

    @property
    def refused(self) -> dict[str, int]:
        return dict(self.receiver.refused) if self.receiver is not None else {}

    @property
    def control(self) -> dict[str, int]:
        """Feedback in sessions that have ended, and what was refused, by reason."""
        return self._session.control | self.refused

    @property
    def notes(self) -> list[str]:
        """What the system refused."""
        return [*self._tx.notes, *self._pipeline.notes]

    @property
    def log(self) -> list[LogLine]:
        """The newest lines."""
        return list(self._log.lines)

    @property
    def uptime_s(self) -> float:
        return self._log.uptime_s

    @property
    def state(self) -> str:
        """One or two words for the announcement."""
        if self.source is not None and self.source.code is not SourceCode.LIVE:
            return self.source.code.name.lower().replace("_", " ")
        return "sending" if self.linked else "waiting"
