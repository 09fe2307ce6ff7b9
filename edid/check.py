"""What is wrong with an EDID: checksums, contradictions, and offers that the chain does not keep; a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from thinair.edid.base import (
    DIGITAL,
    INTERLACED,
    PREFERRED_FIRST,
    SRGB,
    SRGB_CHROMATICITY,
    TAG_EMPTY,
    TAG_NAME,
    TAG_RANGE,
    Base,
    Descriptor,
    DetailedTiming,
    RangeLimits,
)
from thinair.edid.cta import (
    AUDIO,
    NATIVE,
    OUI_HDMI,
    UNDERSCAN,
    VENDOR_BLOCK,
    VIDEO_CAPABILITY,
    YCBCR_422,
    YCBCR_444,
    CtaBlock,
    DataBlock,
    ShortVideo,
)
from thinair.edid.names import block_name
from thinair.edid.parse import Edid, Offer, offers, parse, wrong_checksums
from thinair.edid.timings import VICS, Timing

DRIVER_BLOCKS = 8
RGB_SELECTABLE = 0x40
TEXT_TAGS = frozenset({0xFC, 0xFE, 0xFF})


def check(data: bytes) -> list[str]:
    """Empty for an EDID without a fault. Raises EdidError for bytes that are no EDID."""
    edid = parse(data)
    faults = [f"block {at}: checksum 0x{has:02x}, expected 0x{right:02x}" for at, has, right in wrong_checksums(data)]
    faults += _base(edid.base)
    for at, block in enumerate(edid.extensions, 1):
        if isinstance(block, CtaBlock):
            faults += [f"block {at}: {fault}" for fault in _cta(block)]
    return faults + list(_whole(edid))


def out_of_limits(limits: RangeLimits, timings: list[Timing]) -> list[str]:
    """What the timings need and the range limits exclude: one sentence for each of rate, line frequency and clock."""
    wide = 0.5  # limits are whole numbers, and timings come at 1000/1001 of their rate too
    checks = (
        ("rates", "Hz", [float(item.rate) for item in timings], limits.min_v_hz, limits.max_v_hz),
        (
            "line frequencies",
            "kHz",
            [float(item.line_hz) / 1e3 for item in timings],
            limits.min_h_khz,
            limits.max_h_khz,
        ),
        ("pixel clocks", "MHz", [item.pixel_clock_hz / 1e6 for item in timings], 0, limits.max_clock_mhz),
    )
    faults = []
    for what, unit, values, low, high in checks:
        if values and (min(values) < low - wide or max(values) > high + wide):
            span = f"{low} to {high} {unit}" if low else f"at most {high} {unit}"
            faults.append(f"range limits are {span}, but modes have {what} of {_span(values)} {unit}")
    return faults


def input_known(base: Base) -> bool:
    """Whether the byte of a digital input means something in its revision: depth and interface came with 1.4."""
    if base.revision < 4:
        return not base.video_input & 0x7E
    return base.video_input & 0x70 != 0x70 and base.video_input & 0x0F <= 5


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.5g}", f"{max(values):.5g}"
    return low if low == high else f"{low} to {high}"


def _base(base: Base) -> Iterator[str]:
    first, *_ = base.places
    if base.revision not in {3, 4}:
        yield f"block 0: EDID 1.{base.revision}; HDMI requires 1.3 or 1.4"
    if 54 < base.week < 255:
        yield f"block 0: week {base.week} does not exist"
    if not base.video_input & DIGITAL:
        yield "block 0: input marked as analogue; HDMI is digital"
    elif not input_known(base):
        yield f"block 0: input byte 0x{base.video_input:02x} is reserved"
    if "?" in base.maker:
        yield "block 0: manufacturer id is not three letters"
    if not isinstance(first, DetailedTiming):
        yield "block 0: the first descriptor is not a timing, so no mode is preferred"
    elif base.revision < 4 and not base.features & PREFERRED_FIRST:
        yield "block 0: the first timing is not marked as the preferred one"
    if (base.chromaticity == SRGB_CHROMATICITY) != bool(base.features & SRGB):
        yield "block 0: colour coordinates and sRGB bit contradict each other"
    yield from _places(base)


def picture_mm(edid: Edid) -> tuple[int, int]:
    """The largest width and height of a picture among its timings."""
    widths, heights = (item.width_mm for item in edid.detailed), (item.height_mm for item in edid.detailed)
    return max(widths, default=0), max(heights, default=0)


def too_large(width_mm: int, height_mm: int, base: Base) -> bool:
    """Whether a picture does not fit the display, whose size is in whole centimetres, 0 where it is not said."""
    if not base.width_cm or not base.height_cm:
        return bool(width_mm or height_mm)
    return width_mm > base.width_cm * 10 + 9 or height_mm > base.height_cm * 10 + 9


def _places(base: Base) -> Iterator[str]:
    seen_descriptor = False
    for number, place in enumerate(base.places, 1):
        if isinstance(place, Descriptor):
            seen_descriptor = True
            yield from (f"block 0: descriptor {number}: {fault}" for fault in _descriptor(place, base.revision))
        elif seen_descriptor:
            yield f"block 0: descriptor {number}: a timing follows another descriptor"
    for tag, name in ((TAG_NAME, "name"), (TAG_RANGE, "range limits")):
        found = len(base.descriptors(tag))
        if found > 1 or (not found and base.revision == 3):
            yield f"block 0: {found or 'no'} {name}; exactly one is required"


def _sizes(edid: Edid) -> Iterator[str]:
    base = edid.base
    width, height = picture_mm(edid)
    if too_large(width, height, base):
        size = f"of {base.width_cm}x{base.height_cm} cm" if base.width_cm and base.height_cm else "without a size"
        yield f"block 0: a timing has an image size of {width}x{height} mm on a display {size}"


def _descriptor(place: Descriptor, revision: int) -> Iterator[str]:
    if place.reserved or (place.offsets and (place.tag != TAG_RANGE or revision < 4)):
        yield "reserved bytes are not 0"
    if TAG_EMPTY < place.tag < 0xF7:
        yield f"type 0x{place.tag:02x} is reserved"
    if place == Descriptor(0, bytes(13)) or (place.tag == TAG_EMPTY and any(place.payload)):
        yield "empty descriptor in a wrong form"
    if place.tag in TEXT_TAGS:
        _, end, rest = place.payload.partition(b"\n")
        if not place.text:
            yield "empty text"
        if "." * len(place.text) == place.text or any(not 32 <= byte < 127 for byte in place.payload.split(b"\n")[0]):
            yield "text is not ASCII"
        if end and rest.strip(b" "):
            yield "text is not padded with spaces"
    if place.tag == TAG_RANGE:
        limits = RangeLimits.of(place)
        if limits.min_v_hz > limits.max_v_hz or limits.min_h_khz > limits.max_h_khz or not limits.max_clock_mhz:
            yield "range limits exclude every mode"
        allowed = {0, 2} if revision < 4 else {0, 1, 2, 4}
        if limits.formula not in allowed:
            yield f"range limits have an unknown formula byte 0x{limits.formula:02x}"
        elif not limits.filled:
            yield "padding of the range limits does not match their formula byte"


def _cta(block: CtaBlock) -> Iterator[str]:
    for data in block.data_blocks:
        yield from _data_block(data)
    if any(block.padding):
        yield "bytes after the last timing are not 0"
    if scan_flags(block) != block.flags:
        yield "underscan bit and video capability block contradict each other"
    if bool(block.flags & YCBCR_444) != bool(block.flags & YCBCR_422):
        yield "only one of YCbCr 4:4:4 and 4:2:2 is offered; both or none are required"
    if block.flags & AUDIO or any(data.is_audio for data in block.data_blocks):
        yield "audio is offered, but not captured"
    codes = [video.vic for video in block.videos]
    if block.revision != 3 and block.vendor(OUI_HDMI):
        yield f"revision {block.revision}; HDMI requires 3"
    if 0 in codes:
        yield "reserved code in the video data block"
    for vic in sorted({vic for vic in codes if vic and codes.count(vic) > 1}):
        yield f"VIC {vic} is offered twice"


def scan_flags(block: CtaBlock) -> int:
    """The flags with the underscan bit as the video capability block has it, which may say how IT pictures come."""
    scans = [data.payload[1] >> 2 & 3 for data in block.data_blocks if data.extended == 0 and len(data.payload) > 1]
    if scans[:1] == [1]:
        return block.flags & ~UNDERSCAN
    return block.flags | UNDERSCAN if scans[:1] == [2] else block.flags


def _data_block(data: DataBlock) -> Iterator[str]:
    name = block_name(data)
    if data.claimed != len(data.payload):
        header, right = data.tag << 5 | data.claimed, data.tag << 5 | len(data.payload)
        yield (
            f"the {name} claims {data.claimed} bytes where there is room for {len(data.payload)}: "
            f"its header 0x{header:02X} should be 0x{right:02X}"
        )
    elif data.extended == VIDEO_CAPABILITY and len(data.payload) != 2:
        yield f"the {name} has {len(data.payload)} bytes, and must have 2: its header should be 0xE2"
    elif data.extended == VIDEO_CAPABILITY and not data.payload[1] & RGB_SELECTABLE:
        yield f"the {name} does not make the quantization of RGB selectable"
    if data.oui == OUI_HDMI and len(data.payload) > 6 and data.payload[6] > 68:
        yield f"the {name} has a rate of {data.payload[6] * 5} MHz, the maximum of HDMI 1.4 is 340"
    if data.oui == OUI_HDMI and len(data.payload) < 5:
        yield f"the {name} is too short for its address"
    if data.tag == VENDOR_BLOCK and data.oui is None:
        yield f"the {name} is too short for its vendor id"


def _whole(edid: Edid) -> Iterator[str]:
    blocks = 1 + len(edid.extensions)
    if edid.announced != len(edid.extensions):
        yield f"{edid.announced} extension blocks announced, {len(edid.extensions)} present"
    if blocks > DRIVER_BLOCKS:
        yield f"{blocks} blocks; the bridge's driver accepts {DRIVER_BLOCKS}"
    if not edid.cta:
        yield "no CTA-861 block: a camera sends DVI, without HDMI's colour formats"
    elif not any(block.vendor(OUI_HDMI) for block in edid.cta):
        yield "no HDMI vendor block: a camera sends DVI, without HDMI's colour formats"
    found = offers(edid)
    if not any(data.extended == VIDEO_CAPABILITY for block in edid.cta for data in block.data_blocks):
        yield "no video capability block: a camera may use the wrong quantization range"
    for ranges in edid.base.descriptors(TAG_RANGE)[:1]:
        yield from out_of_limits(RangeLimits.of(ranges), supported_timings(found))
    if not any(offer.timing and offer.timing.name in {"VIC 1", "DMT 0x04"} for offer in found):
        yield "640x480@60 is missing, which CTA-861 requires of every display"
    yield from _sizes(edid)
    if edid.cta and (native := edid.cta[0].flags & NATIVE) > len(edid.detailed):
        yield f"{native} timings marked as native, of {len(edid.detailed)}"
    if mixed := native_mix(edid):
        yield mixed
    for offer in found:
        if offer.why_not:
            yield f"{offer.by} offers {offer.mode}, which is not supported: {offer.why_not}"
    if not any(not offer.why_not for offer in found):
        yield "no supported mode"


def supported_timings(found: list[Offer]) -> list[Timing]:
    return [offer.timing for offer in found if offer.timing and not offer.timing.interlaced]


def native_sizes(edid: Edid) -> list[tuple[int, int]]:
    """Sizes of the progressive modes that it calls native: its first timings, and VICs with the mark."""
    if not edid.cta:
        return []
    detailed = edid.detailed[: edid.cta[0].flags & NATIVE]
    sizes = [(item.h_active, item.v_active) for item in detailed if not item.flags & INTERLACED]
    marked = [VICS[video.vic] for block in edid.cta for video in block.videos if _marked(video)]
    return sizes + [(timing.width, timing.height) for timing in marked]


def native_mix(edid: Edid) -> str:
    sizes = sorted(set(native_sizes(edid)))
    shown = " and ".join(f"{width}x{height}" for width, height in sizes)
    return f"several sizes marked as native: {shown}" if len(sizes) > 1 else ""


def _marked(video: ShortVideo) -> bool:
    return video.native and video.vic in VICS
