"""Sender and player as processes in two network namespaces: either first, either restarted, the cable out and in again.

Both ends and the test share one CLOCK_MONOTONIC, so that a presented picture can be dated against a line of a log."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.netns import Cable, cable
from tests.support.processes import PLAY, THINAIR, running

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

PORT = "5004"
BACK_S = 1.0  # the picture returns within this
MODE = ("--mode", "640x360@30", "--bitrate", "2M")


@pytest.fixture
def net() -> Iterator[Cable]:
    with cable() as made:
        yield made


def sender(net: Cable, port: str = PORT) -> tuple[str, ...]:
    return (*net.sender.inside, *THINAIR, "send", "--to", f"{net.receiver.address}:{port}", *MODE)


def player(net: Cable, frames: Path | None = None, report: Path | None = None) -> tuple[str, ...]:
    words = [*net.receiver.inside, *PLAY, "--headless", "--listen", PORT]
    words += ["--frames", str(frames)] if frames else []
    words += ["--report", str(report)] if report else []
    return tuple(words)


def presented_s(frames: Path) -> list[float]:
    """When each picture was presented, on time.monotonic()'s clock."""
    with frames.open() as file:
        return [int(row["presented_us"]) / 1e6 for row in csv.DictReader(file) if row["outcome"] == "presented"]


def first_after(moment_s: float, frames: Path) -> float:
    """Seconds from the moment to the next picture."""
    return next((at - moment_s for at in presented_s(frames) if at > moment_s), float("inf"))


def test_a_player_that_was_there_first_shows_each_new_sender_within_a_second(net: Cable, tmp_path: Path) -> None:
    frames = tmp_path / "frames.csv"
    with running(player(net, frames)) as play:
        play.wait_for("listening")
        with running(sender(net)) as first:
            first_ready_s = first.wait_for("sending")
            first.wait_for("linked")
            first.run_on(1.0)
            first.kill()
            killed_s = time.monotonic()
        with running(sender(net)) as second:
            second_ready_s = second.wait_for("sending")
            second.wait_for("linked")
            second.run_on(1.0)
            assert play.stop() == 0
            second.wait_for("receiver lost (it ended the session)")
            assert second.stop() == 0
    shown = presented_s(frames)
    assert first_after(first_ready_s - 0.1, frames) - 0.1 <= BACK_S
    assert not [at for at in shown if killed_s + 0.5 < at < second_ready_s - 0.5], "nobody sends, nothing is shown"
    assert next(at for at in shown if at > killed_s + 0.1) - second_ready_s <= BACK_S


def test_a_sender_that_was_there_first_serves_each_new_player_within_a_second(net: Cable, tmp_path: Path) -> None:
    frames = [tmp_path / "first.csv", tmp_path / "third.csv"]
    with running(sender(net)) as send:
        send.wait_for("sending")
        with running(player(net, frames[0])) as first:
            ready_s = first.wait_for("listening")
            first.wait_for("640x360")
            first.run_on(1.0)
            assert first.stop() == 0
        assert first_after(ready_s - 0.1, frames[0]) - 0.1 <= BACK_S
        with running(player(net)) as second:
            second.wait_for("640x360")
            second.run_on(0.5)
            second.kill()  # no goodbye: the sender goes on sending to nobody
        with running(player(net, frames[1])) as third:
            ready_s = third.wait_for("listening")
            third.wait_for("640x360")
            third.run_on(1.0)
            assert third.stop() == 0
        assert first_after(ready_s - 0.1, frames[1]) - 0.1 <= BACK_S
        assert send.stop() == 0


@pytest.mark.parametrize("down_s", [1.0, 3.0], ids=["for less than the sender waits", "until the sender gives up"])
def test_the_picture_is_back_within_a_second_of_the_cable(net: Cable, tmp_path: Path, down_s: float) -> None:
    frames = tmp_path / "frames.csv"
    with running(player(net, frames)) as play, running(sender(net)) as send:
        send.wait_for("linked")
        play.run_on(1.0)
        net.set_up(False)
        down_at_s = time.monotonic()
        play.wait_for("network silent")
        play.run_on(down_s - (time.monotonic() - down_at_s))
        net.set_up(True)
        up_at_s = time.monotonic()
        play.run_on(2.0)
        assert play.stop() == 0
        assert ("receiver lost (no packets from it)" in send.text()) == (down_s > 2)
    shown = presented_s(frames)
    assert [at for at in shown if at < down_at_s], "nothing was shown to begin with"
    assert not [at for at in shown if down_at_s + 0.3 < at < up_at_s - 0.1]
    assert first_after(up_at_s - 0.1, frames) - 0.1 <= BACK_S


def test_the_clock_bound_holds_over_a_path_that_delays_each_way(net: Cable, tmp_path: Path) -> None:
    report_file, seed = tmp_path / "report.json", time.time_ns() & 0xFFFF
    print(f"seed {seed}")
    relay = (*net.receiver.inside, THINAIR[0], "-m", "tests.support.relay")
    way = (net.receiver.address, "6000", "127.0.0.1", PORT, "5", "3", str(seed))
    with (
        running((*relay, *way)) as between,
        running([*player(net, report=report_file), "--no-encryption"]) as play,
        running([*sender(net, "6000"), "--no-encryption"]) as send,  # sealed, they would go around what stands between
    ):
        between.wait_for("relay ready")
        send.wait_for("linked")
        play.run_on(4.0)
        assert play.stop() == 0
    report = json.loads(report_file.read_text())
    clock, latency = report["clock"], report["latency_ms"]
    assert clock["rtt_us"] >= 4000  # twice the smallest delay
    assert abs(clock["offset_us"]) <= clock["bound_us"], "both ends read one clock: the true offset is 0"
    assert clock["bound_us"] <= clock["rtt_us"] / 2 + 100
    assert report["frames"]["presented"] > 30
    assert latency["network"]["p50"] > 2
    assert latency["capture_to_present"]["p50"] > latency["network"]["p50"]
