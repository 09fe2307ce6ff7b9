"""Sender and player as processes in two network namespaces: either first, either restarted, the cable out and in again.
How soon the picture is back, tests/link/protocol/test_session_sim.py shows in virtual time.

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


def test_a_player_that_was_there_first_shows_each_new_sender(net: Cable, tmp_path: Path) -> None:
    frames = tmp_path / "frames.csv"
    with running(player(net, frames)) as play:
        play.wait_for("listening")
        with running(sender(net)) as first:
            first.wait_for("linked")
            play.wait_for_pictures(10)
            first.kill()
            killed_s = time.monotonic()
        play.wait_for("network silent", after_s=killed_s)
        with running(sender(net)) as second:
            second.wait_for("linked")
            play.wait_for_pictures(10)
            assert play.stop() == 0
            second.wait_for("receiver lost (it ended the session)")
            assert second.stop() == 0
    shown = presented_s(frames)
    assert min(shown) < killed_s < max(shown)


def test_a_sender_that_was_there_first_serves_each_new_player(net: Cable) -> None:
    with running(sender(net)) as send:
        send.wait_for("sending")
        with running(player(net)) as first:
            first.wait_for_pictures(10)
            assert first.stop() == 0
        with running(player(net)) as second:
            second.wait_for_pictures(10)
            second.kill()  # no goodbye: the sender goes on sending to nobody
        with running(player(net)) as third:
            third.wait_for_pictures(10)
            assert third.stop() == 0
        assert send.stop() == 0


@pytest.mark.parametrize("given_up", [False, True], ids=["for less than the sender waits", "until the sender gives up"])
def test_the_picture_is_back_when_the_cable_is(net: Cable, tmp_path: Path, given_up: bool) -> None:
    frames = tmp_path / "frames.csv"
    with running(player(net, frames)) as play, running(sender(net)) as send:
        send.wait_for("linked")
        play.wait_for_pictures(10)
        net.set_up(False)
        down_s = time.monotonic()
        play.wait_for("network silent", after_s=down_s)
        if given_up:
            send.wait_for("receiver lost (no packets from it)")
        net.set_up(True)
        up_s = time.monotonic()
        play.wait_for_pictures(10)
        assert play.stop() == 0
    shown = presented_s(frames)
    assert min(shown) < down_s < up_s < max(shown)


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
        play.wait_for_pictures(100)
        assert play.stop() == 0
    report = json.loads(report_file.read_text())
    clock, latency = report["clock"], report["latency_ms"]
    assert clock["rtt_us"] >= 4000  # twice the smallest delay
    assert abs(clock["offset_us"]) <= clock["bound_us"], "both ends read one clock: the true offset is 0"
    assert clock["bound_us"] <= clock["rtt_us"] / 2 + 100
    assert report["frames"]["presented"] > 30
    assert latency["network"]["p50"] > 2
    assert latency["capture_to_present"]["p50"] > latency["network"]["p50"]
