"""The conversion bench, at a size that takes no time."""

from __future__ import annotations

import pytest

from thinair.bench import convert

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("fourcc", ["UYVY", "YUYV", "NV12"])
def test_both_converters_are_timed_on_the_same_pictures_and_agree_on_luma(fourcc: str) -> None:
    row = convert.measure(fourcc, 320, 180, 5)
    assert row["thinair_ms"]["n"] == row["swscale_ms"]["n"] == 5
    assert row["ratio"] > 0
