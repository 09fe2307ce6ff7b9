"""The JSON files of docs/results/: one per table, with its command, date and machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from thinair.bench.analysis.run_files import write_text
from thinair.link.errors import ConfigError, FileError

SCHEMA = "thinair.results/1"


class Result(TypedDict):
    """`link`: encrypted, unencrypted or simulated. `seconds`: how long the commands took; None where it is not known.
    `remarks`: sentences. `rows`: those of one class of this module."""

    schema: str
    commands: list[str]
    date: str  # 2026-11-29
    machine: str
    link: str
    seconds: float | None
    remarks: list[str]
    rows: list[Mapping[str, object]]


class Latency(TypedDict):
    """ms; None is unknown, or has too few values."""

    p50: float | None
    p95: float | None
    p99: NotRequired[float | None]
    max: NotRequired[float | None]
    n: NotRequired[int | None]


class GlassRow(TypedDict):
    name: str  # of thinair.bench.glass.baselines
    screen_ms: Latency
    receive_ms: Latency | None  # without the encode call; None: nothing was encoded
    in_band_vs_screen_ms: NotRequired[Latency]
    against_best: NotRequired[dict[str, float]]  # of thinair's row: figure → ratio to the best baseline
    shown: int
    sent: int


class LoopRow(TypedDict):
    """Means in ms."""

    mode: str
    n: int | None
    loop: float
    screen: float
    in_band: float
    loop_in_band: float  # loop minus in-band


class CostRow(TypedDict):
    added_ms: float
    standard_error_ms: float
    rounds: int


class RecoveryRow(TypedDict):
    """One kind of fault. `stops`: whether the picture stopped at all."""

    fault: str
    n: int | None
    p50_ms: float | None
    max_ms: float | None
    stops: bool


class SoakRow(TypedDict):
    """The soak as a whole, its only row."""

    minutes: float
    faults: int
    pictures: int
    stale: int
    lost: int
    memory_growth_mb: dict[str, float]
    descriptor_growth: int
    drift_ms: float
    drift_interval_ms: list[float]
    difference_ms: float
    recovery: list[RecoveryRow]


class AirTableRow(TypedDict):
    model: str
    name: str  # of thinair.bench.air.row
    screen_ms: Latency
    intact_share: float | None
    age_p99_ms: float | None
    freeze_s: float | None
    limits: str
    link_ms: NotRequired[Latency | None]


class SimRow(TypedDict):
    """Means of the seeds; latencies (ms) of the worst seed. Shares are 0 to 1."""

    model: str
    strategy: str
    failed_share: float
    overhead_share: float
    latency_ms: Latency
    age_p99_ms: float
    freezes: float
    longest_freeze_ms: float
    longest_unforced_ms: float
    used_share: float
    key_frames: float


class BestRow(TypedDict):
    """thinair against the best baseline with no more overhead. `ratio`: None where thinair had no failed frame."""

    model: str
    baseline: str
    failed_share: float
    overhead_share: float
    ratio: float | None


class PlayersRow(TypedDict):
    """`against_off_ms`: p50 and p99 above the row "off". Shares of a core."""

    name: str
    screen_ms: Latency
    against_off_ms: list[float] | None
    recorder_share: float | None
    dashboard_share: float | None
    shown: int
    sent: int


class JoinRow(TypedDict):
    """Join of a browser, or return of sender, player or path."""

    what: str
    p50_ms: float
    max_ms: float
    n: int


class BrowserRow(TypedDict):
    mode: str
    browser_ms: Latency
    window_ms: Latency
    remark: str


class SensitivityRow(TypedDict):
    """99 % intervals of the differences, ms."""

    stage: str
    options: str
    stage_ms: list[float]
    total_ms: list[float]
    verdict: str  # on the total


def read_all(folder: Path) -> dict[str, Result]:
    """Table name → result. Raises FileError, ConfigError."""
    try:
        texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.json"))}
    except OSError as error:
        raise FileError(f"cannot read {folder}: {error.strerror}") from error
    return {name: _decoded(name, text) for name, text in texts.items()}


def write(folder: Path, name: str, result: Result) -> None:
    """One row per line. Raises FileError."""
    head = {key: value for key, value in result.items() if key != "rows"}
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in result["rows"])
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    write_text(folder / f"{name}.json", f'{text},\n "rows": [\n{lines}\n ]\n}}\n')


def _decoded(name: str, text: str) -> Result:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name}.json is not JSON: {error}") from error
    missing = Result.__annotations__.keys() - (content.keys() if isinstance(content, dict) else set())
    if missing or content["schema"] != SCHEMA or not all(isinstance(row, dict) for row in content["rows"]):
        raise ConfigError(f"{name}.json is not a file of results: measure it again")
    return cast("Result", content)
