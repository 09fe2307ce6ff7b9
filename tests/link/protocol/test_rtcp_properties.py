"""thinair.link.protocol.rtcp: every message comes back as it went, and no bytes raise."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.link.protocol.rtcp import (
    NAME_BYTES,
    Bye,
    Feedback,
    Hello,
    Invite,
    Message,
    ModeRequest,
    Pli,
    Probe,
    ProbeEcho,
    Source,
    Welcome,
    build,
    parse,
)
from thinair.link.protocol.source_state import DETAIL_BYTES, SourceCode

pytestmark = pytest.mark.quick

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))

sizes = st.integers(8, 4096).map(lambda half: 2 * half)


def texts(size: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), max_size=size).filter(
        lambda text: text.isprintable() and len(text.encode()) <= size
    )


messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, u32, u64, u64, u32, u16, u16, u32, u32, u32, texts(NAME_BYTES), u8),
    st.builds(Welcome, u32, u64, u64, u64, u8),
    st.builds(Probe, u32, u32, u64, u64),
    st.builds(ProbeEcho, u32, u32, u64, u64, u64, u64),
    st.builds(Bye, u32, u64, u64),
    st.builds(Source, u32, u64, u64, st.sampled_from(SourceCode), u16, u32, texts(DETAIL_BYTES)),
    st.builds(
        ModeRequest,
        u32,
        u64,
        u32,
        *[st.integers(8, 4096).map(lambda half: 2 * half)] * 2,
        st.integers(240, 480),
        st.integers(2, 240),
    ),
    st.builds(Invite, u32, u16, u64, st.binary(min_size=32, max_size=32), texts(NAME_BYTES)),
    st.builds(Pli, u32, u32),
    st.builds(Feedback, u32, u32, u16, st.lists(st.none() | st.integers(0, 0x1FFF), max_size=200).map(tuple), u32),
)


@given(st.lists(messages, min_size=1, max_size=4))
def test_messages_come_back_as_they_went(several: list[Message]) -> None:
    drops: Counter[str] = Counter()
    assert parse(b"".join(build(message) for message in several), drops) == several
    assert not drops


@given(st.binary(max_size=1500))
def test_random_bytes_never_raise_and_always_count(data: bytes) -> None:
    drops: Counter[str] = Counter()
    assert parse(data, drops) or drops or not data or data[1:2] == b"\xcd"


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_damaged_messages_never_raise(several: list[Message], data: st.DataObject) -> None:
    raw = bytearray(b"".join(build(message) for message in several))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(u8)
    cut = data.draw(st.integers(0, len(raw)))
    found = parse(bytes(raw[:cut]))
    assert len(found) <= cut // 4
