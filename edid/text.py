"""Files that hold an EDID: binary, the hex text of v4l2-ctl, and xxd with and without -p."""

from __future__ import annotations

import re

from thinair.edid.base import HEADER
from thinair.edid.errors import EdidError

MAX_FILE_BYTES = 1 << 20
# What v4l2-ctl adds below a block that it read.
_REMARK = re.compile(r"^Block \d+ has a checksum error.*$", re.MULTILINE)
_XXD = re.compile(r"([0-9a-fA-F]{6,16}): ((?:[0-9a-fA-F]{2,32} ?)+)(?: .*)?")


def read(data: bytes) -> bytes:
    """The bytes of the EDID in a file's content, not yet parsed. Raises EdidError, with a sentence, for all else."""
    if not data.strip():
        raise EdidError("the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise EdidError(f"the file is too long for an EDID: over {MAX_FILE_BYTES} bytes")
    if data.startswith(HEADER):
        return data
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise EdidError("not an EDID: neither text nor does it begin with 00 ff ff ff ff ff ff 00") from None
    lines = [line.strip() for line in _REMARK.sub("", text).splitlines() if line.strip()]
    return _from_xxd(lines) if lines and _XXD.fullmatch(lines[0]) else _from_hex(lines)


def to_hex(data: bytes) -> str:
    """Sixteen bytes a line, an empty line between blocks: what v4l2-ctl and edid-decode read."""
    blocks = (data[at : at + 128] for at in range(0, len(data), 128))
    return "\n".join(
        "".join(block[at : at + 16].hex(" ") + "\n" for at in range(0, len(block), 16)) for block in blocks
    )


def _from_xxd(lines: list[str]) -> bytes:
    data = b""
    for number, line in enumerate(lines, 1):
        match = _XXD.fullmatch(line)
        if match is None or int(match[1], 16) != len(data):
            raise EdidError(f"line {number} does not continue the line before it: give the complete output of xxd")
        digits = match[2].replace(" ", "")
        data += _bytes(digits, number)
    return data


def _from_hex(lines: list[str]) -> bytes:
    data = ""
    for number, line in enumerate(lines, 1):
        digits = re.sub(r"[\s,:;]|\b0[xX]", "", line)
        if wrong := re.search(r"[^0-9a-fA-F]", digits):
            raise EdidError(f"line {number} is not hex text ({wrong[0]!r}): give binary, hex text or xxd's output")
        data += digits
    return _bytes(data, len(lines))


def _bytes(digits: str, line: int) -> bytes:
    if len(digits) % 2:
        raise EdidError(f"hex text ends with half a byte in line {line}")
    return bytes.fromhex(digits)
