"""bench sim: its definitions on scripted timelines, baselines on known losses, limits of thinair on short runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from thinair.bench import sim
from thinair.bench.network import MODELS
from thinair.bench.sim import Folded, Job, against_best, fold, simulate, table
from thinair.bench.sim.baseline_strategies import BASELINES
from thinair.bench.sim.figures import Row, Timeline
from thinair.bench.sim.simulator import INTERVAL_US, World
from thinair.link.errors import ConfigError


def line(*complete: float | None, keys: tuple[int, ...] = (0,)) -> Timeline:
    """Frames each 100 ms from 1 s on, sent at once; `complete` in ms after."""
    made = Timeline(100_000)
    for number, done in enumerate(complete):
        at = 1e6 + number * 100_000
        made.capture_us.append(at)
        made.sent_us.append(at)
        made.key.append(number in keys)
        made.complete_us.append(None if done is None else at + done * 1000)
        made.release_us.append(None)
    return made


def test_a_frame_fails_where_it_is_not_complete_one_interval_after_its_first_packet() -> None:
    assert line(10, 100, 101, None).failed_share() == 0.5


def test_what_refers_to_a_lost_frame_cannot_be_decoded_until_a_key_frame() -> None:
    decodable = line(10, None, 10, 20, 30, keys=(0, 3)).decodable_us()
    assert decodable == [1_010_000, None, None, 1_320_000, 1_430_000]


def test_a_late_frame_makes_the_next_one_late() -> None:
    assert line(10, 150, 10).decodable_us()[2] == 1_250_000


def test_latency_of_a_frame_that_never_comes_runs_until_a_newer_one_is_there() -> None:
    many = [10.0, None, None, 20.0, *[10.0] * 20]
    assert line(*many, keys=(0, 3)).latencies_us()[-4:] == [20_000, 120_000, 220_000, 10_000]


def test_glass_age_and_freezes_are_those_of_a_slow_look_each_millisecond() -> None:
    made = line(10, None, None, None, 60, *[10.0] * 12, keys=(0, 4))
    ages = made.glass_ages_us()
    shown = made.shown()
    slow = []
    for tick in range(len(ages)):
        now = shown[0][0] + 1000 * tick
        slow.append(now - max(capture for when, capture in shown if when <= now))
    assert list(ages) == pytest.approx(slow)
    assert [gap for _, gap in made.freezes()] == [350_000]


def test_a_picture_never_goes_back_to_an_older_one() -> None:
    captures = [capture for _, capture in line(10, 350, 10, 10, *[10.0] * 9).shown()]
    assert captures == sorted(captures)


class Scripted:
    """Loses the forward packets of these numbers."""

    def __init__(self, world: World, lost: set[int]) -> None:
        self._send = world._link.forward.send
        self._lost, self._count = lost, -1
        world._link.forward.send = self.send  # type: ignore[method-assign, assignment]  # the script is the channel

    def send(self, size: int, now: float) -> list[float]:
        self._count += 1
        arrivals = self._send(size, now)
        return [] if self._count in self._lost else arrivals


def failed(strategy: str, lost: set[int], frames: int = 60) -> int:
    world = World(MODELS["clean"], 1, frames)
    Scripted(world, lost)
    world.run(*BASELINES[strategy](world))
    return round(world.timeline.failed_share() * len(world.timeline.key))


@pytest.mark.parametrize("strategy", BASELINES)
def test_without_loss_no_frame_of_a_baseline_fails(strategy: str) -> None:
    assert failed(strategy, set()) == 0


def test_three_lost_packets_fail_a_frame_without_repair_and_not_one_with_20_percent_of_repair() -> None:
    lost = {3, 4, 5}
    assert failed("none", lost) == 1
    assert failed("moonlight", lost) == 0
    assert failed("wfb", lost) == 0
    assert failed("moonlight", set(range(3, 12))) == 1
    assert failed("wfb", set(range(3, 9))) >= 1


def test_retransmission_repairs_a_gap_in_time_and_the_last_packet_only_after_the_next_frame() -> None:
    assert failed("webrtc", {3, 4, 5}) == 0
    world = World(MODELS["clean"], 1, 60)
    count: list[int] = []
    world.encode(8e6, key=True, now_us=0)  # how many packets the first frame has
    del count
    first = World(MODELS["clean"], 1, 60)
    sender, _ = BASELINES["webrtc"](first)
    sender.picture(100_000.0)
    packets = len(sender.poll(100_000.0))
    assert failed("webrtc", {packets - 1}) == 1


def test_20_percent_of_repair_without_requests_fails_as_published_under_gilbert_elliott() -> None:
    """A Monte Carlo simulation gives 3.1 % at k = 20, the packets of a frame at this bitrate."""
    world = World(MODELS["ge"], 4, 6_000)
    world.model = MODELS["ge"]
    pair = BASELINES["moonlight"](world)
    pair[0].bitrate_bps = 5_760_000  # type: ignore[attr-defined]  # a PlainSender
    world.run(*pair)
    assert 0.015 < world.timeline.failed_share() < 0.05


def p99(row: Row) -> float:
    value = row["latency_ms"]["p99"]
    assert value is not None
    return value


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    names = ("clean", "ge", "burst1", "burst5", "burst10", "scan", "steps", "E")
    return {name: simulate(Job("thinair", MODELS[name], 0, 1500))[0] for name in names}


def test_on_a_clean_channel_thinair_adds_no_latency_and_no_overhead(rows: dict[str, Row]) -> None:
    clean = rows["clean"]
    none = simulate(Job("none", MODELS["clean"], 0, 1500))[0]
    assert clean["failed_share"] == 0
    assert clean["overhead_share"] < 0.03
    assert p99(clean) <= p99(none) + 0.5
    assert clean["feedback_share"] < 0.02


@pytest.mark.parametrize(
    ("name", "share", "above_ms"),
    [("ge", 0.002, 22), ("burst1", 0.002, 11), ("burst5", 0.003, 17), ("burst10", 0.01, 22)],
)
def test_thinair_keeps_its_limits_on_lossy_channels(
    rows: dict[str, Row], name: str, share: float, above_ms: float
) -> None:
    """Limits for 1,500 frames; the bench's 50,000 frames resolve smaller ones."""
    one = rows[name]
    assert one["failed_share"] <= share
    assert one["overhead_share"] <= 0.32
    assert p99(one) <= p99(rows["clean"]) + above_ms


