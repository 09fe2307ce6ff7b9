"""Runs the benches of the tables, and keeps of each what its table needs."""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from thinair.bench.air import limits as air_limits
from thinair.bench.air.row import AirRow
from thinair.bench.analysis.recorded_run import LATENCY
from thinair.bench.analysis.summary import Percentiles
from thinair.bench.glass import Table as GlassTable
from thinair.bench.glass.baselines import BROWSER
from thinair.bench.glass.row import RowFigures
from thinair.bench.harness.run_conditions import Conditions, RunConditions
from thinair.bench.players import Table as PlayersTable
from thinair.bench.sim import best_baseline, fold
from thinair.bench.sim.figures import Row as SimulatedRow
from thinair.bench.soak.verdict import Verdict
from thinair.bench.tables.files import (
    SCHEMA,
    AirTableRow,
    BestRow,
    BrowserRow,
    CostRow,
    GlassRow,
    JoinRow,
    Latency,
    LoopRow,
    PlayersRow,
    RecoveryRow,
    Result,
    SensitivityRow,
    SimRow,
    SoakRow,
    write,
)
from thinair.link.child_process import python_module
from thinair.link.errors import ConfigError, DeviceError

# What a bench wrote with --json. Its own TypedDict is named where it is read.
Output = dict[str, Any]
Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """`commands`: arguments of thinair; each gets --json. `tables`: name → how its rows follow from what the commands
    wrote. `minutes`: about how long all of it takes."""

    commands: Sequence[str]
    tables: Mapping[str, Callable[[Sequence[Output]], Rows]]
    minutes: float
    link: str = "encrypted"
    usual: bool = True  # of make bench-tables


# ---- from what a bench wrote to rows ------------------------------------------------------------------------------


def _latency(figures: Percentiles | Mapping[str, Any]) -> Latency:
    return {"p50": _rounded(figures["p50"]), "p95": _rounded(figures["p95"]), "p99": _rounded(figures["p99"])}


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def glass_rows(outputs: Sequence[Output]) -> list[GlassRow]:
    table = cast("GlassTable", outputs[0])
    rows = [_glass_row(row) for row in table["rows"] if row["screen_latency_ms"]["n"]]
    rows[0]["against_best"] = {name: round(one["ratio"], 2) for name, one in table["against_best"].items()}
    return rows


def _glass_row(row: RowFigures) -> GlassRow:
    encoded = row["receive_ms"]["n"] > 0
    out: GlassRow = {
        "name": row["name"],
        "screen_ms": _latency(row["screen_latency_ms"]),
        "receive_ms": _latency(row["receive_ms"]) if encoded else None,
        "shown": row["shown"],
        "sent": row["sent"],
    }
    if difference := row.get("in_band_vs_screen_ms"):
        out["in_band_vs_screen_ms"] = _latency(difference)
    return out


def loop_rows(outputs: Sequence[Output]) -> list[LoopRow]:
    rows: list[LoopRow] = []
    for run in outputs:
        mode, loop = run["report"]["mode"], run["loop"]
        means = loop["means_ms"]
        rows.append({
            "mode": f"{mode['width']}x{mode['height']}@{mode['rate']}",
            "n": loop["n"],
            "loop": round(means["loop"], 2),
            "screen": round(means["screen"], 2),
            "in_band": round(means["in_band"], 2),
            "loop_in_band": round(loop["pairs"]["loop_in_band"]["mean_ms"], 2),
        })  # fmt: skip
    return rows


def cost_rows(outputs: Sequence[Output]) -> list[CostRow]:
    one = outputs[0]
    rounds = len(one["p50_ms"]["off"])
    added, error = round(one["added_ms"], 2), round(one["standard_error_ms"], 2)
    return [{"added_ms": added, "standard_error_ms": error, "rounds": rounds}]


def air_rows(outputs: Sequence[Output]) -> list[AirTableRow]:
    return [_air_row(row) for one in outputs for row in cast("list[AirRow]", one["rows"])]


