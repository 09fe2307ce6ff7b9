"""thinair.link.protocol.rtcp: the control messages and the vectors of docs/wire-protocol.md."""

import ast
import re
from collections import Counter
from typing import Any

import pytest

from tests.support.paths import ROOT
from thinair.link.protocol import rtcp
from thinair.link.protocol.rtcp import (
    Bye,
    ControlDrop,
    Feedback,
    Hello,
    Message,
    Pli,
    Probe,
    Source,
    Welcome,
    build,
    is_control,
    parse,
)
from thinair.link.protocol.source_state import SourceCode

pytestmark = pytest.mark.quick

PROTOCOL = ROOT / "docs" / "wire-protocol.md"
KINDS = {"Hello", "Welcome", "Probe", "ProbeEcho", "Bye", "Source", "Repair", "Target", "ModeRequest", "Invite", "Pli"}
KINDS |= {"Feedback"}
HELLO = Hello(1, 2, 3, 4, 1920, 1080, 25, 1, 8_000_000, "camera")
SOURCE = Source(1, 2, 3, SourceCode.UNSUPPORTED, 4, 5000, "1920x1080i")


def vectors() -> list[tuple[Message, bytes]]:
    found = []
    for name, fields, data in re.findall(r"^\| (\w+) \| `(.+)` \| `([0-9a-f]+)` \|$", PROTOCOL.read_text(), re.M):
        call = ast.parse(f"f({fields})", mode="eval").body
        assert isinstance(call, ast.Call)
        values: dict[str, Any] = {item.arg or "": ast.literal_eval(item.value) for item in call.keywords}
        if "requests" in values:
            values["requests"] = tuple(rtcp.RepairRequest(*one) for one in values["requests"])
        found.append((getattr(rtcp, name)(**values), bytes.fromhex(data)))
    return found


def test_the_protocol_document_has_a_vector_of_every_message() -> None:
    assert {type(message).__name__ for message, _ in vectors()} == KINDS


@pytest.mark.parametrize(("message", "data"), vectors())
def test_messages_are_built_and_read_as_the_document_says(message: Message, data: bytes) -> None:
    assert build(message) == data
    assert parse(data) == [message]
    assert is_control(data)


def test_a_compound_datagram_gives_its_messages_in_order() -> None:
    messages: list[Message] = [Pli(1, 2), Feedback(1, 2, 3, (4,), 5), Bye(1, 2, 3)]
    assert parse(b"".join(build(message) for message in messages)) == messages


def test_sender_reports_and_receiver_reports_are_passed_over_and_counted() -> None:
    sender_report = bytes.fromhex("80c80006") + bytes(24)
    receiver_report = bytes.fromhex("80c90001") + bytes(4)
    drops: Counter[str] = Counter()
    assert parse(sender_report + build(Pli(1, 2)) + receiver_report, drops) == [Pli(1, 2)]
    assert drops == {ControlDrop.IGNORED: 2}


def test_a_longer_message_of_a_later_version_is_read_up_to_what_is_known() -> None:
    data = bytearray(build(Probe(1, 2, 3, 4)) + b"more")
    data[3] += 1
    assert parse(bytes(data)) == [Probe(1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x81", ControlDrop.SHORT),
        (build(HELLO)[:40], ControlDrop.LENGTH),
        (bytes.fromhex("81cc0002") + bytes(4) + b"TAIR", ControlDrop.SHORT),  # a HELLO without its body
        (bytes.fromhex("81cc0001") + bytes(4), ControlDrop.SHORT),  # APP without a name
        (b"\x41" + build(HELLO)[1:], ControlDrop.VERSION),
        (build(HELLO)[:12] + b"\x02" + build(HELLO)[13:], ControlDrop.PROTOCOL),
        (build(Welcome(1, 2, 3, 4))[:12] + b"\x00" + build(Welcome(1, 2, 3, 4))[13:], ControlDrop.PROTOCOL),
        (build(HELLO)[:8] + b"ELSE" + build(HELLO)[12:], ControlDrop.UNKNOWN),
        (b"\x9f" + build(HELLO)[1:], ControlDrop.UNKNOWN),
        (build(SOURCE)[:28] + b"\x07" + build(SOURCE)[29:], ControlDrop.VALUE),  # a code of a later version
        (bytes.fromhex("86cc0017") + build(SOURCE)[4:96], ControlDrop.SHORT),  # a detail of 60 bytes
        (b"\xa1" + build(HELLO)[1:-1] + b"\x44", ControlDrop.PADDING),
        (b"\xa1" + build(HELLO)[1:-1] + b"\x00", ControlDrop.PADDING),
        (bytes.fromhex("81ce0001") + bytes(4), ControlDrop.SHORT),  # PLI without media SSRC
        (bytes.fromhex("8bcd0001") + bytes(4), ControlDrop.SHORT),  # feedback without its time
        (bytes.fromhex("8bcd0003") + bytes(12), ControlDrop.SHORT),  # half a report block
        (bytes.fromhex("8bcd0004") + bytes(8) + bytes.fromhex("0000ffff") + bytes(4), ControlDrop.LENGTH),
    ],
)
def test_a_malformed_packet_is_counted_by_its_reason(data: bytes, reason: ControlDrop) -> None:
    drops: Counter[str] = Counter()
    assert parse(data, drops) == []
    assert drops == {reason: 1}


def test_what_precedes_a_malformed_packet_is_still_read() -> None:
    drops: Counter[str] = Counter()
    assert parse(build(Pli(1, 2)) + b"\x81\xcc\xff\xff", drops) == [Pli(1, 2)]
    assert drops == {ControlDrop.LENGTH: 1}


def test_padding_on_the_last_packet_is_taken_off() -> None:
    padded = bytearray(build(Pli(1, 2)) + b"\0\0\0\x04")
    padded[0] |= 0x20
    padded[3] += 1
    assert parse(bytes(padded)) == [Pli(1, 2)]


def test_a_welcome_is_never_longer_than_a_hello() -> None:
    assert len(build(Welcome(1, 2, 3, 4))) <= len(build(HELLO))


def test_a_long_name_is_cut_at_a_character() -> None:
    data = build(Hello(1, 2, 3, 4, 0, 0, 0, 0, 0, "fifteen letters" + "é"))
    (hello,) = parse(data)
    assert isinstance(hello, Hello)
    assert hello.name == "fifteen letters"
    assert hello.rate is None


def test_a_long_detail_is_cut_at_a_character_and_cleaned() -> None:
    (source,) = parse(build(Source(1, 2, 3, SourceCode.NO_SYNC, 4, 5, "\x1b\n" + 61 * "x" + "é")))
    assert source == Source(1, 2, 3, SourceCode.NO_SYNC, 4, 5, 61 * "x")


def test_control_characters_never_come_out_of_a_name() -> None:
    data = build(HELLO).replace(b"camera", b"\x1b[2J\xff\n")
    (hello,) = parse(data)
    assert isinstance(hello, Hello)
    assert hello.name == "[2J\ufffd"


def test_a_report_of_more_packets_than_the_field_may_say_is_not_built() -> None:
    with pytest.raises(ValueError, match="16384"):
        build(Feedback(1, 2, 3, (0,) * 16385, 4))
