"""What a run has left behind, in one file: the report, a row for each frame, and the stories of the worst.

`thinair bench loop` writes such files, `thinair bench report` makes them of what `thinair demo|play --report --frames
--packets` wrote; report, compare and gate read them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinair.bench.analysis.statistics import Values, needed, quantile
from thinair.link.errors import ConfigError, FileError
from thinair.link.protocol.frame_trace import STAGE_STAMPS, STAGES

SCHEMA = "thinair.run/1"
REPORTS = ("thinair.report/1",)
WHOLE = "capture_to_present"
_ROUNDING_US = 2  # the whole and the stamps are rounded to µs, each by itself
_TEXTS = ("outcome",)
Frame = Mapping[str, Any]  # µs on the player's clock; None where unknown


@dataclass(frozen=True, slots=True)
class Run:
    kind: str  # loop, demo, play
    report: Mapping[str, Any]  # docs/report.md
    frames: Sequence[Frame]  # those of docs/report.md, and `round` from 0
    stories: Sequence[Mapping[str, Any]] = ()
    loop: Mapping[str, Any] | None = None

    @property
    def shown(self) -> list[Frame]:
        return [frame for frame in self.frames if frame["outcome"] == "presented"]

    @property
    def interval_us(self) -> float:
        """Of the mode; where that is not known, of most of the pictures shown."""
        rate = (self.report.get("mode") or {}).get("rate")
        if rate:
            above, _, below = str(rate).partition("/")
            return 1e6 * float(below or 1) / float(above)
        gaps = np.diff([frame["presented_us"] for frame in self.shown])
        return float(np.median(gaps)) if len(gaps) else 40_000.0

    def series(self, stage: str) -> list[Values]:
        """ms, round by round in order of time, of the frames shown that have it."""
        rounds: dict[int, list[float]] = {}
        for frame in self.shown:
            if (value := stage_us(frame, stage)) is not None:
                rounds.setdefault(frame.get("round") or 0, []).append(value / 1000)
        return [np.array(values) for _, values in sorted(rounds.items())]

    def glass_age(self, step_us: float = 1e6 / 60) -> list[tuple[float, float]]:
        """(s since the run's first picture, age in ms of the picture on the screen) at each refresh of 60 Hz. Rounds
        follow each other without what lay between them."""
        out: list[tuple[float, float]] = []
        ahead_s = 0.0
        for number in sorted({frame.get("round") or 0 for frame in self.shown}):
            known = [f for f in self.shown if (f.get("round") or 0) == number and f["capture_us"] is not None]
            if len(known) < 2:
                continue
            known.sort(key=lambda frame: frame["presented_us"])
            at = np.array([frame["presented_us"] for frame in known], np.float64)
            captured = np.array([frame["capture_us"] for frame in known], np.float64)
            ticks = np.arange(at[0], at[-1], step_us)
            ages = ticks - captured[np.searchsorted(at, ticks, side="right") - 1]
            out += zip((ahead_s + (ticks - at[0]) / 1e6).tolist(), (ages / 1000).tolist(), strict=True)
            ahead_s += float(at[-1] - at[0]) / 1e6
        return out

    def sum_error_us(self) -> tuple[float, int]:
        """(largest difference between a frame's stages and its whole, frames that have all of them)."""
        errors = []
        for frame in self.shown:
            parts = [stage_us(frame, name) for name in STAGES]
            whole = frame.get("capture_to_present_us")
            if whole is not None and all(part is not None for part in parts):
                errors.append(abs(math.fsum(part for part in parts if part is not None) - whole))
        return max(errors, default=0.0), len(errors)

    def faults(self) -> list[str]:
        """Why this run is no evidence, in sentences."""
        error_us, n = self.sum_error_us()
        if not self.shown:
            return ["the run is empty: no frame of it was shown"]
        if not n:
            return ["no frame has all its stamps: the sender's clock was never known, or it sends plain"]
        if error_us > _ROUNDING_US:
            return [f"the stages of a frame do not add up to the whole: {error_us:.0f} us between them"]
        return []

    def as_json(self) -> dict[str, Any]:
        columns = list(dict.fromkeys(name for frame in self.frames for name in frame))
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "report": dict(self.report),
            "columns": columns,
            "frames": [[frame.get(name) for name in columns] for frame in self.frames],
            "stories": list(self.stories),
            "loop": self.loop,
        }


def stage_us(frame: Frame, stage: str) -> float | None:
    """µs of a stage (thinair.link.protocol.frame_trace.STAGES), of the whole, or of `loop`."""
    if stage == WHOLE:
        return frame.get("capture_to_present_us")
    if stage == "loop":
        return frame.get("loop_us")
    start, end = (frame.get(name) for name in STAGE_STAMPS[stage])
    return None if start is None or end is None else end - start


def summary(values: Sequence[float] | Values) -> dict[str, Any]:
    """p50, p95, p99 with their 95 % intervals, max and n. A percentile for which there are too few is None, and
    `too_few` says how many it wants."""
    values = np.asarray(values, np.float64)
    out: dict[str, Any] = {"n": len(values), "max": round(float(values.max()), 3) if len(values) else None}
    too_few = []
    for percent in (50, 95, 99):
        found = quantile(values, percent)
        out[f"p{percent}"] = None if found is None else round(found.value, 3)
        out[f"p{percent}_interval"] = None if found is None else [round(found.low, 3), round(found.high, 3)]
        if found is None:
            too_few.append(f"p{percent} wants {needed(percent)} samples")
    if too_few:
        out["too_few"] = f"{len(values)} samples: {', '.join(too_few)}"
    return out


# ---- files --------------------------------------------------------------------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    """Raises FileError where it cannot be read, ConfigError where it is no report of ours."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} is no JSON: give a file that thinair wrote with --json or --report") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema", content.get("benchmarks")), (str, list)):
        raise ConfigError(f"{path} is not a report of thinair: it has no schema")
    return content


def read_run(path: Path, frames: Path | None = None) -> Run:
    """A run's file, or a report with its frames. Raises FileError, ConfigError."""
    content = read_json(path)
    schema = content.get("schema")
    try:
        if schema == SCHEMA:
            columns = content["columns"]
            rows = [dict(zip(columns, row, strict=True)) for row in content["frames"]]
            return Run(content["kind"], content["report"], rows, content["stories"], content["loop"])
        if schema in REPORTS:
            if frames is None:
                raise ConfigError(f"{path} has no frames in it: add --frames FILE.csv, which the same run wrote")
            return Run("demo" if content.get("role") == "demo" else "play", content, read_frames(frames))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is damaged: {error}") from error
    raise ConfigError(
        f"{path} is a {schema or 'file of pytest-benchmark'}, not a run: give one of bench loop or report"
    )


def read_frames(path: Path) -> list[dict[str, Any]]:
    """Raises FileError, ConfigError."""
    try:
        with path.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    if rows and not {"frame_id", "outcome", "capture_to_present_us"} <= set(rows[0]):
        raise ConfigError(f"{path} is not the frame log of a player: it has other columns")
    try:
        return [{key: value if key in _TEXTS else _number(value) for key, value in row.items()} for row in rows]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Raises FileError."""
    try:
        path.write_text(text)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from error


def write_csv(path: Path, frames: Iterable[Frame]) -> None:
    """Raises FileError."""
    rows = list(frames)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    try:
        with path.open("w", newline="") as opened:
            out = csv.DictWriter(opened, columns)
            out.writeheader()
            out.writerows(rows)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from error


def _number(text: str) -> int | None:
    return int(text) if text else None
