"""The network model: what is asked of it comes out, and nothing else happens to packets."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from thinair.bench.network import MODELS, Link, Model, Rate, Stalls, read_trace
from thinair.link.errors import ConfigError, FileError

pytestmark = [pytest.mark.quick, pytest.mark.slow]
CLEAN = MODELS["clean"]


def through(
    model: Model, count: int = 20_000, every_us: float = 400, size: int = 1250, seed: int = 1
) -> list[list[float]]:
    link = Link(model, seed)
    return [link.forward.send(size, number * every_us) for number in range(count)]


@pytest.mark.parametrize(("name", "share", "run"), [("burst1", 0.01, 4), ("burst5", 0.05, 4), ("burst10", 0.1, 5)])
def test_losses_have_the_share_and_the_length_that_were_asked(name: str, share: float, run: float) -> None:
    lost = [not arrivals for arrivals in through(MODELS[name], 200_000)]
    assert sum(lost) / len(lost) == pytest.approx(share, rel=0.1)
    bursts = sum(b and not a for a, b in pairwise([False, *lost]))
    assert sum(lost) / bursts == pytest.approx(run, rel=0.1)
    loss = MODELS[name].loss
    assert loss is not None
    assert loss.share == pytest.approx(share)


def test_gilbert_elliott_as_published_loses_seven_per_cent() -> None:
    lost = sum(not arrivals for arrivals in through(MODELS["ge"], 200_000))
    assert lost / 200_000 == pytest.approx(0.074, rel=0.05)


def test_the_same_seed_is_the_same_air_and_another_is_another() -> None:
    assert through(MODELS["ge"]) == through(MODELS["ge"])
    assert through(MODELS["ge"]) != through(MODELS["ge"], seed=2)


def test_packets_keep_their_order_and_none_is_faster_than_the_rate() -> None:
    model = dataclasses.replace(MODELS["clean-far"], rate=Rate(((0, 10), (1, 3), (2, 20))))
    arrivals = [one[0] for one in through(model, 5_000, 3_000) if one]
    assert arrivals == sorted(arrivals)
    burst = [one[0] for one in through(dataclasses.replace(CLEAN, rate=Rate.constant(10)), 100, 0) if one]
    assert burst[-1] - burst[0] >= 99 * 1250 * 8 / 10 * 0.999


def slow_finish(rate: Rate, begin_us: int, bits: float) -> float:
    """Microsecond by microsecond."""
    at = begin_us
    while bits > 0:
        within = at / 1e6 % rate.seconds
        bits -= next(mbps for since, mbps in reversed(rate.steps[:-1]) if since <= within)
        at += 1
    return at


@pytest.mark.parametrize("begin_us", [0, 1_900, 2_500, 5_900])
def test_a_packet_over_changing_rates_takes_as_long_as_the_slow_sum_says(begin_us: int) -> None:
    rate = Rate(((0, 8), (0.002, 1), (0.004, 3), (0.006, 8)))
    link = Link(dataclasses.replace(CLEAN, rate=rate, delay_us=0), 1)
    (arrival,) = link.forward.send(1250, begin_us)
    assert arrival == pytest.approx(slow_finish(rate, begin_us, 10_000), abs=8)


def test_the_tail_of_a_full_queue_is_dropped() -> None:
    link = Link(dataclasses.replace(CLEAN, rate=Rate.constant(1), queue_us=50_000), 1)
    arrivals = [link.forward.send(1250, 0) for _ in range(20)]
    assert [bool(one) for one in arrivals] == [True] * 6 + [False] * 14
    assert link.forward.dropped == 14


def test_nothing_is_served_during_a_stall_either_way() -> None:
    link = Link(dataclasses.replace(CLEAN, stalls=Stalls(1e6, (100_000, 100_000), first_us=50_000)), 1)
    assert link.forward.send(100, 40_000)[0] < 50_000
    for way in (link.forward, link.reverse):
        assert way.send(100, 60_000)[0] > 150_000


def test_on_half_duplex_the_way_back_takes_air_from_the_way_there() -> None:
    model = dataclasses.replace(CLEAN, airtime_us=500)
    alone, shared = Link(model, 1), Link(model, 1)
    for number in range(10):
        shared.reverse.send(50, number)
    assert shared.forward.send(1000, 20)[0] >= alone.forward.send(1000, 20)[0] + 4_900


def test_a_round_trip_to_a_sender_far_away_is_as_measured() -> None:
    link, trips = Link(MODELS["clean-far"], 3), []
    for number in range(30_000):
        now = number * 25_000.0
        (there,) = link.forward.send(64, now)
        (back,) = link.reverse.send(64, there)
        trips.append((back - now) / 1000)
    trips.sort()
    assert trips[15_000] == pytest.approx(12, abs=1)
    assert trips[29_700] == pytest.approx(40, abs=5)


def test_duplicates_and_late_packets_come_in_their_shares() -> None:
    arrivals = through(MODELS["reorder"], 50_000)
    assert sum(len(one) == 2 for one in arrivals) / 50_000 == pytest.approx(0.01, rel=0.2)
    firsts = [one[0] for one in arrivals if one]
    assert 0 < sum(b < a for a, b in pairwise(firsts)) < 0.05 * len(firsts)


def test_a_trace_is_rebased_and_repeats(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("# seconds Mbit/s\n100.0 10\n101 20\n102,5\n")
    rate = read_trace(file)
    assert rate.steps == ((0.0, 10.0), (1.0, 20.0), (2.0, 5.0))
    assert rate.usable_bits(3.0, 12) == pytest.approx(10e6 + 12e6 + 10e6)
    assert rate.scaled(0.5).steps[1] == (1.0, 10.0)


@pytest.mark.parametrize("text", ["1 2\n1 3\n", "1 x\n", "1\n", "", "0 0\n1 0\n", "0 -1\n1 1\n", "0 nan\n1 1\n"])
def test_what_is_no_trace_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_trace(file)
    with pytest.raises(FileError):
        read_trace(tmp_path / "none")


def test_the_lowest_rate_of_a_span_is_that_of_any_step_in_it_over_the_repetition_too() -> None:
    rate = Rate(((0.0, 5.0), (2.0, 0.2), (3.0, 8.0), (4.0, 5.0)))
    assert rate.lowest(0.5, 1.9) == 5.0
    assert rate.lowest(1.5, 2.1) == 0.2
    assert rate.lowest(3.1, 3.9) == 8.0
    assert rate.lowest(3.1, 4.5) == 5.0
    assert rate.lowest(3.1, 6.5) == 0.2
