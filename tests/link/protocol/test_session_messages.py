"""The messages of the control connection: each is decoded as it was encoded, and junk never raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.link.protocol.session_messages import (
    decode_challenge,
    decode_during,
    decode_first,
    decode_grant,
    decode_news,
    decode_pair_result,
    decode_proof,
    decode_resume_grant,
    encode,
)

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import Message

pytestmark = pytest.mark.quick
Decode = Callable[[bytes], Any]
RANDOM = "ab" * 32
MESSAGES: list[tuple[Message, Decode]] = [
    ({"do": "pair", "version": 1, "name": "desk", "certificate": "PEM", "nonce": RANDOM}, decode_first),
    ({"do": "session", "version": 1, "can": ["h264"], "port": 5004, "secret": RANDOM, "take_over": True}, decode_first),
    ({"do": "resume", "version": 1, "can": ["h264"], "boot_id": 2**63}, decode_first),
    ({"proof": "cd"}, decode_proof),
    ({"do": "renew", "secret": RANDOM}, decode_during),
    ({"do": "figures", "latency_us": 41_000, "bound_us": 300}, decode_during),
    ({"version": 1, "nonce": RANDOM}, decode_challenge),
    ({"refusal": "wrong code"}, decode_challenge),
    ({"refusal": "wrong code"}, decode_pair_result),
    ({"refusal": "taken"}, decode_grant),
    ({"refusal": "no session"}, decode_resume_grant),
    ({"proof": "cd", "name": "A-CAM", "token": "word", "control": 5011}, decode_pair_result),
    ({"version": 1, "can": ["h264"], "secret": RANDOM, "control": 0, "ssrc": 2**32 - 1, "boot_id": 1}, decode_grant),
    ({"version": 1}, decode_resume_grant),
    ({"secret": RANDOM}, decode_news),
    ({"over": "taken over"}, decode_news),
]
DECODERS = list(dict.fromkeys(decode for _, decode in MESSAGES))
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(("message", "decode"), MESSAGES)
def test_a_message_is_decoded_as_it_was_encoded(message: Message, decode: Decode) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.slow
@pytest.mark.parametrize(("message", "decode"), [one for one in MESSAGES if "refusal" not in one[0]])
@given(st.data())
def test_a_field_of_another_kind_makes_no_message_of_another_shape(
    message: Message, decode: Decode, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(message)))
    changed: dict[str, Any] = {**message, key: data.draw(JUNK)}
    found = decode(json.dumps(changed).encode())
    if found is not None and "other_version" not in found and "refusal" not in found:
        assert found.keys() == message.keys()
        encode(found)


@given(st.binary() | JUNK.map(lambda junk: json.dumps(junk).encode()))
def test_no_decoder_raises_for_anything(line: bytes) -> None:
    for decode in DECODERS:
        decode(line)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]", b"{" * 100_000, b"[" * 100_000, b"\xff", b'{"do": "pair"}', b"1" * 9000]
)
def test_what_is_no_message_is_none(line: bytes) -> None:
    assert [decode(line) for decode in DECODERS if decode is not decode_first] == [None] * (len(DECODERS) - 1)


@pytest.mark.parametrize("what", ["pair", "session", "resume"])
def test_a_first_message_of_another_version_says_which(what: str) -> None:
    assert decode_first(json.dumps({"do": what, "version": 7}).encode()) == {"do": what, "other_version": 7}
    assert decode_first(json.dumps({"do": what, "version": "x"}).encode()) == {"do": what, "other_version": 0}
