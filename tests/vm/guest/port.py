"""Runs HdmiPort in the guest, with a capture that follows it, and prints what came of it as JSON, by experiment.
argv: NODE EXPERIMENT... In a log stand "start WxH@R", "stop", and the name of each state reported."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from tests.vm.guest.hdmi_source import Camera
from thinair.edid.build import build, mode
from thinair.edid.presets import PRESETS
from thinair.edid.timings import Chain
from thinair.link.errors import LinkError
from thinair.link.native import V4L2_EVENT_SOURCE_CHANGE, Capture, V4L2Device, media_set_link, media_topology, now_us
from thinair.link.video_mode import Mode
from thinair.sender.hdmi.port import HdmiPort, Start, Stop, read_edid
from thinair.sender.hdmi.v4l2 import Input, find_input
from thinair.sender.picture import NoPicture

PATIENCE_US = 20_000_000
# drivers/media/test-drivers/vivid/vivid-ctrls.c
_VIVID = 0x00F0F000
SIGNAL, TIMINGS = _VIVID + 62, _VIVID + 63
DROPPED, DISCONNECT, STREAMON_ERROR = _VIVID + 64, _VIVID + 65, _VIVID + 69
CURRENT, NO_SIGNAL, NO_LOCK, OUT_OF_RANGE, SELECTED = range(5)
SMALL, LESS_SMALL = 0, 2  # 640x480p59, 720x480p59 in the menu of timings

BRIDGE = "/dev/v4l-subdev0"

node = sys.argv[1]


def control(number: int, value: int = 1) -> None:
    with contextlib.closing(V4L2Device(node)) as device:
        device.set_control(number, value)


def outcome(act: Callable[[], Any]) -> Any:
    """What it gives, or the name of the errno it raises, or its line for people."""
    try:
        return act()
    except LinkError as error:
        return str(error)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


class Rig:
    def __init__(self, port: HdmiPort) -> None:
        self.port = port
        self.capture: Capture | None = None
        self.log: list[str] = []
        self.details: list[str] = []
        self.pictures = 0  # since the last start or stop
        self.deaf = False  # pictures are taken, and the port is not told
        port.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self._let_go()
        self.port.close()

    def until(self, *last: str) -> list[str]:
        """Follows the port until the log ends so; the log since the call before, without repeated reports."""
        end_us = now_us() + PATIENCE_US
        while tuple(self.log[-len(last) :]) != last and now_us() < end_us:
            self.turn()
        log, self.log = self.log, []
        return log

    def turn(self) -> None:
        events = self.port.poll(100_000, self.capture.fileno() if self.capture else -1)
        for event in events:
            self._follow(event)
        if self.capture and not events:
            self._take(self.capture)

    def show(self, pictures: int) -> None:
        end_us = now_us() + PATIENCE_US
        while self.pictures < pictures:
            assert now_us() < end_us, "no pictures"
            self.turn()

    def _follow(self, event: Start | Stop | NoPicture) -> None:
        match event:
            case Stop():
                self._note("stop")
                self._let_go()
            case Start(mode=mode):
                self._note(f"start {mode.width}x{mode.height}@{float(mode.rate):.2f}")
                try:
                    self.capture = Capture(device=event.node, fourcc=event.fourcc, width=mode.width, height=mode.height)
                except OSError as error:
                    self.port.failed(error)
            case NoPicture(state=state):
                self._note(state.code.name)
                self.details.append(state.detail)

    def _note(self, what: str) -> None:
        if self.log[-1:] != [what]:
            self.log.append(what)

    def _take(self, capture: Capture) -> None:
        try:
            picture = capture.next(0)
        except OSError as error:
            self._let_go()
            self.port.failed(error)
            return
        if picture is not None:
            self.pictures += 1
            if not self.deaf:
                self.port.picture_seen(picture.dequeue_us)
            picture.release()

    def _let_go(self) -> None:
        self.pictures = 0
        if self.capture:
            self.capture.close()
        self.capture = None


def small_rig(**options: Any) -> Rig:
    control(TIMINGS, SMALL)
    control(SIGNAL, SELECTED)
    return Rig(HdmiPort(node, **options))


def live_rig() -> Rig:
    rig = small_rig()
    rig.until("LIVE")
    return rig


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# ---- vivid


def states() -> Any:
    """Every state of the signal, and back; and how many pictures still came after the driver's event."""
    seen = {}
    with live_rig() as rig:
        for name, mode in (("no signal", NO_SIGNAL), ("no lock", NO_LOCK), ("out of range", OUT_OF_RANGE)):
            rig.show(3)
            control(SIGNAL, mode)
            before = shown = rig.pictures
            while not any(what.isupper() for what in rig.log):
                shown = max(shown, rig.pictures)
                rig.turn()
            seen[name] = {"log": rig.until(rig.log[-1]), "pictures": shown - before}
            control(SIGNAL, CURRENT)
            seen[name]["back"] = rig.until("LIVE")
    return seen


