import subprocess

import pytest

from thinair.bench.memory import LIMIT_KB, growth_kb
from thinair.link.child_process import python_module


@pytest.mark.quick
def test_growth_is_told_from_a_start_that_fills_buffers() -> None:
    filling = [10_000 + min(second, 30) * 500 for second in range(600)]
    assert growth_kb(filling) == 0
    assert growth_kb([kb + second * 36 for second, kb in enumerate(filling)]) > LIMIT_KB


@pytest.mark.long
@pytest.mark.timeout(900)
def test_neither_end_grows_in_ten_minutes_at_1080p30() -> None:
    words = ["bench", "memory", "--seconds", "600", "--mode", "1920x1080@30"]
    run = subprocess.run(python_module("thinair", *words), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
