"""Access units of a whole byte stream (H.264 7.4.1.2.3), found with all of it at hand."""

from tests.oracle.annexb import split

SLICES = (1, 2, 5)
BEFORE_SLICES = (6, 7, 8, 9, 14, 15, 16, 17, 18)


def begins_unit(nal: bytes) -> bool:
    """Whether it can only stand at the head of a unit; a slice does with first_mb_in_slice 0, a single one bit."""
    kind = nal[0] & 31
    return kind in BEFORE_SLICES or (kind in SLICES and nal[1] >= 0x80)


def access_units(stream: bytes) -> list[list[bytes]]:
    """NAL units of each access unit; the last one may go on."""
    units: list[list[bytes]] = []
    for nal in split(stream):
        started = bool(units) and any(part[0] & 31 in SLICES for part in units[-1])
        if begins_unit(nal) and (not units or started):
            units.append([nal])
        elif units:
            units[-1].append(nal)
    return units
