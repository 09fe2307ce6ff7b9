"""The camera's HDMI input, watched: says when its capture node can be opened, in which mode, and when to let go of it.

The decisions are thinair.sender.hdmi.state_machine's; here is what touches the device. Everything goes over a handle
of its own, so that the
capture may stream in C meanwhile.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from thinair.edid.presets import PRESETS
from thinair.edid.timings import DEFAULT_CHAIN, Chain, Timing, menu_name, supported_instead
from thinair.link.errors import ConfigError, DeviceError, FileError
from thinair.link.native import (
    V4L2_CID_DV_RX_POWER_PRESENT,
    V4L2_EVENT_CTRL,
    V4L2_EVENT_SOURCE_CHANGE,
    V4L2Device,
    now_us,
)
from thinair.link.protocol.source_state import DETAIL_BYTES
from thinair.link.video_mode import Mode
from thinair.sender.config import SenderConfig
from thinair.sender.hdmi.state_machine import Action, HdmiMachine
from thinair.sender.hdmi.v4l2 import (
    Input,
    choose_format,
    find_input,
    grabber_mode,
    open_control,
    prepare,
    rate_of,
    refusal,
    timing_of,
    write_edid,
)
from thinair.sender.picture import NoPicture

FOURCCS = ("UYVY", "YUYV", "NV12", "MJPG")  # the best first
KEEP_EDID = "keep"
_GONE = {errno.ENODEV, errno.ENXIO, errno.EBADF, errno.ENOENT}
_ABSENT = {errno.ENOTTY, errno.EINVAL, errno.ENODATA}


@dataclass(frozen=True, slots=True)
class Start:
    """Open the capture: timings and pads are set. `fourcc` and the mode's size are for S_FMT, its rate for S_PARM where
    the driver has that (USB grabbers)."""

    mode: Mode
    node: str  # capture node, such as /dev/video0
    fourcc: str  # such as UYVY
    driver: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the capture, buffers and all, before `poll` is called again: new timings need a driver without buffers."""


class Port(Protocol):
    """What HdmiPort offers. All methods belong to one thread."""

    notes: list[str]  # for the operator, such as what was done about the EDID

    def open(self) -> None:
        """Raises DeviceError where there is no HDMI input or it is none."""

    def poll(self, timeout_us: int, capture_fd: int = -1, *, wake_fd: int = -1) -> Sequence[Start | Stop | NoPicture]:
        """What is to be done, in this order, before the next call. Waits for the timeout, or until `capture_fd` has a
        picture or `wake_fd` is readable; empty then. NoPicture comes at each change of state (LIVE with the first
        picture after a Start) and twice a second while there is no picture. Never two Starts without a Stop or
        `failed` between."""

    def picture_seen(self, at_us: int) -> None:
        """The capture's newest picture came at this time (its dequeueing). Holds off the watchdog of two pictures;
        telling the same one again does not."""

    def capture_flows(self, at_us: int) -> None:
        """Instead of `picture_seen`, from a capture that watches silence itself: it has pictures, this was one."""

    def capture_silent(self, last_us: int) -> None:
        """It has had none for two pictures since this one. A restart, too, ends the flow."""

    def failed(self, error: OSError) -> None:
        """The capture could not be opened after a Start, or broke down; it is closed. A retry comes by itself."""

    def request_mode(self, mode: Mode) -> None:
        """From any thread: the camera is told by an EDID that offers this mode alone; a grabber is opened again with
        it. Raises ConfigError where the mode is not supported."""

    def close(self) -> None: ...