def test_a_stall_costs_no_key_frame_and_a_slow_link_no_freeze(rows: dict[str, Row]) -> None:
    stalls = 1 + 50 // 10
    assert rows["scan"]["key_frames"] <= stalls + 2
    assert rows["scan"]["longest_freeze_ms"] < 320
    assert p99(rows["steps"]) < 130
    assert rows["steps"]["used_share"] > 0.7
    assert rows["E"]["longest_freeze_ms"] < 250


def test_the_same_seed_is_the_same_run() -> None:
    job = Job("thinair", MODELS["burst5"], 3, 300)
    assert simulate(job) == simulate(job)


def test_json_rows_of_the_simulation_have_the_documented_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    sim.add_arguments(parser)
    files = ["--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"), "--html", str(tmp_path / "a.html")]
    words = ["--suite", "clean", "--strategy", "thinair,moonlight", "--frames", "120", "--seeds", "1", "--jobs", "1"]
    assert sim.run(parser.parse_args([*words, *files])) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    wanted = {"strategy", "model", "seed", "failed_share", "overhead_share", "latency_ms", "glass_age_ms", "freezes"}
    assert all(wanted | {"freeze_s", "used_share", "key_frames"} <= set(row) for row in rows)
    assert set(rows[0]["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert (tmp_path / "a.csv").read_text().count("\n") == 3
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/png") == 3
    assert "http" not in page
    assert "moonlight" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--suite", "moon"], ["--strategy", "hope"], ["--frames", "1"], ["--scale", "0"]])
def test_an_unknown_suite_strategy_or_size_of_the_simulation_is_refused(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    sim.add_arguments(parser)
    with pytest.raises(ConfigError):
        sim.run(parser.parse_args(words))


def test_thinair_is_compared_with_the_best_baseline_of_no_more_overhead() -> None:
    one = fold([simulate(Job("none", MODELS["clean"], 0, 100))[0]])
    ours: Folded = {**one, "failed": 0.01, "overhead": 0.2}
    costly: Folded = {**one, "failed": 0.0, "overhead": 0.3}
    fair: Folded = {**one, "failed": 0.1, "overhead": 0.2}
    folded = {"thinair": ours, "costly": costly, "fair": fair}
    assert "10.0 times fewer failed" in against_best(folded)
    assert "fair" in against_best(folded)
    assert fold([simulate(Job("none", MODELS["clean"], 0, 100))[0]])["failed"] == 0
    assert "clean" in table([simulate(Job("thinair", MODELS["clean"], 0, 100))[0]])
    assert INTERVAL_US > 0
