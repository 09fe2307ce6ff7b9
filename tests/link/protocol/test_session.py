"""thinair.link.protocol.sender_session: each end alone, against hand-made datagrams."""

from fractions import Fraction

import pytest

from thinair.link.protocol.receiver_session import (
    NewSender,
    ReceiverEvent,
    ReceiverSession,
    SenderBack,
    SenderChanged,
    SenderLost,
    SourceChanged,
)
from thinair.link.protocol.rtcp import (
    Bye,
    Feedback,
    Hello,
    Message,
    Pli,
    Probe,
    ProbeEcho,
    Source,
    Welcome,
    build,
    parse,
)
from thinair.link.protocol.sender_session import (
    FeedbackReceived,
    KeyFrameRequested,
    Linked,
    MediaDescription,
    SenderEvent,
    SenderSession,
    Unlinked,
)
from thinair.link.protocol.source_state import SourceCode, SourceState

pytestmark = pytest.mark.quick

MS = 1000
SECOND = 1000 * MS
DESCRIPTION = MediaDescription(1920, 1080, Fraction(30000, 1001), 8_000_000, "camera 1")
BOOT, COOKIE, SSRC, PEER_BOOT = 11, 22, 33, 0x5500000044
PEER_SSRC = 0x44
WELCOME = build(Welcome(PEER_SSRC, PEER_BOOT, COOKIE, BOOT))
PLI = build(Pli(PEER_SSRC, SSRC))
HELLO = Hello(SSRC, BOOT, COOKIE, SSRC, 1920, 1080, 30000, 1001, 8_000_000, "camera 1")
CAMERA = ("192.0.2.1", 4000)


def new_sender() -> SenderSession:
    return SenderSession(BOOT, COOKIE, SSRC, DESCRIPTION)


def drain_sender(session: SenderSession, now_us: int) -> tuple[list[Message], list[SenderEvent]]:
    messages: list[Message] = []
    while (data := session.next_datagram(now_us)) is not None:
        messages += parse(data)
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    return messages, events


def drain_receiver(session: ReceiverSession, now_us: int) -> tuple[list[Message], list[ReceiverEvent]]:
    messages: list[Message] = []
    while (item := session.next_datagram(now_us)) is not None:
        messages += parse(item[0])
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    return messages, events


def linked_sender(now_us: int = 0) -> SenderSession:
    session = new_sender()
    session.receive_datagram(WELCOME, now_us)
    assert drain_sender(session, now_us)[1] == [Linked(PEER_BOOT)]
    return session


def serving_receiver(now_us: int = 0) -> ReceiverSession:
    session = ReceiverSession(PEER_BOOT)
    session.receive_datagram(build(HELLO), now_us, *CAMERA)
    assert drain_receiver(session, now_us)[1] == [NewSender(*CAMERA, SSRC, BOOT, DESCRIPTION, HELLO.cookie)]
    return session


def test_a_sender_says_hello_five_times_a_second_answered_or_not() -> None:
    session = new_sender()
    hellos, now = 0, 0
    while now < 1_000 * MS:
        messages, _ = drain_sender(session, now)
        hellos += messages.count(HELLO)
        if now == 400 * MS:
            session.receive_datagram(WELCOME, now)
        timeout = session.next_timeout(now)
        assert timeout is not None
        assert timeout > now
        now = timeout
    assert hellos == 5


def test_no_media_before_the_cookie_has_come_back() -> None:
    session = new_sender()
    for wrong in (Welcome(PEER_SSRC, PEER_BOOT, COOKIE + 1, BOOT), Welcome(PEER_SSRC, PEER_BOOT, COOKIE, BOOT + 1)):
        session.receive_datagram(build(wrong), 0)
    assert not session.media_allowed
    assert session.dropped["control_cookie"] == 2
    session.receive_datagram(WELCOME, 0)
    assert session.media_allowed
    assert session.next_event() == Linked(PEER_BOOT)


def test_a_second_welcome_of_the_same_receiver_is_no_new_link() -> None:
    session = linked_sender()
    session.receive_datagram(WELCOME, 1)
    assert session.next_event() is None


def test_a_welcome_of_a_restarted_receiver_links_again() -> None:
    session = linked_sender()
    session.receive_datagram(build(Welcome(9, 99, COOKIE, BOOT)), 1)
    assert session.next_event() == Linked(99)


