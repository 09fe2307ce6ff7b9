"""The HDMI input among the V4L2 devices: where it is, its EDID and timings, and the way from the bridge to memory.

In video-node mode everything goes through /dev/videoN. In media-controller mode EDID and timings are those of the
bridge's sub-device, and links and pads up to the capture node are set here. A USB grabber has no timings.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from thinair.edid.timings import Chain, Timing, chip_refusal
from thinair.link.errors import DeviceError
from thinair.link.native import (
    V4L2_CAP_VIDEO_CAPTURE,
    V4L2_CAP_VIDEO_CAPTURE_MPLANE,
    V4L2Device,
    media_set_link,
    media_topology,
)
from thinair.link.video_mode import Mode

# linux/videodev2.h, linux/v4l2-dv-timings.h, linux/media.h, linux/media-bus-format.h
_CAP_M2M = 0x4000 | 0x8000
_CAP_IO_MC = 0x2000_0000
_H_POSITIVE, _V_POSITIVE = 2, 1
_REDUCED_FPS = 1 << 3
_CAN_DETECT_REDUCED_FPS = 1 << 9
_INTERFACE_VIDEO, _INTERFACE_SUBDEV = 0x200, 0x203
_PAD_SOURCE, _LINK_ENABLED, _LINK_IMMUTABLE, _LINK_KIND, _LINK_DATA = 2, 1, 2, 0xF << 28, 0
_GRABBERS = "uvcvideo"
_UYVY8_1X16, _FIELD_NONE, _SMPTE170M = 0x200F, 1, 1

NTSC = Fraction(1000, 1001)
_RATES = (*(Fraction(n) for n in (24, 25, 30, 48, 50, 60)), *(n * NTSC for n in (24, 30, 48, 60)))
_SAME_RATE = Fraction(1, 2000)  # half the distance between a rate and its 1000/1001
_UNKNOWN_RATE = Fraction(30)
_ABSENT = {errno.ENOTTY, errno.ENODATA, errno.EINVAL}
SYSFS = Path("/sys")


@dataclass(frozen=True, slots=True)
class Hop:
    """A link from a pad to the next entity's pad, each (entity id, pad index), and the nodes on both sides."""

    source: tuple[int, int]
    sink: tuple[int, int]
    source_node: str
    sink_node: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Input:
    """`control` takes EDID and timings, `node` gives the pictures: the same in video-node mode."""

    node: str
    control: str
    driver: str
    card: str
    timings: bool  # False: a grabber that chooses its mode itself
    media: str = ""
    hops: tuple[Hop, ...] = ()
    chain: Chain | None = None  # CSI-2 lanes behind a TC358743, as the device tree says


# ---- timings


def timing_of(bt: Mapping[str, int]) -> Timing:
    """struct v4l2_bt_timings. The clock is the true one of 1000/1001 rates where the chip can tell them apart."""
    clock = bt["pixelclock"]
    if bt["flags"] & _REDUCED_FPS and bt["flags"] & _CAN_DETECT_REDUCED_FPS:
        clock = round(clock * NTSC)
    return Timing(
        *(bt["width"], bt["height"], clock, bt["hfrontporch"], bt["hsync"], bt["hbackporch"]),
        *(bt["vfrontporch"], bt["vsync"], bt["vbackporch"]),
        h_positive=bool(bt["polarities"] & _H_POSITIVE),
        v_positive=bool(bt["polarities"] & _V_POSITIVE),
        interlaced=bool(bt["interlaced"]),
    )


def rate_of(timing: Timing) -> Fraction:
    """Its rate, or the standard one it means: clocks are measured or rounded."""
    return next((rate for rate in _RATES if abs(timing.rate - rate) < rate * _SAME_RATE), timing.rate)


