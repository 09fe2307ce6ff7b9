"""`thinair bench encryption` with one repetition: its rows, its limits, its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.processes import call
from thinair.bench.encryption import LIMITS, SCHEMA


@pytest.mark.timeout(120)
def test_the_encryption_bench_has_a_time_for_each_row_and_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "encryption.json"
    done = call("bench", "encryption", "--count", "1", "--json", str(file), timeout_s=100)
    found = json.loads(file.read_text())
    assert found["schema"] == SCHEMA
    assert found["first_picture_ms"].keys() == LIMITS.keys()
    assert all(len(times) == 1 and times[0] > 0 for times in found["first_picture_ms"].values()), done.stdout
    assert all(name in done.stdout for name in LIMITS)
    over = any(times[0] > LIMITS[name][0] for name, times in found["first_picture_ms"].items())
    assert done.returncode == int(over)
