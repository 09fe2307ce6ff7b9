"""The CTA-861 extension block (CTA-861-H section 7.5) and its data blocks."""

from __future__ import annotations

from dataclasses import dataclass

from thinair.edid.base import BLOCK_BYTES, DESCRIPTOR_BYTES, DetailedTiming, checksum
from thinair.edid.errors import EdidError

CTA_TAG = 0x02
UNDERSCAN, AUDIO, YCBCR_444, YCBCR_422, NATIVE = 0x80, 0x40, 0x20, 0x10, 0x0F  # of `flags`
AUDIO_BLOCK, VIDEO_BLOCK, VENDOR_BLOCK, SPEAKER_BLOCK, TRANSFER_BLOCK, EXTENDED = 1, 2, 3, 4, 5, 7
VIDEO_CAPABILITY, COLORIMETRY, HDR_STATIC, HDR_DYNAMIC, Y420_VIDEO, Y420_MAP = 0, 5, 6, 7, 14, 15
EXTENSION_COUNT = 0x78
# Extended blocks with nothing but audio in them: vendor-specific audio, audio of HDMI, rooms and speakers.
AUDIO_EXTENDED = frozenset({17, 18, 19, 20})
OUI_HDMI, OUI_HDMI_FORUM = 0x000C03, 0xC45DD8


@dataclass(frozen=True, slots=True)
class DataBlock:
    """One data block: its payload byte for byte, and the length its header claims, which is the payload's own wherever
    the collection has room for it."""

    tag: int
    payload: bytes
    claimed: int

    @classmethod
    def of(cls, tag: int, payload: bytes) -> DataBlock:
        return cls(tag, payload, len(payload))

    def to_bytes(self) -> bytes:
        return bytes((self.tag << 5 | self.claimed,)) + self.payload

    @property
    def extended(self) -> int | None:
        """The extended tag; None where the block has none."""
        return self.payload[0] if self.tag == EXTENDED and self.payload else None

    @property
    def oui(self) -> int | None:
        """Whose a vendor block is; None where it is no vendor block."""
        return (
            int.from_bytes(self.payload[:3], "little") if self.tag == VENDOR_BLOCK and len(self.payload) >= 3 else None
        )

    @property
    def is_audio(self) -> bool:
        return self.tag in {AUDIO_BLOCK, SPEAKER_BLOCK} or self.extended in AUDIO_EXTENDED


@dataclass(frozen=True, slots=True)
class ShortVideo:
    """A short video descriptor: one byte (CTA-861-H section 7.5.1). `vic` 0 is reserved."""

    vic: int
    native: bool

    @classmethod
    def parse(cls, code: int) -> ShortVideo:
        if code in {0, 128, 254, 255}:
            return cls(0, native=False)
        return cls(code & 127, native=True) if 129 <= code <= 192 else cls(code, native=False)


@dataclass(frozen=True, slots=True)
class CtaBlock:
    """`padding` is what follows the timings. `empty`: its offset is 0, so there are neither data blocks nor timings."""

    revision: int
    flags: int
    data_blocks: tuple[DataBlock, ...]
    timings: tuple[DetailedTiming, ...]
    padding: bytes
    empty: bool = False

    @classmethod
    def parse(cls, block: bytes, where: str) -> CtaBlock | OtherBlock:
        """`where` names the block in errors. Before revision 3 there are no data blocks: with bytes in their place the
        block is kept whole. Raises EdidError for an offset that cannot be."""
        revision, at, flags = block[1:4]
        if at == 0:
            return cls(revision, flags, (), (), block[4:-1], empty=True)
        if not 4 <= at < BLOCK_BYTES:
            raise EdidError(f"{where}: timings begin at byte {at}, must be 0 or 4 to 127")
        if revision < 3 and at > 4:
            return OtherBlock(block[0], block[1:-1])
        timings = []
        end = at
        while end + DESCRIPTOR_BYTES < BLOCK_BYTES and (block[end] or block[end + 1]):
            timings.append(DetailedTiming.parse(block[end : end + DESCRIPTOR_BYTES]))
            end += DESCRIPTOR_BYTES
        return cls(revision, flags, _collection(block[4:at]), tuple(timings), block[end:-1])

    @classmethod
    def of(cls, flags: int, data_blocks: tuple[DataBlock, ...], timings: tuple[DetailedTiming, ...]) -> CtaBlock:
        """Raises EdidError where it is too much for one block."""
        used = sum(1 + len(block.payload) for block in data_blocks) + DESCRIPTOR_BYTES * len(timings)
        if used > BLOCK_BYTES - 5:
            raise EdidError("no room in one CTA-861 block: offer fewer modes")
        return cls(3, flags, data_blocks, timings, bytes(BLOCK_BYTES - 5 - used))

    def to_bytes(self) -> bytes:
        collection = b"".join(block.to_bytes() for block in self.data_blocks)
        head = bytes((CTA_TAG, self.revision, 0 if self.empty else 4 + len(collection), self.flags))
        block = head + collection + b"".join(timing.to_bytes() for timing in self.timings) + self.padding
        return block + bytes((checksum(block),))

    @property
    def videos(self) -> tuple[ShortVideo, ...]:
        """Of all its video data blocks, in their order."""
        codes = (code for block in self.data_blocks if block.tag == VIDEO_BLOCK for code in block.payload)
        return tuple(ShortVideo.parse(code) for code in codes)

    def vendor(self, oui: int) -> DataBlock | None:
        return next((block for block in self.data_blocks if block.oui == oui), None)


@dataclass(frozen=True, slots=True)
class OtherBlock:
    """An extension block that is kept unchanged: tag and the 126 bytes after it."""

    tag: int
    content: bytes

    def to_bytes(self) -> bytes:
        block = bytes((self.tag,)) + self.content
        return block + bytes((checksum(block),))


def hdmi_vics(block: DataBlock) -> tuple[int, ...]:
    """The HDMI VICs of an HDMI vendor block (HDMI 1.4b section 8.3.2)."""
    raw = block.payload
    if len(raw) < 8 or not raw[7] & 0x20:
        return ()
    at = 8 + 2 * bool(raw[7] & 0x80) + 2 * bool(raw[7] & 0x40)
    return tuple(raw[at + 1 : at + 1 + (raw[at] >> 5)]) if at < len(raw) else ()


def _collection(data: bytes) -> tuple[DataBlock, ...]:
    blocks = []
    while data:
        claimed = data[0] & 31
        blocks.append(DataBlock(data[0] >> 5, data[1 : 1 + claimed], claimed))
        data = data[1 + claimed :]
    return tuple(blocks)
