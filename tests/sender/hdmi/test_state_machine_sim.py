"""The HDMI state machine in virtual time: what the camera does, and what the sender says and starts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hdmi_camera import MODE_720P60, MODE_1080P25, World
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.hdmi.state_machine import (
    DOCUMENT,
    REPORT_INTERVAL_US,
    STALL_US,
    Action,
    HdmiMachine,
    HdmiState,
    draw,
)

pytestmark = pytest.mark.quick
SECOND = 1_000_000
TWO_PICTURES = 33_334  # of 720p60


@pytest.fixture(name="world", params=[False, True], ids=["each picture told", "silence watched by the capture"])
def live(request: pytest.FixtureRequest) -> World:
    world = World(watched=request.param)
    world.run(SECOND)
    assert world.last().code is SourceCode.LIVE
    return world


def test_a_camera_that_is_there_is_live_at_once_after_the_edid_was_looked_at() -> None:
    world = World()
    assert [name for _, name in world.log] == [Action.OPEN, Action.WRITE_EDID, Action.QUERY, Action.START]
    assert world.reports == []  # live is said with a picture
    world.run(SECOND)
    assert [(at, report.code) for at, report in world.reports] == [(3 * 16_666, SourceCode.LIVE)]


@pytest.mark.parametrize(
    ("truth", "code"),
    [
        ({"signal": "none", "power": False}, SourceCode.NO_CABLE),
        ({"signal": "none"}, SourceCode.NO_SIGNAL),
        ({"signal": "unlocked"}, SourceCode.NO_SYNC),
        ({"signal": "1920x1080@60: needs 3 lanes"}, SourceCode.UNSUPPORTED),
    ],
)
def test_an_event_stops_the_capture_and_reports_the_state_in_the_same_moment(
    world: World, truth: dict[str, object], code: SourceCode
) -> None:
    moment = world.now_us
    world.change(event=True, **truth)
    assert world.started is None
    assert world.reports[-1] == (moment, SourceState(code, moment, world.last().detail))


@pytest.mark.parametrize("signal", ["none", "unlocked", "1920x1080@60: needs 3 lanes"])
def test_what_the_driver_does_not_say_is_found_out_after_two_pictures_of_silence(world: World, signal: str) -> None:
    world.change(event=False, signal=signal)
    silent_us = world.now_us
    world.run(SECOND)
    at = next(at for at, report in world.reports if report.code is not SourceCode.LIVE)
    assert at - silent_us <= TWO_PICTURES


def test_a_mode_change_stops_first_and_starts_the_new_mode_at_once(world: World) -> None:
    moment = world.now_us
    world.change(signal=MODE_1080P25)
    assert world.log[-3:] == [(moment, Action.QUERY), (moment, Action.STOP), (moment, Action.START)]
    assert world.started == MODE_1080P25
    world.run(SECOND)
    assert world.last().code is SourceCode.LIVE


def test_a_state_without_a_picture_is_reported_twice_a_second_with_its_age(world: World) -> None:
    world.change(signal="none")
    moment = world.now_us
    world.reports.clear()
    world.run(10 * SECOND)
    assert [at - moment for at, _ in world.reports] == [n * REPORT_INTERVAL_US for n in range(1, 21)]
    assert world.last().words(world.now_us).endswith("for 10 s")


def test_a_signal_that_comes_back_unsaid_is_found_within_half_a_second(world: World) -> None:
    world.change(signal="none")
    world.run(20 * SECOND)
    world.change(event=False, signal=MODE_720P60)
    world.run(SECOND // 2)
    assert world.started == MODE_720P60


def test_a_driver_that_let_go_in_a_short_gap_is_started_again_after_two_pictures(world: World) -> None:
    world.change(flowing=False)  # the source has changed, and its mode is the same
    silent_us = world.now_us
    starts = world.count(Action.START)
    world.run(TWO_PICTURES + 1)
    assert world.count(Action.START) == starts + 1
    assert world.log[-2][0] - silent_us <= TWO_PICTURES
    world.flowing = True
    world.run(SECOND)
    assert {report.code for _, report in world.reports} == {SourceCode.LIVE}


def test_an_event_that_comes_late_does_not_disturb_a_running_picture(world: World) -> None:
    starts = world.count(Action.START)
    world.machine.source_changed(world.now_us)
    world.run(SECOND)
    assert world.count(Action.START) == starts


def test_pictures_that_stop_in_a_confirmed_mode_are_a_stall_since_the_last_picture(world: World) -> None:
    world.change(event=False, flowing=False)
    stopped_us = world.now_us
    world.run(STALL_US)
    assert world.last().code is SourceCode.STALLED
    assert stopped_us - 16_666 <= world.last().since_us <= stopped_us
    world.run(60 * SECOND)
    restarts = [at for at, name in world.log if name is Action.START][1:]
    gaps = [later - earlier for earlier, later in pairwise(restarts)]
    assert gaps[0] >= SECOND // 2
    assert max(gaps) <= 9 * SECOND
    world.flowing = True
    world.run(9 * SECOND)
    assert world.last().code is SourceCode.LIVE


def test_a_capture_that_watches_silence_leaves_nothing_to_be_done_while_pictures_come() -> None:
    world = World(watched=True)
    world.run(SECOND)
    actions = len(world.log)
    world.run(60 * SECOND)
    assert (len(world.log), len(world.reports)) == (actions, 1)
    assert world.machine.next_timeout(world.now_us) == world.now_us + REPORT_INTERVAL_US


def test_silence_after_an_event_that_changed_nothing_is_told_and_asked_once() -> None:
    world = World(watched=True)
    world.run(SECOND)
    world.change(signal=MODE_720P60)
    asked = world.count(Action.QUERY)
    world.run(SECOND)
    assert world.count(Action.QUERY) == asked
    world.change(event=False, signal="none")
    silent_us = world.now_us
    world.run(TWO_PICTURES)
    assert world.last() == SourceState(SourceCode.NO_SIGNAL, world.last().since_us)
    assert world.last().since_us <= silent_us + TWO_PICTURES
    assert world.count(Action.QUERY) == asked + 1


def test_silence_told_by_a_capture_that_never_flowed_changes_nothing() -> None:
    world = World()
    asked = world.count(Action.QUERY)
    world.machine.silent(world.now_us, 0)
    assert world.machine.next_action(world.now_us) is None
    assert world.count(Action.QUERY) == asked


def test_an_old_picture_told_again_does_not_end_a_stall(world: World) -> None:
    newest_us = world.now_us - 1
    world.machine.picture(newest_us)
    world.change(event=False, flowing=False)
    for _ in range(100):
        world.machine.picture(newest_us)
        world.run(10_000)
    assert [report.code for _, report in world.reports] == [SourceCode.LIVE, SourceCode.STALLED, SourceCode.STALLED]


def test_a_capture_that_cannot_be_started_is_tried_again_less_and_less_often() -> None:
    world = World(startable=False)
    world.run(60 * SECOND)
    assert world.last() == SourceState(SourceCode.STALLED, 0, "another program uses /dev/video0")
    assert 7 <= world.count(Action.START) <= 14
    world.startable = True
    world.run(10 * SECOND)
    assert world.last().code is SourceCode.LIVE


def test_a_device_that_goes_and_comes_back_gets_its_edid_again(world: World) -> None:
    world.change(event=False, device=False)
    world.machine.gone(world.now_us, "/dev/video0 is not there")
    world.settle()
    assert world.last() == SourceState(SourceCode.NO_DEVICE, world.now_us, "/dev/video0 is not there")
    world.run(30 * SECOND)
    assert world.count(Action.OPEN) <= 13
    world.change(event=False, device=True)
    world.run(6 * SECOND)
    assert world.last().code is SourceCode.LIVE
    assert world.count(Action.WRITE_EDID) == 2


def test_a_detail_is_cut_between_letters() -> None:
    machine = HdmiMachine(0)
    machine.next_action(0)
    machine.gone(0, "ä" * 63 + "x")
    report = machine.next_report(0)
    assert report is not None
    assert report.detail == "ä" * 32


def test_the_diagram_in_the_documents_is_the_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == draw(), "run python -m thinair.sender.hdmi.state_machine"


# ---- whatever happens

modes = st.sampled_from([MODE_720P60, MODE_1080P25])
signals = st.one_of(modes, st.sampled_from(["none", "unlocked", "needs 3 lanes"]))
changes = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "signal": signals,
            "power": st.booleans(),
            "flowing": st.booleans(),
            "startable": st.booleans(),
            "device": st.booleans(),
        },
    )
)
STATES = {
    "none": {HdmiState.NO_SIGNAL, HdmiState.NO_CABLE},
    "unlocked": {HdmiState.NO_SYNC},
    "needs 3 lanes": {HdmiState.UNSUPPORTED},
}


@pytest.mark.slow
@given(st.lists(st.tuples(changes, st.booleans(), st.integers(0, 3 * SECOND)), max_size=30), st.booleans())
def test_no_history_is_a_dead_end_and_no_start_lacks_its_stop(
    history: list[tuple[dict[str, object], bool, int]], watched: bool
) -> None:
    world = World(watched=watched)
    for truth, event, duration_us in history:
        world.change(event=event, **truth)
        if event and world.device and world.machine.state is not HdmiState.NO_DEVICE:
            check_the_truth_is_told(world)
        world.run(duration_us)
    world.change(event=False, device=True, signal=MODE_720P60, power=True, flowing=True, startable=True)
    world.run(20 * SECOND)
    assert world.machine.state is HdmiState.LOCKED
    assert world.last().code is SourceCode.LIVE
    gaps_without_picture(world)


def check_the_truth_is_told(world: World) -> None:
    expected = {HdmiState.LOCKED, HdmiState.STALLED} if isinstance(world.signal, Mode) else STATES[world.signal]
    assert world.machine.state in expected
    if world.machine.state not in {HdmiState.LOCKED}:
        assert world.last().code.name == world.machine.state.name


def gaps_without_picture(world: World) -> None:
    for (at, report), (later, _) in pairwise(world.reports):
        if report.code not in {SourceCode.LIVE, SourceCode.STALLED}:
            assert (
                later - at <= REPORT_INTERVAL_US + 1_500_000
            )  # a start between them is silent until its first picture


inputs = st.one_of(
    st.tuples(st.just("opened"), st.sampled_from([None, False, True])),
    st.tuples(st.sampled_from(["gone", "refused", "failed"]), st.text(max_size=80)),
    st.tuples(st.just("power"), st.booleans()),
    st.tuples(st.sampled_from(["source_changed", "no_link", "no_lock", "picture", "flows"]), st.none()),
    st.tuples(st.just("silent"), st.integers(0, 2**40)),
    st.tuples(st.just("found"), modes),
)


@given(st.lists(st.tuples(inputs, st.integers(0, 2 * SECOND), st.booleans()), max_size=60))
def test_answers_nobody_asked_for_break_nothing(
    history: list[tuple[tuple[str, object], int, bool]],
) -> None:
    machine, now_us, running = HdmiMachine(0), 0, False
    for (name, value), pause_us, drain in history:
        now_us += pause_us
        getattr(machine, name)(
            now_us, *(() if name in {"source_changed", "no_link", "no_lock", "picture", "flows"} else (value,))
        )
        running = running and name != "failed"
        while drain and (action := machine.next_action(now_us)) is not None:
            assert not (action is Action.START and running)
            assert not (action is Action.STOP and not running)
            running = (running or action is Action.START) and action is not Action.STOP
        if drain:
            report = machine.next_report(now_us)
            assert report is None or report.since_us <= now_us
            assert machine.next_timeout(now_us) >= now_us
    # whatever came: the device there, a mode found, pictures
    for _ in range(3):
        now_us += 6 * SECOND
        while (action := machine.next_action(now_us)) is not None:
            if action is Action.OPEN:
                machine.opened(now_us)
            elif action is Action.QUERY:
                machine.found(now_us, MODE_720P60)
    machine.picture(now_us + 1)
    assert machine.state is HdmiState.LOCKED
