"""Recorded runs in files: one decoder and one encoder, checked here and nowhere else.

What a file holds is another program's word: whatever is wrong with it is one ConfigError that names the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from thinair.bench.analysis.old_keys import translated
from thinair.bench.analysis.recorded_run import (
    FRAME_COLUMNS,
    Frame,
    FrameTimeline,
    LoopResult,
    RecordedRun,
    Report,
    row_of,
)
from thinair.link.errors import ConfigError, FileError
from thinair.link.files import writing

SCHEMA = "thinair.run/1"
REPORT_SCHEMA = "thinair.report/1"
_NEEDED = {"frame_id", "outcome", "capture_to_present_us"}
T = TypeVar("T")


def read_json(path: Path) -> dict[str, object]:
    """A JSON file that thinair wrote, with today's keys. Raises FileError where it cannot be read, ConfigError where
    it is not one."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: give a file written by thinair --json or --report") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema", content.get("benchmarks")), (str, list)):
        raise ConfigError(f"{path} is not a file of thinair: it has no schema")
    return translated(content)


def read_report(path: Path) -> Report:
    """A report alone. Raises FileError, ConfigError."""
    content = read_json(path)
    if content.get("schema") != REPORT_SCHEMA:
        raise ConfigError(f"{path} is not a report: give a file written by thinair --report")
    try:
        return _report(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error


def read_run(path: Path, frames: Path | None = None) -> RecordedRun:
    """A recorded run, or a report with its frame log. Raises FileError, ConfigError."""
    content = read_json(path)
    schema = content.get("schema")
    if schema == REPORT_SCHEMA and frames is None:
        raise ConfigError(f"{path} holds no frames: add --frames FILE.csv of the same run")
    try:
        if schema == SCHEMA:
            return _run(content)
        if schema == REPORT_SCHEMA and frames is not None:
            kind = "demo" if content.get("role") == "demo" else "play"
            return RecordedRun(kind, _report(content), read_frames(frames))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ConfigError(f"{path} is damaged: {what}") from error
    raise ConfigError(
        f"{path} is {schema or 'a file of pytest-benchmark'}, not a run: give one of bench loop or report"
    )


def read_frames(path: Path) -> list[Frame]:
    """The frame log of a player. Raises FileError, ConfigError."""
    try:
        with path.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not text'}") from error
    if rows and not set(rows[0]) >= _NEEDED:
        raise ConfigError(f"{path} is not the frame log of a player: it has other columns")
    try:
        return [_frame({name: text if name == "outcome" else _integer(text) for name, text in row.items()})
                for row in rows]  # fmt: skip
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error


def write_run(path: Path, run: RecordedRun) -> None:
    """Raises FileError."""
    columns = used_columns(run.frames)
    content = {
        "schema": SCHEMA,
        "kind": run.kind,
        "report": run.report,
        "columns": columns,
        "frames": [[getattr(frame, name) for name in columns] for frame in run.frames],
        "timelines": list(run.timelines),
        "loop": run.loop,
    }
    write_text(path, json.dumps(content) + "\n")


def write_text(path: Path, text: str) -> None:
    """Raises FileError."""
    with writing(path):
        path.write_text(text)


def write_json(path: Path | None, content: Mapping[str, object]) -> None:
    """Of a bench's --json; nothing where no file was named. Raises FileError."""
    if path is not None:
        write_text(path, json.dumps(content, indent=1) + "\n")


def write_csv(path: Path, frames: Sequence[Frame]) -> None:
    """Raises FileError."""
    columns = used_columns(frames)
    with writing(path), path.open("w", newline="") as opened:
        out = csv.DictWriter(opened, columns, extrasaction="ignore")
        out.writeheader()
        out.writerows(row_of(frame) for frame in frames)


def used_columns(frames: Sequence[Frame]) -> list[str]:
    """All but `loop_us`, which only the loop has."""
    timed = any(frame.loop_us is not None for frame in frames)
    return [name for name in FRAME_COLUMNS if name != "loop_us" or timed]


# ---- decoding: each raises KeyError, TypeError or ValueError -------------------------------------------------------


def _run(content: Mapping[str, object]) -> RecordedRun:
    columns = [_is(name, str) for name in _is(content["columns"], list)]
    frames = [_frame(dict(zip(columns, _is(row, list), strict=True))) for row in _is(content["frames"], list)]
    timelines = [_timeline(one) for one in _is(content["timelines"], list)]
    loop = content["loop"]
    return RecordedRun(
        _is(content["kind"], str),
        _report(_is(content["report"], dict)),
        frames,
        timelines,
        None if loop is None else _loop(_is(loop, dict)),
    )


def _report(content: Mapping[str, object]) -> Report:
    """Its shape as far as a bench relies on it."""
    mode = content.get("mode")
    if mode is not None:
        numbers = _is(mode, dict)
        _is(numbers["width"], int)
        _is(numbers["height"], int)
        rate = numbers["rate"]
        if rate is not None and not all(0 < int(part) < 10**9 for part in _is(rate, str).split("/", 1)):
            raise ValueError(f"{rate!r} is not a rate")
    for section in ("conditions", "presenter", "latency_ms", "frames", "drops", "recovery"):
        _is(content.get(section, {}), dict)
    conditions = _is(content.get("conditions", {}), dict)
    for sentence in _is(conditions.get("unfit", []), list):
        _is(sentence, str)
    return cast("Report", dict(content))


def _frame(row: Mapping[str, object]) -> Frame:
    """Columns that are not known are left out."""
    values = {name: row[name] for name in FRAME_COLUMNS if row.get(name) is not None}
    for name, value in values.items():
        _is(value, str if name == "outcome" else int)
    if not values.keys() >= {"frame_id", "outcome"}:
        raise ValueError("a frame has no frame_id or no outcome")
    return Frame(**cast("dict[str, int]", values))  # type: ignore[arg-type]  # the outcome was checked to be text


def _timeline(content: object) -> FrameTimeline:
    one = _is(content, dict)
    _is(one["frame_id"], int)
    _is(one["summary"], str)
    if one["latency_ms"] is not None:
        _is(one["latency_ms"], (int, float))
    events = []
    for event in _is(one["events"], list):
        at, kind, text = _is(event, list)
        events.append((float(_is(at, (int, float))), _is(kind, str), _is(text, str)))
    return cast("FrameTimeline", one | {"events": events})


def _loop(content: Mapping[str, object]) -> LoopResult:
    _is(content["n"], int)
    for name, value in _is(content.get("means_ms", {}), dict).items():
        _is(value, (int, float))
        _is(_is(content[f"{name}_ms"], dict)["p50"], (int, float, type(None)))
    for pair in _is(content.get("pairs", {}), dict).values():
        _is(_is(pair, dict)["mean_ms"], (int, float))
        _is(pair["bound_ms"], (int, float))
    _is(content["faults"], list)
    return cast("LoopResult", dict(content))


def _is(value: object, kind: type[T] | tuple[type[T], ...]) -> T:
    if not isinstance(value, kind):
        wanted = kind[0] if isinstance(kind, tuple) else kind
        raise TypeError(f"{str(value)[:40]!r} stands where {wanted.__name__} is expected")
    return value


def _integer(text: str | None) -> int | None:
    return int(text) if text else None
