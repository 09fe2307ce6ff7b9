"""Plots as SVG: bars, lines, ticks. Colours are CSS variables of the page, so they follow light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH = 920
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 10, 30


def plot(height: int, x: tuple[float, float, str], y: tuple[float, float, str], body: str, *, label: str) -> str:
    """Axes around `body`, which is drawn by a `Scale` of the same ranges. `x`, `y`: lowest, highest, unit; a y axis
    without a unit has no numbers."""
    scale = Scale(height, x[:2], y[:2])
    parts = []
    for value in ticks(*y[:2], 5) if y[2] else ():
        at = scale.y(value)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    for value in ticks(*x[:2], 10):
        at = scale.x(value)
        parts.append(f'<text x="{at:.1f}" y="{height - 12}" text-anchor="middle">{_number(value)}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{height - 1}" text-anchor="end" class="unit">{escape(x[2])}</text>')
    parts.append(f'<text x="2" y="{_TOP}" class="unit">{escape(y[2])}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + body
        + "</svg>"
    )


class Scale:
    def __init__(self, height: int, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self._width, self._height = WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + self._width * (value - low) / ((high - low) or 1)

    def y(self, value: float) -> float:
        low, high = self._y
        return _TOP + self._height * (1 - (value - low) / ((high - low) or 1))


def bars(scale: Scale, edges: Sequence[float], heights: Sequence[float], labels: Sequence[float]) -> str:
    """`edges`: one more than bars. `labels`: what each bar counts, for its tooltip."""
    out = []
    for low, high, top, label in zip(edges, edges[1:], heights, labels, strict=False):
        if top > 0:
            x, y = scale.x(low), scale.y(top)
            width, height = scale.x(high) - x, scale.y(0) - y
            title = f"<title>{_number(low)} to {_number(high)} ms: {label:g}</title>"
            out.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.8, width - 0.5):.1f}" height="{height:.1f}" class="bar">'
                f"{title}</rect>"
            )
    return "".join(out)


def line(scale: Scale, points: Sequence[tuple[float, float]], css: str = "line") -> str:
    if not points:
        return ""
    path = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in points)
    return f'<polyline points="{path}" class="{css}"/>'


def mark(scale: Scale, value: float, top: float, text: str) -> str:
    x = scale.x(value)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{scale.y(0):.1f}" class="mark"/>'
        f'<text x="{x + 4:.1f}" y="{top:.1f}">{escape(text)}</text>'
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`, `about` so many."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    step = 10 ** math.floor(math.log10(span / about))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= about)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def envelope(points: Sequence[tuple[float, float]], columns: int = 800) -> list[tuple[float, float]]:
    """The lowest and highest point of each column, in order: no spike is lost."""
    if len(points) <= 2 * columns:
        return list(points)
    out: list[tuple[float, float]] = []
    for at in range(columns):
        part = points[len(points) * at // columns : len(points) * (at + 1) // columns]
        if part:
            ends = sorted((min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])))
            out += dict.fromkeys(ends)
    return out


def _number(value: float) -> str:
    return f"{value:.6g}"