def refusal(timing: Timing, chain: Chain | None) -> str:
    """Why the timing cannot be captured; empty where it can. `chain`: the lanes behind a TC358743."""
    if timing.interlaced:
        return "interlaced"
    if chain is not None:
        if reason := chip_refusal(timing):
            return reason
        if (lanes := timing.lanes(chain.lane_bps)) > chain.lanes:
            return f"needs {lanes} CSI-2 lanes at {chain.lane_bps // 1_000_000} Mb/s: there are {chain.lanes}"
    if timing.width % 2 or timing.height % 2:
        return "an odd number of pixels"
    return ""


# ---- finding it


def find_input(device: str | None = None) -> Input:
    """`device`: a video node or a bridge's sub-device; None looks for an HDMI input, then for a USB grabber. Raises
    DeviceError with a line that says what to do."""
    if device is not None:
        return _input_of(device)
    nodes = [f"/dev/{entry.name}" for entry in sorted(_video4linux(), key=_natural)]
    found, reasons = [], []
    for node in nodes:
        try:
            item = _input_of(node)
        except DeviceError as error:
            reasons.append(str(error))
        else:
            if item.timings or item.driver == _GRABBERS:
                found.append(item)
    if not found:
        detail = f" ({reasons[0]})" if len(reasons) == 1 else ""
        raise DeviceError(f"no HDMI input among {len(nodes)} video devices: check the overlay in config.txt{detail}")
    return next((item for item in found if item.timings), found[0])


def open_control(path: str) -> V4L2Device:
    """Raises DeviceError."""
    try:
        return V4L2Device(path)
    except OSError as error:
        raise DeviceError(_words_of_open(path, error)) from error


def _input_of(path: str) -> Input:
    device = open_control(path)
    try:
        info = device.info
        capabilities = info["capabilities"]
        if info["subdev"]:
            return _bridge_input(path, device)
        is_capture = capabilities & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)
        if not is_capture or capabilities & _CAP_M2M:
            raise DeviceError(f"{path} is no capture device ({info['driver']}): name the HDMI input's node")
        if _has_timings(device):
            chain = _lanes(path) if info["driver"] == "unicam" else None
            return Input(path, path, info["driver"], info["card"], True, chain=chain)
        if capabilities & _CAP_IO_MC:
            return _media_input(path, info["driver"])
        if not _has_rate(device):
            raise DeviceError(f"{path} is no HDMI input ({info['driver']}): name the HDMI input's node")
        return Input(path, path, info["driver"], info["card"], False)
    finally:
        device.close()


def _has_rate(device: V4L2Device) -> bool:
    try:
        return device.rate()[0] > 0
    except OSError:
        return False


def _has_timings(device: V4L2Device) -> bool:
    try:
        device.timings_cap()
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise DeviceError(f"{device.path} does not answer: {error.strerror}") from error
    return True


def _bridge_input(path: str, device: V4L2Device) -> Input:
    if not _has_timings(device):
        raise DeviceError(f"{path} is no HDMI bridge ({_name(path)}): name the HDMI input's node")
    for media, way in _ways(lambda way: way[0].source_node == path):
        return _by_media(media, way)
    raise DeviceError(f"{path} leads to no capture node: check the overlay in config.txt")


def _media_input(path: str, driver: str) -> Input:
    for media, way in _ways(lambda way: way[-1].sink_node == path):
        control = open_control(way[0].source_node)
        try:
            if _has_timings(control):
                return _by_media(media, way)
        finally:
            control.close()
    raise DeviceError(f"{path} has no HDMI bridge before it ({driver}): name the HDMI input's node")


def _by_media(media: str, way: tuple[Hop, ...]) -> Input:
    control, node = way[0].source_node, way[-1].sink_node
    name = _name(control)
    chain = _lanes(control) if name.startswith("tc358743") else None
    return Input(node, control, name.split(" ")[0], name, True, media, way, chain)


