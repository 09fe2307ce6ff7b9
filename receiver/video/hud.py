"""What lies over the picture: figures in two sizes, help, safe areas, the recording's state, and the notice that no
picture comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

from thinair.receiver.video.i420 import fit
from thinair.receiver.video.presenter import Overlay

if TYPE_CHECKING:
    from PIL import Image

    from thinair.receiver.video.presenter import Presenter

Row = tuple[str, str]  # label and value; without a label the value is a line of its own
Graph = tuple[float | None, ...]  # ms, oldest first; None where nothing was shown

SIZES = ("off", "line", "full")
HELP: tuple[Row, ...] = (
    ("", "thinair"),
    ("q, Esc", "quit"),
    ("f", "full screen"),
    ("d", "next display"),
    ("h", "figures: off, one line, all"),
    ("m", "safe areas and centre"),
    ("l", "latency: lowest, smooth"),
    ("r", "record"),
    ("s", "snapshot"),
    ("?, F1", "this help"),
    ("", "Picture only: thinair carries no audio."),
)
GRAPH_S = 10.0
_REDRAW_US = 100_000  # glass age and notices
_FIGURES_US = 250_000  # everything else: figures that change faster cannot be read
_LABEL_COVERAGE = 150
_GROUND = 45
_LETTER_WIDTH = 0.62  # of the text's size, with something for the margins
_SHORTEST_LINE = 20  # letters
_LEAST_WIDTH = 14  # times the text's size: so that the panel does not shake with its figures
_GRAPH_LINES = 4  # of text, high
_PANEL, _BADGE, _FIRST_MARK = 0, 1, 2  # slots of the presenter
# SMPTE ST 2046-1: safe action is 93 %, safe title 90 % of the picture's width and height.
_SAFE_AREAS = (0.93, 0.90)
_CROSS = 1 / 24  # of the picture's height: half the length of the centre's arms
_LINE = bytes((0, 255, 0))  # a light line between dark ones stands out on everything
_LINE_GROUND = 90


@dataclass(frozen=True, slots=True)
class HudFigures:
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
    latency_mode: str = "lowest"
    encrypted: bool = True
    graph: Graph = ()  # latency over the last GRAPH_S


def figure_rows(figures: HudFigures) -> tuple[Row, ...]:
    fps = "unknown" if figures.fps is None else f"{figures.fps:.1f} fps"
    age = "unknown" if figures.glass_age_ms is None else f"{figures.glass_age_ms:.0f} ms"
    latency, bound = "unknown", "clock not locked yet"
    if figures.latency_ms[0] is not None and figures.bound_ms is not None:
        latency = " / ".join("?" if value is None else f"{value:.1f}" for value in figures.latency_ms) + " ms"
        bound = f"p50 / p95 / p99, ± {figures.bound_ms:.1f} ms"
    return (
        ("", " · ".join(part for part in (figures.name or "thinair", figures.mode, _unencrypted(figures)) if part)),
        ("rate", f"{fps}, {figures.bitrate_bps / 1e6:.1f} Mbit/s"),
        ("latency", latency),
        (" ", bound),
        ("glass age", age),
        ("lost", f"{figures.lost}, repaired {figures.repaired}"),
        ("screen", f"{figures.presenter}, {figures.stamp_quality.replace('_', ' ')}, {figures.latency_mode}"),
        ("audio", "none"),
    )


def figure_line(figures: HudFigures) -> str:
    late = "latency unknown"
    if figures.latency_ms[0] is not None and figures.bound_ms is not None:
        late = f"{figures.latency_ms[0]:.0f} ms ± {figures.bound_ms:.1f}"
    age = "age unknown" if figures.glass_age_ms is None else f"age {figures.glass_age_ms:.0f} ms"
    fps = "? fps" if figures.fps is None else f"{figures.fps:.1f} fps"
    parts = late, age, fps, f"{figures.bitrate_bps / 1e6:.1f} Mbit/s", f"lost {figures.lost}", _unencrypted(figures)
    return " · ".join(part for part in parts if part)


def _unencrypted(figures: HudFigures) -> str:
    return "" if figures.encrypted else "not encrypted"


class Hud:
    """`figures`, `notice`, `badge` are replaced whole, from any thread; all else belongs to the presenter's thread."""

    def __init__(self, size: str = "off", marks: bool = False) -> None:
        self.figures = HudFigures()
        self.notice = ""  # shown whether the HUD is or not
        self.badge = ""  # the recording's state, in a corner
        self.changed = True  # draw at the next update, whatever the time
        self.size = size
        self._marks = marks
        self._help = False
        self._calm = self.figures
        self._shown: tuple[object, ...] | None = None
        self._marked: tuple[int, int] | None = None  # the size of the picture that has marks
        self._noticed = False
        self._redraw_us = self._figures_us = 0
        render(HELP, text_size((1920, 1080)))  # the font is loaded now, not between two pictures

    def next_size(self) -> None:
        self.size = SIZES[(SIZES.index(self.size) + 1) % len(SIZES)]
        self.changed = True

    def toggle_marks(self) -> None:
        self._marks = not self._marks
        self.changed = True

    def toggle_help(self) -> None:
        self._help = not self._help
        self.changed = True

    def update(self, presenter: Presenter, now_us: int, picture: tuple[int, int] | None = None) -> bool:
        """Hands the presenter new overlays where they are due and something in them is new; True if it did. `picture`
        is the decoded picture's size, for the marks."""
        urgent = self.changed or bool(self.notice) != self._noticed
        if now_us < self._redraw_us and not urgent:
            return False
        self._redraw_us = now_us + _REDRAW_US
        if urgent or now_us >= self._figures_us:
            self._figures_us = now_us + _FIGURES_US
            self._calm = self.figures
        marked = self._mark(presenter, picture)
        text_px = text_size(presenter.size)
        rows = self._rows(max(_SHORTEST_LINE, int(presenter.size[0] / (_LETTER_WIDTH * text_px))))
        graph = self._calm.graph if self.size == "full" and not self._help else ()
        shown = (rows, graph, self.badge, text_px)
        if shown == self._shown and not self.changed:
            return marked
        self._shown, self._noticed, self.changed = shown, bool(self.notice), False
        presenter.overlay(render(rows, text_px, graph) if rows else None, _PANEL)
        badge = None
        if self.badge:
            badge = replace(render((("", self.badge),), text_px), x=-text_px)
        presenter.overlay(badge, _BADGE)
        return True

    def _rows(self, letters: int) -> tuple[Row, ...]:
        """`letters`: what a line of the notice has room for."""
        rows: tuple[Row, ...] = tuple(("", line) for line in wrap(self.notice, letters))
        figures = replace(self._calm, glass_age_ms=self.figures.glass_age_ms)
        if self._help:
            return rows + HELP
        if self.size == "line":
            return (*rows, *(("", line) for line in wrap(figure_line(figures), letters)))
        return rows + figure_rows(figures) if self.size == "full" else rows

    def _mark(self, presenter: Presenter, picture: tuple[int, int] | None) -> bool:
        wanted = fit(picture, presenter.size) if self._marks and picture is not None else None
        if wanted == self._marked and not self.changed:
            return False
        self._marked = wanted
        drawn = marks(wanted) if wanted is not None else ()
        for index in range(len(_SAFE_AREAS) * 4 + 2):
            presenter.overlay(drawn[index] if drawn else None, _FIRST_MARK + index)
        return True


