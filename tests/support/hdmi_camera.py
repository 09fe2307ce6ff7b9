"""A camera, a cable and a capture device in virtual time, for the HDMI state machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from thinair.link.protocol.source_state import SourceState
from thinair.link.video_mode import Mode
from thinair.sender.hdmi.state_machine import Action, HdmiMachine

MODE_720P60 = Mode(1280, 720, Fraction(60))
MODE_1080P25 = Mode(1920, 1080, Fraction(25))


@dataclass(slots=True)
class World:
    """`signal`: a Mode, "none", "unlocked", or the reason why the chain does not carry it."""

    device: bool = True
    power: bool = True
    signal: Mode | str = MODE_720P60
    flowing: bool = True  # the driver gives pictures while started in the signal's mode
    startable: bool = True
    watched: bool = False  # the capture tells when pictures begin and cease, not each of them
    now_us: int = 0
    started: Mode | None = None
    log: list[tuple[int, str]] = field(default_factory=list)
    reports: list[tuple[int, SourceState]] = field(default_factory=list)
    machine: HdmiMachine = field(init=False)
    _picture_us: int = 0
    _newest_us: int | None = None  # of a capture that has said it flows

    def __post_init__(self) -> None:
        self.machine = HdmiMachine(self.now_us)
        self.settle()

    def settle(self) -> None:
        """What HdmiPort does after each input."""
        while (action := self.machine.next_action(self.now_us)) is not None:
            self.log.append((self.now_us, action))
            self._execute(action)
        if (report := self.machine.next_report(self.now_us)) is not None:
            self.reports.append((self.now_us, report))

    def run(self, duration_us: int) -> None:
        end_us = self.now_us + duration_us
        while True:
            due_us = self.machine.next_timeout(self.now_us)
            pictures = self.started is not None and self.started == self.signal and self.flowing and self.device
            if pictures:
                due_us = min(due_us, self._picture_us)
            elif (silent_us := self._silent_us()) is not None:
                due_us = min(due_us, silent_us)
            if due_us > end_us:
                break
            self.now_us = max(due_us, self.now_us)
            if pictures and self.now_us >= self._picture_us:
                assert self.started is not None
                self._picture_us = self.now_us + int(self.started.interval_us)
                self._tell_picture()
            elif (silent_us := self._silent_us()) is not None and self.now_us >= silent_us:
                assert self._newest_us is not None
                self.machine.silent(self.now_us, self._newest_us)
                self._newest_us = None
            self.settle()
        self.now_us = end_us

    def change(self, *, event: bool = True, **truth: object) -> None:
        """Changes the truth; the driver says so at once, or not at all."""
        power = truth.get("power", self.power)
        for name, value in truth.items():
            setattr(self, name, value)
        if event and self.device:
            self.machine.power(self.now_us, bool(power))
            self.machine.source_changed(self.now_us)
            self.settle()

    def last(self) -> SourceState:
        return self.reports[-1][1]

    def count(self, action: Action) -> int:
        return sum(name == action for _, name in self.log)

    def _tell_picture(self) -> None:
        if not self.watched:
            self.machine.picture(self.now_us)
            return
        if self._newest_us is None:
            self.machine.flows(self.now_us)
        self._newest_us = self.now_us

    def _silent_us(self) -> int | None:
        """When a capture that watches silence will say so."""
        if self._newest_us is None or self.started is None:
            return None
        return self._newest_us + int(2 * self.started.interval_us)

    def _execute(self, action: Action) -> None:
        machine, now_us = self.machine, self.now_us
        match action:
            case Action.OPEN if self.device:
                machine.opened(now_us, self.power)
            case Action.OPEN | Action.QUERY if not self.device:
                machine.gone(now_us, "/dev/video0 is not there")
            case Action.QUERY:
                self._answer()
            case Action.START:
                assert self.started is None, "two starts without a stop"
                if self.startable:
                    self.started, self._newest_us = machine.mode, None
                    self._picture_us = now_us + 3 * int(machine.mode.interval_us if machine.mode else 0)
                else:
                    machine.failed(now_us, "another program uses /dev/video0")
            case Action.STOP:
                assert self.started is not None, "a stop without a start"
                self.started = None

    def _answer(self) -> None:
        match self.signal:
            case Mode() as mode:
                self.machine.found(self.now_us, mode)
            case "none":
                self.machine.no_link(self.now_us)
            case "unlocked":
                self.machine.no_lock(self.now_us)
            case why:
                self.machine.refused(self.now_us, why)
