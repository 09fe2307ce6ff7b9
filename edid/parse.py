"""A whole EDID: base block and extensions, and the modes it offers."""

from __future__ import annotations

from dataclasses import dataclass

from thinair.edid import timings
from thinair.edid.base import BLOCK_BYTES, NO_STANDARD, TAG_STANDARD, Base, DetailedTiming, checksum
from thinair.edid.cta import CTA_TAG, EXTENSION_COUNT, OUI_HDMI, Y420_VIDEO, CtaBlock, OtherBlock, ShortVideo, hdmi_vics
from thinair.edid.errors import EdidError
from thinair.edid.timings import DEFAULT_CHAIN, Chain, Timing

MAX_BLOCKS = 256
# Of the base block's established timings, from the highest bit of its first byte on (table 3.18).
_ESTABLISHED = (
    *("720x400@70", "720x400@88", "640x480@60", "640x480@67", "640x480@72", "640x480@75", "800x600@56", "800x600@60"),
    *("800x600@72", "800x600@75", "832x624@75", "1024x768i@87", "1024x768@60", "1024x768@70", "1024x768@75"),
    *("1280x1024@75", "1152x870@75"),
)
_ASPECTS = ((16, 10), (4, 3), (5, 4), (16, 9))
_UNTOLD = {0xF7: "established timings III", 0xF8: "CVT codes"}


@dataclass(frozen=True, slots=True)
class Edid:
    base: Base
    extensions: tuple[CtaBlock | OtherBlock, ...]

    def to_bytes(self) -> bytes:
        """With the checksums that belong to it; otherwise, byte for byte, what was parsed."""
        return self.base.to_bytes() + b"".join(block.to_bytes() for block in self.extensions)

    @property
    def cta(self) -> tuple[CtaBlock, ...]:
        return tuple(block for block in self.extensions if isinstance(block, CtaBlock))

    @property
    def detailed(self) -> tuple[DetailedTiming, ...]:
        """The timings of all blocks, the preferred one first."""
        return self.base.timings + tuple(timing for block in self.cta for timing in block.timings)

    @property
    def announced(self) -> int:
        """Extension blocks that it claims to have: the base block's count, or that of HDMI's override."""
        for block in self.extensions[:1]:
            for data in block.data_blocks if isinstance(block, CtaBlock) else ():
                if data.extended == EXTENSION_COUNT and len(data.payload) == 2:
                    return data.payload[1]
        return self.base.extensions


@dataclass(frozen=True, slots=True)
class Offer:
    """One mode that an EDID offers. `why_not` says why it is not supported, empty where it is."""

    mode: str
    by: str  # what offers it: DTD 1, VIC 4, established, standard
    timing: Timing | None  # None: not a mode the chip could take
    why_not: str


def parse(data: bytes) -> Edid:
    """Raises EdidError, with a sentence, for bytes that are no EDID of version 1. Checksums are not looked at: that is
    what `check` is for."""
    if not data:
        raise EdidError("the EDID is empty")
    if len(data) % BLOCK_BYTES:
        raise EdidError(f"{len(data)} bytes are not an EDID, which has blocks of {BLOCK_BYTES} bytes")
    if len(data) > MAX_BLOCKS * BLOCK_BYTES:
        raise EdidError(f"{len(data)} bytes are too many for an EDID, which has at most {MAX_BLOCKS} blocks")
    blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
    base = Base.parse(blocks[0])
    return Edid(base, tuple(_extension(block, f"block {at}") for at, block in enumerate(blocks[1:], 1)))


def wrong_checksums(data: bytes) -> list[tuple[int, int, int]]:
    """(block, what it has, what it should have) of each block that does not sum to 0."""
    blocks = (data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES))
    return [(at, block[-1], checksum(block)) for at, block in enumerate(blocks) if block[-1] != checksum(block)]


