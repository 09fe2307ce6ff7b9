"""Fixes an EDID with as few changes as possible: unsupported modes are removed, the rest stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from thinair.edid.base import (
    DIGITAL,
    EMPTY,
    NO_STANDARD,
    PREFERRED_FIRST,
    SRGB,
    SRGB_CHROMATICITY,
    TAG_EMPTY,
    TAG_NAME,
    TAG_RANGE,
    TAG_STANDARD,
    Base,
    Descriptor,
    DetailedTiming,
    Place,
    RangeLimits,
    fits,
)
from thinair.edid.build import DEFAULT_NAME, limits_of
from thinair.edid.check import (
    DRIVER_BLOCKS,
    RGB_SELECTABLE,
    TEXT_TAGS,
    check,
    input_known,
    native_mix,
    out_of_limits,
    picture_mm,
    scan_flags,
    supported_timings,
    too_large,
)
from thinair.edid.cta import (
    AUDIO,
    EXTENDED,
    NATIVE,
    OUI_HDMI,
    VIDEO_BLOCK,
    VIDEO_CAPABILITY,
    Y420_MAP,
    Y420_VIDEO,
    YCBCR_422,
    YCBCR_444,
    CtaBlock,
    DataBlock,
    OtherBlock,
    ShortVideo,
    hdmi_vics,
)
from thinair.edid.errors import EdidError
from thinair.edid.names import block_name
from thinair.edid.parse import (
    Edid,
    detailed_offer,
    established_bits,
    established_offer,
    offers,
    parse,
    standard_offer,
    video_offer,
    wrong_checksums,
)

_UNTOLD = frozenset({0xF7, 0xF8})  # descriptors of modes that are not looked into
_LARGEST_MM = 2550  # a byte of centimetres
_VGA_BIT = 0x20  # of the first byte of the established timings


def fix(data: bytes) -> tuple[bytes, list[str]]:
    """(the fixed EDID, the changes as sentences). An EDID without faults is returned unchanged. Raises EdidError where
    bytes are not an EDID or where a fault cannot be fixed."""
    edid = parse(data)
    work = _Work()
    if check(data):
        edid = _fixed(edid, work)
    fixed = edid.to_bytes()
    for at, has, right in wrong_checksums(data):
        work.done.append(f"block {at}: wrong checksum 0x{has:02x} replaced by 0x{right:02x}")
    if left := check(fixed):
        raise EdidError(f"not fixable, {left[0]}: make a new EDID with thinair edid build")
    return fixed, work.done


@dataclass(slots=True)
class _Work:
    done: list[str] = field(default_factory=list)

    def note(self, text: str, changed: bool) -> None:
        if changed:
            self.done.append(text)


def _fixed(edid: Edid, work: _Work) -> Edid:
    steps: tuple[Callable[[Edid, _Work], Edid], ...] = (
        _extensions,
        _places,
        _coarse_modes,
        _features,
        _sizes,
        _native,
        _limits,
    )
    for step in steps:
        edid = step(edid, work)
    return edid


def _extensions(edid: Edid, work: _Work) -> Edid:
    kept = edid.extensions[: DRIVER_BLOCKS - 1]
    work.note(f"blocks after the eighth removed: {len(edid.extensions) - 7}", len(kept) < len(edid.extensions))
    blocks: list[CtaBlock | OtherBlock] = []
    for at, block in enumerate(kept, 1):
        blocks.append(_cta(block, f"block {at}: ", work) if isinstance(block, CtaBlock) else block)
    edid = replace(edid, extensions=tuple(blocks))
    if edid.announced != len(blocks):
        work.done.append(f"block 0: number of extension blocks set to {len(blocks)}")
        edid = replace(edid, base=replace(edid.base, extensions=len(blocks)))
    return edid


def _cta(block: CtaBlock, where: str, work: _Work) -> CtaBlock:
    data_blocks = []
    for data in block.data_blocks:
        fixed = _data_block(data, where, work)
        if fixed is not None:
            data_blocks.append(fixed)
    timings = []
    for timing in block.timings:
        offer = detailed_offer(timing, "timing")
        work.note(f"{where}timing {offer.mode} removed ({offer.why_not})", bool(offer.why_not))
        if not offer.why_not:
            timings.append(timing)
    flags = scan_flags(block)
    work.note(f"{where}underscan bit set as in the video capability block", flags != block.flags)
    work.note(f"{where}basic audio no longer offered", bool(flags & AUDIO))
    flags &= ~AUDIO
    if bool(flags & YCBCR_444) != bool(flags & YCBCR_422):
        flags |= YCBCR_444 | YCBCR_422
        work.done.append(f"{where}YCbCr 4:4:4 and 4:2:2 both offered")
    work.note(f"{where}bytes after the last timing set to 0", any(block.padding))
    used = sum(1 + len(data.payload) for data in data_blocks) + 18 * len(timings)
    revision = 3 if block.vendor(OUI_HDMI) else block.revision
    work.note(f"{where}revision set to 3, which HDMI requires", revision != block.revision)
    return replace(
        block,
        revision=revision,
        flags=flags,
        data_blocks=tuple(data_blocks),
        timings=tuple(timings),
        padding=bytes(123 - used),
    )


def _data_block(data: DataBlock, where: str, work: _Work) -> DataBlock | None:
    """None: removed."""
    name = block_name(data)
    if data.is_audio:
        work.done.append(f"{where}{name} removed")
        return None
    payload = data.payload
    if data.claimed != len(payload):
        work.done.append(f"{where}length of the {name} set to {len(payload)}")
    if data.extended == VIDEO_CAPABILITY and len(payload) > 2:
        payload = payload[:2]
        work.done.append(f"{where}length of the {name} set to 2")
    if data.extended == VIDEO_CAPABILITY and len(payload) == 2 and not payload[1] & RGB_SELECTABLE:
        payload = bytes((payload[0], payload[1] | RGB_SELECTABLE))
        work.done.append(f"{where}quantization of RGB made selectable")
    if data.tag == VIDEO_BLOCK:
        payload = _videos(payload, where, work)
    elif data.extended in {Y420_VIDEO, Y420_MAP} or (data.oui == OUI_HDMI and hdmi_vics(data)):
        if data.oui != OUI_HDMI:
            work.done.append(f"{where}{name} removed")
            return None
        payload = payload[:7]
        work.done.append(f"{where}modes of the {name} removed")
    if data.oui == OUI_HDMI and len(payload) > 5 and payload[5] & 0x80:
        payload = payload[:5] + bytes((payload[5] & 0x7F,)) + payload[6:]
        work.done.append(f"{where}audio flags of the {name} no longer set")
    if (data.tag == VIDEO_BLOCK and not payload) or (data.tag == EXTENDED and not payload):
        return None
    return DataBlock.of(data.tag, payload)


def _videos(codes: bytes, where: str, work: _Work) -> bytes:
    kept: dict[int, int] = {}
    for code in codes:
        video = ShortVideo.parse(code)
        offer = video_offer(video)
        work.note(f"{where}VIC {video.vic}, {offer.mode}, removed ({offer.why_not})", bool(offer.why_not))
        work.note(f"{where}second VIC {video.vic} removed", video.vic in kept)
        if not offer.why_not:
            kept.setdefault(video.vic, code)
    return bytes(kept.values())


def _places(edid: Edid, work: _Work) -> Edid:
    """Timings first, then one name, one range and what else there is."""
    base = edid.base
    timings: list[DetailedTiming] = []
    for timing in base.timings:
        offer = detailed_offer(timing, "timing")
        work.note(f"block 0: timing {offer.mode} removed ({offer.why_not})", bool(offer.why_not))
        if not offer.why_not:
            timings.append(timing)
    if not timings:
        able = (offer.timing for offer in offers(edid) if offer.timing and not offer.why_not)
        supported = next((timing for timing in able if fits(timing)), None)
        if supported is None:
            raise EdidError("not fixable, no mode can be the preferred one: make a new EDID with thinair edid build")
        timings = [DetailedTiming.of(supported)]
        work.done.append(f"block 0: {supported} made the preferred timing")
    kept: list[Descriptor] = []
    for place in base.places:
        if isinstance(place, Descriptor) and (place.tag == 0 or TAG_EMPTY <= place.tag < 0xF7):
            work.note("block 0: empty or unknown descriptor replaced by an empty one", place != EMPTY)
        elif isinstance(place, Descriptor):
            double = place.tag in {TAG_NAME, TAG_RANGE} and any(item.tag == place.tag for item in kept)
            work.note("block 0: descriptor removed", double or place.tag in _UNTOLD)
            if not double and place.tag not in _UNTOLD:
                kept.append(_descriptor(place, work))
    if not any(item.tag == TAG_RANGE for item in kept):
        kept.insert(0, RangeLimits(0, 0, 0, 0, 0).descriptor())  # _limits sets them
    if not any(item.tag == TAG_NAME for item in kept):
        kept.insert(0, Descriptor.of_text(TAG_NAME, DEFAULT_NAME))
        work.done.append(f"block 0: name {DEFAULT_NAME} added")
    kept.sort(key=lambda item: item.tag not in {TAG_NAME, TAG_RANGE})  # in their order, what must be there first
    places: list[Place] = [*timings[: 4 - min(2, len(kept))], *kept]
    work.note("block 0: surplus timings or texts removed", len(places) > 4 or len(timings) > 2)
    return replace(edid, base=replace(base, places=tuple([*places, EMPTY, EMPTY][:4])))


def _descriptor(place: Descriptor, work: _Work) -> Descriptor:
    clean = replace(place, reserved=0, offsets=0)
    if place.tag in TEXT_TAGS:
        text = "".join(chr(byte) for byte in place.payload.split(b"\n")[0] if 32 <= byte < 127).strip()
        clean = Descriptor.of_text(place.tag, text or DEFAULT_NAME)
    if place.tag == TAG_RANGE:
        clean = replace(clean, offsets=place.offsets)
    work.note("block 0: text or its padding corrected", clean != place)
    return clean


def _coarse_modes(edid: Edid, work: _Work) -> Edid:
    base = edid.base
    established = bytearray(base.established)
    for bit in established_bits(base.established):
        offer = established_offer(bit)
        if offer.why_not:
            established[bit // 8] &= ~(0x80 >> bit % 8)
            work.done.append(f"block 0: established timing {offer.mode} removed ({offer.why_not})")
    standard = [_standard(code, work) for code in base.standard]
    places = list(base.places)
    for at, place in enumerate(places):
        if isinstance(place, Descriptor) and place.tag == TAG_STANDARD:
            codes = (_standard(place.payload[i : i + 2], work) for i in range(0, 12, 2))
            places[at] = replace(place, payload=b"".join(codes) + b"\n")
    edid = replace(
        edid, base=replace(base, established=bytes(established), standard=tuple(standard), places=tuple(places))
    )
    if not any(offer.timing and offer.timing.name in {"VIC 1", "DMT 0x04"} for offer in offers(edid)):
        established[0] |= _VGA_BIT
        work.done.append("block 0: 640x480@60 added, which CTA-861 requires of every display")
        edid = replace(edid, base=replace(edid.base, established=bytes(established)))
    return edid


def _standard(code: bytes, work: _Work) -> bytes:
    if code == NO_STANDARD or not (offer := standard_offer(code)).why_not:
        return code
    work.done.append(f"block 0: standard timing {offer.mode} removed ({offer.why_not})")
    return NO_STANDARD


def _features(edid: Edid, work: _Work) -> Edid:
    base = edid.base
    features = base.features | PREFERRED_FIRST if base.revision < 4 else base.features
    features = features | SRGB if base.chromaticity == SRGB_CHROMATICITY else features & ~SRGB
    work.note("block 0: preferred timing and colours signalled", features != base.features)
    digital = base.video_input if base.video_input & DIGITAL and input_known(base) else DIGITAL
    work.note("block 0: digital input signalled", digital != base.video_input)
    week = 0 if 54 < base.week < 255 else base.week
    work.note("block 0: impossible week removed", week != base.week)
    fixed: Base = replace(base, week=week, features=features, video_input=digital)
    return replace(edid, base=fixed)


def _sizes(edid: Edid, work: _Work) -> Edid:
    """The display gets the size of its pictures; where that is not known, no size is said."""
    width, height = picture_mm(edid)
    if not too_large(width, height, edid.base):
        return edid
    if 0 < width <= _LARGEST_MM and 0 < height <= _LARGEST_MM:
        base = replace(edid.base, width_cm=-(-width // 10), height_cm=-(-height // 10))
        work.done.append(f"block 0: size of the display set to {base.width_cm}x{base.height_cm} cm")
        return replace(edid, base=base)
    work.done.append("image sizes removed")
    places = tuple(_sizeless(item) if isinstance(item, DetailedTiming) else item for item in edid.base.places)
    blocks = tuple(
        replace(block, timings=tuple(map(_sizeless, block.timings))) if isinstance(block, CtaBlock) else block
        for block in edid.extensions
    )
    return Edid(replace(edid.base, places=places, width_cm=0, height_cm=0), blocks)


def _sizeless(timing: DetailedTiming) -> DetailedTiming:
    return replace(timing, width_mm=0, height_mm=0)


def _native(edid: Edid, work: _Work) -> Edid:
    """Only the preferred timing stays native where several sizes are."""
    if not native_mix(edid) and not (edid.cta and edid.cta[0].flags & NATIVE > len(edid.detailed)):
        return edid
    work.done.append("block 1: only the preferred timing marked as native")
    blocks: list[CtaBlock | OtherBlock] = []
    for block in edid.extensions:
        if isinstance(block, CtaBlock):
            data = tuple(_unmarked(item) for item in block.data_blocks)
            blocks.append(replace(block, flags=block.flags & ~NATIVE | 1, data_blocks=data))
        else:
            blocks.append(block)
    return replace(edid, extensions=tuple(blocks))


def _unmarked(block: DataBlock) -> DataBlock:
    if block.tag != VIDEO_BLOCK:
        return block
    return DataBlock.of(VIDEO_BLOCK, bytes(ShortVideo.parse(code).vic for code in block.payload))


def _limits(edid: Edid, work: _Work) -> Edid:
    places = list(edid.base.places)
    modes = supported_timings(offers(edid))
    for at, place in enumerate(places):
        if isinstance(place, Descriptor) and place.tag == TAG_RANGE:
            old = RangeLimits.of(place)
            new = limits_of(modes)
            odd = old.formula not in {0, 1, 2, 4} or not old.filled
            if out_of_limits(old, modes) or odd:
                places[at] = new.descriptor()
                work.done.append(
                    f"block 0: range limits set to {new.min_v_hz} to {new.max_v_hz} Hz, "
                    f"{new.min_h_khz} to {new.max_h_khz} kHz, {new.max_clock_mhz} MHz"
                )
    return replace(edid, base=replace(edid.base, places=tuple(places)))
