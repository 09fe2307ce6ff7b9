"""The base block of an EDID (VESA E-EDID A.2, section 3). Every bit of it is in a field, so that what is parsed builds
the same bytes again."""

from __future__ import annotations

from dataclasses import dataclass

from thinair.edid.errors import EdidError, ModeError
from thinair.edid.timings import Timing

BLOCK_BYTES = 128
HEADER = bytes.fromhex("00ffffffffffff00")
DESCRIPTOR_BYTES = 18
NO_STANDARD = b"\x01\x01"
TAG_SERIAL, TAG_TEXT, TAG_RANGE, TAG_NAME, TAG_STANDARD, TAG_EMPTY = 0xFF, 0xFE, 0xFD, 0xFC, 0xFA, 0x10
DIGITAL, SRGB, PREFERRED_FIRST, CONTINUOUS = 0x80, 0x04, 0x02, 0x01  # of `video_input` and `features`
SRGB_CHROMATICITY = bytes.fromhex("ee91a3544c99260f5054")
SYNC_DIGITAL_SEPARATE, V_POSITIVE, H_POSITIVE, INTERLACED = 0x18, 0x04, 0x02, 0x80  # of a DTD's flags


def checksum(block: bytes) -> int:
    """What byte 127 must be, so that all 128 sum to 0 modulo 256."""
    return -sum(block[: BLOCK_BYTES - 1]) % 256


@dataclass(frozen=True, slots=True)
class DetailedTiming:
    """A DTD: 18 bytes. `clock` in 10 kHz; vertical values of an interlaced timing are those of one field."""

    clock: int
    h_active: int
    h_blank: int
    v_active: int
    v_blank: int
    h_front: int
    h_sync: int
    v_front: int
    v_sync: int
    width_mm: int
    height_mm: int
    h_border: int = 0
    v_border: int = 0
    flags: int = SYNC_DIGITAL_SEPARATE

    @classmethod
    def parse(cls, data: bytes) -> DetailedTiming:
        low, high = data[8:12], data[11]
        return cls(
            clock=data[0] | data[1] << 8,
            h_active=data[2] | (data[4] & 0xF0) << 4,
            h_blank=data[3] | (data[4] & 0x0F) << 8,
            v_active=data[5] | (data[7] & 0xF0) << 4,
            v_blank=data[6] | (data[7] & 0x0F) << 8,
            h_front=low[0] | (high & 0xC0) << 2,
            h_sync=low[1] | (high & 0x30) << 4,
            v_front=low[2] >> 4 | (high & 0x0C) << 2,
            v_sync=low[2] & 0x0F | (high & 0x03) << 4,
            width_mm=data[12] | (data[14] & 0xF0) << 4,
            height_mm=data[13] | (data[14] & 0x0F) << 8,
            h_border=data[15],
            v_border=data[16],
            flags=data[17],
        )

    @classmethod
    def of(cls, timing: Timing) -> DetailedTiming:
        """A progressive timing; the clock is rounded to 10 kHz. Raises ModeError where a porch is too long for it."""
        if not fits(timing):
            raise ModeError(
                f"{timing} cannot be the preferred mode, its porches are too long for an EDID: put another mode first"
            )
        polarity = H_POSITIVE * timing.h_positive | V_POSITIVE * timing.v_positive
        return cls(
            clock=round(timing.pixel_clock_hz / 10_000),
            h_active=timing.width,
            h_blank=timing.h_total - timing.width,
            v_active=timing.height,
            v_blank=timing.v_front + timing.v_sync + timing.v_back,
            h_front=timing.h_front,
            h_sync=timing.h_sync,
            v_front=timing.v_front,
            v_sync=timing.v_sync,
            width_mm=0,
            height_mm=0,
            flags=SYNC_DIGITAL_SEPARATE | polarity,
        )

    def to_bytes(self) -> bytes:
        return bytes(
            (
                *(self.clock & 255, self.clock >> 8, self.h_active & 255, self.h_blank & 255),
                *(self.h_active >> 8 << 4 | self.h_blank >> 8, self.v_active & 255, self.v_blank & 255),
                *(self.v_active >> 8 << 4 | self.v_blank >> 8, self.h_front & 255, self.h_sync & 255),
                (self.v_front & 15) << 4 | self.v_sync & 15,
                self.h_front >> 8 << 6 | self.h_sync >> 8 << 4 | self.v_front >> 4 << 2 | self.v_sync >> 4,
                *(self.width_mm & 255, self.height_mm & 255, self.width_mm >> 8 << 4 | self.height_mm >> 8),
                *(self.h_border, self.v_border, self.flags),
            )
        )

    @property
    def possible(self) -> bool:
        """Has a picture, and sync pulses that lie within the blanking."""
        fits = self.h_front + self.h_sync <= self.h_blank and self.v_front + self.v_sync < self.v_blank
        return bool(self.clock and self.h_active and self.v_active and self.h_blank and self.v_blank and fits)

    @property
    def timing(self) -> Timing:
        interlaced = bool(self.flags & INTERLACED)
        separate = self.flags & SYNC_DIGITAL_SEPARATE == SYNC_DIGITAL_SEPARATE
        return Timing(
            width=self.h_active,
            height=self.v_active * (1 + interlaced),
            pixel_clock_hz=self.clock * 10_000,
            h_front=self.h_front,
            h_sync=self.h_sync,
            h_back=self.h_blank - self.h_front - self.h_sync,
            v_front=self.v_front,
            v_sync=self.v_sync,
            v_back=self.v_blank - self.v_front - self.v_sync,
            h_positive=bool(self.flags & H_POSITIVE),
            v_positive=separate and bool(self.flags & V_POSITIVE),
            interlaced=interlaced,
            name="DTD",
        )