def _air_row(row: AirRow) -> AirTableRow:
    pictures, none = row["pictures"], Latency(p50=None, p95=None, p99=None)
    out: AirTableRow = {
        "model": row["model"],
        "name": row["name"],
        "screen_ms": none if pictures is None else _latency(pictures["screen_ms"]),
        "intact_share": None if pictures is None else _rounded(pictures["intact_share"], 4),
        "age_p99_ms": None if pictures is None else _rounded(pictures["intact_age_ms"]["p99"], 1),
        "freeze_s": None if pictures is None else pictures["freeze_s"],
        "limits": row["note"] if pictures is None else air_limits(row),
    }
    if (link_ms := row.get("link_ms")) is not None:
        out["link_ms"] = _latency(link_ms)
    return out


def _folded(outputs: Sequence[Output]) -> dict[str, dict[str, list[SimulatedRow]]]:
    """Model → strategy → runs."""
    found: dict[str, dict[str, list[SimulatedRow]]] = {}
    for row in cast("list[SimulatedRow]", [row for one in outputs for row in one["rows"]]):
        found.setdefault(row["model"], {}).setdefault(row["strategy"], []).append(row)
    return found


def sim_rows(outputs: Sequence[Output]) -> list[SimRow]:
    rows: list[SimRow] = []
    for model, strategies in _folded(outputs).items():
        for strategy, runs in strategies.items():
            one = fold(runs)
            rows.append({
                "model": model,
                "strategy": strategy,
                "failed_share": round(one["failed"], 6),
                "overhead_share": round(one["overhead"], 4),
                "latency_ms": {"p50": round(one["p50"], 1), "p95": round(one["p95"], 1), "p99": round(one["p99"], 1)},
                "age_p99_ms": round(one["age"]),
                "freezes": round(one["freezes"], 1),
                "longest_freeze_ms": round(one["longest"]),
                "longest_unforced_ms": round(one["unforced"]),
                "used_share": round(one["used"], 2),
                "key_frames": round(one["keys"], 1),
            })  # fmt: skip
    return rows


def best_rows(outputs: Sequence[Output]) -> list[BestRow]:
    rows: list[BestRow] = []
    for model, strategies in _folded(outputs).items():
        folded = {name: fold(runs) for name, runs in strategies.items()}
        if (name := best_baseline(folded)) is not None:
            best, ours = folded[name], folded["thinair"]["failed"]
            rows.append({
                "model": model,
                "baseline": name,
                "failed_share": round(best["failed"], 6),
                "overhead_share": round(best["overhead"], 4),
                "ratio": round(best["failed"] / ours, 1) if ours else None,
            })  # fmt: skip
    return rows


def players_rows(outputs: Sequence[Output]) -> list[PlayersRow]:
    table = cast("PlayersTable", outputs[0])
    rows: list[PlayersRow] = []
    for name, row in table["rows"].items():
        against, shares = table["against_off_ms"].get(name, {}), table["shares"][name]
        rows.append({
            "name": name,
            "screen_ms": _latency(row["screen_latency_ms"]),
            "against_off_ms": None if name == "off" or not against else [against["p50"], against["p99"]],
            "recorder_share": _rounded(shares.get("record"), 3),
            "dashboard_share": _rounded(shares.get("dashboard"), 3),
            "shown": row["shown"],
            "sent": row["sent"],
        })  # fmt: skip
    return rows


def join_rows(outputs: Sequence[Output]) -> list[JoinRow]:
    table = cast("PlayersTable", outputs[0])
    times: dict[str, Sequence[float]] = {"browser": table["joins_ms"], **table["returns_ms"]}
    return [
        {"what": what, "p50_ms": round(statistics.median(found)), "max_ms": round(max(found)), "n": len(found)}
        for what, found in times.items()
        if found
    ]


def browser_rows(outputs: Sequence[Output]) -> list[BrowserRow]:
    rows: list[BrowserRow] = []
    for one in outputs:
        table = cast("GlassTable", one)
        figures = {row["name"]: row["screen_latency_ms"] for row in table["rows"]}
        remark = "; ".join(table["conditions"]["unfit"])
        browser, window = _latency(figures[BROWSER]), _latency(figures["thinair"])
        rows.append({"mode": table["conditions"]["mode"], "browser_ms": browser, "window_ms": window, "remark": remark})
    return rows


