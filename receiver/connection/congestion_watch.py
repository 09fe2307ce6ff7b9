"""What the network does to packets, seen early enough that the sender changes its bitrate before the next picture."""

from __future__ import annotations

from thinair.link.native import Rx
from thinair.link.protocol.congestion_control import FAST_BPS, Decision
from thinair.link.protocol.receiver_session import ReceiverSession
from thinair.receiver.stats.event_log import EventLog


class CongestionWatch:
    """Moves what Rx saw of frames into the session's congestion control. On plain inputs it does nothing."""

    def __init__(self, rx: Rx, session: ReceiverSession, events: EventLog, *, transport: str) -> None:
        self.decision: Decision | None = None  # newest
        self._rx, self._session, self._events = rx, session, events
        self._plain = transport != "thinair"

    @property
    def capacity_bps(self) -> int | None:
        """Of the path; None where it is unknown or more than is used."""
        policy = self._session.congestion
        return round(policy.capacity_bps) if policy and policy.capacity_bps < FAST_BPS else None

    def look(self, now: int) -> None:
        if self._plain:
            return
        decision = self._session.frames(self._rx.frames(), now)
        if decision is None:
            return
        if (policy := self._session.congestion) is not None:
            self._rx.timing(0, round(policy.rtt_us), policy.standing_queue_us)
        if self.decision is not None and decision.bitrate_bps < self.decision.bitrate_bps:
            rate = f"{decision.bitrate_bps / 1e6:.1f} Mbit/s"
            self._events.note("rate", f"bitrate reduced to {rate}: {decision.reason.name.lower().replace('_', ' ')}")
        self.decision = decision
