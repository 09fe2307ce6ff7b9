"""`python -m thinair.bench.suite.baseline build/bench.json`: keeps a run of `make bench` as the committed baseline.

Kept are names, times, what was recorded beside them, and the machine. Commit it when the cost of a piece is meant to
change."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from thinair.bench.analysis.run_files import write_text

BASELINE = Path(__file__).with_name("baseline.json")


def kept(text: str) -> str:
    """The baseline of a file of pytest-benchmark, a line per benchmark."""
    content = json.loads(text)
    machine = content["machine_info"]
    cpu = {"brand_raw": machine["cpu"].get("brand_raw")}
    baseline = {
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
    return json.dumps(baseline).replace('{"name"', '\n{"name"') + "\n"


def main() -> None:
    write_text(BASELINE, kept(Path(sys.argv[1]).read_text()))


if __name__ == "__main__":
    main()
