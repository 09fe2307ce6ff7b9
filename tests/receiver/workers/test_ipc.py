"""Messages between the player and its processes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.receiver.workers.ipc import MAX_MESSAGE, Splitter, Unit, pack_json, pack_unit

pytestmark = pytest.mark.quick
TIMES = st.integers(0, 2**62)
UNITS = st.builds(
    Unit, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.integers(0, 65535),
    st.booleans(), TIMES, TIMES, TIMES, st.binary(max_size=300),
)  # fmt: skip
MESSAGES = st.one_of(UNITS, st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=4))


@given(st.lists(MESSAGES, max_size=6), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_however_the_bytes_arrive(messages: list[Unit | dict], step: int) -> None:  # type: ignore[type-arg]
    sent = b"".join(pack_unit(one) if isinstance(one, Unit) else pack_json(one) for one in messages)
    splitter = Splitter()
    came = [one for at in range(0, len(sent), step) for one in splitter.split(sent[at : at + step])]
    assert came == messages


@pytest.mark.parametrize("size", [0, MAX_MESSAGE + 1])
def test_a_message_of_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(Splitter().split(struct.pack("<IB", size, ord("J"))))