def modes() -> Any:
    """The mode changes twenty times while it streams; descriptors before and after."""
    logs = []
    with live_rig() as rig:
        before = descriptors()
        for turn in range(20):
            control(TIMINGS, LESS_SMALL if turn % 2 == 0 else SMALL)
            logs.append(rig.until("stop", f"start {720 if turn % 2 == 0 else 640}x480@59.94"))
            rig.show(1)
        return {"logs": logs, "before": before, "after": descriptors()}


def busy() -> Any:
    """Another program captures when the port wants to start, and lets go later."""
    control(SIGNAL, CURRENT)
    other = Capture(device=node, fourcc="UYVY")
    control(TIMINGS, LESS_SMALL)
    control(SIGNAL, SELECTED)
    with Rig(HdmiPort(node)) as rig:
        waiting = rig.until("STALLED")
        detail = rig.details[-1]
        other.close()
        return {"waiting": waiting, "detail": detail, "then": rig.until("LIVE")}


def refused_start() -> Any:
    control(STREAMON_ERROR)
    with small_rig() as rig:
        return {"log": rig.until("LIVE"), "detail": rig.details[0]}


def disconnect() -> Any:
    """The device goes away while it streams, and comes back once everybody has let go of it."""
    with live_rig() as rig:
        control(DISCONNECT)
        return {"log": rig.until("LIVE"), "details": sorted(set(rig.details))}


def dropped() -> Any:
    """Locked, and the driver gives no pictures."""
    with live_rig() as rig:
        control(DROPPED, 100)
        stalled = rig.until("STALLED")
        control(DROPPED, 0)
        return {"stalled": stalled, "then": rig.until("LIVE")}


def grabber() -> Any:
    """vivid's webcam: no timings. As it stands, and as wished for."""
    logs = []
    for wanted in (None, Mode(640, 360, Fraction(25)), Mode(640, 360, Fraction(1000))):
        with Rig(HdmiPort(node, wanted=wanted)) as rig:
            logs.append([rig.until("LIVE" if wanted is None or wanted.rate < 100 else "UNSUPPORTED"), rig.details[-1]])
    return logs


def unwanted() -> Any:
    """A mode that the encoder does not take."""
    with small_rig(limit=lambda mode: "too small for the encoder") as rig:
        return {"log": rig.until("UNSUPPORTED"), "detail": rig.details[-1]}


def changed(device: V4L2Device) -> int | None:
    """The type of the event that comes of a change of the signal."""
    device.subscribe(V4L2_EVENT_SOURCE_CHANGE)
    control(SIGNAL, NO_LOCK)
    event = device.event()
    control(SIGNAL, CURRENT)
    while device.event() is not None:
        pass
    return event["type"] if event else None


