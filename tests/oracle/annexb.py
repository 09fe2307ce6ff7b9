"""Annex B, the slow way: byte by byte, to compare the C core with."""


def split(data: bytes) -> list[bytes]:
    """NAL units of a byte stream (ITU-T H.264 Annex B), trailing zeros cut off."""
    starts = [i for i in range(len(data) - 2) if data[i : i + 3] == b"\0\0\1"]
    ends = [*starts[1:], len(data)] if starts else []
    return [nal for a, b in zip(starts, ends, strict=True) if (nal := data[a + 3 : b].rstrip(b"\0"))]


def join(nals: list[bytes]) -> bytes:
    """The form in which the reassembler writes a unit: start codes of four bytes."""
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def canonical(unit: bytes) -> bytes:
    """What arrives of a unit that was sent over RTP: no delimiter, start codes of four bytes."""
    return join([nal for nal in split(unit) if nal[0] & 31 != 9])


def escape(rbsp: bytes) -> bytes:
    """Emulation prevention (7.4.1.1)."""
    out = bytearray()
    for byte in rbsp:
        if out[-2:] == b"\0\0" and byte <= 3:
            out.append(3)
        out.append(byte)
    return bytes(out)


def unescape(payload: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)
