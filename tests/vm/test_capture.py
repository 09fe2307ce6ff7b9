"""Native capture on the kernel's vivid driver, its faults included."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.vm.machine import Machine

# 75 % colour bars as vivid draws them: white, yellow, cyan, green, magenta, red, blue; then black.
BARS = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
LEVEL = 191 / 255
EXPERIMENTS = (
    *("pictures=UYVY", "pictures=YUYV", "pictures=NV12", "sequence=60", "newest", "damaged", "refused_buffer"),
    *("refused_start", "refusals", "after_close", "again=40", "fatal", "disconnect"),
)


def bt709(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """ITU-R BT.709-6, items 3.2 to 3.4, limited range."""
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748


def run(vm: Machine, node: str, *experiments: str) -> dict[str, Any]:
    lines = vm.run("capture.py", node, *experiments, timeout_s=90).output.splitlines()
    return dict(zip(experiments, map(json.loads, lines), strict=True))


@pytest.fixture(scope="module")
def seen(machine: Machine) -> Iterator[dict[str, Any]]:
    """What the experiments of tests/vm/guest/capture.py saw, one after the other on one input."""
    machine.load("vivid", n_devs=1, num_inputs=1, input_types=3, node_types=1, no_error_inj=0)
    yield run(machine, machine.device("vivid-000-vid-cap"), *EXPERIMENTS)
    if machine.alive:
        machine.settle()
        machine.unload("vivid")


@pytest.fixture(scope="module")
def seen_in_planes(machine: Machine, seen: dict[str, Any]) -> dict[str, Any]:
    """The same with the multi-planar interface, pictures alone."""
    machine.unload("vivid")
    machine.load("vivid", n_devs=1, num_inputs=1, input_types=3, node_types=1, multiplanar=2)
    return run(machine, machine.device("vivid-000-vid-cap"), "pictures=UYVY", "pictures=NV12")


def check_bars(result: Any, fourcc: str) -> None:
    form = result["format"]
    assert (form["fourcc"], form["width"], form["height"], form["driver"]) == (fourcc, 1280, 720, "vivid")
    assert (form["colorspace"], form["buffers"]) == (3, 4)
    wanted = [bt709(*(LEVEL * part for part in bar)) for bar in BARS] * 2
    for got, want in zip(result["samples"], wanted, strict=True):
        assert max(abs(a - b) for a, b in zip(got, want, strict=True)) <= 2.5, (got, want)


@pytest.mark.parametrize("fourcc", ["UYVY", "YUYV", "NV12"])
def test_colour_bars_come_out_in_their_colours(seen: dict[str, Any], fourcc: str) -> None:
    check_bars(seen[f"pictures={fourcc}"], fourcc)


@pytest.mark.parametrize("fourcc", ["UYVY", "NV12"])
def test_so_they_do_through_the_multi_planar_interface(seen_in_planes: dict[str, Any], fourcc: str) -> None:
    check_bars(seen_in_planes[f"pictures={fourcc}"], fourcc)


def test_every_picture_the_driver_drops_is_counted(seen: dict[str, Any]) -> None:
    result = seen["sequence=60"]
    frames, stats = result["seen"], result["stats"]
    numbers = [number for number, *_ in frames]
    # vivid, hurried, gives a number twice now and then: such a picture, passed over, is skipped as well
    assert all(b - a - 1 <= skipped for (a, b), (_, skipped, *_) in zip(pairwise(numbers), frames[1:], strict=True))
    assert sum(skipped for _, skipped, *_ in frames) == stats["gaps"] + stats["passed_over"]
    assert stats["gaps"] > 10
    assert stats["captured"] == len(frames) == 60
    assert all(0 < capture_us <= dequeue_us for *_, capture_us, dequeue_us in frames)


def test_of_what_piled_up_only_the_newest_comes(seen: dict[str, Any]) -> None:
    result = seen["newest"]
    first, second = result["numbers"]
    assert result["stats"]["passed_over"] >= 2
    assert result["skipped"] >= second - first - 1 >= 2


def test_a_damaged_picture_is_flagged(seen: dict[str, Any]) -> None:
    result = seen["damaged"]
    assert result["flagged"]
    assert result["stats"]["corrupt"] == result["injected"]


def test_a_buffer_the_driver_refuses_once_is_not_lost(seen: dict[str, Any]) -> None:
    result = seen["refused_buffer"]
    assert result["stats"]["queue_errors"] == 1
    assert result["used"] == [0, 1, 2, 3]


def test_a_start_that_fails_says_where_and_leaves_nothing_behind(seen: dict[str, Any]) -> None:
    reqbufs, streamon, qbuf = seen["refused_start"]
    assert "has no buffers" in reqbufs[1]
    assert "does not start" in streamon[1]
    assert "refuses a buffer" in qbuf[1]


def test_a_driver_that_fails_for_good_is_an_error_not_silence(seen: dict[str, Any]) -> None:
    number, text = seen["fatal"]
    assert number is not None
    assert "capture: it" in text


def test_a_device_that_goes_away_says_so(seen: dict[str, Any]) -> None:
    result = seen["disconnect"]
    assert result["running"][0] == errno.ENODEV
    assert "the device is gone" in result["running"][1]
    assert result["opening"][0] == errno.ENODEV


def test_what_cannot_be_captured_is_refused_in_words(seen: dict[str, Any]) -> None:
    said = seen["refusals"]
    assert said["busy"][0] == errno.EBUSY
    assert "another program uses it" in said["busy"][1]
    assert said["missing"][0] == errno.ENOENT
    assert "is not a V4L2 device" in said["no V4L2"][1]
    assert "does not support H264" in said["format"][1]
    assert "delivers 640x480 instead of 1920x1080" in said["size"][1]


def test_an_encoder_is_no_capture_device(vm: Machine, vicodec: str) -> None:
    script = vm.share / "encoder.py"
    script.write_text(
        "import sys\nfrom thinair.link.native import Capture\ntry:\n    Capture(device=sys.argv[1], fourcc='UYVY')\n"
        "except OSError as error:\n    print(error)\n"
    )
    assert "is not a capture device" in vm.run("/share/encoder.py", vicodec).output


def test_a_picture_outlives_its_capture(seen: dict[str, Any]) -> None:
    result = seen["after_close"]
    assert result["same"]
    assert result["busy"][0] == errno.EBUSY


def test_forty_captures_leave_no_descriptor_and_no_mapping(seen: dict[str, Any]) -> None:
    result = seen["again=40"]
    assert result["after"] == result["before"]