def _ways(wanted: Callable[[tuple[Hop, ...]], bool]) -> list[tuple[str, tuple[Hop, ...]]]:
    """The ways from sub-devices to capture nodes over all media devices."""
    found = []
    for media in sorted(Path("/dev").glob("media*"), key=_natural):
        try:
            ways = routes(media_topology(str(media)), device_path)
        except OSError:
            continue  # gone, or not ours to read
        found += [(str(media), way) for way in ways if wanted(way)]
    return found


def routes(
    topology: Mapping[str, Sequence[Mapping[str, Any]]], name: Callable[[int, int], str]
) -> list[tuple[Hop, ...]]:
    """Every way from a sub-device without input to a video node, the shortest first. `name` of (major, minor)."""
    pads = {pad["id"]: pad for pad in topology["pads"]}
    entities = {entity["id"] for entity in topology["entities"]}
    interfaces = {item["id"]: item for item in topology["interfaces"]}
    nodes: dict[int, tuple[int, str]] = {}  # entity → kind and path of its device node
    onward: dict[int, list[Hop]] = {entity: [] for entity in entities}
    links = [(link, link["flags"] & _LINK_KIND) for link in topology["links"]]
    for link, kind in links:
        if kind != _LINK_DATA and link["source_id"] in interfaces and link["sink_id"] in entities:
            interface = interfaces[link["source_id"]]
            nodes[link["sink_id"]] = (interface["intf_type"], name(*interface["node"]))
    fed = set()
    for link, kind in links:
        if kind != _LINK_DATA or link["source_id"] not in pads or link["sink_id"] not in pads:
            continue
        source, sink = pads[link["source_id"]], pads[link["sink_id"]]
        fed.add(sink["entity_id"])
        ends = [(pad["entity_id"], pad["index"]) for pad in (source, sink)]
        paths = [nodes.get(entity, (0, ""))[1] for entity, _ in ends]
        enabled = bool(link["flags"] & (_LINK_ENABLED | _LINK_IMMUTABLE))
        onward[source["entity_id"]].append(Hop(ends[0], ends[1], paths[0], paths[1], enabled))
    found = []
    first = [entity for entity in entities - fed if nodes.get(entity, (0, ""))[0] == _INTERFACE_SUBDEV]
    waiting: deque[tuple[Hop, ...]] = deque((hop,) for entity in sorted(first) for hop in onward[entity])
    while waiting:
        way = waiting.popleft()
        entity = way[-1].sink[0]
        if nodes.get(entity, (0, ""))[0] == _INTERFACE_VIDEO:
            found.append(way)
        elif entity not in {hop.source[0] for hop in way}:
            waiting.extend((*way, hop) for hop in onward[entity])
    return found


# ---- setting it up


def prepare(found: Input, control: V4L2Device, bt: dict[str, int]) -> None:
    """Sets the timings, then links and pads where there are any. Raises OSError; EBUSY while somebody captures."""
    control.set_timings(bt)
    picture = {"width": bt["width"], "height": bt["height"], "code": _UYVY8_1X16, "field": _FIELD_NONE}
    picture["colorspace"] = _SMPTE170M
    for hop in found.hops:
        if not hop.enabled:
            media_set_link(found.media, hop.source, hop.sink)
        _set_pad(hop.source_node, hop.source[1], picture)
        if hop.sink_node != found.node:
            _set_pad(hop.sink_node, hop.sink[1], picture)


def write_edid(control: V4L2Device, wanted: bytes) -> str:
    """Writes it where the device holds another: writing causes a hotplug. What was done, in words."""
    try:
        if control.edid() == wanted:
            return f"{control.path} holds the EDID already"
        control.set_edid(wanted)
    except OSError as error:
        if error.errno in _ABSENT:
            return f"{control.path} takes no EDID: the camera is offered what the device likes"
        if error.errno == errno.E2BIG:
            return f"{control.path} takes no EDID of {len(wanted) // 128} blocks"
        return f"{control.path} refused the EDID: {error.strerror}"
    return f"EDID written to {control.path}"


