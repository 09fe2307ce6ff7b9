"""Text over the picture: live figures, help, and the notice that no picture comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

from receiver.picture import fit
from receiver.present import Overlay

if TYPE_CHECKING:
    from PIL import Image

    from receiver.present import Presenter

Row = tuple[str, str]  # label and value; without a label the value is a line of its own

HELP: tuple[Row, ...] = (
    ("", "thinair"),
    ("q, Esc", "quit"),
    ("f", "full screen"),
    ("h", "figures"),
    ("?, F1", "this help"),
    ("", "Picture only: thinair carries no audio."),
)
_REDRAW_US = 100_000  # glass age and notices
_FIGURES_US = 250_000  # everything else: figures that change faster cannot be read
_LABEL_COVERAGE = 150
_GROUND = 45
_LETTER_WIDTH = 0.62  # of the text's size, with something for the margins
_SHORTEST_LINE = 20  # letters
_LEAST_WIDTH = 14  # times the text's size: so that the panel does not shake with its figures


@dataclass(frozen=True, slots=True)
class Figures:
    """What the HUD tells. None is unknown, and said so."""

    name: str = ""  # of the sender
    mode: str = ""  # "1920x1080@25"
    fps: float | None = None  # pictures shown per second
    latency_ms: tuple[float | None, float | None, float | None] = (None, None, None)  # p50, p95, p99
    bound_ms: float | None = None  # of the clock, ±
    glass_age_ms: float | None = None
    lost: int = 0
    repaired: int = 0
    bitrate_bps: float = 0.0
    presenter: str = ""
    stamp_quality: str = ""


def figure_rows(figures: Figures) -> tuple[Row, ...]:
    fps = "unknown" if figures.fps is None else f"{figures.fps:.1f} fps"
    age = "unknown" if figures.glass_age_ms is None else f"{figures.glass_age_ms:.0f} ms"
    latency, bound = "unknown", "the clocks do not agree yet"
    if figures.latency_ms[0] is not None and figures.bound_ms is not None:
        latency = " / ".join("?" if value is None else f"{value:.1f}" for value in figures.latency_ms) + " ms"
        bound = f"p50 / p95 / p99, ± {figures.bound_ms:.1f} ms"
    return (
        ("", " · ".join(part for part in (figures.name or "thinair", figures.mode) if part)),
        ("rate", f"{fps}, {figures.bitrate_bps / 1e6:.1f} Mbit/s"),
        ("latency", latency),
        (" ", bound),
        ("glass age", age),
        ("lost", f"{figures.lost}, repaired {figures.repaired}"),
        ("screen", f"{figures.presenter}, {figures.stamp_quality.replace('_', ' ')}"),
        ("audio", "none"),
    )


class Hud:
    """`figures` and `notice` are replaced whole, from any thread; update() belongs to the thread of the presenter."""

    def __init__(self, visible: bool = False) -> None:
        self.figures = Figures()
        self.notice = ""  # shown whether the HUD is or not
        self.changed = True  # draw at the next update, whatever the time
        self._visible = visible
        self._help = False
        self._calm = self.figures
        self._shown: tuple[tuple[Row, ...], int] | None = None
        self._noticed = False
        self._redraw_us = self._figures_us = 0
        render(HELP, text_size((1920, 1080)))  # the font is loaded now, not between two pictures

    def toggle(self) -> None:
        self._visible = not self._visible
        self.changed = True

    def toggle_help(self) -> None:
        self._help = not self._help
        self.changed = True

    def update(self, presenter: Presenter, now_us: int) -> bool:
        """Hands the presenter a new overlay where one is due and its text is new; True if it did."""
        urgent = self.changed or bool(self.notice) != self._noticed
        if now_us < self._redraw_us and not urgent:
            return False
        self._redraw_us = now_us + _REDRAW_US
        if urgent or now_us >= self._figures_us:
            self._figures_us = now_us + _FIGURES_US
            self._calm = self.figures
        text_px = text_size(presenter.size)
        rows = self._rows(max(_SHORTEST_LINE, int(presenter.size[0] / (_LETTER_WIDTH * text_px))))
        if (rows, text_px) == self._shown and not self.changed:
            return False
        self._shown, self._noticed, self.changed = (rows, text_px), bool(self.notice), False
        presenter.overlay(render(rows, text_px) if rows else None)
        return True

    def _rows(self, letters: int) -> tuple[Row, ...]:
        """`letters`: what a line of the notice has room for."""
        rows: tuple[Row, ...] = tuple(("", line) for line in wrap(self.notice, letters))
        if self._help:
            return rows + HELP
        if self._visible:
            return rows + figure_rows(replace(self._calm, glass_age_ms=self.figures.glass_age_ms))
        return rows


def text_size(window: tuple[int, int]) -> int:
    """Pixels: readable from the far side of a desk, whatever the window's shape."""
    return min(48, max(12, fit((16, 9), window)[1] // 42))


def render(rows: Sequence[Row], text_px: int) -> Overlay:
    """Rows under each other, labels in a column of their own."""
    from PIL import Image

    drawn = [(_text(label, text_px), _text(value, text_px)) for label, value in rows]
    step, margin = round(text_px * 1.5), text_px
    column = max((label.width for label, _ in drawn), default=0) + text_px
    ends = [value.width + (column if label.width > 1 else 0) for label, value in drawn]
    right = max(*ends, _LEAST_WIDTH * text_px if len(rows) > 1 else 0)
    panel = Image.new("L", (right + 2 * margin, step * len(drawn) + margin))
    for index, (label, value) in enumerate(drawn):
        y = margin // 2 + index * step
        panel.paste(label.point(lambda coverage: coverage * _LABEL_COVERAGE // 255), (margin, y))
        panel.paste(value, (margin + (column if label.width > 1 else 0), y))
    below_code = 3 * text_px  # a test card's code at the upper edge stays readable for bench glass
    return Overlay(panel.tobytes(), panel.width, panel.height, text_px, below_code, _GROUND)


@lru_cache(maxsize=128)
def _text(text: str, text_px: int) -> Image.Image:
    from PIL import Image, ImageDraw

    font = _font(text_px)
    line = Image.new("L", (max(1, round(font.getlength(text))), round(text_px * 1.5)))
    ImageDraw.Draw(line).text((0, text_px // 6), text, fill=255, font=font)
    return line


@lru_cache(maxsize=4)
def _font(text_px: int):  # type: ignore[no-untyped-def]  # Pillow's two kinds of font have no common type
    from PIL import ImageFont

    return ImageFont.load_default(text_px)