def text_size(window: tuple[int, int]) -> int:
    """Pixels: readable from the far side of a desk, whatever the window's shape."""
    return min(48, max(12, fit((16, 9), window)[1] // 42))


def marks(picture: tuple[int, int]) -> tuple[Overlay, ...]:
    """Safe areas and the centre, as lines over a picture of this size on the screen."""
    width, height = picture
    lines: list[Overlay] = []
    for share in _SAFE_AREAS:
        w, h = round(width * share), round(height * share)
        x, y = (width - w) // 2, (height - h) // 2
        lines += [_across(x, y, w), _across(x, y + h, w), _down(x, y, h), _down(x + w, y, h)]
    arm = max(4, round(height * _CROSS))
    return (
        *lines,
        _across(width // 2 - arm, height // 2, 2 * arm),
        _down(width // 2, height // 2 - arm, 2 * arm),
    )


def _across(x: int, y: int, length: int) -> Overlay:
    mask = b"".join(bytes([value]) * length for value in _LINE)
    return Overlay(mask, length, len(_LINE), max(0, x), max(0, y - 1), _LINE_GROUND)


def _down(x: int, y: int, length: int) -> Overlay:
    return Overlay(_LINE * length, len(_LINE), length, max(0, x - 1), max(0, y), _LINE_GROUND)


def render(rows: Sequence[Row], text_px: int, graph: Graph = ()) -> Overlay:
    """Rows under each other, labels in a column of their own; below them the graph, where there is one."""
    from PIL import Image

    drawn = [(_text(label, text_px), _text(value, text_px)) for label, value in rows]
    step, margin = round(text_px * 1.5), text_px
    column = max((label.width for label, _ in drawn), default=0) + text_px
    ends = [value.width + (column if label.width > 1 else 0) for label, value in drawn]
    right = max(*ends, _LEAST_WIDTH * text_px if len(rows) > 1 else 0)
    chart = step * _GRAPH_LINES if any(value is not None for value in graph) else 0
    panel = Image.new("L", (right + 2 * margin, step * len(drawn) + margin + chart))
    for index, (label, value) in enumerate(drawn):
        y = margin // 2 + index * step
        panel.paste(label.point(lambda coverage: coverage * _LABEL_COVERAGE // 255), (margin, y))
        panel.paste(value, (margin + (column if label.width > 1 else 0), y))
    if chart:
        panel.paste(_chart(graph, right, chart - margin // 2, text_px), (margin, panel.height - chart))
    below_code = 3 * text_px  # a test card's code at the upper edge stays readable for bench glass
    return Overlay(panel.tobytes(), panel.width, panel.height, text_px, below_code, _GROUND)


@lru_cache(maxsize=2)
def _chart(graph: Graph, width: int, height: int, text_px: int) -> Image.Image:
    """Latency as a line over its last seconds; gaps stay gaps. The scale's top is written beside it."""
    from PIL import Image, ImageDraw

    known = [value for value in graph if value is not None]
    top = _nice_top(max(known))
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    low = height - 2
    for share in (0.0, 0.5, 1.0):
        draw.line([(0, round(low * share)), (width, round(low * share))], fill=60)
    caption = _text(f"{top:g} ms, last {GRAPH_S:g} s", text_px)
    image.paste(caption.point(lambda coverage: coverage * _LABEL_COVERAGE // 255), (width - caption.width, 1))
    before: tuple[float, float] | None = None
    for index, value in enumerate(graph):
        here = None
        if value is not None:
            here = (index * (width - 1) / max(1, len(graph) - 1), low - low * min(1.0, value / top))
            draw.line([before or here, here], fill=255, width=max(1, text_px // 9))
        before = here
    return image


def _nice_top(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 … above it."""
    unit = 1.0
    while True:
        for step in (1, 2, 5):
            if value <= step * unit:
                return step * unit
        unit *= 10


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