def choose_format(device: V4L2Device, fourccs: Sequence[str]) -> str:
    """The first of `fourccs` that the node gives; empty where there is none."""
    given = set(device.formats())
    return next((fourcc for fourcc in fourccs if fourcc in given), "")


def grabber_mode(device: V4L2Device, fourccs: Sequence[str], wanted: Mode | None) -> tuple[Mode, str]:
    """Mode and fourcc of a device without timings: `wanted`, or its present mode. Raises OSError, and ValueError with
    the reason where it is not available."""
    given = set(device.formats())
    usable = [fourcc for fourcc in fourccs if fourcc in given]
    if not usable:
        raise ValueError(f"gives {', '.join(sorted(given))} only")
    if wanted is None:
        now = device.format()
        top, bottom = device.rate()
        rate = Fraction(top, bottom) if top and bottom else _UNKNOWN_RATE
        return Mode(now["width"], now["height"], rate), now["fourcc"] if now["fourcc"] in usable else usable[0]
    size = (wanted.width, wanted.height)
    for fourcc in usable:
        tried = device.set_format(*size, fourcc, commit=False)
        rates = [Fraction(top, bottom) for top, bottom in device.rates(fourcc, *size) if bottom]
        fits = (tried["width"], tried["height"], tried["fourcc"]) == (*size, fourcc)
        if fits and max(rates, default=wanted.rate) >= wanted.rate * (1 - _SAME_RATE):
            return wanted, fourcc
    raise ValueError(f"{wanted} is no mode of this grabber")


def _set_pad(path: str, pad: int, picture: dict[str, int]) -> None:
    device = V4L2Device(path)
    try:
        device.set_pad_format(pad, picture)
    finally:
        device.close()


# ---- names and numbers of the system


def device_path(major: int, minor: int) -> str:
    """/dev/... of a device number; empty where there is none."""
    try:
        lines = (SYSFS / f"dev/char/{major}:{minor}/uevent").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    return next((f"/dev/{line[8:]}" for line in lines if line.startswith("DEVNAME=")), "")


def _video4linux() -> list[Path]:
    try:
        return list((SYSFS / "class/video4linux").iterdir())
    except OSError:
        return []


def _natural(path: Path) -> tuple[str, int]:
    letters = path.name.rstrip("0123456789")
    return letters, int(path.name[len(letters) :] or 0)


def _entry(path: str) -> Path:
    return SYSFS / "class/video4linux" / Path(path).resolve().name


def _name(path: str) -> str:
    try:
        return (_entry(path) / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "without a name"


def _lanes(path: str) -> Chain:
    """Lanes and link frequency of the device tree's endpoint (video-interfaces.yaml); those of
    the overlay where it does not say them."""
    tree = _entry(path) / "device/of_node"
    lanes = next(iter(sorted(tree.glob("port*/**/data-lanes"))), None)
    links = next(iter(sorted(tree.glob("port*/**/link-frequencies"))), None)
    default = Chain()
    try:
        count = len(lanes.read_bytes()) // 4 if lanes else default.lanes
        lane_bps = 2 * int.from_bytes(links.read_bytes()[:8]) if links else default.lane_bps
    except OSError:
        return default
    return Chain(count or default.lanes, lane_bps or default.lane_bps)


def _words_of_open(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return f"{path} is not there: check the overlay in config.txt, or name another device"
        case errno.EACCES | errno.EPERM:
            return f"{path} may not be opened: add the user to the group video"
        case errno.EBUSY:
            return f"{path} is busy: another program uses it"
        case errno.ENOTTY | errno.EINVAL:
            return f"{path} is no V4L2 device: name the HDMI input's node"
        case errno.ENODEV | errno.ENXIO:
            return f"{path} has no device behind it: is it plugged in?"
    return f"{path} cannot be opened: {error.strerror}"
