"""Builds an EDID that offers supported modes and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

from thinair.edid.base import (
    DIGITAL,
    EMPTY,
    NO_STANDARD,
    PREFERRED_FIRST,
    SRGB,
    SRGB_CHROMATICITY,
    TAG_NAME,
    Base,
    Descriptor,
    DetailedTiming,
    RangeLimits,
)
from thinair.edid.cta import EXTENDED, UNDERSCAN, VENDOR_BLOCK, VIDEO_BLOCK, YCBCR_422, YCBCR_444, CtaBlock, DataBlock
from thinair.edid.errors import EdidError, ModeError
from thinair.edid.parse import Edid
from thinair.edid.timings import NTSC, VICS, Timing, find, refusal

Item = TypeVar("Item")
DEFAULT_NAME = "thinair"
PRESETS: dict[str, tuple[int, ...]] = {
    "low-latency": (4, 19),  # 720p60, 720p50
    "resolution": (34, 33, 32),  # 1080p30, 1080p25, 1080p24
    "everything": (4, 19, 34, 33, 32, 62, 61, 60, 18, 3),
}
_MAKER = (20 << 10) | (8 << 5) | 1  # THA: three letters for the maker, registered to nobody
_PRODUCT = 1
_YEAR = 2026 - 1990
_VGA = VICS[1]  # CTA-861 asks every sink for it
# HDMI vendor block: physical address 1.0.0.0, no flags, 150 MHz (HDMI 1.4b section 8.3.2).
_HDMI = DataBlock.of(VENDOR_BLOCK, bytes.fromhex("030c001000001e"))
# Video capability block: quantization of both kinds selectable, IT and CE pictures always underscanned.
_CAPABILITY = DataBlock.of(EXTENDED, bytes.fromhex("00ca"))


def preset(name: str, title: str = DEFAULT_NAME) -> bytes:
    """The EDID of a preset: low-latency, resolution or everything. Raises ModeError for another."""
    if name not in PRESETS:
        raise ModeError(f"preset {name!r} is unknown: use {', '.join(PRESETS)}")
    return build([VICS[vic] for vic in PRESETS[name]], title)


def mode(width: int, height: int, rate: Fraction) -> Timing:
    """The timing of a mode that the hardware supports. Raises ModeError, saying why, for another one."""
    timing = find(width, height, rate)
    if timing is None:
        raise ModeError(f"{width}x{height}@{float(rate):g} is not a mode of CTA-861 or DMT that the bridge supports")
    if reason := refusal(timing):
        raise ModeError(f"{timing} is not supported: {reason}")
    return timing


def build(modes: Sequence[Timing], title: str = DEFAULT_NAME) -> bytes:
    """256 bytes. The first mode is the preferred one; 640x480 is added, as CTA-861 demands. No audio is offered. Raises
    ModeError for a name that does not fit, no mode at all, or more modes than there is room for."""
    if not (1 <= len(title) <= 13 and title.isascii() and title.isprintable() and title.strip() == title):
        raise ModeError(f"name {title!r} is too long or not ASCII: give 1 to 13 ASCII characters")
    if not modes:
        raise ModeError("no mode given: give one, such as 1280x720@60")
    first = DetailedTiming.of(modes[0])
    vics = _unique([vic for timing in modes if (vic := _vic(timing))] + [1])
    detailed = _unique([DetailedTiming.of(timing) for timing in modes if not _vic(timing)])
    others = [timing for timing in detailed if timing != first]
    limits, name = limits_of([*modes, _VGA]).descriptor(), Descriptor.of_text(TAG_NAME, title)
    places = (first, others[0], limits, name) if others else (first, limits, name, EMPTY)  # timings go first
    blocks = (DataBlock.of(VIDEO_BLOCK, bytes(vics)), _HDMI, _CAPABILITY)
    flags = UNDERSCAN | YCBCR_444 | YCBCR_422 | 1  # one native timing: the preferred one
    try:
        cta = CtaBlock.of(flags, blocks, tuple(others[1:]))
    except EdidError as error:
        raise ModeError(str(error)) from None
    base = Base(
        manufacturer=_MAKER,
        product=_PRODUCT,
        serial=0,
        week=0,
        year=_YEAR,
        version=1,
        revision=3,
        video_input=DIGITAL,
        width_cm=0,
        height_cm=0,
        gamma=120,  # 2.2
        features=0x08 | SRGB | PREFERRED_FIRST,  # RGB colour
        chromaticity=SRGB_CHROMATICITY,
        established=bytes((0x20, 0, 0)),  # 640x480@60
        standard=(NO_STANDARD,) * 8,
        places=places,
        extensions=1,
    )
    return Edid(base, (cta,)).to_bytes()


def limits_of(modes: Sequence[Timing]) -> RangeLimits:
    """The narrowest range limits in whole units with all modes in them, also at 1000/1001 of their rate."""
    rates = [timing.rate for timing in modes]
    lines = [timing.line_hz / 1000 for timing in modes]
    clock = max(timing.pixel_clock_hz for timing in modes)
    return RangeLimits(
        min_v_hz=int(min(rates) * NTSC),
        max_v_hz=-int(-max(rates) // 1),
        min_h_khz=int(min(lines) * NTSC),
        max_h_khz=-int(-max(lines) // 1),
        max_clock_mhz=-(-clock // 10_000_000) * 10,
    )


def _vic(timing: Timing) -> int | None:
    return int(timing.name[4:]) if timing.name.startswith("VIC ") else None


def _unique(items: Sequence[Item]) -> list[Item]:
    return list(dict.fromkeys(items))
