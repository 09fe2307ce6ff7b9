"""The slate: a picture with text, for plain outputs, which have no other way to report why there is no picture.

Needs only the standard library and is cheap enough for an ARM1176: rows are joined from the bytes of cells, never pixel
by pixel."""

from __future__ import annotations

from thinair.link.video_mode import Mode

SLATE_MODE = Mode.parse("1280x720@25")  # before the camera has said its own
_PLANAR = {"YU12", "NV12"}  # V4L2's names; YU12 is I420. Without colour both are the same bytes
_NO_COLOUR = b"\x80"
_GROUND = 48  # of 255: grey, so that it is told from a black picture
_DOTS_HIGH = 144  # the picture, or a few more
_COLUMNS, _ROWS = 6, 8  # of a cell in dots; the last of each stays empty
_LONGEST_LINE = 0.9  # of the picture's width
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
# Printable ASCII from the space on: seven rows of five dots from the top, a digit of base 32 each, the left dot first.
_TABLE = """
    0000000 4444404 AAA0000 AAVAVAA 4FKE5U4 OP248J3 CIK8LID 4480000 2488842 8422248 04LEL40 044V440 0000448 000V000
    00000CC 01248G0 EHJLPHE 4C4444E EH1248V V2421HE 26AIV22 VGU11HE 68GUHHE V124888 EHHEHHE EHHF12C 0CC0CC0 0CC0C48
    248G842 00V0V00 8421248 EH12404 EH1DLLE EHHVHHH UHHUHHU EHGGGHE SIHHHIS VGGUGGV VGGUGGG EHGNHHF HHHVHHH E44444E
    72222IC HIKOKIH GGGGGGV HRLLHHH HHPLJHH EHHHHHE UHHUGGG EHHHLID UHHUKIH FGGE11U V444444 HHHHHHE HHHHHA4 HHHLLLA
    HHA4AHH HHHA444 V1248GV E88888E 0G84210 E22222E 4AH0000 000000V 8420000 00E1FHF GGMPHHU 00EGGHE 11DJHHF 00EHVGE
    698S888 0FHHF1E GGMPHHH 40C444E 20622IC GGIKOKI C44444E 00QLLHH 00MPHHH 00EHHHE 00UHUGG 00DJF11 00MPGGG 00FGE1U
    88S8896 00HHHJD 00HHHA4 00HHLLA 00HA4AH 00HHF1E 00V248V 2448442 4444444 8442448 008L200
"""
FONT = {chr(code): glyph for code, glyph in enumerate(_TABLE.split(), ord(" "))}


def draw_slate(text: str, width: int, height: int, fourcc: str, *, full_range: bool = False) -> bytes:
    """White text on grey, centred in a raw picture of at least 16x16, both even; lines without gaps. Characters that
    the font lacks become `?`; lines that do not fit are left out."""
    from textwrap import wrap  # needed without a picture alone

    low, high = (0, 255) if full_range else (16, 235)
    ground, ink = (_pixel(fourcc, level) for level in (low + _GROUND * (high - low) // 255, high))
    size = max(1, height // _DOTS_HIGH)
    dots = ground * size, ink * size
    cells = {}  # a digit's row of pixels
    for value, digit in enumerate(_DIGITS):
        cells[digit] = b"".join(dots[value >> bit & 1] for bit in (4, 3, 2, 1, 0)) + dots[0]
    columns = max(1, int(width * _LONGEST_LINE) // (_COLUMNS * size))
    lines = wrap(text, columns, break_on_hyphens=False)[: height // (_ROWS * size)]
    top = (height - len(lines) * _ROWS * size) // 2
    parts = [ground * (width * top)]
    for line in lines:
        taken = len(line) * _COLUMNS * size
        left, right = ground * ((width - taken) // 2), ground * (width - taken - (width - taken) // 2)
        for row in zip(*(FONT.get(letter, FONT["?"]) for letter in line), strict=True):
            parts.append((left + b"".join(map(cells.__getitem__, row)) + right) * size)
        parts.append(ground * (width * size))
    parts.append(ground * (width * (height - top - len(lines) * _ROWS * size)))
    if fourcc in _PLANAR:
        parts.append(_NO_COLOUR * (width * height // 2))
    return b"".join(parts)


def _pixel(fourcc: str, level: int) -> bytes:
    """What a pixel without colour adds to its line."""
    luma = bytes([level])
    return luma if fourcc in _PLANAR else _NO_COLOUR + luma if fourcc == "UYVY" else luma + _NO_COLOUR