def test_media_stops_two_seconds_after_the_last_sign_of_the_receiver() -> None:
    session = linked_sender()
    session.receive_datagram(build(Probe(PEER_SSRC, 1, 2, COOKIE)), 1_000 * MS)
    assert drain_sender(session, 2_999 * MS)[1] == []
    assert session.media_allowed
    timeout = session.next_timeout(2_999 * MS)
    assert timeout == 3_000 * MS
    assert drain_sender(session, timeout)[1] == [Unlinked("silent")]
    assert not session.media_allowed
    session.receive_datagram(WELCOME, 3_100 * MS)
    assert drain_sender(session, 3_100 * MS)[1] == [Linked(PEER_BOOT)]


def test_a_bye_of_the_receiver_unlinks_and_a_forged_one_does_not() -> None:
    session = linked_sender()
    session.receive_datagram(build(Bye(PEER_SSRC, PEER_BOOT, COOKIE + 1)), 1)
    session.receive_datagram(build(Bye(PEER_SSRC, PEER_BOOT + 1, COOKIE)), 1)
    assert session.media_allowed
    session.receive_datagram(build(Bye(PEER_SSRC, PEER_BOOT, COOKIE)), 1)
    assert session.next_event() == Unlinked("bye")
    assert not session.media_allowed


def test_key_frames_are_forced_300_ms_apart_and_no_request_is_forgotten() -> None:
    session = linked_sender(0)  # being linked forces one itself
    forced = []
    for now in range(0, 1_000 * MS, 10 * MS):
        if now in {100 * MS, 200 * MS, 450 * MS}:
            session.receive_datagram(PLI, now)
        forced += [now for event in drain_sender(session, now)[1] if event == KeyFrameRequested()]
    assert forced == [300 * MS, 600 * MS]


def test_a_key_frame_made_for_another_reason_answers_the_request() -> None:
    session = linked_sender(0)
    session.receive_datagram(PLI, 100 * MS)
    session.key_frame_encoded(150 * MS)
    assert drain_sender(session, 900 * MS)[1] == []


def test_requests_and_feedback_of_strangers_change_nothing() -> None:
    session = linked_sender(0)
    for stranger in (Pli(PEER_SSRC, SSRC + 1), Pli(PEER_SSRC + 1, SSRC), Feedback(PEER_SSRC + 1, SSRC, 0, (0,), 0)):
        session.receive_datagram(build(stranger), 500 * MS)
    assert drain_sender(session, 500 * MS)[1] == []
    assert session.dropped["control_unexpected"] == 3
    unlinked = new_sender()
    unlinked.receive_datagram(PLI, 0)
    assert drain_sender(unlinked, 500 * MS)[1] == []


def test_feedback_is_handed_out_and_summed_up() -> None:
    session = linked_sender(0)
    report = Feedback(PEER_SSRC, SSRC, 0, (1, None, 0), 0)
    session.receive_datagram(build(report), 1)
    assert session.next_event() == FeedbackReceived(report)
    session.close(2)
    assert (session.tally.received, session.tally.lost) == (2, 1)


def test_a_sender_that_closes_says_bye_once_and_falls_silent() -> None:
    session = linked_sender(0)
    session.close(1)
    session.close(2)
    messages, events = drain_sender(session, 1_000 * MS)
    assert messages == [Bye(SSRC, BOOT, COOKIE)]
    assert events == [Unlinked("closed")]
    assert session.next_timeout(3) is None


def test_a_new_description_is_told_at_once() -> None:
    session = linked_sender(0)
    session.describe(MediaDescription(1280, 720, None, 1))
    (hello,), _ = drain_sender(session, 1)
    assert isinstance(hello, Hello)
    assert (hello.width, hello.rate, hello.bitrate_bps) == (1280, None, 1)


def test_each_hello_is_answered_with_a_welcome_to_where_it_came_from() -> None:
    session = ReceiverSession(PEER_BOOT)
    for now in (0, 200 * MS):
        session.receive_datagram(build(HELLO), now, *CAMERA)
        assert session.next_datagram(now) == (WELCOME, *CAMERA)
        drain_receiver(session, now)


def test_another_sender_waits_until_the_present_one_is_silent() -> None:
    session = serving_receiver(0)
    other = Hello(7, 8, 9, 7, 0, 0, 0, 0, 0, "other")
    for now in range(0, 700 * MS, 200 * MS):
        session.receive_datagram(build(other), now, "192.0.2.2", 1)
        events = drain_receiver(session, now)[1]
        if events:
            break
        session.media_seen(min(now, 50 * MS))
    assert session.dropped["control_other_sender"] == 3
    assert now == 600 * MS  # media was last seen at 50 ms
    assert events[0] == SenderLost("silent")
    assert isinstance(events[1], NewSender)
    assert events[1].ssrc == 7


