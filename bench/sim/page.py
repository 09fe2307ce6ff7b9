"""The plots of `thinair bench sim` in one self-contained page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import matplotlib as mpl

from thinair.bench.sim.figures import Row, Shapes

mpl.use("Agg")
from matplotlib import pyplot as plt

Result = tuple[Row, Shapes]

_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:72em;color:#222}"
    "pre{overflow-x:auto}img{max-width:100%}"
)


def page(results: Sequence[Result], table: str) -> str:
    models = list(dict.fromkeys(row["model"] for row, _ in results))
    parts = [f"<h2>Failures against overhead</h2>{_image(partial(_failures, results=results))}"]
    for model in models:
        mine = [result for result in results if result[0]["model"] == model and result[0]["seed"] == 0]
        parts.append(f"<h2>{html.escape(model)}</h2>")
        parts.append(
            _image(
                partial(
                    _distribution, results=mine, what=lambda shapes: shapes["latency_ms"], label="delivery latency, ms"
                )
            )
        )
        parts.append(
            _image(partial(_distribution, results=mine, what=lambda shapes: shapes["age_ms"], label="glass age, ms"))
        )
        if len(mine[0][1]["available"]) > 2:
            parts.append(_image(partial(_rates, results=mine)))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>thinair bench sim</title>"
        f"<style>{_STYLE}</style><h1>thinair bench sim</h1><pre>{html.escape(table)}</pre>{''.join(parts)}</html>\n"
    )


def _image(draw: Callable[[Any], None]) -> str:
    figure, axes = plt.subplots(figsize=(9, 4))
    draw(axes)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=90, bbox_inches="tight")
    plt.close(figure)
    return f'<img alt="plot" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'


def _failures(axes: Any, results: Sequence[Result]) -> None:
    for strategy in dict.fromkeys(row["strategy"] for row, _ in results):
        points = [row for row, _ in results if row["strategy"] == strategy]
        x = [100 * row["overhead_share"] for row in points]
        y = [max(1e-3, 100 * row["failed_share"]) for row in points]
        axes.scatter(x, y, s=24 if strategy == "thinair" else 10, label=strategy)
    axes.set(yscale="log", xlabel="overhead, % (one point per run)", ylabel="frames failed, %", xlim=(-2, 80))


def _distribution(axes: Any, results: Sequence[Result], what: Callable[[Shapes], list[float]], label: str) -> None:
    for row, shapes in results:
        values = sorted(what(shapes))
        axes.plot(values, [1 - n / len(values) for n in range(len(values))], label=row["strategy"])
    axes.set(yscale="log", xscale="log", xlabel=label, ylabel="share above", ylim=(1e-4, 1))


def _rates(axes: Any, results: Sequence[Result]) -> None:
    steps = results[0][1]["available"]
    axes.step([at for at, _ in steps], [rate for _, rate in steps], where="post", color="#bbb", label="available")
    for row, shapes in results:
        if shapes["rate"]:
            axes.plot(*zip(*shapes["rate"], strict=True), label=f"{row['strategy']}: target", linewidth=1)
    axes.set(xlabel="s", ylabel="Mbit/s", ylim=(0, 16))
