"""Pairing and session keys without sockets: who knows the code, and who is between."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.link.protocol.test_session import BOOT, CAMERA, HELLO, PEER_BOOT, PEER_SSRC, drain_sender, linked_sender
from thinair.link.errors import ConfigError, FileError
from thinair.link.mdns import Announcement
from thinair.link.protocol.receiver_session import ReceiverSession
from thinair.link.protocol.rtcp import FLAG_PATH, Hello, Invite, Welcome, build, parse
from thinair.link.protocol.sender_session import PATH_INTERVAL_US, PathConfirmed
from thinair.link.security import identity, private_files
from thinair.link.security.media_keys import hkdf, media_keys
from thinair.link.security.pairing import (
    Own,
    PairingReceiver,
    PairingSender,
    Peer,
    make_code,
    read_code,
    read_scan,
    scan_text,
    stretch,
)
from thinair.link.security.pairing_store import Pairings
from thinair.receiver.connection.session_client import Hooks, SessionClient
from thinair.sender.connection.pairing_code import PairingCode

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import PairResult

pytestmark = pytest.mark.quick

SENDER, RECEIVER, OTHER = b"sender's certificate", b"receiver's certificate", b"another's certificate"
CODE = "7K2M-9QXD-41TV"
KEY = stretch(CODE, SENDER)
CONTROL_WORD = "word"  # of the control API


def sender(key: bytes = KEY, der: bytes = SENDER) -> PairingSender:
    return PairingSender(key, der, "A-CAM", os.urandom(32), der_of=str.encode, token=CONTROL_WORD, control=5011)


def receiver(key: bytes = KEY, saw: bytes = SENDER) -> PairingReceiver:
    return PairingReceiver(key, saw, Own("desk", RECEIVER.decode(), RECEIVER), os.urandom(32))


def meet(one: PairingSender, other: PairingReceiver) -> PairResult | None:
    """What the sender answers in the end; the receiver has accepted it."""
    challenge = one.challenge(other.request())
    assert challenge is not None
    result = one.check(other.prove(challenge))
    assert result is None or other.accept(result)
    return result


def test_both_ends_that_know_the_code_know_each_other_then() -> None:
    one, other = sender(), receiver()
    assert meet(one, other) is not None
    assert one.peer == Peer("desk", RECEIVER.decode())
    assert (other.sender_name, other.token, other.control) == ("A-CAM", CONTROL_WORD, 5011)


def test_a_wrong_code_is_told_by_the_first_proof_and_nothing_is_shown_for_it() -> None:
    one, other = sender(), receiver(stretch("0000-0000-0000", SENDER))
    assert meet(one, other) is None
    assert one.peer is None


def test_who_sits_between_with_a_certificate_of_his_own_gets_proofs_that_fit_nowhere() -> None:
    """The receiver sees his certificate, the sender gets his; he passes on all that is said."""
    one, other = sender(), receiver(stretch(CODE, OTHER), OTHER)
    assert meet(one, other) is None
    swapped, one = receiver(), sender()
    challenge = one.challenge({**swapped.request(), "certificate": OTHER.decode()})
    assert challenge is not None
    assert one.check(swapped.prove(challenge)) is None
    assert one.peer is None


def test_a_sender_that_does_not_know_the_code_cannot_mirror_the_proof() -> None:
    other = receiver()
    proof = other.prove({"version": 1, "nonce": "00" * 32})
    assert not other.accept({"proof": proof["proof"], "name": "A-CAM", "token": "", "control": 0})
    assert other.sender_name is None


def test_a_proof_of_another_time_is_worth_nothing() -> None:
    one, other = sender(), receiver()
    request = other.request()
    challenge = one.challenge(request)
    assert challenge is not None
    proof = other.prove(challenge)
    again = sender()
    again.challenge(request)
    assert again.check(proof) is None


@given(st.lists(st.text(st.characters())))
def test_whatever_a_proof_is_a_sender_that_is_not_shown_the_code_pairs_with_nobody(proofs: list[str]) -> None:
    one = sender()
    assert one.challenge(receiver().request()) is not None
    for proof in proofs:
        assert one.check({"proof": proof}) is None
    assert one.peer is None


def test_a_certificate_that_is_none_gets_no_challenge() -> None:
    one = PairingSender(KEY, SENDER, "A-CAM", os.urandom(32), der_of=ssl.PEM_cert_to_DER_cert, token="", control=0)
    assert one.challenge(receiver().request()) is None


@given(st.integers(0, 2**60 - 1))
def test_a_code_has_sixty_bits_and_is_read_back_as_people_type_it(bits: int) -> None:
    code = make_code(bits)
    assert len(set(code) - set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")) == 0
    assert read_code(code) == code
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert read_code(f" {typed}\n") == code
    assert make_code(bits ^ 1) != code


@pytest.mark.parametrize("typed", ["", "7K2M", "7K2M-9QXD-41TU", "7K2M-9QXD-41TV-1", "7K2M-9QXD-41T!", "é" * 12])
def test_what_is_no_code_is_told_from_one(typed: str) -> None:
    with pytest.raises(ConfigError, match="12 letters and digits"):
        read_code(typed)


def test_what_is_scanned_tells_where_the_sender_is() -> None:
    text = scan_text("192.168.1.7:5010", CODE)
    assert read_scan(f" {text}\n") == ("192.168.1.7:5010", CODE)
    assert read_scan(text.lower()) == ("192.168.1.7:5010", CODE)
    assert read_scan(CODE) == (None, CODE)
    with pytest.raises(ConfigError, match="12 letters"):
        read_scan("https://192.168.1.7/7K2M")


def test_wrong_tries_are_counted_over_restarts_and_renewed_with_the_code(tmp_path: Path) -> None:
    code = PairingCode(tmp_path)
    first = code.current()
    assert [PairingCode(tmp_path).wrong() for _ in range(10)] == list(range(9, -1, -1))
    assert PairingCode(tmp_path).current() is None
    renewed = PairingCode(tmp_path).renew()
    assert renewed == code.current() != first
    code.wrong()
    code.right()
    assert code.wrong() == 9


# ---- keys


@pytest.mark.parametrize(
    ("secret", "salt", "info", "size", "made"),
    [  # RFC 5869, A.1, A.2 (its beginning), A.3
        ("0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9", 42,
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
        ("0b" * 22, "", "", 42,
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ],
)  # fmt: skip
def test_hkdf_makes_what_its_rfc_says(secret: str, salt: str, info: str, size: int, made: str) -> None:
    assert hkdf(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), size).hex() == made


def test_each_of_the_four_inputs_changes_both_directions_and_keys_are_not_shown() -> None:
    inputs: list[Any] = [b"s" * 32, b"r" * 32, "aa" * 32, "bb" * 32]
    first = media_keys(*inputs)
    assert {len(first.down), len(first.up)} == {88}
    assert first.down != first.up
    for at, other in enumerate((b"t" * 32, b"t" * 32, "cc" * 32, "cc" * 32)):
        changed = media_keys(*[*inputs[:at], other, *inputs[at + 1 :]])
        assert changed.down != first.down
        assert changed.up != first.up
    assert first.down.hex()[:8] not in repr(first)
    assert "\\x" not in repr(first)


# ---- what is kept


def test_an_identity_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    one, again = identity.load(tmp_path), identity.load(tmp_path)
    assert one == again
    assert len(one.fingerprint) == 64
    assert identity.load(state_folder(tmp_path / "other")).fingerprint != one.fingerprint
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path == tmp_path / "other", path


def state_folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def test_a_state_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    assert private_files.read(path) == {}
    private_files.write(path, {"one": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FileError, match="No space left"):
        private_files.write(path, {"one": 2})
    assert private_files.read(path) == {"one": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", "\0", '{"pairings": [{"no": 1}]}'])
def test_a_state_that_is_none_of_ours_is_told_and_left(tmp_path: Path, content: str) -> None:
    (tmp_path / "pairings.json").write_text(content)
    with pytest.raises(FileError, match="move it away"):
        Pairings(tmp_path).all()
    assert (tmp_path / "pairings.json").read_text() == content


def test_pairings_are_found_moved_and_forgotten_by_name_or_fingerprint(tmp_path: Path) -> None:
    own = [identity.load(state_folder(tmp_path / name)) for name in ("a", "b")]
    book = Pairings(tmp_path)
    one, two = (book.add(Peer(name, each.pem)) for name, each in zip(("A-CAM", "B-CAM"), own, strict=True))
    book.moved(one.fingerprint, "192.0.2.1:5010", 5011)
    assert [(each.name, each.address) for each in book.all()] == [("A-CAM", "192.0.2.1:5010"), ("B-CAM", "")]
    assert book.get(two.fingerprint) == two
    book.add(Peer("A-CAM-2", own[0].pem))
    assert [each.name for each in book.all()] == ["B-CAM", "A-CAM-2"]
    assert book.forget("nobody") == []
    assert book.forget(two.fingerprint[:12]) == [two]
    assert [each.name for each in book.forget("A-CAM-2")] == ["A-CAM-2"]
    assert book.all() == []


def test_a_call_is_no_reason_to_fall_over_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pairings.json").write_text("{")
    said: list[str] = []
    hooks = Hooks(lambda: False, lambda _: None, lambda _: None, lambda: 0, dict, said.append, said.append)

    async def hear() -> None:
        caller = SessionClient(identity.load(tmp_path), Pairings(tmp_path), 5004, hooks)
        caller.receive(build(Invite(1, 5010, 2, bytes(32), "A-CAM")), "192.0.2.1")
        caller.see(Announcement("B-CAM", "192.0.2.2:5010", "ab" * 32))
        task = asyncio.create_task(caller.run())
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(hear())
    assert any("move it away" in words for words in said)


# ---- another address


def test_a_receiver_at_another_address_is_followed_once_it_has_echoed_from_there() -> None:
    session = linked_sender()
    asked = session.peer_moved("192.0.2.9", 7000, 99, 1000)
    assert asked is not None
    (hello,) = parse(asked)
    assert isinstance(hello, Hello)
    assert (hello.cookie, hello.flags) == (99, FLAG_PATH)
    assert session.peer_moved("192.0.2.66", 1, 98, 2000) is None, "not asked too often"
    session.receive_datagram(build(Welcome(PEER_SSRC, PEER_BOOT, 98, BOOT)), 2000)
    assert not any(isinstance(event, PathConfirmed) for event in drain_sender(session, 2000)[1])
    session.receive_datagram(build(Welcome(PEER_SSRC, PEER_BOOT, 99, BOOT)), 3000)
    assert drain_sender(session, 3000)[1] == [PathConfirmed("192.0.2.9", 7000)]
    assert session.peer_moved("192.0.2.66", 1, 97, 1000 + PATH_INTERVAL_US) is not None


def test_a_receiver_answers_a_question_of_the_path_and_changes_nothing() -> None:
    session = ReceiverSession(PEER_BOOT, encrypted=True)
    session.receive_datagram(build(HELLO), 0, *CAMERA)
    while session.next_datagram(0):
        pass
    question = Hello(HELLO.ssrc, HELLO.boot_id, 99, HELLO.media_ssrc, 0, 0, 0, 0, 0, "", FLAG_PATH)
    session.receive_datagram(build(question), 1, "192.0.2.50", 9)
    found = session.next_datagram(1)
    assert found is not None
    assert found[1:] == ("192.0.2.50", 9)
    assert parse(found[0]) == [Welcome(PEER_SSRC, PEER_BOOT, 99, HELLO.boot_id)]
    plain = ReceiverSession(PEER_BOOT)
    plain.receive_datagram(build(question), 1, *CAMERA)
    assert plain.next_datagram(1) is None


def test_an_encrypted_sender_is_the_same_at_any_address_and_another_boot_is_another_session() -> None:
    session = ReceiverSession(PEER_BOOT, encrypted=True)
    session.receive_datagram(build(HELLO), 0, *CAMERA)
    session.receive_datagram(build(HELLO), 1, "192.0.2.50", 9)
    targets = set()
    while (found := session.next_datagram(1)) is not None:
        targets.add(found[1:])
    assert ("192.0.2.50", 9) in targets
    events = []
    session.receive_datagram(build(Hello(HELLO.ssrc, 12, 34, HELLO.media_ssrc, 16, 16, 25, 1, 1, "")), 2, *CAMERA)
    while (event := session.next_event()) is not None:
        events.append(type(event).__name__)
    assert events.count("NewSender") == 2