def fits(timing: Timing) -> bool:
    """Whether a DTD can say it: 10 bits for horizontal porch and sync, 6 for the vertical ones."""
    return max(timing.h_front, timing.h_sync) < 1 << 10 and max(timing.v_front, timing.v_sync) < 1 << 6


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A display descriptor: what the other 18-byte places hold. `offsets` is byte 4, of use in range limits only."""

    tag: int
    payload: bytes  # 13 bytes
    offsets: int = 0
    reserved: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Descriptor:
        return cls(tag=data[3], payload=bytes(data[5:]), offsets=data[4], reserved=data[2])

    @classmethod
    def of_text(cls, tag: int, text: str) -> Descriptor:
        """At most 13 characters of ASCII."""
        raw = text.encode("ascii")
        return cls(tag, (raw if len(raw) == 13 else raw + b"\n").ljust(13))

    def to_bytes(self) -> bytes:
        return bytes((0, 0, self.reserved, self.tag, self.offsets)) + self.payload

    @property
    def text(self) -> str:
        """Of a name, a serial number or free text; what is not printable ASCII reads as a dot."""
        raw = self.payload.split(b"\n")[0]
        return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in raw).rstrip()


EMPTY = Descriptor(TAG_EMPTY, bytes(13))


@dataclass(frozen=True, slots=True)
class RangeLimits:
    """View of a descriptor with TAG_RANGE (table 3.26). `formula` says how a source may make timings of its own (0:
    default GTF, 1: not at all, from EDID 1.4 on, 2: secondary GTF, 4: CVT), `rest` belongs to it."""

    min_v_hz: int
    max_v_hz: int
    min_h_khz: int
    max_h_khz: int
    max_clock_mhz: int
    formula: int = 0
    rest: bytes = b"\n      "

    @classmethod
    def of(cls, descriptor: Descriptor) -> RangeLimits:
        raw, high = descriptor.payload, descriptor.offsets
        return cls(
            min_v_hz=raw[0] + 255 * (high & 3 == 3),
            max_v_hz=raw[1] + 255 * bool(high & 2),
            min_h_khz=raw[2] + 255 * (high >> 2 & 3 == 3),
            max_h_khz=raw[3] + 255 * bool(high >> 2 & 2),
            max_clock_mhz=raw[4] * 10,
            formula=raw[5],
            rest=raw[6:],
        )

    @property
    def filled(self) -> bool:
        """Whether `rest` begins as the formula wants: a line end and spaces, or 0 for a secondary GTF (table 3.27)."""
        return self.rest == b"\n      " if self.formula < 2 else self.formula != 2 or self.rest[0] == 0

    def descriptor(self) -> Descriptor:
        """Limits up to 255 Hz and 255 kHz."""
        values = (self.min_v_hz, self.max_v_hz, self.min_h_khz, self.max_h_khz, self.max_clock_mhz // 10, self.formula)
        return Descriptor(TAG_RANGE, bytes(values) + self.rest)


Place = DetailedTiming | Descriptor


@dataclass(frozen=True, slots=True)
class Base:
    """Bytes 8 to 126 of block 0. Numbers as they stand there; `to_bytes` adds header and checksum."""

    manufacturer: int  # 16 bits, big-endian, three letters of 5 bits
    product: int
    serial: int
    week: int
    year: int  # since 1990
    version: int
    revision: int
    video_input: int
    width_cm: int
    height_cm: int
    gamma: int
    features: int
    chromaticity: bytes  # 10 bytes
    established: bytes  # 3 bytes
    standard: tuple[bytes, ...]  # 8 of 2 bytes
    places: tuple[Place, ...]  # 4
    extensions: int

    @classmethod
    def parse(cls, block: bytes) -> Base:
        """Raises EdidError where 128 bytes are no EDID of version 1."""
        if block[:8] != HEADER:
            raise EdidError("not an EDID: does not begin with 00 ff ff ff ff ff ff 00")
        if block[18] != 1:
            raise EdidError(f"EDID version {block[18]}.{block[19]} is not supported: only version 1 is")
        return cls(
            manufacturer=int.from_bytes(block[8:10], "big"),
            product=int.from_bytes(block[10:12], "little"),
            serial=int.from_bytes(block[12:16], "little"),
            week=block[16],
            year=block[17],
            version=block[18],
            revision=block[19],
            video_input=block[20],
            width_cm=block[21],
            height_cm=block[22],
            gamma=block[23],
            features=block[24],
            chromaticity=block[25:35],
            established=block[35:38],
            standard=tuple(block[at : at + 2] for at in range(38, 54, 2)),
            places=tuple(parse_place(block[at : at + DESCRIPTOR_BYTES]) for at in range(54, 126, DESCRIPTOR_BYTES)),
            extensions=block[126],
        )

    def to_bytes(self) -> bytes:
        block = b"".join(
            (
                HEADER,
                self.manufacturer.to_bytes(2, "big"),
                self.product.to_bytes(2, "little"),
                self.serial.to_bytes(4, "little"),
                bytes((self.week, self.year, self.version, self.revision, self.video_input)),
                bytes((self.width_cm, self.height_cm, self.gamma, self.features)),
                self.chromaticity,
                self.established,
                *self.standard,
                *(place.to_bytes() for place in self.places),
                bytes((self.extensions,)),
            )
        )
        return block + bytes((checksum(block),))

    @property
    def maker(self) -> str:
        """Three letters; a value that is none reads as ?."""
        letters = (self.manufacturer >> shift & 31 for shift in (10, 5, 0))
        return "".join(chr(64 + letter) if 1 <= letter <= 26 else "?" for letter in letters)

    @property
    def timings(self) -> tuple[DetailedTiming, ...]:
        return tuple(place for place in self.places if isinstance(place, DetailedTiming))

    def descriptors(self, tag: int) -> tuple[Descriptor, ...]:
        return tuple(place for place in self.places if isinstance(place, Descriptor) and place.tag == tag)

    @property
    def name(self) -> str:
        return "".join(descriptor.text for descriptor in self.descriptors(TAG_NAME)[:1])


def parse_place(data: bytes) -> Place:
    return DetailedTiming.parse(data) if data[0] or data[1] else Descriptor.parse(data)
