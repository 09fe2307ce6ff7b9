"""`python -m thinair.bench.suite.baseline build/bench.json`: what of a run of `make bench` is kept as baseline:
names, times,
what was noted of them, and of which machine they are. Commit it where a change of a piece's cost is meant."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from thinair.bench.analysis.recorded_run import read_json, write_text

BASELINE = Path(__file__).with_name("baseline.json")


def kept(content: dict[str, Any]) -> dict[str, Any]:
    machine = content["machine_info"]
    cpu = {"brand_raw": machine["cpu"].get("brand_raw")}
    return {
        "machine_info": {"machine": machine["machine"], "cpu": cpu, "python_version": machine["python_version"]},
        "datetime": content["datetime"],
        "benchmarks": [
            {
                "name": one["name"],
                "stats": {"data": [float(f"{value:.4g}") for value in one["stats"]["data"]]},
                "extra_info": one["extra_info"],
            }
            for one in content["benchmarks"]
        ],
    }


def main() -> None:
    lines = json.dumps(kept(read_json(Path(sys.argv[1])))).replace('{"name"', '\n{"name"')
    write_text(BASELINE, lines + "\n")


if __name__ == "__main__":
    main()
