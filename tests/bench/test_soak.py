"""The verdict on a soak, fed with soaks whose faults are known."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import cast

import pytest

from thinair.bench.harness.xvfb_screen import Sighting
from thinair.bench.soak import _next
from thinair.bench.soak.faults import KILLS, KINDS, Fault
from thinair.bench.soak.rig import ProcessLife
from thinair.bench.soak.verdict import Soak, verdict
from thinair.cli import main
from thinair.sender.sources.visual_code import Code

pytestmark = [pytest.mark.quick, pytest.mark.slow]

SECOND = 1_000_000
BEGAN, LENGTH = 50_000 * SECOND, 1_800 * SECOND
INTERVAL = 40_000


def picture(at_us: int, late_us: int, number: int) -> Sighting:
    return Sighting(Code(number & 0xFFFF, (at_us - late_us) & 0xFFFFFFFF), at_us)


def life(name: str, per_hour_kb: int, descriptors: int = 0) -> ProcessLife:
    out = ProcessLife(name, cast("subprocess.Popen[bytes]", None), BEGAN)
    for second in range(1_500):
        start_up = 30_000 * min(second, 50) // 50
        out.rss_kb.append((second, 60_000 + start_up + per_hour_kb * second // 3600))
        out.descriptors.append((second, 30 + (descriptors * second // 1_500)))
    return out


def soak(*faults: Fault, drift_us: int = 0, away_us: int = 400_000, slower: float = 0.0) -> Soak:
    """A picture every interval, but not within a fault and `away_us` after it. `slower`: the machine, at the end."""
    sightings = []
    for number in range(LENGTH // INTERVAL):
        at = BEGAN + number * INTERVAL
        share = number * INTERVAL / LENGTH
        late = int((8_000 + number % 7 * 100 + drift_us * share) * (1 + slower * share))
        if not any(fault.began_us <= at < fault.over_us + away_us for fault in faults):
            sightings.append(picture(at, late, number))
    lives = [life("player", 500), life("sender", 0)]
    work = [(BEGAN + at, int(6_000 * (1 + slower * at / LENGTH))) for at in range(0, LENGTH, 100_000)]
    return Soak(BEGAN, BEGAN + LENGTH, sightings, faults, lives, work)


def fault(kind: str, at_s: int, note: str = "") -> Fault:
    return Fault(kind, BEGAN + at_s * SECOND, BEGAN + (at_s + 2) * SECOND, note)


def test_a_good_soak_passes_and_its_faults_are_listed_by_kind() -> None:
    found = verdict(soak(fault("link down", 100), fault("display gone", 200), fault("link down", 300)))
    assert found["failed"] == []
    assert found["faults"]["link down"]["n"] == 2
    assert found["faults"]["link down"]["max_ms"] == pytest.approx(400, abs=45)
    assert found["lost"] == found["stale"] == 0


def test_a_soak_whose_latency_drifts_fails() -> None:
    assert "latency drift +0.4" in verdict(soak(drift_us=500))["failed"][0]


@pytest.mark.parametrize("slower", [-0.2, 0.3])
def test_a_machine_that_becomes_slower_or_faster_is_no_drift_and_hides_none(slower: float) -> None:
    found = verdict(soak(slower=slower))
    assert found["failed"] == []
    assert found["difference_ms"] == pytest.approx(8.3 * slower * 5 / 6, rel=0.1)
    drift, interval = found["drift_ms"], found["drift_interval_ms"]
    assert drift is not None
    assert interval is not None
    assert abs(drift) < 0.05
    assert interval[0] <= drift <= interval[1]
    assert "latency drift +0.4" in verdict(soak(slower=slower, drift_us=500))["failed"][0]


def test_a_soak_without_its_reference_load_has_no_drift_and_fails() -> None:
    assert any("drift unknown" in why for why in verdict(replace(soak(), reference_load=[]))["failed"])


def test_a_fault_that_takes_longer_than_a_second_fails_and_is_named() -> None:
    found = verdict(soak(fault("sender killed", 100), away_us=1_500_000))
    assert found["failed"] == ["sender killed: recovery took 1520 ms, limit 1000 ms"]


def test_a_picture_that_never_returns_fails() -> None:
    one = soak(fault("display gone", 1_790), away_us=60_000_000)
    assert any("no picture afterwards in 1 of 1 cases" in why for why in verdict(one)["failed"])


def test_a_process_that_ends_by_itself_fails_the_soak_with_its_last_line() -> None:
    found = verdict(replace(soak(), ended="player ended with code 70: a defect"))
    assert found["failed"] == ["player ended with code 70: a defect"]


def test_a_fault_that_the_system_refused_is_listed_and_does_not_fail_the_soak() -> None:
    found = verdict(soak(fault("clock steps", 100, "PermissionError: no")))
    assert found["failed"] == []
    assert found["faults"]["clock steps"]["notes"] == ["PermissionError: no"]


def test_an_older_picture_after_a_newer_one_fails() -> None:
    one = soak()
    at = one.sightings[9_000].seen_us + 10_000
    stale = [*one.sightings[:9_001], picture(at, 90_000, 8_998), *one.sightings[9_001:]]
    assert "stale pictures" in verdict(replace(one, sightings=stale))["failed"][0]


def test_pictures_lost_between_faults_fail_the_soak() -> None:
    one = soak()
    kept = [sighting for at, sighting in enumerate(one.sightings) if at % 50]
    found = verdict(replace(one, sightings=kept))
    assert found["lost"] == pytest.approx(LENGTH // INTERVAL / 50, abs=2)
    assert "pictures lost" in found["failed"][0]


def test_growing_memory_and_descriptors_fail_the_soak_but_the_start_does_not_count() -> None:
    grown = replace(soak(), lives=[life("player", 20_000), life("sender", 0, descriptors=9)])
    failed = verdict(grown)["failed"]
    assert "player grew by" in failed[0]
    assert "kB" in failed[0]
    assert "sender grew by" in failed[1]
    assert "descriptors" in failed[1]


def test_the_growth_of_a_process_that_lived_too_short_is_unknown() -> None:
    short = life("player", 20_000)
    short.rss_kb, short.descriptors = short.rss_kb[:70], short.descriptors[:70]
    assert verdict(replace(soak(), lives=[short]))["memory_growth_kb"] == {"player": None}


def test_no_process_is_killed_in_the_middle_of_a_soak() -> None:
    assert {_next(KINDS, n, middle=False) for n in range(20)} == set(KINDS)
    assert {_next(KINDS, n, middle=True) for n in range(20)} == set(KINDS) - set(KILLS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--faults", "rain"], "is not known"),
        (["--hours", "0"], "--hours must be above 0"),
        (["--every", "3"], "--every at least 10 seconds"),
    ],
)
def test_wrong_options_of_the_soak_are_refused_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "soak", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
