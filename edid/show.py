"""An EDID in words: what is in it (`show`), and what each mode costs (`explain`)."""

from __future__ import annotations

from collections.abc import Callable

from thinair.edid import timings
from thinair.edid.base import DIGITAL, EMPTY, TAG_NAME, TAG_RANGE, TAG_SERIAL, TAG_TEXT, Base, Descriptor, RangeLimits
from thinair.edid.cta import (
    AUDIO,
    AUDIO_BLOCK,
    COLORIMETRY,
    EXTENSION_COUNT,
    HDR_STATIC,
    NATIVE,
    OUI_HDMI,
    OUI_HDMI_FORUM,
    SPEAKER_BLOCK,
    UNDERSCAN,
    VIDEO_BLOCK,
    VIDEO_CAPABILITY,
    YCBCR_422,
    YCBCR_444,
    CtaBlock,
    DataBlock,
    ShortVideo,
    hdmi_vics,
)
from thinair.edid.names import EXTENSIONS, block_name
from thinair.edid.parse import (
    Edid,
    Offer,
    detailed_offer,
    established_bits,
    established_offer,
    offers,
    standard_offer,
    video_offer,
)

_TEXTS = {TAG_NAME: "name", TAG_SERIAL: "serial number", TAG_TEXT: "text"}
_FORMULAS = {0: "default GTF", 1: "no others", 2: "secondary GTF", 4: "CVT"}
_AUDIO = (
    *("?", "LPCM", "AC-3", "MPEG-1", "MP3", "MPEG-2", "AAC", "DTS", "ATRAC", "One Bit Audio", "Enhanced AC-3"),
    *("DTS-HD", "MAT", "DST", "WMA Pro", "extended"),
)
_SAMPLE_KHZ = ("32", "44.1", "48", "88.2", "96", "176.4", "192")
_SPEAKERS = ("FL/FR", "LFE", "FC", "BL/BR", "BC", "FLc/FRc", "RLC/RRC", "FLw/FRw")
_COLORIMETRY = ("xvYCC601", "xvYCC709", "sYCC601", "opYCC601", "opRGB", "BT2020cYCC", "BT2020YCC", "BT2020RGB")
_HDR = ("SDR", "traditional HDR", "PQ", "HLG")
_SCAN = ("not said", "overscanned", "underscanned", "both")


def show(edid: Edid) -> str:
    """What is in it, one fact a line, blocks after each other."""
    lines = ["block 0: base", *(f"  {line}" for line in _base(edid.base))]
    for at, block in enumerate(edid.extensions, 1):
        if isinstance(block, CtaBlock):
            lines.append(f"block {at}: CTA-861, revision {block.revision}")
            lines += [f"  {line}" for line in _cta(block)]
        else:
            name = EXTENSIONS.get(block.tag, f"tag 0x{block.tag:02x}")
            lines.append(f"block {at}: {name}, kept unchanged: {block.content.rstrip(bytes(1)).hex(' ') or 'empty'}")
    return "\n".join(lines)


