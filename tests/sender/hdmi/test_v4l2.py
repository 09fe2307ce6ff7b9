"""thinair.sender.hdmi.v4l2 and thinair.sender.hdmi.port without a device: timings, routes, device trees, EDIDs, and
what is said where there
is none. tests/vm has the real drivers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from thinair.edid.build import PRESETS, preset
from thinair.edid.timings import VICS, Chain, Timing
from thinair.link.errors import ConfigError, DeviceError, FileError
from thinair.link.native import V4L2Device, media_set_link, media_topology
from thinair.sender.hdmi import v4l2
from thinair.sender.hdmi.port import check_edid, read_edid
from thinair.sender.hdmi.v4l2 import Hop, find_input, rate_of, refusal, routes, timing_of

pytestmark = pytest.mark.quick
NTSC = Fraction(1000, 1001)
TWO_LANES = Chain(2, 972_000_000)


def bt(**fields: int) -> dict[str, int]:
    """720p60 as the tc358743 driver tells it: all of the blanking in the sync fields."""
    plain = dict.fromkeys(
        ("hfrontporch", "hbackporch", "vfrontporch", "vbackporch", "interlaced", "polarities", "flags"), 0
    )
    return plain | {"width": 1280, "height": 720, "hsync": 370, "vsync": 30, "pixelclock": 74_250_000} | fields


def test_timings_become_a_mode_with_its_rate() -> None:
    timing = timing_of(bt())
    assert (timing.width, timing.height, timing.h_total, int(timing.v_total)) == (1280, 720, 1650, 750)
    assert rate_of(timing) == 60


def test_a_reduced_rate_is_believed_where_the_chip_can_detect_it() -> None:
    reduced, can_detect = 1 << 3, 1 << 9
    assert rate_of(timing_of(bt(flags=reduced | can_detect))) == 60 * NTSC
    assert rate_of(timing_of(bt(flags=reduced))) == 60


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60, 24 * NTSC, 30 * NTSC, 60 * NTSC])
def test_a_measured_clock_means_the_standard_rate_beside_it(rate: Fraction) -> None:
    for error in (Fraction(9998, 10_000), Fraction(1), Fraction(10_002, 10_000)):
        clock = round(1650 * 750 * rate * error)
        assert rate_of(timing_of(bt(pixelclock=clock))) == rate


def test_an_unusual_rate_stays_as_it_is() -> None:
    assert rate_of(timing_of(bt(pixelclock=1650 * 750 * 57))) == 57


@pytest.mark.parametrize(
    ("timing", "chain", "words"),
    [
        (VICS[4], TWO_LANES, ""),
        (VICS[34], TWO_LANES, ""),
        (VICS[16], TWO_LANES, "needs 3 CSI-2 lanes at 972 Mb/s: there are 2"),
        (VICS[34], Chain(1, 972_000_000), "needs 2 CSI-2 lanes at 972 Mb/s: there are 1"),
        (VICS[16], None, ""),
        (Timing(1920, 1080, 74_250_000, 88, 44, 148, 2, 5, 15, interlaced=True), None, "interlaced"),
        (Timing(3840, 2160, 297_000_000, 176, 88, 296, 8, 10, 72), TWO_LANES, "size: the bridge supports"),
        (Timing(1365, 768, 85_500_000, 70, 143, 213, 3, 3, 24), None, "an odd number of pixels"),
    ],
)
def test_a_mode_that_is_not_supported_says_why(timing: Timing, chain: Chain | None, words: str) -> None:
    reason = refusal(timing, chain)
    assert reason.startswith(words)
    assert bool(reason) == bool(words)


# ---- the media controller: a bridge, a receiver with a second way to memory, and their nodes

SUBDEV, VIDEO, INTERFACE_LINK, ENABLED = 0x203, 0x200, 1 << 28, 1
TOPOLOGY: dict[str, list[dict[str, Any]]] = {
    "entities": [{"id": 1}, {"id": 4}, {"id": 9}, {"id": 20}],
    "pads": [
        {"id": 2, "entity_id": 1, "flags": 2, "index": 0},
        {"id": 5, "entity_id": 4, "flags": 1, "index": 0},
        {"id": 6, "entity_id": 4, "flags": 2, "index": 4},
        {"id": 10, "entity_id": 9, "flags": 1, "index": 0},
        {"id": 21, "entity_id": 20, "flags": 1, "index": 0},
    ],
    "interfaces": [
        {"id": 30, "intf_type": SUBDEV, "node": (81, 1)},
        {"id": 31, "intf_type": SUBDEV, "node": (81, 2)},
        {"id": 32, "intf_type": VIDEO, "node": (81, 0)},
    ],
    "links": [
        {"id": 40, "source_id": 2, "sink_id": 5, "flags": 3},
        {"id": 41, "source_id": 6, "sink_id": 10, "flags": 0},
        {"id": 42, "source_id": 6, "sink_id": 21, "flags": ENABLED},
        {"id": 43, "source_id": 30, "sink_id": 1, "flags": INTERFACE_LINK},
        {"id": 44, "source_id": 31, "sink_id": 4, "flags": INTERFACE_LINK},
        {"id": 45, "source_id": 32, "sink_id": 9, "flags": INTERFACE_LINK},
    ],
}  # fmt: skip
NODES = {(81, 0): "/dev/video0", (81, 1): "/dev/v4l-subdev0", (81, 2): "/dev/v4l-subdev1"}


def test_the_way_from_the_bridge_to_memory_goes_over_every_pad_between() -> None:
    assert routes(TOPOLOGY, lambda *number: NODES[number]) == [
        (
            Hop((1, 0), (4, 0), "/dev/v4l-subdev0", "/dev/v4l-subdev1", enabled=True),
            Hop((4, 4), (9, 0), "/dev/v4l-subdev1", "/dev/video0", enabled=False),
        )
    ]


def test_a_circle_of_links_ends_the_search() -> None:
    circle = {**TOPOLOGY, "links": [*TOPOLOGY["links"], {"id": 46, "source_id": 6, "sink_id": 5, "flags": 0}]}
    assert len(routes(circle, lambda *number: NODES[number])) == 1


def test_lanes_and_their_rate_come_from_the_device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = tmp_path / "class/video4linux/v4l-subdev0/device/of_node/port/endpoint"
    endpoint.mkdir(parents=True)
    monkeypatch.setattr(v4l2, "SYSFS", tmp_path)
    assert v4l2._lanes("/dev/v4l-subdev0") == Chain()
    (endpoint / "data-lanes").write_bytes(bytes.fromhex("00000001 00000002 00000003 00000004"))
    (endpoint / "link-frequencies").write_bytes((297_000_000).to_bytes(8))
    assert v4l2._lanes("/dev/v4l-subdev0") == Chain(4, 594_000_000)


def test_device_numbers_are_found_in_sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "SYSFS", tmp_path)
    (tmp_path / "dev/char/81:3").mkdir(parents=True)
    (tmp_path / "dev/char/81:3/uevent").write_text("MAJOR=81\nMINOR=3\nDEVNAME=v4l-subdev1\n")
    assert v4l2.device_path(81, 3) == "/dev/v4l-subdev1"
    assert v4l2.device_path(81, 4) == ""


# ---- what people do


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("/dev/video99", "/dev/video99 is not there: check the overlay in config.txt, or name another device"),
        ("/dev/null", "/dev/null is no V4L2 device: name the HDMI input's node"),
        ("/", "/ cannot be opened: Is a directory"),
    ],
)
def test_a_device_that_is_none_is_one_line(device: str, line: str) -> None:
    with pytest.raises(DeviceError) as caught:
        find_input(device)
    assert str(caught.value) == line


def test_no_device_at_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "SYSFS", tmp_path)
    with pytest.raises(DeviceError, match="no HDMI input among 0 video devices: check the overlay"):
        find_input()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_sent(preset: str) -> None:
    data = read_edid(preset)
    assert data is not None
    check_edid(data)


def test_keep_leaves_the_device_s_own_edid() -> None:
    assert read_edid("keep") is None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "the file is empty"),
        (bytes(128), "EDID"),
        (preset("low-latency")[:-1], "EDID"),
        (preset("low-latency")[:127] + b"\x01" + preset("low-latency")[128:], "thinair edid fix"),
        (preset("low-latency") + bytes(7 * 128), "1152 bytes: it must be 1 to 8 blocks"),
    ],
)
def test_an_edid_that_cannot_be_sent_is_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "edid.bin"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_edid(str(file))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_edid_file_that_is_not_there_is_one_line_with_the_presets() -> None:
    with pytest.raises(
        FileError, match=r"EDID 'nowhere' cannot be read \(No such file or directory\): give a file, low"
    ):
        read_edid("nowhere")


# ---- the binding


def test_what_is_no_v4l2_device_raises_its_errno_with_the_path() -> None:
    for call in (V4L2Device, media_topology, lambda path: media_set_link(path, (1, 0), (2, 0))):
        with pytest.raises(OSError, match=r"\[Errno 25\] .*: '/dev/null'"):
            call("/dev/null")
        with pytest.raises(FileNotFoundError):
            call("/dev/video99")


@pytest.mark.parametrize("arguments", [(), (1,), ("/dev/null", 2), ("a\0b",)])
def test_wrong_arguments_of_the_binding_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        V4L2Device(*arguments)
