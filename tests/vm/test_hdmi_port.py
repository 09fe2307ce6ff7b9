"""The HDMI port on the kernel's own drivers: vivid's HDMI input and webcam, and the genuine bridge driver on a
pretended chip. One program in the guest plays all experiments of a device, since starting it takes longest."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.vm.machine import Machine


def play(vm: Machine, node: str, *experiments: str) -> Any:
    lines = vm.run("port.py", node, *experiments, timeout_s=100).output.splitlines()
    return {name: result for line in lines for name, result in json.loads(line).items()}


def states(log: list[str]) -> list[str]:
    return [what for what in log if what.isupper()]


def check_binding(said: Any, _vivid: str) -> None:
    """V4L2Device says what the driver says."""
    assert said == {
        "driver": ["vivid", False, True],
        "same signal": True,
        "cap": [4096, 2160],
        "offered": True,
        "busy": "EBUSY",
        "sub-device": "ENOTTY",
        "controls": ["DV Timings", "DV Timings Signal Mode"],
        "read only": "EACCES",
        "no control": "EINVAL",
        "events": [None, 5, None],
        "too wide": "EINVAL",
        "format": True,
        "tried": "NV12",
        "as before": "UYVY",
        "set": "NV12",
        "planes": 1280,
        "no edid": "",
        "media": ["vivid-000-vid-cap"],
        "no link": "EINVAL",
        "closed": "EBADF",
    }


def check_states(seen: Any, _vivid: str) -> None:
    """Each is said at once, and the picture comes back."""
    for name, state in (("no signal", "NO_CABLE"), ("no lock", "NO_SYNC"), ("out of range", "UNSUPPORTED")):
        assert seen[name]["log"] == [state, "stop"]
        assert seen[name]["pictures"] <= 2  # after the driver's event
        assert seen[name]["back"][-2:] == ["start 640x480@59.94", "LIVE"]


def check_modes(seen: Any, _vivid: str) -> None:
    """Twenty changes: a stop and a start each, and nothing leaks."""
    assert seen["logs"] == [["stop", f"start {720 if turn % 2 == 0 else 640}x480@59.94"] for turn in range(20)]
    assert seen["after"] == seen["before"]


def check_busy(seen: Any, _vivid: str) -> None:
    """A device that another program uses is a state until it is free."""
    assert states(seen["waiting"])[-1] == "STALLED"
    assert seen["detail"] == "another program uses the capture device"
    assert "start 720x480@59.94" in seen["then"]
    assert seen["then"][-1] == "LIVE"


def check_refused_start(seen: Any, _vivid: str) -> None:
    assert states(seen["log"]) == ["STALLED", "LIVE"]
    assert seen["detail"]


def check_dropped(seen: Any, _vivid: str) -> None:
    """Locked, and no pictures: stalled until they come."""
    assert seen["stalled"][-1] == "STALLED"
    assert seen["then"][-1] == "LIVE"


def check_unwanted(seen: Any, _vivid: str) -> None:
    assert seen == {
        "log": ["UNSUPPORTED"],
        "detail": "480p59.94: unsupported, choose 720p60; too small for the encoder",
    }


def check_disconnect(seen: Any, vivid: str) -> None:
    """A device that goes away is opened again when it is back."""
    assert states(seen["log"]) == ["NO_DEVICE", "LIVE"]
    assert f"{vivid} is gone" in seen["details"]


CHECKS: dict[str, Callable[[Any, str], None]] = {
    "states": check_states,
    "modes": check_modes,
    "busy": check_busy,
    "refused_start": check_refused_start,
    "dropped": check_dropped,
    "unwanted": check_unwanted,
    "disconnect": check_disconnect,
    "binding": check_binding,
}


def test_vivid_in_every_state_and_with_every_fault(vm: Machine, vivid: str) -> None:
    told = play(vm, vivid, *CHECKS)
    assert told.keys() == CHECKS.keys()
    for name, check in CHECKS.items():
        check(told[name], vivid)


def test_a_grabber_without_timings_starts_in_the_mode_it_has_or_the_one_requested(vm: Machine) -> None:
    vm.load("vivid", n_devs=1, num_inputs=1, input_types=0, node_types=1)
    plain, wished, impossible = play(vm, vm.device("vivid-000-vid-cap"), "grabber")["grabber"]
    vm.settle()
    vm.unload("vivid")
    assert plain[0][0].startswith("start 640x360@")
    assert wished[0] == ["start 640x360@25.00", "LIVE"]
    assert impossible == [["UNSUPPORTED"], "640x360@1000 is no mode of this grabber"]


def test_the_genuine_bridge_driver_leads_through_every_state(vm: Machine, vivid: str, bridge: str) -> None:
    told = play(vm, vivid, "edid", "asked", "bridge")
    assert told["edid"] == [
        [[f"EDID written to {bridge}"], ["low-latency"]],
        [[f"{bridge} holds the EDID already"], ["low-latency"]],
        [[f"EDID written to {bridge}"], ["resolution"]],
        [[], ["resolution"]],
    ]
    assert told["asked"] == [True, "1280x720@59 is not a mode of CTA-861 or DMT that the bridge supports"]
    assert told["bridge"] == {
        "plugged": ["NO_SIGNAL", False, ""],
        "720p60": ["start 1280x720@60.00", False, ""],
        "no sync": ["NO_SYNC", True, ""],
        "1080p60": ["UNSUPPORTED", False, "1080p60: unsupported, choose 1080p30"],
        "no signal": ["NO_SIGNAL", False, ""],
        "interlaced": ["UNSUPPORTED", False, "outside what the bridge supports"],
        "unplugged": ["NO_CABLE", False, ""],
    }


def test_a_device_that_is_no_hdmi_input_is_one_line(vm: Machine, vicodec: str, bridge: str) -> None:
    assert play(vm, vicodec, "wrong")["wrong"] == {
        vicodec: f"{vicodec} is no capture device (vicodec): name the HDMI input's node",
        bridge: f"{bridge} leads to no capture node: check the overlay in config.txt",
        "/dev/null": "/dev/null is no V4L2 device: name the HDMI input's node",
        "/dev/video77": "/dev/video77 is not there: check the overlay in config.txt, or name another device",
    }
