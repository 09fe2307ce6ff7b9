"""The repair bench, at a size that takes no time."""

from __future__ import annotations

import pytest

from thinair.bench import repair
from thinair.cli import main

pytestmark = pytest.mark.quick


def test_every_way_is_timed_on_blocks_that_come_back() -> None:
    rows = repair.measure(k=5, r=3, size=40, count=4)
    assert list(rows)[:4] == ["memcpy", "XOR parity", "encode", "decode"]
    assert all(row["block_us"] > 0 and row["mb_per_s"] > 0 for row in rows.values())
    assert rows["XOR parity"]["of_xor"] == 1


@pytest.mark.parametrize("wrong", [["--sources", "0"], ["--symbols", "1"], ["--sources", "250"], ["--size", "0"]])
def test_an_impossible_block_is_refused_in_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "repair", *wrong]) == 2
    assert "--symbols must be 2 to K" in capsys.readouterr().err