def test_a_waiting_sender_is_taken_the_moment_the_present_one_falls_silent() -> None:
    session = serving_receiver(0)
    other = Hello(7, 8, 9, 7, 0, 0, 0, 0, 0, "other")
    session.receive_datagram(build(other), 450 * MS, "192.0.2.2", 1)
    messages, events = drain_receiver(session, 500 * MS)
    assert [type(event) for event in events] == [SenderLost, NewSender]
    assert messages[0] == Welcome(PEER_SSRC, PEER_BOOT, 9, 8)


def test_a_sender_restarted_on_its_port_is_served_at_once() -> None:
    session = serving_receiver(0)
    session.receive_datagram(build(Hello(7, 8, 9, 7, 0, 0, 0, 0, 0, "")), 100 * MS, *CAMERA)
    (event,) = drain_receiver(session, 100 * MS)[1]
    assert isinstance(event, NewSender)
    assert event.boot_id == 8


def test_a_bye_of_the_sender_makes_room_for_the_next() -> None:
    session = serving_receiver(0)
    session.receive_datagram(build(Bye(SSRC, BOOT, COOKIE + 1)), 1, *CAMERA)
    session.receive_datagram(build(Bye(SSRC, BOOT, COOKIE)), 1, "192.0.2.2", 1)
    assert session.next_event() is None
    session.receive_datagram(build(Bye(SSRC, BOOT, COOKIE)), 1, *CAMERA)
    assert session.next_event() == SenderLost("bye")
    session.receive_datagram(build(HELLO), 2, *CAMERA)
    assert isinstance(session.next_event(), NewSender)


def test_media_is_a_sign_of_life_and_silence_is_told_once() -> None:
    session = serving_receiver(0)
    session.media_seen(300 * MS)
    assert drain_receiver(session, 799 * MS)[1] == []
    assert drain_receiver(session, 800 * MS)[1] == [SenderLost("silent")]
    assert drain_receiver(session, 5_000 * MS) == ([], [])
    assert session.next_timeout(5_000 * MS) is None


@pytest.mark.parametrize("sign", ["hello", "media"])
def test_a_sender_that_was_silent_comes_back_with_its_clock(sign: str) -> None:
    session = serving_receiver(0)
    session.clock.push(0, 50, 60, 100, boot_id=BOOT)
    drain_receiver(session, 500 * MS)
    if sign == "hello":
        session.receive_datagram(build(HELLO), 900 * MS, *CAMERA)
    else:
        session.media_seen(900 * MS)
    assert drain_receiver(session, 900 * MS)[1] == [SenderBack()]
    assert session.clock.estimate(900 * MS) is not None


def test_a_stranger_with_the_senders_boot_id_but_another_cookie_is_refused() -> None:
    session = serving_receiver(0)
    forged = Hello(SSRC, BOOT, COOKIE + 1, SSRC, 1, 1, 1, 1, 1, "")
    session.receive_datagram(build(forged), 1, *CAMERA)
    assert drain_receiver(session, 1)[1] == []
    assert session.dropped["control_cookie"] == 1


def test_a_changed_description_is_an_event() -> None:
    session = serving_receiver(0)
    session.receive_datagram(build(Hello(SSRC, BOOT, COOKIE, SSRC, 1280, 720, 50, 1, 5, "x")), 1, *CAMERA)
    assert drain_receiver(session, 1)[1] == [SenderChanged(MediaDescription(1280, 720, Fraction(50), 5, "x"))]


