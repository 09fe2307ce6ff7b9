"""A picture that says why there is none, for outputs whose viewers cannot be told otherwise."""

from __future__ import annotations

from collections.abc import Callable

import av
from PIL import Image, ImageDraw, ImageFont

from sender.sources.base import Colour, Mode

_GROUND = 48  # of 255: grey, so that it is told from a black picture
_LONGEST_LINE = 0.9  # of the picture's width
_TEXT_SIZE = 1 / 18  # of its height


class Slate:
    """Draws into the same frame again and again while the mode stays."""

    def __init__(self) -> None:
        self._frame: av.VideoFrame | None = None

    def draw(self, words: str, mode: Mode, colour: Colour) -> av.VideoFrame:
        """White words on grey, yuv420p of the mode's size."""
        frame = self._frame
        if frame is None or (frame.width, frame.height) != (mode.width, mode.height):
            frame = self._frame = av.VideoFrame(mode.width, mode.height, "yuv420p")
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
        low, high = (0, 255) if colour.full_range else (16, 235)
        image = Image.new("L", (frame.planes[0].line_size, mode.height), low + _GROUND * (high - low) // 255)
        font = ImageFont.load_default(max(12, round(mode.height * _TEXT_SIZE)))
        lines = _broken(words, font.getlength, mode.width * _LONGEST_LINE)
        centre = mode.width / 2, mode.height / 2
        ImageDraw.Draw(image).multiline_text(centre, lines, fill=high, font=font, anchor="mm", align="center")
        frame.planes[0].update(image.tobytes())
        return frame


def _broken(words: str, length: Callable[[str], float], room: float) -> str:
    """With line ends where a line would be longer than the room."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if length(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(line for line in lines if line)
