"""SPS as strings of bits: written from fields (H.264 7.3.2.1.1, E.1.1), and cut where the VUI begins."""

from dataclasses import dataclass

from tests.oracle.annexb import escape, unescape

HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def u(value: int, bits: int) -> str:
    return format(value, f"0{bits}b")


def ue(value: int) -> str:
    code = format(value + 1, "b")
    return "0" * (len(code) - 1) + code


def se(value: int) -> str:
    return ue(2 * value - 1 if value > 0 else -2 * value)


@dataclass(frozen=True, slots=True)
class Vui:
    aspect: tuple[int, int, int] | None = None  # idc, width, height (used with idc 255)
    overscan: int | None = None
    video: tuple[int, int, tuple[int, int, int] | None] | None = None  # format, full range, colours
    chroma: tuple[int, int] | None = None
    timing: tuple[int, int, int] | None = None
    nal_hrd: tuple[int, ...] | None = None  # one number per CPB
    vcl_hrd: tuple[int, ...] | None = None
    pic_struct: int = 0
    restriction: tuple[int, int, int, int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Sps:
    profile: int = 66
    constraints: int = 0
    level: int = 30
    sps_id: int = 0
    chroma_format: int = 1
    depth: tuple[int, int] = (8, 8)
    scaling: tuple[tuple[int, ...] | None, ...] | None = None  # per list: None or its deltas, made to end early
    log2_max_frame_num: int = 4
    order_count: tuple[int, ...] = (2,)  # type, then: log2 of the LSB | flag, two offsets, offsets of the cycle
    ref_frames: int = 1
    mbs: tuple[int, int] = (10, 10)  # columns, map units
    frame_mbs_only: int = 1
    crop: tuple[int, int, int, int] | None = None
    vui: Vui | None = None


def _hrd(cpbs: tuple[int, ...]) -> str:
    return ue(len(cpbs) - 1) + u(0x12, 8) + "".join(ue(n) + ue(n + 1) + "1" for n in cpbs) + u(0x12345, 20)


def _vui(v: Vui) -> str:
    bits = "0"
    if v.aspect:
        bits = "1" + u(v.aspect[0], 8) + (u(v.aspect[1], 16) + u(v.aspect[2], 16) if v.aspect[0] == 255 else "")
    bits += "0" if v.overscan is None else "1" + u(v.overscan, 1)
    if v.video:
        colours = v.video[2]
        bits += "1" + u(v.video[0], 3) + u(v.video[1], 1)
        bits += "1" + "".join(u(c, 8) for c in colours) if colours else "0"
    else:
        bits += "0"
    bits += "1" + ue(v.chroma[0]) + ue(v.chroma[1]) if v.chroma else "0"
    bits += "1" + u(v.timing[0], 32) + u(v.timing[1], 32) + u(v.timing[2], 1) if v.timing else "0"
    bits += "1" + _hrd(v.nal_hrd) if v.nal_hrd else "0"
    bits += "1" + _hrd(v.vcl_hrd) if v.vcl_hrd else "0"
    bits += "1" if v.nal_hrd or v.vcl_hrd else ""
    bits += u(v.pic_struct, 1)
    if v.restriction:
        bits += "1" + u(v.restriction[0], 1) + "".join(ue(x) for x in v.restriction[1:])
    else:
        bits += "0"
    return bits


def _order_count(fields: tuple[int, ...]) -> str:
    bits = ue(fields[0])
    if fields[0] == 0:
        bits += ue(fields[1])
    elif fields[0] == 1:
        bits += u(fields[1], 1) + se(fields[2]) + se(fields[3])
        bits += ue(len(fields) - 4) + "".join(se(x) for x in fields[4:])
    return bits


def _chroma(s: Sps) -> str:
    bits = ue(s.chroma_format) + ("0" if s.chroma_format == 3 else "")
    bits += ue(s.depth[0] - 8) + ue(s.depth[1] - 8) + "0"
    if s.scaling is None:
        return bits + "0"
    return bits + "1" + "".join("0" if x is None else "1" + "".join(se(d) for d in x) for x in s.scaling)


def to_nal(bits: str, header: int = 0x67) -> bytes:
    """A NAL unit of an RBSP given without its stop bit."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    return bytes([header]) + escape(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def to_bits(nal: bytes) -> str:
    """The RBSP of a NAL unit, stop bit cut off."""
    bits = "".join(format(byte, "08b") for byte in unescape(nal[1:]))
    return bits[: bits.rindex("1")]


def build(s: Sps) -> bytes:
    bits = u(s.profile, 8) + u(s.constraints, 8) + u(s.level, 8) + ue(s.sps_id)
    if s.profile in HIGH_PROFILES:
        bits += _chroma(s)
    bits += ue(s.log2_max_frame_num - 4) + _order_count(s.order_count) + ue(s.ref_frames) + "0"
    bits += ue(s.mbs[0] - 1) + ue(s.mbs[1] - 1) + u(s.frame_mbs_only, 1) + ("" if s.frame_mbs_only else "0") + "1"
    bits += "1" + "".join(ue(c) for c in s.crop) if s.crop else "0"
    bits += "1" + _vui(s.vui) if s.vui else "0"
    return to_nal(bits)


class _Reader:
    def __init__(self, bits: str) -> None:
        self.bits, self.at = bits, 0

    def u(self, count: int) -> int:
        self.at += count
        return int(self.bits[self.at - count : self.at], 2)

    def ue(self) -> int:
        zeros = self.bits.index("1", self.at) - self.at
        self.at += zeros
        return self.u(zeros + 1) - 1


def without_vui(nal: bytes) -> bytes:
    """The same SPS with no VUI, as some encoders write it. No scaling lists; order count types 0 and 2."""
    bits = to_bits(nal)
    r = _Reader(bits)
    profile = r.u(8)
    r.u(16)
    r.ue()
    if profile in HIGH_PROFILES:
        assert r.ue() == 1
        r.ue(), r.ue()
        assert r.u(2) == 0
    r.ue()
    kind = r.ue()
    assert kind in (0, 2)
    if kind == 0:
        r.ue()
    r.ue(), r.u(1), r.ue(), r.ue()
    if not r.u(1):
        r.u(1)
    r.u(1)
    if r.u(1):
        r.ue(), r.ue(), r.ue(), r.ue()
    return to_nal(bits[: r.at] + "0", nal[0])
