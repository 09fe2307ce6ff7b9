"""What became of each frame: counted, traced, written to the frame table, and reported to the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thinair.link.native import AccessUnit, Rx, now_us
from thinair.link.protocol.frame_trace import FrameTrace, FrameTraces
from thinair.link.protocol.receiver_session import ARRIVALS, ReceiverSession
from thinair.receiver.connection.congestion_watch import CongestionWatch
from thinair.receiver.stats.counters import Figures, Recent
from thinair.receiver.stats.event_log import EventLog
from thinair.receiver.stats.frame_table import FrameCsv
from thinair.receiver.video.decode_gate import DecodeGate
from thinair.receiver.video.decoder import Decoded
from thinair.receiver.video.display_thread import Shown


class FrameAccounting:
    """Belongs to the loop. `finished` gets the traces of finished frames, in order."""

    def __init__(
        self,
        rx: Rx,
        session: ReceiverSession,
        gate: DecodeGate,
        congestion: CongestionWatch,
        *,
        table: Path | None,
        graph_s: float,
    ) -> None:
        """`table`: the file of `--frames`. Raises FileError."""
        self.figures = Figures()
        self.recent = Recent(graph_s)
        self.finished: Callable[[list[FrameTrace]], None] = lambda _traces: None
        self._rx, self._session, self._gate, self._congestion = rx, session, gate, congestion
        self._traces = FrameTraces(session.clock)
        self._csv = FrameCsv(table)
        self._reported = (0, 0, 0)  # losses and repairs, by `report_losses`

    @property
    def negative_network(self) -> int:
        """Frames of this sender that arrived before they were sent, by the clock's estimate."""
        return self._traces.negative_network

    def new_sender(self) -> None:
        self._finish(self._traces.flush())
        self._traces = FrameTraces(self._session.clock)

    def skipped(self, unit: AccessUnit) -> None:
        """A complete frame that is not decoded."""
        self._completed(unit)
        self._traces.join_stamps(unit)
        self.figures.skipped += 1

    def ended(self, decoded: Decoded, shown: Shown | None) -> None:
        """A decoded frame was shown (`shown`), superseded, or gave no picture."""
        unit, now = decoded.unit, now_us()
        self._completed(unit)
        trace = self._traces.received(unit)
        if not decoded.good:
            self._traces.undecoded(unit.frame_id, now)
        else:
            self.figures.decoded += 1
            self._traces.decoded(unit.frame_id, decoded.decoded_us)
            if shown is None:
                self.figures.superseded += 1
                self._traces.superseded(unit.frame_id, now)
            else:
                self.figures.presented += 1
                self._traces.presented(unit.frame_id, shown.in_us, shown.presented_us)
                self.figures.glass.shown(trace.local(trace.capture_us), shown.presented_us)
        self._finish(self._traces.finished())

    def report_losses(self, events: EventLog, key_frames_requested: int) -> None:
        """What became of frames since the last call. `key_frames_requested`: since the start, by losses alone."""
        counts = self.figures.lost, self.figures.repaired, key_frames_requested
        lost, repaired, requested = (now - before for now, before in zip(counts, self._reported, strict=True))
        self._reported = counts
        for kind, count in (("lost", lost), ("repaired", repaired)):
            if count:
                events.count(kind, f"{count} frame{'s' * (count > 1)} {kind}")
        if requested > 0:
            events.count("key", "key frame requested after a loss")

    def close(self) -> None:
        """Finishes the frames on their way; the frame table is complete."""
        self._finish(self._traces.flush())

    def close_table(self) -> None:
        self._csv.close()

    def _completed(self, unit: AccessUnit) -> None:
        figures = self.figures
        figures.completed += 1
        figures.bytes += unit.size
        figures.lost += unit.lost_before
        for back in range(min(unit.lost_before, 32), 0, -1):
            self._traces.lost(unit.frame_id - back)
        if unit.key:
            self._session.key_frame_arrived()
        if self._gate.need_key:
            self._session.key_frame_needed(now_us())
        figures.repaired += unit.repaired
        self._session.frame_completed(unit.first_seq, lambda: self._rx.arrivals(ARRIVALS), now_us())
        self._congestion.look(now_us())

    def _finish(self, traces: list[FrameTrace]) -> None:
        for trace in traces:
            self.figures.add(trace)
            self._csv.add(trace)
            self.recent.add(trace)
        self.finished(traces)
