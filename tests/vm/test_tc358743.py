"""The genuine tc358743 driver, on a pretended chip whose registers play the camera: what the sender's control of a
bridge stands on. It proves the driver's interface, not the chip."""

from __future__ import annotations

import json
from typing import Any

from tests.vm.machine import Machine

HD = "camera.mode(1280, 720, 1650, 750, 60)"
HD_SEEN = [1280, 720, 1650, 750, 74_250_000]


def edid(name: int) -> bytes:
    """A base block that differs by its serial number."""
    block = bytearray(128)
    block[0:8] = b"\x00\xff\xff\xff\xff\xff\xff\x00"
    block[12], block[18:20] = name, b"\x01\x03"
    block[127] = -sum(block) & 0xFF
    return bytes(block)


def ask(vm: Machine, bridge: str, *expressions: str) -> list[Any]:
    return [json.loads(line) for line in vm.run("bridge.py", bridge, *expressions).output.splitlines()]


def test_an_edid_lands_in_the_chip_and_the_camera_sees_a_replug(vm: Machine, bridge: str) -> None:
    first, second = edid(1), edid(2) + edid(3)
    assert ask(
        vm,
        bridge,
        "device.edid()",
        "camera.plug()",
        "becomes('power()', 1)",
        f"device.set_edid(bytes.fromhex('{first.hex()}'))",
        "becomes('hotplug()', [1, 0])",
        "camera.edid",
        f"device.set_edid(bytes.fromhex('{second.hex()}'))",
        "hotplug()",
        "becomes('hotplug()', [2, 1])",
        "camera.edid",
        "device.edid()",
    ) == ["", None, True, None, True, first.hex(), None, [1, 1], True, second.hex(), second.hex()]


def test_without_an_edid_a_cable_raises_no_hotplug_and_without_a_cable_an_edid_does_not(
    vm: Machine, bridge: str
) -> None:
    assert ask(
        vm,
        bridge,
        "camera.plug()",
        "becomes('power()', 1)",
        "camera.hotplug",
        "camera.unplug()",
        "becomes('power()', 0)",
        f"device.set_edid(bytes.fromhex('{edid(1).hex()}'))",
        "becomes('camera.hotplug', True, 2.2)",  # not within two polls of the driver
        "camera.plug()",
        "becomes('camera.hotplug', True)",
    ) == [None, True, False, None, True, None, False, None, True]


def test_every_state_of_the_signal_and_back(vm: Machine, bridge: str) -> None:
    assert ask(
        vm,
        bridge,
        "mode()",
        f"device.set_edid(bytes.fromhex('{edid(1).hex()}'))",
        "camera.plug()",
        "becomes('power()', 1)",
        "mode()",
        HD,
        "event()",
        "mode()",
        "camera.no_sync()",
        "event()",
        "mode()",
        HD,
        "event()",
        "mode()",
        "camera.no_signal()",
        "event()",
        "mode()",
        HD,
        "event()",
        "mode()",
        "camera.unplug()",
        "becomes('power()', 0)",
        "mode()",
        "camera.hotplug",
    ) == [
        *("ENOLINK", None, None, True, "ENOLINK"),
        *(None, True, HD_SEEN),
        *(None, True, "ENOLCK"),
        *(None, True, HD_SEEN),
        *(None, True, "ENOLINK"),
        *(None, True, HD_SEEN),
        *(None, True, "ENOLINK", False),
    ]


def test_timings_are_read_from_the_chip_s_registers(vm: Machine, bridge: str) -> None:
    signals = {
        "640, 480, 800, 525, 60": [640, 480, 800, 525, 25_200_000],
        "1920, 1080, 2200, 1125, 30": [1920, 1080, 2200, 1125, 74_250_000],
        "1920, 1080, 2200, 1125, 60": [1920, 1080, 2200, 1125, 148_500_000],
        "1920, 1080, 2200, 1125, 120": "ERANGE",  # 297 MHz
        "1920, 540, 2200, 562, 60, interlaced=True": "ERANGE",
        "320, 240, 400, 262, 60": "ERANGE",
    }
    acts = [act for signal in signals for act in (f"camera.mode({signal})", "mode()")]
    assert dict(zip(signals, ask(vm, bridge, "camera.plug()", *acts)[2::2], strict=True)) == signals


def test_a_chip_that_stops_answering_has_no_signal_and_recovers(vm: Machine, bridge: str) -> None:
    told = ask(vm, bridge, HD, "mode()", "answers(False)", "mode()", "answers(True)", "mode()")
    assert told == [None, HD_SEEN, None, "ENOLINK", None, HD_SEEN]
