from fractions import Fraction
from pathlib import Path

import pytest

from thinair.sender.pipeline import pacing

pytestmark = pytest.mark.quick


def test_a_wire_gets_no_pacing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "is_wireless", lambda host: False)
    assert pacing.pace_us("auto", "127.0.0.1", Fraction(25), 8_000_000, 1400) == 0


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30), Fraction(60), Fraction(240)])
@pytest.mark.parametrize("bitrate_bps", [500_000, 8_000_000, 60_000_000])
def test_on_wifi_a_frame_leaves_within_8_ms_and_half_its_interval(
    monkeypatch: pytest.MonkeyPatch, rate: Fraction, bitrate_bps: int
) -> None:
    monkeypatch.setattr(pacing, "is_wireless", lambda host: True)
    pace_us = pacing.pace_us("auto", "192.0.2.1", rate, bitrate_bps, 1400)
    packets = bitrate_bps / rate / 8 / 1400
    gaps = int(packets / pacing.GROUP)
    assert 0 <= pace_us * gaps <= min(8_000, int(500_000 / rate))


def test_a_person_s_word_goes_before() -> None:
    assert pacing.pace_us("off", "192.0.2.1", Fraction(25), 8_000_000, 1400) == 0
    assert pacing.pace_us(300, "192.0.2.1", Fraction(25), 8_000_000, 1400) == 300


def test_wireless_is_what_the_kernel_calls_so(tmp_path: Path) -> None:
    assert not pacing.is_wireless("127.0.0.1", tmp_path)
    (tmp_path / "lo" / "wireless").mkdir(parents=True)
    assert pacing.is_wireless("127.0.0.1", tmp_path)
