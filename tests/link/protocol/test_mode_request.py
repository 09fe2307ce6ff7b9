"""thinair.link.protocol.sender_session: a mode that the receiver asks the sender for."""

from fractions import Fraction

import pytest

from tests.link.protocol.test_session import (
    BOOT,
    CAMERA,
    COOKIE,
    HELLO,
    MS,
    PEER_BOOT,
    PEER_SSRC,
    SECOND,
    SSRC,
    drain_receiver,
    drain_sender,
    linked_sender,
    new_sender,
    serving_receiver,
)
from thinair.link.protocol.receiver_session import MODE_TIMEOUT_US, ModeUnavailable, ReceiverSession
from thinair.link.protocol.rtcp import Hello, Message, ModeRequest, build
from thinair.link.protocol.sender_session import ModeRequested

pytestmark = pytest.mark.quick

WISHED = (1280, 720, Fraction(50))


def wishes(messages: list[Message]) -> list[ModeRequest]:
    return [message for message in messages if isinstance(message, ModeRequest)]


def test_a_mode_request_is_repeated_until_the_sender_has_it() -> None:
    session = serving_receiver()
    assert session.ask_mode(*WISHED, 0)
    said = 0
    for now in range(0, SECOND, 50 * MS):
        session.receive_datagram(build(HELLO), now, *CAMERA)
        said += len(wishes(drain_receiver(session, now)[0]))
    assert said == 5
    changed = Hello(SSRC, BOOT, COOKIE, SSRC, 1280, 720, 50, 1, 8_000_000, "camera 1")
    for now in range(SECOND, 6 * SECOND, 50 * MS):
        session.receive_datagram(build(changed), now, *CAMERA)
        messages, events = drain_receiver(session, now)
        assert not wishes(messages)
        assert not any(isinstance(event, ModeUnavailable) for event in events)


def test_a_mode_request_that_is_not_granted_ends_with_a_reason_after_four_seconds() -> None:
    session = serving_receiver()
    session.ask_mode(*WISHED, 0)
    kept = []
    for now in range(0, 6 * SECOND, 100 * MS):
        session.receive_datagram(build(HELLO), now, *CAMERA)
        kept += [(now, event) for event in drain_receiver(session, now)[1] if isinstance(event, ModeUnavailable)]
    assert kept == [(MODE_TIMEOUT_US, ModeUnavailable(*WISHED))]


def test_nobody_is_asked_for_a_mode_while_nobody_is_there() -> None:
    assert not ReceiverSession(PEER_BOOT).ask_mode(*WISHED, 0)


def test_a_sender_takes_a_mode_request_once_however_often_it_is_repeated() -> None:
    session = linked_sender()
    one, other = (build(ModeRequest(PEER_SSRC, COOKIE, number, 1280, 720, 50, 1)) for number in (1, 2))
    heard = []
    for now, data in enumerate((one, one, one, other, other)):
        session.receive_datagram(data, now)
        heard += [event for event in drain_sender(session, now)[1] if isinstance(event, ModeRequested)]
    assert heard == [ModeRequested(*WISHED)] * 2


def test_a_mode_request_of_an_attacker_or_before_the_link_is_refused() -> None:
    stranger = build(ModeRequest(PEER_SSRC, COOKIE + 1, 1, 1280, 720, 50, 1))
    for session, data in (
        (linked_sender(), stranger),
        (new_sender(), build(ModeRequest(PEER_SSRC, COOKIE, 1, 1280, 720, 50, 1))),
    ):
        session.receive_datagram(data, 1)
        assert not any(isinstance(event, ModeRequested) for event in drain_sender(session, 1)[1])
        assert session.dropped["control_unexpected"] == 1


@pytest.mark.parametrize(
    "mode", [(1281, 720, 50, 1), (8, 720, 50, 1), (1280, 720, 50, 0), (1280, 720, 0, 1), (1280, 720, 500, 1)]
)
def test_a_mode_that_cannot_be_is_dropped_and_counted(mode: tuple[int, int, int, int]) -> None:
    session = linked_sender()
    session.receive_datagram(build(ModeRequest(PEER_SSRC, COOKIE, 1, *mode)), 1)
    assert session.dropped["control_value"] == 1
