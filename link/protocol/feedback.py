"""RFC 8888 reports: built by the receiver over the last eight frames, added up by the sender without counting twice."""

from collections import deque
from collections.abc import Sequence

from thinair.link.protocol.rtcp import MAX_REPORTS, OFFSET_FAR, Feedback

FRAMES = 8
MAX_PACKETS = 680  # keeps a report within one datagram of 1400 bytes
_REORDERED = 64  # this many packets of older frames in a row of arrivals end the search
_HALF = 1 << 15


def unwrap(seq: int, near: int) -> int:
    """The extended sequence number with these low 16 bits that is nearest to `near`."""
    return near + ((seq - near + _HALF) & 0xFFFF) - _HALF


class ReportBuilder:
    """Receiver: knows where the last eight frames began and turns arrivals into a report."""

    def __init__(self, ssrc: int, media_ssrc: int) -> None:
        self._ssrc = ssrc
        self._media_ssrc = media_ssrc
        self._begins: deque[int] = deque(maxlen=FRAMES)

    def frame(self, first_seq: int) -> None:
        """A frame completed that began with this sequence number."""
        self._begins.append(first_seq)

    def build(self, arrivals: Sequence[tuple[int, int]], now_us: int) -> Feedback | None:
        """`arrivals` are (sequence number, µs) of the newest packets, oldest first; those before the eighth last frame
        are left out. None while nothing has come."""
        if not arrivals:
            return None
        newest = last = arrivals[-1][0]
        begin = min((unwrap(seq, newest) for seq in self._begins), default=newest - MAX_PACKETS)
        came: dict[int, int] = {}
        older = 0
        for seq, arrival_us in reversed(arrivals):
            extended = unwrap(seq, newest)
            last = max(last, extended)
            if extended >= begin:
                came[extended] = arrival_us  # of duplicates the first one stays
            elif (older := older + 1) > _REORDERED:
                break
        begin = max(begin if self._begins else min(came), last + 1 - MAX_PACKETS)
        offsets = tuple(_offset(came.get(seq), now_us) for seq in range(begin, last + 1))
        return Feedback(self._ssrc, self._media_ssrc, begin & 0xFFFF, offsets, report_time(now_us))


def report_time(now_us: int) -> int:
    """The middle 32 bits of an NTP-like time stamp (RFC 8888 3.1), here of the monotonic clock: 1/65536 s."""
    return (now_us * 65536 // 1_000_000) & 0xFFFFFFFF


def _offset(arrival_us: int | None, now_us: int) -> int | None:
    return None if arrival_us is None else min(max(0, now_us - arrival_us) * 1024 // 1_000_000, OFFSET_FAR)


class FeedbackTally:
    """Sender: reports overlap, so that a lost one costs nothing. A packet is judged once, when it has left the window
    of the newest report: received if any report had it. Packets that no report ever covered are not judged."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = 0
        self.reports = 0
        self.late_reports = 0  # overtaken by a newer one, or by a whole window
        self._open: dict[int, bool] = {}
        self._begin: int | None = None

    @property
    def judged(self) -> int:
        return self.received + self.lost

    def add(self, feedback: Feedback) -> None:
        self.reports += 1
        begin = feedback.begin_seq if self._begin is None else unwrap(feedback.begin_seq, self._begin)
        if self._begin is None or begin > self._begin:
            self._begin = begin
        elif begin < self._begin:
            self.late_reports += 1
        for seq, offset in enumerate(feedback.offsets, begin):
            if self._begin <= seq < self._begin + MAX_REPORTS:
                self._open[seq] = self._open.get(seq, False) or offset is not None
        self._judge(self._begin)

    def finish(self) -> None:
        """Judges what the last window still holds: at the end of a session."""
        self._judge(None)
        self._begin = None

    def _judge(self, before: int | None) -> None:
        done = [seq for seq in self._open if before is None or seq < before]
        for seq in done:
            if self._open.pop(seq):
                self.received += 1
            else:
                self.lost += 1