def offers(edid: Edid, chain: Chain = DEFAULT_CHAIN) -> list[Offer]:
    """All modes in the order of preference: timings of the base block, those of its extensions, VICs, then the rest."""
    found = [detailed_offer(timing, f"DTD {number}", chain) for number, timing in enumerate(edid.detailed, 1)]
    for cta in edid.cta:
        found += [video_offer(video, chain) for video in cta.videos]
        found += [Offer(*_hdmi(vic)) for block in cta.data_blocks if block.oui == OUI_HDMI for vic in hdmi_vics(block)]
        found += [
            video_offer(ShortVideo.parse(code), chain, " in 4:2:0")
            for block in cta.data_blocks
            if block.extended == Y420_VIDEO
            for code in block.payload[1:]
        ]
    found += [established_offer(bit, chain) for bit in established_bits(edid.base.established)]
    found += [standard_offer(code, chain) for code in edid.base.standard if code != NO_STANDARD]
    for extra in edid.base.descriptors(TAG_STANDARD):
        codes = (extra.payload[at : at + 2] for at in range(0, 12, 2))
        found += [standard_offer(code, chain) for code in codes if code != NO_STANDARD]
    for tag, name in _UNTOLD.items():
        found += [Offer(name, name, None, "not examined: no camera uses them")] * bool(edid.base.descriptors(tag))
    return found


def detailed_offer(detailed: DetailedTiming, by: str, chain: Chain = DEFAULT_CHAIN) -> Offer:
    if not detailed.possible:
        size = f"{detailed.h_active}x{detailed.v_active}"
        return Offer(size, by, None, "impossible: picture or sync does not fit the total")
    timing = detailed.timing
    return Offer(str(timing), by, timing, timings.refusal(timing, chain))


def video_offer(video: ShortVideo, chain: Chain = DEFAULT_CHAIN, note: str = "") -> Offer:
    by = f"VIC {video.vic}{note}"
    if timing := timings.VICS.get(video.vic):
        return Offer(str(timing), by, timing, timings.refusal(timing, chain))
    mode, why_not = timings.vic_refusal(video.vic)
    return Offer(mode, by, None, why_not)


def established_bits(established: bytes) -> list[int]:
    """Positions of the bits that are set, the highest of the first byte being 0; the maker's own are removed."""
    return [bit for bit in range(len(_ESTABLISHED)) if established[bit // 8] & 0x80 >> bit % 8]


def established_offer(bit: int, chain: Chain = DEFAULT_CHAIN) -> Offer:
    mode = _ESTABLISHED[bit]
    size, _, rate = mode.partition("@")
    width, height = size.rstrip("i").split("x")
    timing = None if size.endswith("i") else timings.dmt(int(width), int(height), int(rate))
    return _coarse(mode, "established", timing, chain)


def standard_offer(code: bytes, chain: Chain = DEFAULT_CHAIN) -> Offer:
    """Of two bytes: width, aspect and rate."""
    width, (across, down) = (code[0] + 31) * 8, _ASPECTS[code[1] >> 6]
    height, rate = width * down // across, (code[1] & 63) + 60
    return _coarse(f"{width}x{height}@{rate}", "standard", timings.dmt(width, height, rate), chain)


def _coarse(mode: str, by: str, timing: Timing | None, chain: Chain) -> Offer:
    if timing is None:
        interlaced = "interlaced: the bridge supports progressive pictures only"
        return Offer(mode, by, None, interlaced if "i@" in mode else "not a DMT mode that the bridge supports")
    return Offer(str(timing), by, timing, timings.refusal(timing, chain))


def _hdmi(vic: int) -> tuple[str, str, None, str]:
    mode, why_not = timings.hdmi_vic_refusal(vic)
    return mode, f"HDMI VIC {vic}", None, why_not


def _extension(block: bytes, where: str) -> CtaBlock | OtherBlock:
    return CtaBlock.parse(block, where) if block[0] == CTA_TAG else OtherBlock(block[0], block[1:-1])