class HdmiPort:
    """See Port. `edid`: as `read_edid` gives it, written where the device holds another; None leaves it. `wanted`: a
    grabber's mode; a camera is asked by the EDID. `limit`: why an encoder does not support a mode, "" if it does."""

    def __init__(
        self,
        device: str | None = None,
        edid: bytes | None = None,
        *,
        wanted: Mode | None = None,
        fourccs: Sequence[str] = FOURCCS,
        limit: Callable[[Mode], str] = lambda mode: "",
        find: Callable[[str | None], Input] = find_input,
    ) -> None:
        self.notes: list[str] = []
        self._device = device
        self._edid = edid
        self._wanted = wanted
        self._fourccs = fourccs
        self._limit = limit
        self._find = find
        self._found: Input | None = None
        self._control: V4L2Device | None = None
        self._bt: dict[str, int] = {}  # of the mode found last
        self._fourcc = ""
        self._machine = HdmiMachine(now_us())
        self._requested: Mode | None = None  # done by the thread that polls

    def request_mode(self, mode: Mode) -> None:
        from thinair.edid.build import mode as supported  # most senders are never asked
        from thinair.edid.errors import EdidError

        if self._found is None or self._found.timings:
            try:
                supported(mode.width, mode.height, mode.rate)
            except EdidError as error:
                raise ConfigError(str(error)) from error
        self._requested = mode

    def open(self) -> None:
        self._found = self._find(self._device)

    def poll(self, timeout_us: int, capture_fd: int = -1, *, wake_fd: int = -1) -> Sequence[Start | Stop | NoPicture]:
        deadline_us = now_us() + timeout_us
        if capture_fd >= 0 and self._wait(0, capture_fd).get(capture_fd, 0) & select.POLLIN:
            self._machine.picture(now_us())  # one waits: not the camera is late, but who asks
        while not (out := self._work()):
            now = now_us()
            wait_us = min(deadline_us, self._machine.next_timeout(now)) - now
            ready = self._wait(max(0, wait_us), capture_fd, wake_fd)
            if self._control is not None and (events := ready.get(self._control.fileno())):
                self._handle_events(events)
            elif capture_fd in ready or wake_fd in ready or now_us() >= deadline_us:
                return ()
        return out

    def picture_seen(self, at_us: int) -> None:
        self._machine.picture(min(at_us, now_us()))

    def capture_flows(self, at_us: int) -> None:
        self._machine.flows(min(at_us, now_us()))

    def capture_silent(self, last_us: int) -> None:
        self._machine.silent(now_us(), last_us)

    def failed(self, error: OSError) -> None:
        self._machine.failed(now_us(), _reason(error))

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control = None

    # ---- the machine's actions

    def _work(self) -> list[Start | Stop | NoPicture]:
        out: list[Start | Stop | NoPicture] = []
        if self._requested is not None and self._control is not None:
            self._offer_requested(self._requested)
        while (action := self._machine.next_action(now_us())) is not None:
            match action:
                case Action.OPEN:
                    self._open_control()
                case Action.WRITE_EDID:
                    self._write_edid()
                case Action.QUERY:
                    self._query()
                case Action.START:
                    if (start := self._start()) is not None:
                        out.append(start)
                case Action.STOP:
                    out.append(Stop())
                    break  # what follows needs the capture closed
        if (state := self._machine.next_report(now_us())) is not None:
            out.insert(len(out) - (out[-1:] == [Stop()]), NoPicture(state))  # text first: stopping takes a while
        return out

    def _open_control(self) -> None:
        self.close()
        try:
            found = self._found or self._find(self._device)
            control = open_control(found.control)
        except DeviceError as error:
            self._machine.gone(now_us(), str(error).partition(":")[0])
            return
        self._found, self._control = found, control
        self.notes.clear()
        power: bool | None = None
        try:
            control.subscribe(V4L2_EVENT_CTRL, V4L2_CID_DV_RX_POWER_PRESENT)
            power = bool(control.control(V4L2_CID_DV_RX_POWER_PRESENT))
        except OSError:
            pass  # it does not tell
        try:
            control.subscribe(V4L2_EVENT_SOURCE_CHANGE)
        except OSError as error:
            if found.timings:
                self.notes.append(f"{found.control} has no events ({error.strerror}): it is asked in silence alone")
        self._machine.opened(now_us(), power)

    def _offer_requested(self, mode: Mode) -> None:
        self._requested = None
        assert self._found is not None
        if not self._found.timings:
            self._wanted = mode
            self._machine.gone(now_us(), f"opened again for {mode}")
            return
        from thinair.edid.build import build
        from thinair.edid.build import mode as supported

        self._edid = build([supported(mode.width, mode.height, mode.rate)])
        self._write_edid()

    def _write_edid(self) -> None:
        if self._control is not None and self._edid is not None:
            self.notes.append(write_edid(self._control, self._edid))

    def _query(self) -> None:
        assert self._control is not None
        assert self._found is not None
        try:
            mode = self._signal(self._found, self._control)
        except OSError as error:
            self._answer(error)
        else:
            if isinstance(mode, Mode):
                self._machine.found(now_us(), mode)
            else:
                self._machine.refused(now_us(), mode)

    def _signal(self, found: Input, control: V4L2Device) -> Mode | str:
        """The mode, or why there is none that is supported. Raises OSError."""
        if not found.timings:
            return self._grabbed(control)
        self._bt = control.query_timings()
        timing = timing_of(self._bt)
        if why := refusal(timing, found.chain):
            return _with_reason(_menu_text(timing, found.chain or DEFAULT_CHAIN), why)
        mode = Mode(timing.width, timing.height, rate_of(timing))
        why = self._limit(mode)
        return _with_reason(_menu_text(timing, found.chain or DEFAULT_CHAIN), why) if why else mode

    def _grabbed(self, control: V4L2Device) -> Mode | str:
        try:
            mode, self._fourcc = grabber_mode(control, self._fourccs, self._wanted)
        except ValueError as error:
            return str(error)
        return self._limit(mode) or mode

    def _answer(self, error: OSError) -> None:
        match error.errno:
            case errno.ENOLINK:
                self._machine.no_link(now_us())
            case errno.ENOLCK:
                self._machine.no_lock(now_us())
            case errno.ERANGE:
                self._machine.refused(now_us(), "outside what the bridge supports")
            case _:
                self._lost(error)

    def _start(self) -> Start | None:
        """None where the device refuses, which is the machine's to follow."""
        found, control, mode = self._found, self._control, self._machine.mode
        assert found is not None
        assert control is not None
        assert mode is not None
        try:
            if found.timings:
                prepare(found, control, self._bt)
                if self._take_events(control) and control.query_timings() != self._bt:  # vivid reports its own
                    self._machine.source_changed(now_us())
                self._fourcc = self._format_of(found)
        except OSError as error:
            self._machine.failed(now_us(), _reason(error))
            return None
        return Start(mode, found.node, self._fourcc, found.driver)

    def _format_of(self, found: Input) -> str:
        node = V4L2Device(found.node)
        try:
            fourcc = choose_format(node, self._fourccs)
        finally:
            node.close()
        if not fourcc:
            raise OSError(errno.EINVAL, f"{found.node} gives none of {', '.join(self._fourccs)}")
        return fourcc

    # ---- what comes by itself

    def _wait(self, timeout_us: int, *others: int) -> dict[int, int]:
        waiting = select.poll()
        if self._control is not None:
            waiting.register(self._control, select.POLLPRI)
        for fd in others:
            if fd >= 0:
                waiting.register(fd, select.POLLIN)
        return dict(waiting.poll(-(-timeout_us // 1000)))

    def _handle_events(self, ready: int) -> None:
        assert self._control is not None
        if ready & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            self._lost(OSError(errno.ENODEV, os.strerror(errno.ENODEV)))
            return
        try:
            if self._take_events(self._control):
                self._machine.source_changed(now_us())
        except OSError as error:
            self._lost(error)

    def _take_events(self, control: V4L2Device) -> bool:
        """Takes the driver's events; whether it says that the source has changed. Raises OSError."""
        changed = False
        while (event := control.event()) is not None:
            changed |= event["type"] == V4L2_EVENT_SOURCE_CHANGE
            if event["type"] == V4L2_EVENT_CTRL:
                self._machine.power(now_us(), bool(event["value"]))
        return changed

    def _lost(self, error: OSError) -> None:
        assert self._found is not None
        why = "is gone" if error.errno in _GONE else f"does not answer: {error.strerror}"
        self._machine.gone(now_us(), f"{self._found.control} {why}")
        self._found = None  # it may come back under another number
        self.close()


def port_of(
    config: SenderConfig, *, fourccs: Sequence[str] = FOURCCS, limit: Callable[[Mode], str] | None = None
) -> HdmiPort:
    """The port a configuration with source `hdmi` or `hdmi:DEVICE` asks for. Raises ConfigError, FileError."""
    device = config.source.partition(":")[2] or None
    edid = read_edid(config.edid)
    return HdmiPort(device, edid, wanted=config.mode, fourccs=fourccs, limit=limit or (lambda mode: ""))


def read_edid(text: str) -> bytes | None:
    """The bytes of a preset or a file; None for KEEP_EDID. Raises ConfigError, FileError."""
    if text == KEEP_EDID:
        return None
    if text in PRESETS:
        return PRESETS[text]
    from thinair.edid.errors import EdidError  # only a file has to be read and checked
    from thinair.edid.text import read

    path = Path(text)
    try:
        data = read(path.read_bytes())
    except OSError as error:
        presets = ", ".join(PRESETS)
        raise FileError(f"EDID {text!r} cannot be read ({error.strerror}): give a file, {presets}, or keep") from error
    except EdidError as error:
        raise ConfigError(f"EDID {text}: {error}") from error
    check_edid(data)
    return data


def check_edid(data: bytes) -> None:
    """Raises ConfigError where a driver or a camera would refuse it; `thinair edid check` tells lesser faults."""
    from thinair.edid.errors import EdidError
    from thinair.edid.parse import parse, wrong_checksums

    if not data or len(data) % 128 or len(data) > 8 * 128:
        raise ConfigError(f"the EDID has {len(data)} bytes: it must be 1 to 8 blocks of 128")
    try:
        parse(data)
    except EdidError as error:
        raise ConfigError(f"that is no EDID: {error}") from error
    if wrong := wrong_checksums(data):
        block = wrong[0][0]
        raise ConfigError(f"the EDID's block {block} has a wrong checksum: correct it with thinair edid fix")


def _menu_text(timing: Timing, chain: Chain) -> str:
    """In the words of a camera's menu: what it sends, and what to choose there."""
    other = supported_instead(timing, chain)
    return f"{menu_name(timing)}: unsupported" + (f", choose {menu_name(other)}" if other else "")


def _with_reason(text: str, why: str) -> str:
    """With as much of the reason as fits a report."""
    for reason in (why, why.partition(":")[0]):
        if len(text) + len(reason) + 2 <= DETAIL_BYTES:
            return f"{text}; {reason}"
    return text


def _reason(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "another program uses the capture device"
    return error.strerror or str(error)