def explain(edid: Edid) -> str:
    """A table with each mode once, and below it why modes are not supported."""
    found: dict[str, tuple[Offer, list[str]]] = {}
    for offer in offers(edid):
        found.setdefault(offer.mode, (offer, []))[1].append(offer.by)
    head = ("mode", "MHz", "lanes", "macroblocks/s", "level 4.0", "level 4.2", "frame", "expected", "supported", "by")
    rows = [head, *(_row(offer, by) for offer, by in found.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    left = {0, 8, 9}
    lines = [
        "  ".join(cell.ljust(width) if at in left else cell.rjust(width) for at, (cell, width) in columns).rstrip()
        for columns in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    lines += ["", *(f"{offer.mode}: {offer.why_not}" for offer, _ in found.values() if offer.why_not)]
    rates = " and ".join(f"{rate // 1_000_000}" for rate in timings.LANE_RATES_BPS)
    lines += [
        f"The first mode is the preferred one. Lanes are CSI-2 lanes for UYVY at {rates} Mb/s each; there are 2.",
        f"Levels: share of H.264's limit; the encoder's own limit is {timings.ENCODER_MACROBLOCKS_S:,} macroblocks/s.",
        "Expected: from the first line at the HDMI input to the encoded picture, computed, not measured:",
        "one frame to capture, and the encoder at its rated speed.",
    ]
    return "\n".join(lines[1:] if not lines[0] else lines)


def _row(offer: Offer, by: list[str]) -> tuple[str, ...]:
    timing = offer.timing
    supported, places = "no" if offer.why_not else "yes", ", ".join(dict.fromkeys(by))
    if timing is None or timing.interlaced:
        return (offer.mode, *["-"] * 7, supported, places)
    lanes = " / ".join(str(timing.lanes(rate)) for rate in timings.LANE_RATES_BPS)
    levels = [f"{100 * timing.macroblocks_s / most:.1f} %" for most in timings.LEVEL_MACROBLOCKS_S.values()]
    expected = "-" if offer.why_not else f"{float(timing.latency_us) / 1000:.0f} ms"
    frame = f"{float(timing.frame_us) / 1000:.1f} ms"
    clock = f"{timing.pixel_clock_hz / 1e6:.6g}"
    return (offer.mode, clock, lanes, f"{timing.macroblocks_s:,}", *levels, frame, expected, supported, places)


def _base(base: Base) -> list[str]:
    made = f"{base.year + 1990}" if base.week in {0, 0xFF} else f"week {base.week} of {base.year + 1990}"
    size = f"{base.width_cm}x{base.height_cm} cm" if base.width_cm and base.height_cm else "not said"
    lines = [
        f"EDID {base.version}.{base.revision}, maker {base.maker}, product {base.product}, serial {base.serial}",
        f"{'digital' if base.video_input & DIGITAL else 'analogue'} input, size {size}, made {made}",
    ]
    number = 0
    for place in base.places:
        if isinstance(place, Descriptor):
            if place != EMPTY:
                lines.append(_descriptor(place))
        else:
            number += 1
            note = " (preferred)" if number == 1 else ""
            lines.append(f"timing {detailed_offer(place, '').mode}, {place.clock / 100:g} MHz{note}")
    modes = [established_offer(bit).mode for bit in established_bits(base.established)]
    lines += [f"established: {', '.join(modes)}"] * bool(modes)
    modes = [standard_offer(code).mode for code in base.standard if code != b"\x01\x01"]
    lines += [f"standard: {', '.join(modes)}"] * bool(modes)
    return [*lines, f"extension blocks: {base.extensions}"]


def _descriptor(place: Descriptor) -> str:
    if place.tag in _TEXTS:
        return f"{_TEXTS[place.tag]} {place.text!r}"
    if place.tag == TAG_RANGE:
        limits = RangeLimits.of(place)
        formula = _FORMULAS.get(limits.formula, f"unknown formula 0x{limits.formula:02x}")
        spans = f"{limits.min_v_hz}-{limits.max_v_hz} Hz, {limits.min_h_khz}-{limits.max_h_khz} kHz"
        return f"range limits {spans}, up to {limits.max_clock_mhz} MHz, {formula}"
    return f"descriptor 0x{place.tag:02x}: {place.payload.hex(' ')}"


def _cta(block: CtaBlock) -> list[str]:
    says = {AUDIO: "basic audio", UNDERSCAN: "underscan", YCBCR_444: "YCbCr 4:4:4", YCBCR_422: "YCbCr 4:2:2"}
    said = [text for bit, text in says.items() if block.flags & bit]
    lines = [", ".join([*said, f"native timings {block.flags & NATIVE}"])]
    for data in block.data_blocks:
        lines.append(f"{block_name(data)}: {_data_block(data)}")
    lines += [f"timing {detailed_offer(item, '').mode}, {item.clock / 100:g} MHz" for item in block.timings]
    return lines


def _data_block(data: DataBlock) -> str:
    key = ("vendor", data.oui) if data.oui is not None else ("extended", data.extended)
    reader = _READERS.get(key) or _READERS.get(("tag", data.tag), _raw)
    said = reader(data.payload)
    return said if data.claimed == len(data.payload) else f"{said} (claims {data.claimed} bytes)"


def _raw(payload: bytes) -> str:
    return payload.hex(" ") or "empty"


def _videos(payload: bytes) -> str:
    videos = map(ShortVideo.parse, payload)
    shown = (f"{video.vic} {video_offer(video).mode}{' (native)' * video.native}" for video in videos)
    return ", ".join(shown) or "empty"


def _audio(payload: bytes) -> str:
    parts = []
    for at in range(0, len(payload) - 2, 3):
        kind, rates = payload[at] >> 3 & 15, _bits(payload[at + 1], _SAMPLE_KHZ, "/")
        parts.append(f"{_AUDIO[kind]}, {(payload[at] & 7) + 1} channels, {rates} kHz")
    return "; ".join(parts) or _raw(payload)


def _speakers(payload: bytes) -> str:
    return _bits(payload[0], _SPEAKERS) if payload else "empty"


def _hdmi(payload: bytes) -> str:
    if len(payload) < 5:
        return _raw(payload)
    parts = ["address " + ".".join(f"{nibble:x}" for byte in payload[3:5] for nibble in (byte >> 4, byte & 15))]
    if len(payload) > 5:
        names = ("DVI dual", "", "", "YCbCr deep colour", "30 bit", "36 bit", "48 bit", "audio flags (AI)")
        parts += [_bits(payload[5] & 0xF9, names)] * bool(payload[5] & 0xF9)
    if len(payload) > 6:
        parts.append(f"up to {payload[6] * 5} MHz")
    if len(payload) > 9 and payload[7] & 0x80:
        parts.append(f"own latency picture {_latency(payload[8])}, sound {_latency(payload[9])}")
    parts += [f"HDMI VIC {vic} {timings.hdmi_vic_refusal(vic)[0]}" for vic in hdmi_vics(DataBlock.of(3, payload))]
    return ", ".join(parts)


def _latency(value: int) -> str:
    return f"{(value - 1) * 2} ms" if 1 <= value <= 251 else "not said"


def _hdmi_forum(payload: bytes) -> str:
    if len(payload) < 5:
        return _raw(payload)
    names = ("3D OSD", "3D dual", "3D independent", "low rates scrambled", "", "", "read request", "SCDC")
    flags = [_bits(payload[5], names)] if len(payload) > 5 and payload[5] & 0xCF else []
    rate = f"up to {payload[4] * 5} MHz" if payload[4] else "up to 340 MHz"
    return ", ".join([f"version {payload[3]}", rate, *flags])


def _colorimetry(payload: bytes) -> str:
    return _bits(payload[1], _COLORIMETRY) if len(payload) > 1 else "empty"


def _hdr(payload: bytes) -> str:
    return _bits(payload[1], _HDR) if len(payload) > 1 else "empty"


def _capability(payload: bytes) -> str:
    if len(payload) < 2:
        return "empty"
    byte = payload[1]
    scans = (f"{kind} {_SCAN[byte >> shift & 3]}" for kind, shift in (("preferred", 4), ("IT", 2), ("CE", 0)))
    chosen = _bits(byte >> 6, ("RGB", "YCbCr"))
    return ", ".join([f"quantization selectable: {chosen}", *scans])


def _extension_count(payload: bytes) -> str:
    return f"{payload[1]} extension blocks" if len(payload) > 1 else "empty"


def _videos_420(payload: bytes) -> str:
    return _videos(payload[1:])


def _bits(value: int, names: tuple[str, ...], between: str = ", ") -> str:
    return between.join(name for bit, name in enumerate(names) if name and value >> bit & 1) or "none"


_READERS: dict[tuple[str, int | None], Callable[[bytes], str]] = {
    ("tag", VIDEO_BLOCK): _videos,
    ("tag", AUDIO_BLOCK): _audio,
    ("tag", SPEAKER_BLOCK): _speakers,
    ("vendor", OUI_HDMI): _hdmi,
    ("vendor", OUI_HDMI_FORUM): _hdmi_forum,
    ("extended", VIDEO_CAPABILITY): _capability,
    ("extended", COLORIMETRY): _colorimetry,
    ("extended", HDR_STATIC): _hdr,
    ("extended", EXTENSION_COUNT): _extension_count,
    ("extended", 14): _videos_420,
}
