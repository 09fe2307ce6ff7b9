"""thinair.receiver.workers.ipc: messages between the player and its workers."""

from __future__ import annotations

import json
import struct
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats.event_log import Event
from thinair.receiver.workers.ipc import (
    MAX_MESSAGE,
    MESSAGES,
    Camera,
    Frames,
    Message,
    MessageReader,
    Note,
    Record,
    Recording,
    ReportText,
    RequestKeyFrame,
    RequestMode,
    RequestReport,
    SetLatency,
    SetLimits,
    Unit,
    Watch,
    pack,
)

pytestmark = pytest.mark.quick
TIMES = st.integers(0, 2**62)
COUNTS = st.integers(0, 2**40)
TEXT = st.text(max_size=9)
UNITS = st.builds(
    Unit, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.integers(0, 65535),
    st.booleans(), TIMES, TIMES, TIMES, st.binary(max_size=300),
)  # fmt: skip
STATUSES = st.builds(
    RecordingStatus, state=st.sampled_from(["off", "waiting", "on", "failed"]), why=TEXT, file=st.none() | TEXT,
    seconds=st.floats(0, 1e6), free_bytes=st.none() | COUNTS, left_s=st.none() | st.floats(0, 1e6), bytes=COUNTS,
)  # fmt: skip
MESSAGES_OF_EACH_KIND = st.one_of(
    UNITS,
    st.builds(Frames, st.lists(st.lists(st.integers() | TEXT, max_size=4), max_size=3)),
    st.builds(Event, st.floats(0, 1e6), TIMES, TEXT, TEXT),
    st.builds(Camera, TEXT),
    st.builds(ReportText, TEXT),
    st.builds(Recording, STATUSES),
    st.builds(Note, TEXT, TEXT),
    st.builds(Watch, st.booleans()),
    st.just(RequestReport()),
    st.builds(Record, st.booleans()),
    st.builds(RequestKeyFrame, TEXT),
    st.builds(SetLimits, st.none() | COUNTS, st.none() | COUNTS),
    st.builds(RequestMode, TEXT),
    st.builds(SetLatency, st.sampled_from(["lowest", "smooth"])),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


def framed(kind: str, body: bytes) -> bytes:
    return struct.pack("<IB", len(body) + 1, ord(kind)) + body


@given(st.lists(MESSAGES_OF_EACH_KIND, max_size=6), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_however_the_bytes_arrive(messages: list[Message], step: int) -> None:
    sent = b"".join(map(pack, messages))
    reader = MessageReader()
    received = [one for at in range(0, len(sent), step) for one in reader.read(sent[at : at + step])]
    assert received == messages
    assert not reader.refused


@pytest.mark.parametrize("size", [0, MAX_MESSAGE + 1])
def test_after_a_message_of_an_impossible_size_nothing_more_is_read(size: int) -> None:
    reader = MessageReader()
    assert list(reader.read(struct.pack("<IB", size, ord("J")) + pack(Camera("A")))) == []
    assert list(reader.read(pack(Camera("A")))) == []
    assert (reader.broken, dict(reader.refused)) == (True, {"size": 1})


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_a_message_with_any_field_of_another_type_is_left_out_and_counted(name: str, data: st.DataObject) -> None:
    names = [item.name for item in fields(MESSAGES[name])]
    content = {"type": name, **{one: data.draw(JSON) for one in names}}
    reader = MessageReader()
    received = list(reader.read(framed("J", json.dumps(content).encode()) + pack(Camera("next"))))
    assert received[-1] == Camera("next")
    assert len(received) + sum(reader.refused.values()) == 2


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("J", b"{", "malformed"),
        ("J", b"[]", "malformed"),
        ("J", b"[" * 100_000, "malformed"),
        ("J", b'{"type": "fly"}', "malformed"),
        ("J", b'{"type": ["record"]}', "malformed"),
        ("J", b'{"type": "record"}', "malformed"),
        ("J", b'{"type": "record", "on": 1}', "malformed"),
        ("J", b'{"type": "record", "on": true, "more": 1}', "malformed"),
        ("J", b'{"type": "limits", "min_bps": true, "max_bps": null}', "malformed"),
        ("J", b'{"type": "latency", "mode": "fast"}', "malformed"),
        ("J", b'{"type": "frames", "rows": [[1.5]]}', "malformed"),
        ("J", b'{"type": "event", "at_s": NaN, "now_us": 1, "kind": "", "text": ""}', "malformed"),
        ("U", b"short", "malformed"),
        ("X", b"", "kind"),
    ],
)
def test_what_is_no_message_is_left_out_and_counted_by_reason(kind: str, body: bytes, reason: str) -> None:
    reader = MessageReader()
    assert list(reader.read(framed(kind, body) + pack(Watch(True)))) == [Watch(True)]
    assert dict(reader.refused) == {reason: 1}
