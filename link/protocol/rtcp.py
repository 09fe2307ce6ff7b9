"""Control messages as RTCP packets (RFC 3550 6.7 APP, RFC 4585 PLI, RFC 8888 congestion control feedback).

Layouts are in docs/wire-protocol.md. Dataclasses are built into bytes and parsed from them; bytes never raise.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from struct import Struct
from typing import Any

from thinair.link.protocol.source_state import DETAIL_BYTES, SourceCode

VERSION = 1
NAME_BYTES = 16
MAX_REPORTS = 16384  # RFC 8888 3.1: a report block never covers more sequence numbers
OFFSET_FAR = 0x1FFE  # RFC 8888 3.1: longer before the report than 8189/1024 s
OFFSET_UNKNOWN = 0x1FFF
MAX_REQUESTS = 16
FLAG_PATH = 1  # of HELLO: path validation only
WHOLE = 255  # of a repair request's block: the whole frame
PACE_OWN = 0xFFFF  # of a target: the sender's own pacing

_PT_APP, _PT_RTPFB, _PT_PSFB = 204, 205, 206
_FMT_PLI, _FMT_CCFB = 1, 11
_HEADER = Struct("!BBHI")
_APP = Struct("!BBHI4s")
_HELLO = Struct("!BBHQQIHHIII16s")
_WELCOME = Struct("!BBHQQQ")
_PROBE = Struct("!IQQ")
_PROBE_ECHO = Struct("!IQQQQ")
_BYE = Struct("!QQ")
_SOURCE = Struct(f"!QQBBHI{DETAIL_BYTES}s")
_COOKIE = Struct("!Q")
_REQUEST = Struct("!IBBBx")
_TARGET = Struct("!QIIIHHBBH")
_MODE = Struct("!QIHHII")
_INVITE = Struct("!BBHQ32s16s")
_BLOCK = Struct("!IHH")
_WORD = Struct("!I")
_TAIR = b"TAIR"
_SUBTYPE_REPAIR = 7  # the one message without a fixed length


class ControlDrop(StrEnum):
    """Why a control packet, or the rest of a datagram, was dropped."""

    SHORT = "control_short"  # ends before its own fixed part
    LENGTH = "control_length"  # its length field exceeds the datagram
    VERSION = "control_version"  # not RTCP version 2
    PADDING = "control_padding"  # wrong padding count
    IGNORED = "control_ignored"  # valid RTCP without use here: SR, RR, SDES, other feedback
    UNKNOWN = "control_unknown"  # an APP packet of another name or a later subtype
    PROTOCOL = "control_protocol"  # HELLO or WELCOME of another protocol version
    VALUE = "control_value"  # a field has a meaningless value


@dataclass(frozen=True, slots=True)
class Hello:
    ssrc: int
    boot_id: int
    cookie: int
    media_ssrc: int
    width: int
    height: int
    rate_numerator: int
    rate_denominator: int
    bitrate_bps: int
    name: str
    flags: int = 0

    @property
    def rate(self) -> Fraction | None:
        """Pictures per second; None where the sender does not know it yet."""
        if self.rate_numerator == 0 or self.rate_denominator == 0:
            return None
        return Fraction(self.rate_numerator, self.rate_denominator)


@dataclass(frozen=True, slots=True)
class Welcome:
    ssrc: int
    boot_id: int
    cookie: int
    sender_boot_id: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    ssrc: int
    probe_id: int
    t1_us: int
    cookie: int


@dataclass(frozen=True, slots=True)
class ProbeEcho:
    ssrc: int
    probe_id: int
    t1_us: int
    t2_us: int
    t3_us: int
    boot_id: int


@dataclass(frozen=True, slots=True)
class Bye:
    ssrc: int
    boot_id: int
    cookie: int


@dataclass(frozen=True, slots=True)
class Source:
    """What stands between the camera and its picture. `change` counts the changes, 16 bits."""

    ssrc: int
    boot_id: int
    cookie: int
    code: SourceCode
    change: int
    age_ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """`missing` more symbols of a block; block and missing WHOLE: nothing of the frame has come."""

    frame_id: int
    block: int
    missing: int
    round: int


@dataclass(frozen=True, slots=True)
class Repair:
    """1 to MAX_REQUESTS requests."""

    ssrc: int
    cookie: int
    requests: tuple[RepairRequest, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """The receiver's target. `repair_ratio` in 1/256 of a block's packets, `pace_us` between groups of five packets or
    PACE_OWN; `outcomes` holds two bits for each of the last eight frames, the newest, `newest_id`, in the lowest."""

    ssrc: int
    cookie: int
    number: int
    bitrate_bps: int
    newest_id: int
    outcomes: int
    pace_us: int
    repair_ratio: int
    reason: int = 0


@dataclass(frozen=True, slots=True)
class ModeRequest:
    """The receiver would like pictures of another size and rate. `number` counts wishes: said again, it is the same."""

    ssrc: int
    cookie: int
    number: int
    width: int
    height: int
    rate_numerator: int
    rate_denominator: int


@dataclass(frozen=True, slots=True)
class Invite:
    """In the clear: a sender asks for a session; its session server is at TCP `port`. A hint, never trusted: the
    connection there shows whether it is the one with this fingerprint (SHA-256 of its certificate)."""

    ssrc: int
    port: int
    boot_id: int
    fingerprint: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Pli:
    ssrc: int
    media_ssrc: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """One report block of RFC 8888. `offsets[i]` is of sequence number begin_seq + i: how long before `report_time` it
    came, in 1/1024 s (OFFSET_FAR: longer; OFFSET_UNKNOWN: not told), or None where it has not come."""

    ssrc: int
    media_ssrc: int
    begin_seq: int
    offsets: tuple[int | None, ...]
    report_time: int  # 1/65536 s, 32 bits


Message = Hello | Welcome | Probe | ProbeEcho | Bye | Source | Repair | Target | ModeRequest | Invite | Pli | Feedback


def build(message: Message) -> bytes:
    """The datagram: one RTCP packet (reduced-size, RFC 5506). Raises struct.error for values out of their width."""
    if isinstance(message, Pli):
        return _packet(_FMT_PLI, _PT_PSFB, message.ssrc, _WORD.pack(message.media_ssrc))
    if isinstance(message, Feedback):
        return _packet(_FMT_CCFB, _PT_RTPFB, message.ssrc, _feedback_body(message))
    subtype, body = (
        _request_body(message) if isinstance(message, Repair | Target | ModeRequest | Invite) else _app_body(message)
    )
    return _packet(subtype, _PT_APP, message.ssrc, _TAIR + body)


def parse(datagram: bytes, drops: Counter[str] | None = None) -> list[Message]:
    """The messages of a datagram, compound or not, in order. What gives none is counted in `drops` by ControlDrop."""
    counts: Counter[str] = Counter() if drops is None else drops
    messages: list[Message] = []
    view = memoryview(datagram)
    while view:
        if len(view) < 4:
            counts[ControlDrop.SHORT] += 1
            break
        first, packet_type = view[0], view[1]
        size = 4 * (1 + (view[2] << 8 | view[3]))
        if first >> 6 != 2:
            counts[ControlDrop.VERSION] += 1
            break
        if size > len(view):
            counts[ControlDrop.LENGTH] += 1
            break
        packet, view = view[:size], view[size:]
        if first & 0x20:  # padding: counted by the last byte, valid on the last packet only
            if view or not 4 <= packet[-1] <= size - 4:
                counts[ControlDrop.PADDING] += 1
                continue
            packet = packet[: size - packet[-1]]
        found = _message(first & 0x1F, packet_type, packet)
        if isinstance(found, ControlDrop):
            counts[found] += 1
        else:
            messages += found
    return messages


def is_control(datagram: bytes) -> bool:
    """RTCP, told from RTP by its second byte (RFC 5761 4)."""
    return len(datagram) >= 2 and 192 <= datagram[1] <= 223


def _request_body(message: Repair | Target | ModeRequest | Invite) -> tuple[int, bytes]:
    if isinstance(message, Repair):
        asked = (_REQUEST.pack(r.frame_id, r.block, r.missing, r.round) for r in message.requests)
        return _SUBTYPE_REPAIR, _COOKIE.pack(message.cookie) + b"".join(asked)
    if isinstance(message, Invite):
        name = _cut_utf8(message.name, NAME_BYTES)
        return 10, _INVITE.pack(VERSION, 0, message.port, message.boot_id, message.fingerprint, name)
    if isinstance(message, ModeRequest):
        mode = message.width, message.height, message.rate_numerator, message.rate_denominator
        return 9, _MODE.pack(message.cookie, message.number, *mode)
    m = message
    decided = m.pace_us, m.repair_ratio, m.reason, 0
    return 8, _TARGET.pack(m.cookie, m.number, m.bitrate_bps, m.newest_id, m.outcomes, *decided)


def _app_body(message: Hello | Welcome | Probe | ProbeEcho | Bye | Source) -> tuple[int, bytes]:
    match message:
        case Hello() as m:
            mode = m.width, m.height, m.rate_numerator, m.rate_denominator, m.bitrate_bps
            name = _cut_utf8(m.name, NAME_BYTES)
            return 1, _HELLO.pack(VERSION, m.flags, 0, m.boot_id, m.cookie, m.media_ssrc, *mode, name)
        case Welcome() as m:
            return 2, _WELCOME.pack(VERSION, m.flags, 0, m.boot_id, m.cookie, m.sender_boot_id)
        case Probe() as m:
            return 3, _PROBE.pack(m.probe_id, m.t1_us, m.cookie)
        case ProbeEcho() as m:
            return 4, _PROBE_ECHO.pack(m.probe_id, m.t1_us, m.t2_us, m.t3_us, m.boot_id)
        case Bye() as m:
            return 5, _BYE.pack(m.boot_id, m.cookie)
        case Source() as m:
            detail = _cut_utf8(m.detail, DETAIL_BYTES)
            return 6, _SOURCE.pack(m.boot_id, m.cookie, m.code, 0, m.change, m.age_ms, detail)


def _packet(count: int, packet_type: int, ssrc: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, packet_type, 1 + len(body) // 4, ssrc) + body


def _feedback_body(message: Feedback) -> bytes:
    if len(message.offsets) > MAX_REPORTS:
        raise ValueError(f"a report covers at most {MAX_REPORTS} packets, not {len(message.offsets)}")
    blocks = [0 if offset is None else 0x8000 | offset for offset in message.offsets]
    if len(blocks) % 2:
        blocks.append(0)
    metrics = Struct(f"!{len(blocks)}H").pack(*blocks)
    block = _BLOCK.pack(message.media_ssrc, message.begin_seq, len(message.offsets))
    return block + metrics + _WORD.pack(message.report_time)


def _message(count: int, packet_type: int, packet: memoryview) -> list[Message] | ControlDrop:
    if packet_type == _PT_APP:
        return _app_message(count, packet)
    if packet_type == _PT_PSFB and count == _FMT_PLI:
        if len(packet) < 12:
            return ControlDrop.SHORT
        return [Pli(_WORD.unpack_from(packet, 4)[0], _WORD.unpack_from(packet, 8)[0])]
    if packet_type == _PT_RTPFB and count == _FMT_CCFB:
        return _feedback_messages(packet)
    return ControlDrop.IGNORED


def _app_message(subtype: int, packet: memoryview) -> list[Message] | ControlDrop:
    if len(packet) < _APP.size:
        return ControlDrop.SHORT
    *_, ssrc, name = _APP.unpack_from(packet)
    if name == _TAIR and subtype == _SUBTYPE_REPAIR:
        return _read_repair(ssrc, packet[_APP.size :])
    if name != _TAIR or subtype not in _APP_READERS:
        return ControlDrop.UNKNOWN
    layout, read = _APP_READERS[subtype]
    if len(packet) < _APP.size + layout.size:
        return ControlDrop.SHORT
    found = read(ssrc, layout.unpack_from(packet, _APP.size))
    return found if isinstance(found, ControlDrop) else [found]


def _read_hello(ssrc: int, fields: tuple[Any, ...]) -> Hello | ControlDrop:
    version, flags, _, *plain, name = fields
    values: list[Any] = [ssrc, *plain, _clean_text(name), flags]
    return Hello(*values) if version == VERSION else ControlDrop.PROTOCOL


def _read_welcome(ssrc: int, fields: tuple[Any, ...]) -> Welcome | ControlDrop:
    version, flags, _, *plain = fields
    values: list[Any] = [ssrc, *plain, flags]
    return Welcome(*values) if version == VERSION else ControlDrop.PROTOCOL


def _read_invite(ssrc: int, fields: tuple[Any, ...]) -> Invite | ControlDrop:
    version, _, port, boot_id, fingerprint, name = fields
    return Invite(ssrc, port, boot_id, fingerprint, _clean_text(name)) if version == VERSION else ControlDrop.PROTOCOL


def _read_source(ssrc: int, fields: tuple[Any, ...]) -> Source | ControlDrop:
    boot_id, cookie, code, _, change, age_ms, detail = fields
    if code not in _SOURCE_CODES:
        return ControlDrop.VALUE
    return Source(ssrc, boot_id, cookie, SourceCode(code), change, age_ms, _clean_text(detail))


def _read_mode(ssrc: int, fields: tuple[Any, ...]) -> ModeRequest | ControlDrop:
    request = ModeRequest(ssrc, *fields)
    sizes = all(16 <= size <= 8192 and size % 2 == 0 for size in (request.width, request.height))
    top, bottom = request.rate_numerator, request.rate_denominator
    return request if sizes and bottom and bottom <= top <= 240 * bottom else ControlDrop.VALUE


def _read_repair(ssrc: int, body: memoryview) -> list[Message] | ControlDrop:
    if len(body) < _COOKIE.size + _REQUEST.size:
        return ControlDrop.SHORT
    count = min(MAX_REQUESTS, (len(body) - _COOKIE.size) // _REQUEST.size)
    asked = (_REQUEST.unpack_from(body, _COOKIE.size + at * _REQUEST.size) for at in range(count))
    return [Repair(ssrc, _COOKIE.unpack_from(body)[0], tuple(RepairRequest(*fields) for fields in asked))]


_SOURCE_CODES = frozenset(SourceCode)
_APP_READERS: dict[int, tuple[Struct, Callable[[int, tuple[Any, ...]], Message | ControlDrop]]] = {
    1: (_HELLO, _read_hello),
    2: (_WELCOME, _read_welcome),
    3: (_PROBE, lambda ssrc, fields: Probe(ssrc, *fields)),
    4: (_PROBE_ECHO, lambda ssrc, fields: ProbeEcho(ssrc, *fields)),
    5: (_BYE, lambda ssrc, fields: Bye(ssrc, *fields)),
    6: (_SOURCE, _read_source),
    9: (_MODE, _read_mode),
    10: (_INVITE, _read_invite),
    8: (_TARGET, lambda ssrc, fields: Target(ssrc, *fields[:-1])),
}


def _feedback_messages(packet: memoryview) -> list[Message] | ControlDrop:
    """RFC 8888 3.1: report blocks one after another, then the time of the report."""
    if len(packet) < 12:
        return ControlDrop.SHORT
    ssrc, report_time = _WORD.unpack_from(packet, 4)[0], _WORD.unpack_from(packet, len(packet) - 4)[0]
    found: list[Message] = []
    at, end = 8, len(packet) - 4
    while at < end:
        if at + _BLOCK.size > end:
            return ControlDrop.SHORT
        media_ssrc, begin_seq, reports = _BLOCK.unpack_from(packet, at)
        at += _BLOCK.size
        if reports > MAX_REPORTS or at + 2 * reports > end:
            return ControlDrop.LENGTH
        metrics = Struct(f"!{reports}H").unpack_from(packet, at)
        offsets = tuple(metric & 0x1FFF if metric & 0x8000 else None for metric in metrics)
        found.append(Feedback(ssrc, media_ssrc, begin_seq, offsets, report_time))
        at += 2 * (reports + reports % 2)
    return found


def _cut_utf8(text: str, size: int) -> bytes:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore").encode()


def _clean_text(raw: bytes) -> str:
    # Names and details are shown in terminals and on the HUD: unprintable characters are removed.
    return "".join(c for c in raw.split(b"\0", 1)[0].decode("utf-8", "replace") if c.isprintable())
