"""What the HDMI input is doing, sans-IO: what was found and `now` in, actions and states out.

After each input, and at each `next_timeout`, the caller executes `next_action` until it gives None and then hands on
`next_report`. What a state does with an input stands in `_TRANSITIONS`; `python -m thinair.sender.hdmi.state_machine`
draws it into docs/hdmi-states.md.

Only the answer to a query changes the state: events, the +5 V control, silence for two pictures and timers just trigger
queries. A driver that polls its chip may report a second late what silence shows at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from thinair.link.protocol.source_state import DETAIL_BYTES, SourceCode, SourceState
from thinair.link.video_mode import Mode

REPORT_INTERVAL_US = 500_000
OPEN_RETRY_US = (200_000, 5_000_000)  # first, and after doubling at most
QUERY_RETRY_US = (50_000, 500_000)
RESTART_RETRY_US = (500_000, 8_000_000)
WATCHDOG_PICTURES = 2
STALL_US = 500_000  # of silence in a mode that the device confirms
FIRST_PICTURE_US = 1_500_000  # the same after a start
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "hdmi-states.md"


class HdmiState(StrEnum):
    NO_DEVICE = "no device"
    NO_CABLE = "no cable"
    NO_SIGNAL = "no signal"
    NO_SYNC = "no sync"
    UNSUPPORTED = "unsupported"
    LOCKED = "locked"
    STALLED = "stalled"


class HdmiInput(StrEnum):
    OPENED = "opened"
    GONE = "gone"  # or it could not be opened
    NO_POWER = "no link, no +5 V"
    NO_LINK = "no link"
    NO_LOCK = "no lock"
    REFUSED = "mode refused"
    FOUND = "another mode"
    SAME = "the same mode"
    FAILED = "capture failed"
    LATE = "no picture in time"
    PICTURE = "picture"


class Action(StrEnum):
    OPEN = "open"  # answered by `opened` or `gone`
    WRITE_EDID = "write the EDID"  # where it differs
    QUERY = "query"  # answered by `no_link`, `no_lock`, `refused`, `found` or `gone`
    START = "start"  # set timings and start the capture in `mode`; `failed` where it cannot be
    STOP = "stop"


_CODES = {
    HdmiState.NO_DEVICE: SourceCode.NO_DEVICE,
    HdmiState.NO_CABLE: SourceCode.NO_CABLE,
    HdmiState.NO_SIGNAL: SourceCode.NO_SIGNAL,
    HdmiState.NO_SYNC: SourceCode.NO_SYNC,
    HdmiState.UNSUPPORTED: SourceCode.UNSUPPORTED,
    HdmiState.LOCKED: SourceCode.LIVE,
    HdmiState.STALLED: SourceCode.STALLED,
}


class _BackOff:
    """A time that comes again at doubling intervals, at most `last_us` apart."""

    def __init__(self, last_us: int) -> None:
        self.due_us: int | None = None
        self._step_us = 0
        self._last_us = last_us

    def begin(self, now_us: int, first_us: int) -> None:
        self._step_us = first_us
        self.due_us = now_us + first_us

    def again(self, now_us: int) -> None:
        self._step_us = min(2 * self._step_us, self._last_us)
        self.due_us = now_us + self._step_us

    def is_due(self, now_us: int) -> bool:
        return self.due_us is not None and now_us >= self.due_us

    def end(self) -> None:
        self.due_us = None


class HdmiMachine:
    """One input. Times are those of the caller's clock and never go back.

    Size: one short method per action of the transition table, which names them."""

    def __init__(self, now_us: int) -> None:
        self.state = HdmiState.NO_DEVICE
        self.mode: Mode | None = None  # running, or tried last while in LOCKED or STALLED
        self.running = False  # a START without a STOP
        self._detail = ""
        self._since_us = now_us
        self._power: bool | None = None  # None: the device does not tell
        self._found: Mode | None = None
        self._sign_us = now_us  # of life: the newest picture, or the start
        self._seen = False  # a picture since the start
        self._flowing = False  # a capture that watches silence itself has pictures
        self._suspect = False  # the source has changed since the start: silence means the driver let go
        self._open = _BackOff(OPEN_RETRY_US[1])
        self._query = _BackOff(QUERY_RETRY_US[1])
        self._restart = _BackOff(RESTART_RETRY_US[1])  # no timer: a query that is answered after it starts anew
        self._open.begin(now_us - OPEN_RETRY_US[0], OPEN_RETRY_US[0])  # due now
        self._actions: deque[Action] = deque()
        self._reported: tuple[HdmiState, str] | None = None
        self._report_due_us = now_us

    # ---- inputs

    def opened(self, now_us: int, power: bool | None = None) -> None:
        """The device is there; `power` is its +5 V control where it has one."""
        self._power = power
        self._step(HdmiInput.OPENED, now_us)

    def gone(self, now_us: int, why: str) -> None:
        self._step(HdmiInput.GONE, now_us, why)

    def power(self, now_us: int, present: bool) -> None:
        """The +5 V control has changed."""
        self._power = present
        self._ask_again(now_us)

    def source_changed(self, now_us: int) -> None:
        """V4L2_EVENT_SOURCE_CHANGE."""
        self._suspect = True
        self._ask_again(now_us)

    def no_link(self, now_us: int) -> None:
        """ENOLINK. Without +5 V there is no cable."""
        self._step(HdmiInput.NO_POWER if self._power is False else HdmiInput.NO_LINK, now_us)

    def no_lock(self, now_us: int) -> None:
        """ENOLCK."""
        self._step(HdmiInput.NO_LOCK, now_us)

    def refused(self, now_us: int, why: str) -> None:
        """ERANGE, or timings that the pipeline does not support."""
        self._step(HdmiInput.REFUSED, now_us, why)

    def found(self, now_us: int, mode: Mode) -> None:
        self._found = mode
        self._step(HdmiInput.SAME if mode == self.mode else HdmiInput.FOUND, now_us)

    def failed(self, now_us: int, why: str) -> None:
        """The capture could not be started, or broke down; it is closed. The device is asked: it may be gone."""
        self.running = self._flowing = False
        self._ask_again(now_us)
        if Action.START not in self._actions:  # else that was the capture before, and the next is on its way
            self._step(HdmiInput.FAILED, now_us, why)

    def picture(self, at_us: int) -> None:
        """The newest picture was captured at this time, on the same clock. Telling it twice changes nothing."""
        if self.running and at_us > self._sign_us:
            self._sign_us = at_us
            self._seen = True
            self._step(HdmiInput.PICTURE, at_us)

    def flows(self, at_us: int) -> None:
        """The capture watches silence itself: pictures come from this one on, and no timer waits for the next."""
        if self.running:
            self._sign_us = max(self._sign_us, at_us)
            self._seen = self._flowing = True
            self._step(HdmiInput.PICTURE, self._sign_us)

    def silent(self, now_us: int, last_us: int) -> None:
        """The capture that had pictures has had none for WATCHDOG_PICTURES since this one."""
        if self._flowing:
            self._flowing = False
            self._sign_us = max(self._sign_us, last_us)
            self._ask_again(now_us)

    # ---- outputs

    def next_action(self, now_us: int) -> Action | None:
        self._run_timers(now_us)
        if self._actions and self._actions[0] is Action.STOP and not self.running:
            self._actions.popleft()  # it has failed in between, and is closed
        if not self._actions:
            return None
        action = self._actions.popleft()
        if action is Action.START:
            self.running, self._flowing, self._sign_us = True, False, now_us
        elif action is Action.STOP:
            self.running = self._flowing = False
        return action

    def next_report(self, now_us: int) -> SourceState | None:
        """At a change, and every REPORT_INTERVAL_US while there is no picture. LIVE comes with the first picture."""
        if self.state is HdmiState.LOCKED and not self._seen:
            return None
        changed = self._reported != (self.state, self._detail)
        if not changed and (self.state is HdmiState.LOCKED or now_us < self._report_due_us):
            return None
        self._reported = (self.state, self._detail)
        self._report_due_us = now_us + REPORT_INTERVAL_US
        return SourceState(_CODES[self.state], self._since_us, self._detail)

    def next_timeout(self, now_us: int) -> int:
        """When something is due next, at the earliest now; nothing may be due for ever, and this comes again then."""
        due = [timer.due_us for timer in (self._open, self._query) if timer.due_us is not None]
        if self.state is not HdmiState.LOCKED:
            due.append(self._report_due_us)
        elif not self._flowing:
            due.append(self._late_us)
        return max(now_us, min(due, default=now_us + REPORT_INTERVAL_US))

    # ---- within

    @property
    def _late_us(self) -> int:
        return self._sign_us + (STALL_US if self._seen else FIRST_PICTURE_US)

    @property
    def _silence_us(self) -> int:
        assert self.mode is not None
        return int(WATCHDOG_PICTURES * self.mode.interval_us)  # no more than a capture that watches silence waits

    def _ask(self) -> None:
        if Action.QUERY not in self._actions:
            self._actions.append(Action.QUERY)

    def _ask_again(self, now_us: int) -> None:
        if self.state is not HdmiState.NO_DEVICE:
            self._wait(now_us)
            self._ask()

    def _wait(self, now_us: int) -> None:
        """Until the device is asked by itself."""
        if self._flowing:
            self._query.end()
        else:
            self._query.begin(now_us, self._silence_us if self.state is HdmiState.LOCKED else QUERY_RETRY_US[0])

    def _run_timers(self, now_us: int) -> None:
        if self._open.is_due(now_us):
            self._open.again(now_us)
            self._actions.append(Action.OPEN)
        if self.state is HdmiState.LOCKED and not self._flowing and now_us >= self._late_us:
            self._step(HdmiInput.LATE, now_us)
        if self._query.is_due(now_us):
            self._query.again(now_us)
            self._ask()

    def _step(self, event: HdmiInput, now_us: int, detail: str = "") -> None:
        if (self.state, event) not in _TRANSITIONS:
            return
        before = self.state
        self.state, action = _TRANSITIONS[self.state, event]
        if self.state is not before:
            self._since_us = self._sign_us if event is HdmiInput.LATE and self._seen else now_us
            self._detail = ""
            self._query.begin(now_us, QUERY_RETRY_US[0])
        if detail:
            self._detail = detail.encode()[:DETAIL_BYTES].decode(errors="ignore")
        if action is not None:
            action(self, now_us)

    # ---- what the table names

    def _look(self, now_us: int) -> None:
        self._open.end()
        self._actions.clear()
        self._actions += (Action.WRITE_EDID, Action.QUERY)

    def _leave(self, now_us: int) -> None:
        """The device is gone: let go of it and try to open it again."""
        self._halt(now_us)
        self._query.end()
        if self._open.due_us is None:
            self._open.begin(now_us, OPEN_RETRY_US[0])

    def _halt(self, now_us: int) -> None:
        """No picture can come."""
        self._actions.clear()
        if self.running:
            self._actions.append(Action.STOP)
        self.mode = None
        self._restart.end()

    def _start(self, now_us: int) -> None:
        self._halt(now_us)
        self.mode = self._found
        self._again(now_us)

    def _again(self, now_us: int) -> None:
        """The mode from the beginning."""
        self._actions.clear()
        if self.running:
            self._actions.append(Action.STOP)
        self._actions.append(Action.START)
        self._seen = self._suspect = False
        self._sign_us = now_us

    def _confirm(self, now_us: int) -> None:
        """The device stands by its mode. If the source changed in between and nothing comes, the driver has let go."""
        silent = not self._flowing and now_us >= self._sign_us + self._silence_us
        if self._suspect and self._seen and silent:
            self._again(now_us)

    def _stall(self, now_us: int) -> None:
        self._restart.begin(now_us, RESTART_RETRY_US[0])

    def _retry(self, now_us: int) -> None:
        if self._suspect or self._restart.is_due(now_us):
            self._restart.again(now_us)
            self._again(now_us)

    def _live(self, now_us: int) -> None:
        """Two pictures of silence from here on, and the device is asked."""
        self._restart.end()
        self._wait(now_us)


_Act = Callable[[HdmiMachine, int], None]
_S, _I, _M = HdmiState, HdmiInput, HdmiMachine
_OPEN = tuple(state for state in HdmiState if state is not HdmiState.NO_DEVICE)
_TRANSITIONS: dict[tuple[HdmiState, HdmiInput], tuple[HdmiState, _Act | None]] = {
    (_S.NO_DEVICE, _I.OPENED): (_S.NO_SIGNAL, _M._look),
    (_S.NO_DEVICE, _I.GONE): (_S.NO_DEVICE, _M._leave),
    **{(state, _I.GONE): (_S.NO_DEVICE, _M._leave) for state in _OPEN},
    **{(state, _I.NO_POWER): (_S.NO_CABLE, _M._halt) for state in _OPEN},
    **{(state, _I.NO_LINK): (_S.NO_SIGNAL, _M._halt) for state in _OPEN},
    **{(state, _I.NO_LOCK): (_S.NO_SYNC, _M._halt) for state in _OPEN},
    **{(state, _I.REFUSED): (_S.UNSUPPORTED, _M._halt) for state in _OPEN},
    **{(state, _I.FOUND): (_S.LOCKED, _M._start) for state in _OPEN},
    (_S.LOCKED, _I.SAME): (_S.LOCKED, _M._confirm),
    (_S.LOCKED, _I.PICTURE): (_S.LOCKED, _M._live),
    (_S.LOCKED, _I.LATE): (_S.STALLED, _M._stall),
    (_S.LOCKED, _I.FAILED): (_S.STALLED, _M._stall),
    (_S.STALLED, _I.SAME): (_S.STALLED, _M._retry),
    (_S.STALLED, _I.PICTURE): (_S.LOCKED, _M._live),
    (_S.STALLED, _I.FAILED): (_S.STALLED, None),
}


def draw() -> str:
    """docs/hdmi-states.md: the table as a diagram. What every state with a device does alike is drawn once."""
    alike = {
        event: targets.pop()
        for event in HdmiInput
        if len(targets := {_TRANSITIONS.get((state, event), (None, None))[0] for state in _OPEN}) == 1
        and None not in targets
    }
    edges = ["[*] --> NO_DEVICE"]
    for (state, event), (target, _) in _TRANSITIONS.items():
        if state not in _OPEN or event not in alike:
            edges.append(f"{state.name} --> {target.name}: {event}")
    edges += [f"{state.name} --> query" for state in _OPEN]
    edges += [f"query --> {target.name}: {event}" for event, target in alike.items() if target]
    body = "\n".join(f"    {line}" for line in ["state query <<choice>>", *edges])
    stall = f"{FIRST_PICTURE_US // 1000} ms after a start, {STALL_US // 1000} ms after a picture"
    return f"""# States of the HDMI input

Generated from the table in `sender/hdmi/state_machine.py` by `python -m thinair.sender.hdmi.state_machine`.

A state with a device leads to `query`:
at an event of the driver, a change of +5 V, silence for {WATCHDOG_PICTURES} pictures,
and every {QUERY_RETRY_US[1] // 1000} ms while there is no picture.
The device's answer decides the next state.
`another mode` and `capture failed` close a running capture first.

```mermaid
stateDiagram-v2
{body}
```

| timer | first | then doubling up to |
|---|---|---|
| reopen a missing device | {OPEN_RETRY_US[0] // 1000} ms | {OPEN_RETRY_US[1] // 1000} ms |
| query while there is no picture | {QUERY_RETRY_US[0] // 1000} ms | {QUERY_RETRY_US[1] // 1000} ms |
| restart while stalled | {RESTART_RETRY_US[0] // 1000} ms | {RESTART_RETRY_US[1] // 1000} ms |
| locked without a picture becomes stalled | {stall} | |
"""


if __name__ == "__main__":
    DOCUMENT.write_text(draw(), encoding="utf-8")
