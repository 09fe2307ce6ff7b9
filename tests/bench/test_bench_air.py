"""bench air: its figures of pictures on a screen, and its relay."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.test_glass import HEIGHT, STRIDE, WIDTH, framebuffer_file, xwd_header
from thinair.bench.air.pixels import PictureSampler, Seen, figures
from thinair.bench.air.row import Settings, measure
from thinair.bench.harness.free_ports import free_port
from thinair.bench.network import MODELS
from thinair.link.child_process import python_module
from thinair.link.native import now_us
from thinair.sender.sources.visual_code import Geometry, Painter, Witness

INTERVAL_US = 40_000
BEGIN_US, END_US = 1_000_000, 2_000_000


def shown(number: int, latency_us: int, wrong: int) -> Seen:
    capture_us = 900_000 + number * INTERVAL_US
    return Seen(number, capture_us, capture_us + latency_us, wrong)


pictures = st.lists(
    st.builds(shown, st.integers(0, 30), st.integers(5_000, 200_000), st.sampled_from([0, 0, 0, 2])), max_size=40
).map(lambda seen: sorted(seen, key=lambda one: one.seen_us))


def counted(seen: list[Seen], sent: dict[int, int]) -> tuple[int, int, int, list[float]]:
    """Intact, damaged, stale and the ages, picture by picture and millisecond by millisecond."""
    intact, damaged, stale, fresh, newest = set(), 0, 0, [], 0
    for one in seen:
        inside = BEGIN_US <= one.seen_us < END_US
        if one.capture_us < newest:
            stale += inside
        elif one.wrong:
            newest, damaged = one.capture_us, damaged + inside
        else:
            newest = one.capture_us
            fresh.append(one)
            intact.add(one.frame_id)
    wanted = {number for number, capture in sent.items() if BEGIN_US <= capture < END_US}
    ages = []
    for tick in range(max(BEGIN_US, fresh[0].seen_us) if fresh else END_US, END_US, 1000):
        before = [one.capture_us for one in fresh if one.seen_us <= tick]
        ages.append((tick - before[-1]) / 1000)
    return len(intact & wanted), damaged, stale, ages


@pytest.mark.slow
@pytest.mark.quick
@given(pictures)
def test_intact_damaged_and_stale_pictures_and_ages_equal_a_count_picture_by_picture(seen: list[Seen]) -> None:
    sent = {number: 900_000 + number * INTERVAL_US for number in range(31)}
    found = figures(seen, sent, (BEGIN_US, END_US), INTERVAL_US)
    intact, damaged, stale, ages = counted(seen, sent)
    assert (found["intact"], found["damaged"], found["stale"]) == (intact, damaged, stale)
    if ages:
        assert found["intact_age_ms"]["max"] == pytest.approx(max(ages), abs=0.1)


@pytest.mark.quick
def test_a_picture_with_a_part_of_another_is_damaged(tmp_path: Path) -> None:
    path, geometry = framebuffer_file(tmp_path / "screen"), Geometry(WIDTH, HEIGHT)
    pixels = np.memmap(path, np.uint8, "r+", len(xwd_header()) + 36, (HEIGHT, STRIDE))
    painter, witness = Painter(geometry), Witness(geometry)
    sampler = PictureSampler(path, WIDTH, HEIGHT)
    done = threading.Event()

    def draw() -> None:
        kept = np.zeros((HEIGHT, WIDTH), np.uint8)
        for number in range(1, 6):
            picture = np.full((HEIGHT, WIDTH), 16, np.uint8)
            painter.draw(picture, number, now_us() & 0xFFFFFFFF)
            witness.draw(picture, number)
            if number == 3:
                picture[160:192] = kept[160:192]  # two rows of macroblocks of the picture before
            pixels[:, 1 : WIDTH * 4 : 4] = kept = picture
            time.sleep(0.05)
        done.set()

    thread = threading.Thread(target=draw)
    thread.start()
    sampler.run(lambda _: done.is_set(), 20_000)
    thread.join()
    sampler.close()
    assert [(one.frame_id, one.wrong > 0) for one in sampler.seen] == [(n, n == 3) for n in range(1, 6)]


@pytest.mark.quick
def test_the_relay_forwards_both_ways_after_the_delay_of_its_model_and_reports_its_lateness(tmp_path: Path) -> None:
    entry, exit_ = free_port(), free_port()
    file = tmp_path / "relay.json"
    argv = python_module("thinair.bench.air.relay", "clean", "1", str(file), f"{entry}:{exit_}")
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as relay,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", exit_))
        receiver.settimeout(5)
        sender.settimeout(5)
        assert relay.stdout is not None
        assert "ready" in relay.stdout.readline()
        for number in range(50):
            began = time.monotonic()
            sender.sendto(b"%d" % number, ("127.0.0.1", entry))
            data, address = receiver.recvfrom(2048)
            there = time.monotonic()
            receiver.sendto(data + b" back", address)
            assert sender.recv(2048) == b"%d back" % number
            assert there - began >= MODELS["clean"].delay_us / 1e6
            assert time.monotonic() - there >= MODELS["clean"].delay_us / 1e6
        relay.send_signal(signal.SIGINT)
        assert relay.wait(10) == 0
    assert json.loads(file.read_text())["n"] == 100


@pytest.mark.display
@pytest.mark.timeout(120)
def test_an_encrypted_row_over_a_lossy_channel_shows_intact_pictures() -> None:
    settings = Settings("640x360@25", 640, 360, 40_000.0, 1_500_000, 3.0, 1, realtime=False)
    row = measure("thinair", MODELS["A"], settings)
    assert row["note"] == "thinair"
    assert row["encrypted"]
    pictures = row["pictures"]
    assert pictures is not None
    assert pictures["sent"] > 50
    assert (pictures["intact_share"] or 0) > 0.8
    assert pictures["damaged"] == pictures["stale"] == 0
    assert (pictures["intact_age_ms"]["p50"] or 0) > 3, "the relay's delay at least"
    assert row["relay_late_us"]["n"] > 500, "the encrypted link passes through the relay"


@pytest.mark.quick
def test_a_baseline_that_is_not_installed_is_named_in_its_row_of_bench_air(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinair.bench.air.row.shutil.which", lambda _: None)
    settings = Settings("640x360@25", 640, 360, 40_000.0, 1_500_000, 1.0, 1, realtime=False)
    row = measure("srt-60", MODELS["clean"], settings)
    assert row["pictures"] is None
    assert "not installed" in row["note"]