def binding() -> Any:
    """V4L2Device itself."""
    with contextlib.closing(V4L2Device(node)) as d:
        timings, wide = d.timings(), 20_000
        offered, capture = d.enum_timings(), Capture(device=node, fourcc="UYVY")
        other = next(item for item in offered if item["width"] != timings["width"])
        said = {
            "driver": [d.info["driver"], d.info["subdev"], d.path == node],
            "same signal": d.query_timings() == timings,
            "cap": [d.timings_cap()[name] for name in ("max_width", "max_height")],
            "offered": len(offered) > 30,
            "busy": outcome(lambda: d.set_timings(other)),
            "sub-device": outcome(lambda: d.pad_format(0)),
            "controls": sorted(item["name"] for item in d.controls() if item["id"] in {SIGNAL, TIMINGS}),
            "read only": outcome(lambda: d.set_control(d.controls()[0]["id"], 1)),
            "no control": outcome(lambda: d.control(7)),
            "events": [d.event(), changed(d), d.event()],
        }
        capture.close()
        said |= {
            "too wide": outcome(lambda: d.set_timings(timings | {"width": wide})),
            "format": d.format()["fourcc"] in d.formats(),
            "tried": d.set_format(1280, 720, "NV12", commit=False)["fourcc"],
            "as before": d.format()["fourcc"],
            "set": d.set_format(1280, 720, "NV12")["fourcc"],
            "planes": d.format()["bytesperline"],
        }
        d.set_edid(b"")
        said["no edid"] = d.edid().hex()
    topology = media_topology("/dev/media0")
    said["media"] = sorted({item["name"] for item in topology["entities"]})
    said["no link"] = outcome(lambda: media_set_link("/dev/media0", (1, 0), (1, 0)))
    said["closed"] = outcome(d.timings)
    return said


# ---- the tc358743; pictures come from vivid


def bridge_rig(preset: str) -> Rig:
    found = Input(node, BRIDGE, "tc358743", "tc358743", timings=True, chain=Chain())
    return Rig(HdmiPort(edid=read_edid(preset), find=lambda device: found))


def edid() -> Any:
    """Written where it differs and only then: notes, and which of the presets the chip holds."""
    camera, said = Camera(), []
    camera.plug()
    for preset in ("low-latency", "low-latency", "resolution", "keep"):
        with bridge_rig(preset) as rig:
            rig.until("NO_SIGNAL")
            said.append([rig.port.notes, [name for name, data in PRESETS.items() if data == camera.edid]])
    camera.unplug()
    return said


def asked() -> Any:
    """A mode that the receiver asks for is the one that the camera is offered."""
    camera = Camera()
    camera.plug()
    with bridge_rig("low-latency") as rig:
        rig.until("NO_SIGNAL")
        rig.port.request_mode(Mode(1280, 720, Fraction(50)))
        rig.port.poll(200_000)
        offered = camera.edid == build([mode(1280, 720, Fraction(50))])
        refused = outcome(lambda: rig.port.request_mode(Mode(1280, 720, Fraction(59))))
    camera.unplug()
    return [offered, refused]


def bridge() -> Any:
    """From no cable to a picture and through every state."""
    camera, seen = Camera(), {}
    with bridge_rig("low-latency") as rig:
        rig.until("NO_CABLE")
        for name, act, state in (
            ("plugged", camera.plug, "NO_SIGNAL"),
            ("720p60", lambda: camera.mode(1280, 720, 1650, 750, 60), "start 1280x720@60.00"),
            ("no sync", camera.no_sync, "NO_SYNC"),
            ("1080p60", lambda: camera.mode(1920, 1080, 2200, 1125, 60), "UNSUPPORTED"),
            ("no signal", camera.no_signal, "NO_SIGNAL"),
            ("interlaced", lambda: camera.mode(1920, 540, 2200, 562, 60, interlaced=True), "UNSUPPORTED"),
            ("unplugged", camera.unplug, "NO_CABLE"),
        ):
            act()
            log = rig.until(state)
            seen[name] = [log[-1], "stop" in log, rig.details[-1]]
    return seen


def wrong() -> Any:
    devices = ("/dev/null", "/dev/video77", BRIDGE, *(f"/dev/{Path(found).name}" for found in encoders()))
    return {device: outcome(lambda device=device: find_input(device)) for device in devices}  # type: ignore[misc]


def encoders() -> list[Path]:
    nodes = Path("/sys/class/video4linux").iterdir()
    return [entry for entry in nodes if "stateful-encoder" in (entry / "name").read_text()]


experiments: tuple[Callable[[], Any], ...] = (
    states, modes, busy, refused_start, dropped, unwanted, disconnect, binding, grabber, edid, asked, bridge, wrong,
)  # fmt: skip
by_name = {function.__name__: function for function in experiments}
for name in sys.argv[2:]:
    print(json.dumps({name: by_name[name]()}), flush=True)