def soak_rows(outputs: Sequence[Output]) -> list[SoakRow]:
    found = cast("Verdict", outputs[0])
    recovery: list[RecoveryRow] = [
        {
            "fault": kind,
            "n": one["n"],
            "p50_ms": _rounded(one["p50_ms"], 0),
            "max_ms": _rounded(one["max_ms"], 0),
            "stops": kind not in {"channel loss", "clock steps"},
        }
        for kind, one in found["faults"].items()
    ]
    return [{
        "minutes": round(found["seconds"] / 60, 1),
        "faults": len(found["each_fault"]),
        "pictures": found["pictures"],
        "stale": found["stale"],
        "lost": found["lost"],
        "memory_growth_mb": {name: round((kb or 0) / 1024, 1) for name, kb in found["memory_growth_kb"].items()},
        "descriptor_growth": max((grown or 0 for grown in found["descriptor_growth"].values()), default=0),
        "drift_ms": round(found["drift_ms"] or 0.0, 2),
        "drift_interval_ms": [round(value, 2) for value in found["drift_interval_ms"] or ()],
        "difference_ms": round(found["difference_ms"] or 0.0, 2),
        "recovery": recovery,
    }]  # fmt: skip


# ---- what is measured ---------------------------------------------------------------------------------------------

MEASUREMENTS: dict[str, Measurement] = {
    "glass-1080p25": Measurement(
        ["bench glass --mode 1920x1080@25 --seconds 15 --baselines all"], {"glass-1080p25": glass_rows}, 7
    ),
    "glass-720p60": Measurement(
        ["bench glass --mode 1280x720@60 --seconds 9 --baselines thinair-unencrypted,mpv,gstreamer,gstreamer-buffer"],
        {"glass-720p60": glass_rows}, 3,
    ),
    "loop": Measurement(
        [f"bench loop --mode {mode} --rounds 2 --seconds 24"
         for mode in ("1920x1080@25", "1920x1080@30", "1280x720@60")],
        {"loop": loop_rows}, 2,
    ),
    "loop-cost": Measurement(["bench loop --cost --rounds 4 --seconds 16"], {"loop-cost": cost_rows}, 2),
    "air": Measurement(
        ["bench air --suite all --seconds 6 --bitrate 5.3M --baselines gstreamer,gstreamer-rtx-50,srt-120"],
        {"air": air_rows}, 8,
    ),
    "air-baselines": Measurement(["bench air --suite clean,B --seconds 6"], {"air-baselines": air_rows}, 7),
    "sim": Measurement(
        ["bench sim --suite all --frames 3000 --seeds 3"], {"sim": sim_rows, "sim-best": best_rows}, 5, "simulated"
    ),
    "sim-sockets": Measurement(
        ["bench sim --suite clean,A,B,C,GE,D,E --rate 25 --bitrate 5.3M --strategy thinair --seeds 1 --frames 1500"],
        {"sim-sockets": sim_rows}, 0.5, "simulated",
    ),
    "players": Measurement(
        ["bench players"], {"players": players_rows, "joins": join_rows}, 16, usual=False
    ),
    "browser": Measurement(
        [f"bench glass --mode {mode} --seconds 30 --rounds 2 --baselines {BROWSER}"
         for mode in ("1280x720@30", "1920x1080@25")],
        {"browser": browser_rows}, 5, usual=False,
    ),
    "soak": Measurement(["bench soak --hours 0.5 --every 20"], {"soak": soak_rows}, 31, usual=False),
}  # fmt: skip
_STAGES = {
    "": ("capture", "wait", "encode", "pace", "decode", "hold", "present"),
    "--wire-us 2000": ("network",),
    "--wire-us 2000 --lossy": ("repair",),
}
SENSITIVITY = "sensitivity"  # has runs and comparisons of its own; about 25 minutes
_SENSITIVITY_RUN = "bench loop --rounds 6 --seconds 60"


