"""A recorded run as one self-contained HTML page: the latency, where it comes from, and the worst frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from thinair.bench.analysis.recorded_run import (
    LATENCY,
    WAYS,
    Frame,
    FrameTimeline,
    RecordedRun,
    Way,
    stage_us,
    way_ms,
)
from thinair.bench.analysis.statistics import Values
from thinair.bench.analysis.summary import COLUMNS, Intervals, intervals
from thinair.bench.report.svg import Scale, bars, envelope, line, mark, plot
from thinair.link.protocol.frame_trace import STAGES

_FREEZE_INTERVALS = 3  # a picture that stays longer is a freeze
_INKS = ("#2f7ed8", "#7aa51c", "#c8452f", "#6b4fbb", "#1593b5", "#b8860b", "#d2527f", "#808080", "#4f8f6b")
_INK = dict(zip(STAGES, _INKS, strict=True))
_MEANINGS = (
    "start of capture to picture in the sender's memory",
    "from there to the call of the encoder",
    "the call of the encoder",
    "access unit to its last packet handed to the kernel",
    "from there to the receiving kernel's stamp of the last packet sent without a request",
    "from there to the complete frame",
    "complete frame to decoded picture",
    "decoded picture to the presenter",
    "from there to the presenter's stamp",
)
_MEANING = dict(zip(STAGES, _MEANINGS, strict=True))
_KINDS = {
    "media": ("#2f7ed8", "media packet"),
    "symbol": ("#b8860b", "repair symbol"),
    "repair_request": ("#c8452f", "repair request"),
    "key_frame_request": ("#6b4fbb", "key frame request"),
    "abandoned": ("#808080", "abandoned"),
}
_OTHER = ("#808080", "other")
_WAYS: dict[Way, str] = {
    "loop": "visual code, from the screen through the end-to-end path to the same screen: one clock",
    "screen": "from the grab's stamp to the pixels on the screen",
    "in_band": "latency as the player states it for each frame",
}
_STYLE = Path(__file__).with_name("page.css").read_text()


def page(run: RecordedRun) -> str:
    """The whole page."""
    parts = [
        _head(run),
        _verdict(run),
        _cards(run),
        _loop(run),
        _stages(run),
        _histogram(run),
        _age(run),
        _timelines(run),
        _conditions(run),
    ]
    title = f"thinair {run.kind}, {run.mode or 'unknown mode'}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(run: RecordedRun) -> str:
    encrypted = run.report.get("encrypted")
    link = "" if encrypted is None else "encrypted link" if encrypted else "unencrypted link"
    shown = f"{len(run.shown)} of {len(run.frames)} pictures shown"
    cpu = run.report.get("conditions", {}).get("cpu") or ""
    subtitle = " · ".join(filter(None, [run.mode or "unknown mode", shown, link, cpu]))
    return f"<h1>Latency report: {escape(run.kind)}</h1><p class=soft>{escape(subtitle)}</p>"


def _verdict(run: RecordedRun) -> str:
    faults = [*run.faults(), *((run.loop or {}).get("faults") or [])]
    if faults:
        return f'<p class="verdict bad"><b>Do not use these figures:</b> {escape("; ".join(faults))}.</p>'
    if run.unfit:
        return f'<p class="verdict bad"><b>The machine was too busy:</b> {escape("; ".join(run.unfit))}.</p>'
    error_us, n = run.sum_error_us()
    text = (
        f"in all {n} frames with complete stamps, the stages add up to the latency within {error_us:.0f} µs. "
        "The machine was fit."
    )
    return f'<p class="verdict"><b>Valid:</b> {text}</p>'


def _cards(run: RecordedRun) -> str:
    figures = intervals(_latencies(run))
    bounds = [frame.bound_us for frame in run.shown if frame.bound_us is not None]
    ranges = {"p50": figures["p50_interval"], "p95": figures["p95_interval"], "p99": figures["p99_interval"]}
    cards = []
    for column in COLUMNS[:3]:
        found = ranges[column]
        below = "too few samples" if found is None else f"95 % interval {found[0]:.2f} to {found[1]:.2f}"
        cards.append(_card(f"{column}, ms", _number(figures[column]), below))
    cards.append(_card("max, ms", _number(figures["max"]), f"of {figures['n']} pictures"))
    if bounds:
        cards.append(_card("clock bound, ms", f"±{np.median(bounds) / 1000:.2f}", "median over all frames"))
    stamp = str(run.report.get("stamp_quality") or "–").replace("_", " ")
    cards.append(_card("stamp", stamp, "end of the latency"))
    too_few = f"<p class=soft>{escape(figures['too_few'])}</p>" if "too_few" in figures else ""
    what = "<p class=soft>Latency: from the start of capture to the presenter's stamp.</p>"
    return f"<div class=cards>{''.join(cards)}</div>{too_few}{what}"


def _latencies(run: RecordedRun) -> Values:
    found: Values = np.concatenate(run.series(LATENCY) or [np.array([])])
    return found


def _card(what: str, value: str, below: str) -> str:
    return f"<div class=card><span>{escape(what)}</span><b>{escape(value)}</b><span>{escape(below)}</span></div>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _loop(run: RecordedRun) -> str:
    if not run.loop or not run.loop.get("n"):
        return ""
    means = run.loop.get("means_ms", {})
    rows = [
        _row(way.replace("_", "-"), [means[way], *_percentiles(way_ms(run.loop, way))], _WAYS[way])
        for way in WAYS
        if way in means
    ]
    pairs = "; ".join(
        f"{name.replace('_in_band', ' − in-band').replace('_screen', ' − screen')} "
        f"{pair['mean_ms']:+.2f} (bound {pair['bound_ms']:.2f})"
        for name, pair in run.loop.get("pairs", {}).items()
    )
    head = "<tr><th>ms<th>mean<th>p50<th>p95<th>p99<th>max<th></tr>"
    return (
        f"<h2>{run.loop['n']} pictures, timed in {len(rows)} ways</h2>"
        f"<div class=wide><table>{head}{''.join(rows)}</table></div>"
        f"<p class=soft>Differences of the means, ms: {escape(pairs)}</p>"
    )


def _percentiles(figures: Intervals) -> list[float | None]:
    return [figures[column] for column in COLUMNS]


def _row(name: str, cells: Sequence[float | None], meaning: str, label: str = "") -> str:
    """`label`: HTML in place of the name."""
    texts = [label or escape(name), *map(_number, cells)]
    return f"<tr>{''.join(f'<td>{text}</td>' for text in texts)}<td class=words>{escape(meaning)}</td></tr>"


def _stages(run: RecordedRun) -> str:
    rows = []
    for name in STAGES:
        figures = intervals(np.concatenate(run.series(name) or [np.array([])]))
        rows.append(_row(name, _percentiles(figures), _MEANING[name], _swatch(name)))
    known = _complete(run)
    bar = ""
    if known:
        frame = sorted(known, key=lambda one: one.capture_to_present_us or 0)[len(known) // 2]
        parts = {name: (stage_us(frame, name) or 0) / 1000 for name in STAGES}
        bar = (
            f"<h2>Stages of the median picture: {sum(parts.values()):.2f} ms</h2>{_bar(parts)}"
            + '<div class="key">'
            + "".join(f"<span>{_swatch(name)} {parts[name]:.2f}</span>" for name in STAGES)
            + "</div>"
        )
    head = "<tr><th>stage, ms<th>p50<th>p95<th>p99<th>max<th></tr>"
    return f"{bar}<div class=wide><table>{head}{''.join(rows)}</table></div>{_stages_over_time(known)}"


def _complete(run: RecordedRun) -> list[Frame]:
    """The shown frames that have every stage."""
    return [frame for frame in run.shown if all(stage_us(frame, name) is not None for name in STAGES)]


def _swatch(name: str) -> str:
    return f'<span class="key name"><i style="background:{_INK[name]}"></i></span>{name}'


def _bar(parts: Mapping[str, float]) -> str:
    cells = "".join(
        f'<i style="flex:{max(0.0, value):.4f} 0 0;background:{_INK[name]}" title="{name} {value:.2f} ms"></i>'
        for name, value in parts.items()
    )
    return f'<div class="fall" role="img" aria-label="stages of the median picture">{cells}</div>'


def _stages_over_time(known: Sequence[Frame]) -> str:
    """Stacked stages over time; each column is the picture with the highest latency among its neighbours."""
    if not known:
        return ""
    columns = min(300, len(known))
    picked = [
        max(
            known[len(known) * at // columns : len(known) * (at + 1) // columns],
            key=lambda frame: frame.capture_to_present_us or 0,
        )
        for at in range(columns)
    ]
    top = max(frame.capture_to_present_us or 0 for frame in picked) / 1000 * 1.05
    scale, body = Scale(240, (0, columns), (0, top)), []
    for at, frame in enumerate(picked):
        height = 0.0
        for name in STAGES:
            value = max(0.0, (stage_us(frame, name) or 0) / 1000)
            low, high = scale.y(height), scale.y(height + value)
            height += value
            width = scale.x(at + 1) - scale.x(at)
            body.append(
                f'<rect x="{scale.x(at):.1f}" y="{high:.1f}" width="{width + 0.2:.1f}" height="{low - high:.1f}" '
                f'fill="{_INK[name]}"/>'
            )
    each = len(known) / columns
    axis = f"pictures in order; each column is the slowest of {each:.0f}" if each > 1 else "pictures in order"
    drawn = plot(240, (0, columns, axis), (0, top, "ms"), "".join(body), label="stages over time")
    return f"<h2>Stages over time</h2>{drawn}"


def _histogram(run: RecordedRun) -> str:
    values = _latencies(run)
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    high = max(high, low + 0.1)
    counts, edges = np.histogram(values, bins=min(120, max(20, len(values) // 10)), range=(low, high))
    logs = np.log10(np.maximum(counts, 1)) + (counts > 0) * 0.15
    top = float(logs.max()) * 1.15 or 1.0
    scale = Scale(200, (low, high), (0, top))
    body = bars(scale, edges.tolist(), logs.tolist(), labels=counts.tolist())
    figures = intervals(values)
    for at, column in enumerate(COLUMNS[:3]):
        if (value := figures[column]) is not None:
            body += mark(scale, value, 22 + 14 * at, f"{column} {value:.2f}")
    drawn = plot(200, (low, high, "ms"), (0, top, "pictures, log10"), body, label="histogram of the latency")
    return f"<h2>Distribution of the latency</h2>{drawn}"


def _age(run: RecordedRun) -> str:
    points = run.glass_age()
    if not points:
        return ""
    ages = [age for _, age in points]
    interval_ms = run.interval_us / 1000
    freezes = sum(
        later.shown_us - earlier.shown_us > _FREEZE_INTERVALS * run.interval_us
        for earlier, later in pairwise(run.shown)
        if earlier.round == later.round
    )
    figures = intervals(ages)
    top, end = max(ages) * 1.05, points[-1][0]
    scale = Scale(200, (0, end), (0, top))
    body = line(scale, envelope(points))
    drawn = plot(200, (0, end, "s, rounds one after the other"), (0, top, "ms"), body, label="glass age over time")
    values = ", ".join(f"{column} {figures[column]:.1f}" for column in COLUMNS if figures[column] is not None)
    return (
        f"<h2>Glass age</h2>{drawn}<p class=soft>Age of the picture on the screen, sampled 60 times a second, ms: "
        f"{values}. Freezes (a picture that stays longer than three intervals of {interval_ms:.1f} ms): {freezes}.</p>"
    )


def _timelines(run: RecordedRun) -> str:
    if not run.timelines:
        return ""
    items = []
    for one in run.timelines:
        latency = "not shown" if one["latency_ms"] is None else f"{one['latency_ms']:.2f} ms"
        where = f", round {one['round'] + 1}" if one.get("round") else ""
        title = f"frame {one['frame_id']}{where}: {latency} — {one['summary']}"
        rows = "".join(f"{at:10.3f} ms  {_KINDS.get(kind, _OTHER)[1]:18}{text}\n" for at, kind, text in one["events"])
        items.append(
            f"<details><summary>{escape(title)}</summary>{_packets(one)}"
            f"<pre>{escape(rows) or 'no packets were recorded'}</pre></details>"
        )
    key = "".join(f'<span><i style="background:{ink}"></i>{what}</span>' for ink, what in _KINDS.values())
    return f'<h2>Timelines of the worst frames</h2><div class="key">{key}</div>{"".join(items)}'


def _packets(timeline: FrameTimeline) -> str:
    events = timeline["events"]
    if not events:
        return ""
    times = [at for at, _, _ in events]
    low, high = min(times), max(times)
    pad = max(0.2, (high - low) * 0.05)
    scale = Scale(70, (low - pad, high + pad), (0, 1))
    body = "".join(
        f'<line x1="{scale.x(at):.1f}" x2="{scale.x(at):.1f}" y1="12" y2="40" stroke="{_KINDS.get(kind, _OTHER)[0]}" '
        f'stroke-width="1.5"><title>{escape(text)}</title></line>'
        for at, kind, text in events
    )
    return plot(70, (low - pad, high + pad, "ms since capture"), (0, 1, ""), body, label="packets over time")


def _conditions(run: RecordedRun) -> str:
    conditions: dict[str, object] = dict(run.report.get("conditions", {}))
    conditions["presenter"] = run.report.get("presenter", {}).get("name")
    conditions["stamp_quality"] = run.report.get("stamp_quality")
    rows = "".join(
        f"<tr><td>{escape(key.replace('_', ' '))}</td><td class=words>{escape(_flat(value))}</td></tr>"
        for key, value in conditions.items()
    )
    return (
        f"<h2>Run conditions</h2><div class=wide><table>{rows}</table></div>"
        "<p class=soft>Not included: the camera, the display's scan-out after the presenter's stamp, and, on a "
        "loopback, the radio.</p>"
    )


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "–" if value is None else str(value)
