"""A run as one HTML page that needs nothing else: the number first, then where it comes from, then what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from thinair.bench.analysis.recorded_run import WHOLE, Run, stage_us, summary
from thinair.bench.report.svg import Scale, bars, envelope, line, mark, plot
from thinair.link.protocol.frame_trace import STAGES

_INKS = ("#2f7ed8", "#7aa51c", "#c8452f", "#6b4fbb", "#1593b5", "#b8860b", "#d2527f", "#808080", "#4f8f6b")
_INK = dict(zip(STAGES, _INKS, strict=True))
_KINDS = {
    "media": ("#2f7ed8", "packet"),
    "symbol": ("#b8860b", "repair symbol"),
    "asked": ("#c8452f", "request"),
    "key_asked": ("#c8452f", "key frame asked for"),
    "given_up": ("#808080", "given up"),
}
_WHAT = {
    "capture": "capture began to picture in the sender's hands",
    "wait": "picture there to encoder called",
    "encode": "encoder called to access unit there",
    "pace": "access unit there to last packet handed to the kernel",
    "air": "last packet handed over to last packet stamped by the receiving kernel",
    "repair": "last packet in to frame whole",
    "decode": "frame whole to picture decoded",
    "hold": "decoded to handed to the presenter",
    "present": "handed to the presenter to its stamp",
}
_STYLE = Path(__file__).with_name("page.css").read_text()


def page(run: Run) -> str:
    """The whole page."""
    parts = [
        _head(run),
        _verdict(run),
        _cards(run),
        _loop(run),
        _stages(run),
        _histogram(run),
        _age(run),
        _stories(run),
        _conditions(run),
    ]
    title = f"thinair {run.kind}, {_mode(run)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _mode(run: Run) -> str:
    mode = run.report.get("mode") or {}
    return f"{mode.get('width')}x{mode.get('height')}@{mode.get('rate')}" if mode else "mode unknown"


def _head(run: Run) -> str:
    conditions = run.report.get("conditions") or {}
    words = [_mode(run), f"{len(run.shown)} pictures shown of {len(run.frames)}"]
    sealed = run.report.get("sealed")
    words += ["" if sealed is None else "sealed" if sealed else "not sealed", str(conditions.get("cpu") or "")]
    return f"<h1>How late: {escape(run.kind)}</h1><p class=soft>{escape(' · '.join(filter(None, words)))}</p>"


def _verdict(run: Run) -> str:
    unfit = list((run.report.get("conditions") or {}).get("unfit") or [])
    faults = [*run.faults(), *((run.loop or {}).get("faults") or [])]
    if faults:
        return f'<p class="verdict bad"><b>Not to be believed:</b> {escape("; ".join(faults))}</p>'
    if unfit:
        return f'<p class="verdict bad"><b>The machine was unfit:</b> {escape("; ".join(unfit))}</p>'
    error_us, n = run.sum_error_us()
    words = f"the stages add up to the whole in all {n} frames that have them (largest difference {error_us:.0f} us)"
    return f'<p class="verdict"><b>Sound:</b> {words}; the machine was fit.</p>'


def _cards(run: Run) -> str:
    values = np.concatenate(run.series(WHOLE) or [np.array([])])
    figures, bounds = summary(values), [f["bound_us"] for f in run.shown if f.get("bound_us") is not None]
    cards = []
    for name in ("p50", "p95", "p99"):
        interval = figures[f"{name}_interval"]
        below = "too few samples" if interval is None else f"95 % between {interval[0]:.2f} and {interval[1]:.2f}"
        cards.append(_card(f"{name}, ms", "–" if figures[name] is None else f"{figures[name]:.2f}", below))
    cards.append(_card("longest, ms", "–" if figures["max"] is None else f"{figures['max']:.2f}", f"n {figures['n']}"))
    if bounds:
        cards.append(_card("clock, ms", f"±{np.median(bounds) / 1000:.2f}", "bound of each, median"))
    cards.append(_card("stamp", str(run.report.get("stamp_quality") or "–").replace("_", " "), "end of the figure"))
    few = f"<p class=soft>{escape(figures['too_few'])}</p>" if "too_few" in figures else ""
    what = "<p class=soft>From the capture of a picture to its presenter's stamp.</p>"
    return f"<div class=cards>{''.join(cards)}</div>{few}{what}"


def _card(what: str, value: str, below: str) -> str:
    return f"<div class=card><span>{escape(what)}</span><b>{escape(value)}</b><span>{escape(below)}</span></div>"


def _loop(run: Run) -> str:
    if not run.loop or not run.loop.get("n"):
        return ""
    found = run.loop
    rows = []
    for name, what in (
        ("loop", "a code drawn beside the picture, come round the whole chain: one clock"),
        ("screen", "from the grab's own stamp to the pixels on the screen"),
        ("in_band", "what the player says of each frame"),
    ):
        if name not in found["means_ms"]:
            continue
        cells = [found["means_ms"][name], *(found[f"{name}_ms"][key] for key in ("p50", "p95", "p99", "max"))]
        rows.append(_row([name.replace("_", "-"), *cells], what))
    pairs = "; ".join(
        f"{name.replace('_in_band', ' against in-band').replace('_screen', ' against screen')} "
        f"{pair['mean_ms']:+.2f} (bound {pair['bound_ms']:.2f})"
        for name, pair in found["pairs"].items()
    )
    head = "<tr><th>ms<th>mean<th>p50<th>p95<th>p99<th>max<th></tr>"
    return (
        f"<h2>{len(rows)} ways to time {found['n']} pictures</h2>"
        f"<div class=wide><table>{head}{''.join(rows)}</table></div>"
        f"<p class=soft>Differences of the means, ms: {escape(pairs)}</p>"
    )


def _row(cells: Sequence[Any], words: str, first: str = "") -> str:
    texts = [first or escape(str(cells[0]))]
    texts += ["–" if cell is None else f"{cell:.2f}" for cell in cells[1:]]
    return f"<tr>{''.join(f'<td>{text}</td>' for text in texts)}<td class=words>{escape(words)}</td></tr>"


def _stages(run: Run) -> str:
    figures = {name: summary(np.concatenate(run.series(name) or [np.array([])])) for name in STAGES}
    rows = []
    for name in STAGES:
        cells = [name, *(figures[name][key] for key in ("p50", "p95", "p99", "max"))]
        rows.append(_row(cells, _WHAT[name], _swatch(name)))
    frame = _median_frame(run)
    fall = ""
    if frame is not None:
        parts = {name: (stage_us(frame, name) or 0) / 1000 for name in STAGES}
        fall = (
            f"<h2>Where the time goes: the median picture, {sum(parts.values()):.2f} ms</h2>{_fall(parts)}"
            + '<div class="key">'
            + "".join(f"<span>{_swatch(name)} {parts[name]:.2f}</span>" for name in STAGES)
            + "</div>"
        )
    head = "<tr><th>stage, ms<th>p50<th>p95<th>p99<th>max<th></tr>"
    return f"{fall}<div class=wide><table>{head}{''.join(rows)}</table></div>{_waterfall(run)}"


def _swatch(name: str) -> str:
    return f'<span class="key name"><i style="background:{_INK[name]}"></i></span>{name}'


def _fall(parts: Mapping[str, float]) -> str:
    cells = "".join(
        f'<i style="flex:{max(0.0, value):.4f} 0 0;background:{_INK[name]}" title="{name} {value:.2f} ms"></i>'
        for name, value in parts.items()
    )
    return f'<div class="fall" role="img" aria-label="stages of the median picture">{cells}</div>'


def _median_frame(run: Run) -> Any:
    known = [f for f in run.shown if all(stage_us(f, name) is not None for name in STAGES)]
    known.sort(key=lambda frame: frame["capture_to_present_us"])
    return known[len(known) // 2] if known else None


def _waterfall(run: Run) -> str:
    """Stages of pictures one above the other, over time; of each column the picture that was latest."""
    known = [f for f in run.shown if all(stage_us(f, name) is not None for name in STAGES)]
    if not known:
        return ""
    columns = min(300, len(known))
    picked = [
        max(
            known[len(known) * at // columns : len(known) * (at + 1) // columns],
            key=lambda f: f["capture_to_present_us"],
        )
        for at in range(columns)
    ]
    top = max(f["capture_to_present_us"] for f in picked) / 1000 * 1.05
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
    words = f"pictures in order; a column is the latest of {each:.0f}" if each > 1 else "pictures in order"
    return f"<h2>Waterfall</h2>{plot(240, (0, columns, words), (0, top, 'ms'), ''.join(body), label='waterfall')}"


def _histogram(run: Run) -> str:
    values = np.concatenate(run.series(WHOLE) or [np.array([])])
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    high = max(high, low + 0.1)
    counts, edges = np.histogram(values, bins=min(120, max(20, len(values) // 10)), range=(low, high))
    logs = np.log10(np.maximum(counts, 1)) + (counts > 0) * 0.15
    top = float(logs.max()) * 1.15 or 1.0
    scale = Scale(200, (low, high), (0, top))
    body = bars(scale, edges.tolist(), logs.tolist())
    figures = summary(values)
    for at, name in enumerate(("p50", "p95", "p99")):
        if figures[name] is not None:
            body += mark(scale, figures[name], 22 + 14 * at, f"{name} {figures[name]:.2f}")
    drawn = plot(200, (low, high, "ms"), (0, top, "log10 of pictures"), body, label="histogram of latency")
    return f"<h2>How often how late</h2>{drawn}"


def _age(run: Run) -> str:
    points = run.glass_age()
    if not points:
        return ""
    ages = [age for _, age in points]
    interval_ms = run.interval_us / 1000
    freezes = sum(
        later["presented_us"] - earlier["presented_us"] > 3 * run.interval_us
        for earlier, later in pairwise(run.shown)
        if earlier.get("round") == later.get("round")
    )
    figures = summary(ages)
    top, end = max(ages) * 1.05, points[-1][0]
    scale = Scale(200, (0, end), (0, top))
    body = line(scale, envelope(points))
    drawn = plot(200, (0, end, "s, rounds one after the other"), (0, top, "ms"), body, label="glass age over time")
    words = ", ".join(
        f"{name} {figures[name]:.1f}" for name in ("p50", "p95", "p99", "max") if figures[name] is not None
    )
    return (
        f"<h2>Glass age</h2>{drawn}<p class=soft>Age of the picture on the screen, looked at 60 times a second, ms: "
        f"{words}; {freezes} freezes (a picture that stood for more than three intervals of {interval_ms:.1f} ms).</p>"
    )


def _stories(run: Run) -> str:
    if not run.stories:
        return ""
    items = []
    for story in run.stories:
        late = "not shown" if story["late_ms"] is None else f"{story['late_ms']:.2f} ms"
        where = f", round {story['round'] + 1}" if story.get("round") else ""
        title = f"frame {story['frame_id']}{where}: {late} — {story['words']}"
        rows = "".join(f"{at:10.3f} ms  {kind:9} {text}\n" for at, kind, text in story["events"])
        items.append(
            f"<details><summary>{escape(title)}</summary>{_timeline(story)}"
            f"<pre>{escape(rows) or 'no packets were kept'}</pre></details>"
        )
    key = "".join(
        f'<span><i style="background:{ink}"></i>{what}</span>' for ink, what in dict.fromkeys(_KINDS.values())
    )
    return f'<h2>The worst, and their stories</h2><div class="key">{key}</div>{"".join(items)}'


def _timeline(story: Mapping[str, Any]) -> str:
    events = story["events"]
    if not events:
        return ""
    times = [at for at, _, _ in events]
    low, high = min(times), max(times)
    pad = max(0.2, (high - low) * 0.05)
    scale = Scale(70, (low - pad, high + pad), (0, 1))
    body = "".join(
        f'<line x1="{scale.x(at):.1f}" x2="{scale.x(at):.1f}" y1="12" y2="40" stroke="{_KINDS[kind][0]}" '
        f'stroke-width="1.5"><title>{escape(text)}</title></line>'
        for at, kind, text in events
    )
    return plot(70, (low - pad, high + pad, "ms since capture"), (0, 1, ""), body, label="packets over time")


def _conditions(run: Run) -> str:
    conditions = dict(run.report.get("conditions") or {})
    conditions["presenter"] = (run.report.get("presenter") or {}).get("name")
    conditions["stamp_quality"] = run.report.get("stamp_quality")
    rows = "".join(
        f"<tr><td>{escape(str(key))}</td><td class=words>{escape(_flat(value))}</td></tr>"
        for key, value in conditions.items()
    )
    return (
        f"<h2>Conditions</h2><div class=wide><table>{rows}</table></div>"
        "<p class=soft>Not in these figures: a camera, and the display's scan-out after the presenter's stamp; on a "
        "loopback also the radio.</p>"
    )


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "–" if value is None else str(value)