def measure(folder: Path, names: Sequence[str]) -> None:
    """Writes FOLDER/NAME.json of each table. Raises ConfigError, DeviceError, FileError."""
    for name in names:
        if name not in MEASUREMENTS and name != SENSITIVITY:
            raise ConfigError(f"table {name!r} is not known: use {', '.join([*MEASUREMENTS, SENSITIVITY])}")
    folder.mkdir(parents=True, exist_ok=True)
    chosen = list(names) or [name for name, one in MEASUREMENTS.items() if one.usual]
    began = time.monotonic()
    for name in chosen:
        if name == SENSITIVITY:
            _measure_sensitivity(folder)
        else:
            _measure_one(folder, name, MEASUREMENTS[name])
    print(f"measured in {(time.monotonic() - began) / 60:.1f} minutes: {', '.join(chosen)}")


def _measure_one(folder: Path, name: str, measurement: Measurement) -> None:
    print(f"{name}: about {measurement.minutes:g} minutes", flush=True)
    began = time.monotonic()
    outputs = [output(command) for command in measurement.commands]
    seconds = round(time.monotonic() - began)
    conditions = cast(
        "Conditions", outputs[0].get("conditions") or outputs[0].get("report", {}).get("conditions") or {}
    )
    for table, reduce in measurement.tables.items():
        commands = [f"thinair {command}" for command in measurement.commands]
        result = _result(commands, measurement.link, conditions, seconds, reduce(outputs))
        write(folder, table, result)


def output(command: str) -> Output:
    """What `thinair COMMAND --json FILE` wrote. Its verdict (exit code 1) is no failure here. Raises DeviceError."""
    with tempfile.TemporaryDirectory(prefix="thinair-tables-") as home:
        file = Path(home) / "output.json"
        done = subprocess.run(
            [*python_module("thinair"), *shlex.split(command), "--json", str(file)], stdout=sys.stderr, check=False
        )
        if done.returncode not in {0, 1} or not file.exists():
            raise DeviceError(f"thinair {command} ended with code {done.returncode}: see its output above")
        found: Output = json.loads(file.read_text())
        return found


def _result(commands: list[str], link: str, conditions: Conditions, seconds: float, rows: Rows) -> Result:
    machine = conditions if conditions.get("cpu") else RunConditions().machine
    remarks = [f"The machine was busy: {why}." for why in conditions.get("unfit", [])]
    return {
        "schema": SCHEMA,
        "commands": commands,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": "virtual time, any machine" if link == "simulated" else _machine(machine),
        "link": link,
        "seconds": seconds,
        "remarks": remarks,
        "rows": list(rows),
    }


def _machine(conditions: Conditions) -> str:
    return f"{conditions['cores']} × {conditions['cpu']}, kernel {conditions['kernel']}"


def _measure_sensitivity(folder: Path) -> None:
    """Each stage 1 ms slower on purpose, against a run without."""
    print(f"{SENSITIVITY}: about 25 minutes", flush=True)
    rows: list[SensitivityRow] = []
    began = time.monotonic()
    conditions: Conditions = {}
    with tempfile.TemporaryDirectory(prefix="thinair-tables-") as home:
        for number, (options, stages) in enumerate(_STAGES.items()):
            before = Path(home) / f"{number}.json"
            run = output(f"{_SENSITIVITY_RUN} {options}")
            before.write_text(json.dumps(run))
            conditions = cast("Conditions", run["report"]["conditions"])
            for stage in stages:
                after = Path(home) / f"{stage}.json"
                after.write_text(json.dumps(output(f"{_SENSITIVITY_RUN} {options} --slow {stage}=1000")))
                found = {one["name"]: one for one in output(f"bench compare {before} {after}")["verdicts"]}
                rows.append({
                    "stage": stage,
                    "options": options,
                    "stage_ms": _interval(found[stage]),
                    "total_ms": _interval(found[LATENCY]),
                    "verdict": found[LATENCY]["verdict"],
                })  # fmt: skip
    seconds = round(time.monotonic() - began)
    commands = [f"thinair {_SENSITIVITY_RUN} --slow STAGE=1000"]
    write(folder, SENSITIVITY, _result(commands, "encrypted", conditions, seconds, rows))


def _interval(verdict: Output) -> list[float]:
    figures = verdict["figures"] or {"low": float("nan"), "high": float("nan")}
    return [round(figures["low"], 2), round(figures["high"], 2)]