def test_a_new_session_is_probed_eight_times_at_10_ms_and_then_twice_a_second() -> None:
    session = ReceiverSession(PEER_BOOT)
    session.receive_datagram(build(HELLO), 0, *CAMERA)
    times, now = [], 0
    while now < 2_000 * MS:
        session.media_seen(now)
        times += [now for message in drain_receiver(session, now)[0] if isinstance(message, Probe)]
        session.key_frame_arrived()
        session.report([], now)
        timeout = session.next_timeout(now)
        assert timeout is not None
        assert timeout > now
        now = timeout
    assert [at // MS for at in times] == [0, 10, 20, 30, 40, 50, 60, 70, 570, 1070, 1570]


def test_echoes_feed_the_clock_only_when_they_answer_a_probe() -> None:
    session = ReceiverSession(PEER_BOOT)
    session.receive_datagram(build(HELLO), 0, *CAMERA)
    (probe,) = [message for message in drain_receiver(session, 0)[0] if isinstance(message, Probe)]
    forged = ProbeEcho(SSRC, probe.probe_id, probe.t1_us + 1, 7_000, 7_010, BOOT)
    session.receive_datagram(build(forged), 10 * MS, *CAMERA)
    assert session.clock.estimate(10 * MS) is None
    echo = build(ProbeEcho(SSRC, probe.probe_id, probe.t1_us, 1_005_000, 1_005_000, BOOT))
    session.receive_datagram(echo, 10 * MS, *CAMERA)
    estimate = session.clock.estimate(10 * MS)
    assert estimate is not None
    assert estimate.offset_us == pytest.approx(1_000_000, abs=2)
    session.receive_datagram(echo, 10 * MS, *CAMERA)
    assert session.clock.refused == 2


def test_a_key_frame_is_asked_for_every_100_ms_until_it_comes() -> None:
    session = serving_receiver(0)
    session.key_frame_arrived()
    times = []
    for now in range(0, 500 * MS, 10 * MS):
        session.media_seen(now)
        if now in {50 * MS, 60 * MS}:
            session.key_frame_needed(now)
        if now == 400 * MS:
            session.key_frame_arrived()
        times += [now // MS for message in drain_receiver(session, now)[0] if message == Pli(PEER_SSRC, SSRC)]
    assert times == [50, 150, 250, 350]


def test_a_new_sender_whose_first_key_frame_never_comes_is_asked_for_one() -> None:
    session = serving_receiver(0)
    assert Pli(PEER_SSRC, SSRC) not in drain_receiver(session, 99 * MS)[0]
    assert Pli(PEER_SSRC, SSRC) in drain_receiver(session, 100 * MS)[0]


def test_every_fourth_completed_frame_brings_a_report_and_so_do_missing_ones_every_50_ms() -> None:
    session = serving_receiver(0)
    arrivals = [(seq, 10 * MS) for seq in range(100, 120)]
    session.media_seen(10 * MS)
    for first_seq in (100, 105, 110):
        session.frame_completed(first_seq, lambda: arrivals, 10 * MS)
    assert not any(isinstance(message, Feedback) for message in drain_receiver(session, 10 * MS)[0])
    session.frame_completed(115, lambda: arrivals, 10 * MS)
    reports = [message for message in drain_receiver(session, 10 * MS)[0] if isinstance(message, Feedback)]
    assert [(report.begin_seq, len(report.offsets)) for report in reports] == [(100, 20)]
    assert not session.feedback_due(70 * MS)  # nothing has come since
    session.media_seen(30 * MS)
    assert not session.feedback_due(59 * MS)
    assert session.feedback_due(60 * MS)
    session.report(arrivals, 60 * MS)
    assert not session.feedback_due(110 * MS)


def test_a_receiver_that_closes_says_bye_and_serves_nobody_again() -> None:
    session = serving_receiver(0)
    session.close(1)
    session.close(2)
    messages, events = drain_receiver(session, 2)
    assert messages == [Bye(PEER_SSRC, PEER_BOOT, COOKIE)]
    assert events == [SenderLost("closed")]
    session.receive_datagram(build(HELLO), 3, *CAMERA)
    assert drain_receiver(session, 3) == ([], [])


def test_messages_from_elsewhere_than_the_sender_are_counted_and_dropped() -> None:
    session = serving_receiver(0)
    session.receive_datagram(build(ProbeEcho(SSRC, 1, 2, 3, 4, BOOT)), 1, "192.0.2.2", 1)
    session.receive_datagram(PLI, 1, *CAMERA)
    assert session.dropped == {"control_address": 1, "control_unexpected": 1}


# ---- what stands between the camera and its picture

NO_CABLE = SourceState(SourceCode.NO_CABLE, 0)
LIVE = SourceState(SourceCode.LIVE, 5 * SECOND)


def sources(messages: list[Message]) -> list[Source]:
    return [message for message in messages if isinstance(message, Source)]


def told(session: SenderSession, start_us: int, end_us: int) -> list[tuple[int, Source]]:
    """(when, what) of each SOURCE; the receiver is heard all the while."""
    found, now = [], start_us
    while now < end_us:
        session.receive_datagram(WELCOME, now)
        found += [(now, message) for message in sources(drain_sender(session, now)[0])]
        due = session.next_timeout(now + 1)
        assert due is not None
        now = due
    return found


def source(code: SourceCode = SourceCode.NO_CABLE, change: int = 1, age_ms: int = 0, detail: str = "") -> bytes:
    return build(Source(SSRC, BOOT, COOKIE, code, change, age_ms, detail))


def test_a_state_is_told_at_once_once_more_soon_and_twice_a_second_until_it_is_live() -> None:
    session = linked_sender()
    session.source_state(NO_CABLE, 1000 * MS)
    dark = told(session, 1000 * MS, 3000 * MS)
    assert [at // MS for at, _ in dark] == [1000, 1040, 1540, 2040, 2540]
    assert [message.age_ms for _, message in dark] == [1000, 1040, 1540, 2040, 2540]
    assert {(message.code, message.change) for _, message in dark} == {(SourceCode.NO_CABLE, 1)}
    session.source_state(LIVE, 3000 * MS)
    live = told(session, 3000 * MS, 6000 * MS)
    assert [(at // MS, message.code, message.change) for at, message in live] == [
        (3000, SourceCode.LIVE, 2),
        (3040, SourceCode.LIVE, 2),
    ]


def test_the_same_state_told_again_is_no_change() -> None:
    session = linked_sender()
    for at in range(10):
        session.source_state(NO_CABLE, at)
    assert len(sources(drain_sender(session, 10)[0])) == 1


def test_nobody_is_told_before_the_link_and_each_new_receiver_at_once() -> None:
    session = new_sender()
    session.source_state(NO_CABLE, 0)
    assert sources(drain_sender(session, 700 * MS)[0]) == []
    session.receive_datagram(WELCOME, 800 * MS)
    assert [message.age_ms for message in sources(drain_sender(session, 800 * MS)[0])] == [800]
    session.receive_datagram(build(Welcome(9, 99, COOKIE, BOOT)), 810 * MS)
    assert [message.age_ms for message in sources(drain_sender(session, 810 * MS)[0])] == [810]


def test_a_receiver_has_the_state_with_its_age_on_its_own_clock() -> None:
    session = serving_receiver()
    session.receive_datagram(source(age_ms=12_000, detail="HDMI 1"), 20 * SECOND, *CAMERA)
    state = SourceState(SourceCode.NO_CABLE, 8 * SECOND, "HDMI 1")
    assert drain_receiver(session, 20 * SECOND)[1][-1] == SourceChanged(state)
    assert state.words(21 * SECOND) == "no HDMI cable at the camera: HDMI 1 for 13 s"
    session.receive_datagram(source(age_ms=12_400, detail="HDMI 1"), 20 * SECOND + 401 * MS, *CAMERA)
    assert session.next_event() is None
    assert (session.source, session.source_heard_us) == (state, 20 * SECOND + 401 * MS)


def test_a_message_that_was_overtaken_changes_nothing() -> None:
    session = serving_receiver()
    for change, code in ((0xFFFF, SourceCode.NO_SIGNAL), (0, SourceCode.LIVE), (0xFFFF, SourceCode.NO_SIGNAL)):
        session.receive_datagram(source(code, change), MS, *CAMERA)
    assert session.source is not None
    assert session.source.code is SourceCode.LIVE
    assert session.dropped["control_overtaken"] == 1


@pytest.mark.parametrize(
    "stranger",
    [
        Source(SSRC, BOOT + 1, COOKIE, SourceCode.NO_CABLE, 1, 0),
        Source(SSRC, BOOT, COOKIE + 1, SourceCode.NO_CABLE, 1, 0),
    ],
    ids=["of an earlier start", "without the cookie"],
)
def test_a_state_from_elsewhere_is_counted_and_not_believed(stranger: Source) -> None:
    session = serving_receiver()
    session.receive_datagram(build(stranger), MS, *CAMERA)
    session.receive_datagram(source(), MS, "192.0.2.77", CAMERA[1])
    assert session.source is None
    assert (session.dropped["control_unexpected"], session.dropped["control_address"]) == (1, 1)


def test_a_new_sender_begins_without_a_state() -> None:
    session = serving_receiver()
    session.receive_datagram(source(change=9), MS, *CAMERA)
    session.receive_datagram(build(Hello(SSRC, 77, 78, SSRC, 0, 0, 0, 0, 0, "")), 2 * MS, *CAMERA)
    assert session.source is None
    session.receive_datagram(build(Source(SSRC, 77, 78, SourceCode.NO_SYNC, 1, 0)), 3 * MS, *CAMERA)
    assert session.source is not None


def test_a_receiver_that_asked_for_the_session_is_greeted_again_soon() -> None:
    """It may not have its keys yet when the first greeting comes."""
    session = SenderSession(BOOT, COOKIE, SSRC, DESCRIPTION, invited=True)
    times, now_us = [], 0
    while now_us < 1_000_000:
        if session.next_datagram(now_us) is not None:
            times.append(now_us)
        now_us = session.next_timeout(now_us) or now_us
    assert times == [0, 10_000, 30_000, 70_000, 150_000, 310_000, 510_000, 710_000, 910_000]
