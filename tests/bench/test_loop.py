"""The loop: its figures from known stamps, its sampler of two codes, its relay."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinair.bench.analysis.recorded_run import Frame
from thinair.bench.harness.free_ports import free_port
from thinair.bench.loop import figures
from thinair.bench.loop.delay_relay import is_lost
from thinair.bench.loop.rig import DELAYABLE, EMIT_US, Round, Seen
from thinair.bench.network.packets import read
from thinair.cli import main
from thinair.link.child_process import python_module
from thinair.link.native import CodeWatcher, Packetizer, now_us
from thinair.link.protocol.frame_trace import STAGES
from thinair.sender.sources.visual_code import Geometry, Painter, Reader

INTERVAL_US, GRAB_US = 40_000, 4_000
PLACE = Geometry(1280, 720)


def loop(seed: int, *, path_us: float, in_band_us: float | None = None, count: int = 600) -> tuple[Round, Any, Any]:
    """A round whose path takes `path_us` from the grab's stamp to the screen, and a player that states `in_band_us`."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    began = 7_000_000_000
    emitted = [(began + n * EMIT_US, began + n * EMIT_US + 300) for n in range(count * 10)]
    found, sender, player = Round(emitted=emitted), [], []
    found.window_us = began + 100_000, began + 50_000_000
    for number in range(count):
        capture = began + 200_000 + number * INTERVAL_US + rng.randrange(0, 200)
        read = capture + 100
        code = max(n for n in range(max(0, (read - began) // EMIT_US - 2), len(emitted)) if emitted[n][1] <= read)
        late = path_us + rng.gauss(0, 400)
        found.seen.append(Seen(number & 0xFFFF, capture & 0xFFFFFFFF, code & 0xFFFF, round(capture + late)))
        sender.append({"frame_id": number, "capture_us": capture, "dequeue_us": capture + GRAB_US})
        said = late if in_band_us is None else in_band_us
        player.append(Frame(number, "presented", capture_to_present_us=round(said), bound_us=60))
    return found, sender, player


@pytest.mark.parametrize("path_us", [8_000, 45_000, 190_000])
def test_the_loop_measures_the_path_without_the_wait_for_the_grab(path_us: int) -> None:
    laps = figures.laps(*loop(1, path_us=path_us))
    assert len(laps) == 600
    found = figures.agreement(laps, array("I", [200] * 100))
    assert found["means_ms"]["loop"] == pytest.approx(path_us / 1000 - 0.1, abs=0.2)
    assert found["means_ms"]["screen"] == pytest.approx(path_us / 1000, abs=0.1)
    assert found["faults"] == []


def test_a_player_that_states_two_milliseconds_too_little_is_a_fault() -> None:
    found = figures.agreement(figures.laps(*loop(2, path_us=20_000, in_band_us=18_000)), array("I", [200] * 100))
    assert any("means of loop and in-band differ by" in fault for fault in found["faults"])
    assert any("means of screen and in-band differ by" in fault for fault in found["faults"])


def test_wrapped_codes_of_the_loop_are_distinguished_by_when_they_were_on_the_screen() -> None:
    found, sender, player = loop(3, path_us=20_000)
    shift = 70_000  # more than the code has bits for
    began = found.emitted[0][0]
    earlier = [(began - (shift - n) * EMIT_US, began - (shift - n) * EMIT_US + 300) for n in range(shift)]
    moved = Round(emitted=earlier + found.emitted, window_us=found.window_us)
    moved.seen = [Seen(one.seq, one.capture_us, (one.code + shift) & 0xFFFF, one.seen_us) for one in found.seen]
    assert figures.laps(moved, sender, player) == figures.laps(found, sender, player)


def test_a_loop_without_a_returned_code_is_a_fault() -> None:
    assert figures.agreement([], array("I"))["faults"] == ["no picture was timed in all three ways"]


def test_the_loops_sampler_reads_two_codes_of_one_picture() -> None:
    painter, plane = Painter(PLACE), np.full((720, 1280), 126, np.uint8)
    top, bottom, step = Reader(PLACE, 1280, pixel_bytes=1).places
    with memoryview(plane.data).cast("B") as pixels:
        watcher = CodeWatcher(pixels, top=top, bottom=bottom, step=step, sleep_us=10, separate_codes=True)
        painter.draw_at(PLACE.top, plane, 4711, 99)
        assert watcher.watch(now_us() + 2_000)[0] == []  # half of it is not there yet
        painter.draw_at(PLACE.bottom, plane, 5, 1234)
        (seen,) = watcher.watch(now_us() + 2_000)[0]
        assert (seen[0], seen[1], seen[3], seen[4]) == (5, 1234, 4711, 99)
        painter.draw_at(PLACE.top, plane, 4712, 100)
        assert watcher.watch(now_us() + 2_000)[0] == []  # the strip changes more often than the picture
        watcher.close()


# ---- injected delays ---------------------------------------------------------------------------------------


def test_every_stage_can_be_delayed() -> None:
    assert set(DELAYABLE) == set(STAGES)


def test_the_lossy_relay_drops_the_second_packet_of_a_frame_and_proactive_symbols() -> None:
    packets = Packetizer(ssrc=7, elements=True).packetize(
        b"\0\0\0\1\x41" + bytes(range(1, 255)) * 60, frame_id=12, rtp_time=9, capture_us=5
    )
    small = Packetizer(ssrc=7, elements=True).packetize(
        b"\0\0\0\1\x41" + bytes(range(1, 255)) * 9, frame_id=1, rtp_time=9
    )
    assert not any(is_lost(read(packet)) for packet in small)
    assert [is_lost(read(packet)) for packet in packets] == [n == 1 for n in range(len(packets))]
    proactive, on_demand = (
        b"\x80\x61" + bytes(10) + bytes((0, 0, 0, 1, 0, 0, 0, 9, 0, index, 2 << 1, 0)) for index in (1, 2)
    )
    assert is_lost(read(proactive))
    assert not is_lost(read(on_demand))


def test_the_loops_relay_delays_packets_by_the_given_time() -> None:
    entry, exit_port = free_port(), free_port()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
    ):
        far.bind(("127.0.0.1", exit_port))
        far.settimeout(5)
        words = [str(word) for word in (entry, exit_port, 20_000, 0, 0)]
        with subprocess.Popen(python_module("thinair.bench.loop.delay_relay", *words)) as wire:
            try:
                took = _crossing_s(near, far, entry)
            finally:
                wire.terminate()
    assert took >= 0.02


def _crossing_s(near: socket.socket, far: socket.socket, entry: int) -> float:
    for _ in range(100):  # until it listens
        began = time.monotonic()
        near.sendto(bytes(20), ("127.0.0.1", entry))
        far.settimeout(0.1)
        try:
            far.recv(100)
        except TimeoutError:
            continue
        return time.monotonic() - began
    raise AssertionError("nothing crossed")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--slow", "lunch=5"], "write STAGE=US"),
        (["--slow", "encode=fast"], "write STAGE=US"),
        (["--slow", "network=1000"], "needs --wire-us"),
        (["--rounds", "0"], "--rounds must be 1 or more"),
        (["--mode", "320x200@25"], "640x360"),
    ],
)
def test_wrong_options_of_the_loop_are_refused_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["bench", "loop", *words, "--json", str(tmp_path / "x.json")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
