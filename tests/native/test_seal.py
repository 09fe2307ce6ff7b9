"""Seal against another implementation, and against who would forge, replay or mix up."""

from __future__ import annotations

import random
import struct

import pytest

from tests.oracle.seal import Direction
from thinair.link.native import BitstreamError, Seal

pytestmark = pytest.mark.quick

SSRC = 0x11223344
DOWN, UP = (bytes(random.Random(seed).randbytes(88)) for seed in (1, 2))
OTHER = bytes(random.Random(3).randbytes(88))
SECOND = 1_000_000


def rtp(seq: int, payload: bytes = b"payload", ssrc: int = SSRC, extension: bytes = b"", csrcs: int = 0) -> bytes:
    first = 0x80 | csrcs | (0x10 if extension else 0)
    head = struct.pack("!BBHII", first, 96, seq & 0xFFFF, 9000, ssrc) + bytes(range(4 * csrcs))
    if extension:
        head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    return head + payload


def rtcp(body: bytes = b"TAIRbody", ssrc: int = 0x55667788) -> bytes:
    return struct.pack("!BBHI", 0x82, 204, (4 + len(body)) // 4, ssrc) + body


def ends(limit: int = 0) -> tuple[Seal, Seal]:
    """The sender's and the receiver's."""
    sender, receiver = Seal(), Seal()
    sender.install(DOWN, UP, SSRC, limit=limit)
    receiver.install(UP, DOWN, SSRC)
    return sender, receiver


def opened(found: tuple[bytes, bool] | str) -> bytes:
    assert not isinstance(found, str), found
    return found[0]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_sealed_is_what_another_library_seals(seed: int) -> None:
    noise = random.Random(seed)
    sender, receiver = ends()
    first = noise.randrange(65536)
    for index in range(first, first + 40):
        packet = rtp(
            index, noise.randbytes(noise.randrange(1, 1400)), SSRC + noise.randrange(2),
            noise.randbytes(4 * noise.randrange(4)), noise.randrange(3),
        )  # fmt: skip
        if index == first:
            packet = rtp(index)
            sender.seal_rtp(rtp(index, ssrc=SSRC + 1))
        sealed = sender.seal_rtp(packet)
        assert sealed == Direction(DOWN).rtp(packet, index)
        assert opened(receiver.unseal_rtp(sealed, 0)) == packet
    for index in range(20):
        packet = rtcp(noise.randbytes(4 * noise.randrange(300)))
        sealed = sender.seal_rtcp(packet)
        assert sealed == Direction(DOWN).rtcp(packet, index)
        assert opened(receiver.unseal_rtcp(sealed, 0)) == packet


def test_the_other_direction_has_its_own_keys() -> None:
    sender, receiver = ends()
    assert sender.unseal_rtcp(sender.seal_rtcp(rtcp()), 0) == "auth", "a mirrored packet"
    assert opened(sender.unseal_rtcp(receiver.seal_rtcp(rtcp()), 0)) == rtcp()


def test_every_bit_of_a_packet_counts() -> None:
    sender, receiver = ends()
    packet = rtp(7, b"0123456789", extension=bytes(range(4)))
    sealed, control = sender.seal_rtp(packet), sender.seal_rtcp(rtcp())
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        assert isinstance(receiver.unseal_rtp(bytes(forged), 0), str), bit
    for bit in range(8 * len(control)):
        forged = bytearray(control)
        forged[bit // 8] ^= 1 << bit % 8
        assert receiver.unseal_rtcp(bytes(forged), 0) == "auth", bit
    for cut in range(len(sealed)):
        assert isinstance(receiver.unseal_rtp(sealed[:cut], 0), str)
    for cut in range(len(control)):
        assert isinstance(receiver.unseal_rtcp(control[:cut], 0), str)
    assert opened(receiver.unseal_rtp(sealed, 0)) == packet, "none of them has changed anything"
    assert opened(receiver.unseal_rtcp(control, 0)) == rtcp()


def test_a_replay_is_told_from_what_is_late() -> None:
    sender, receiver = ends()
    sealed = [sender.seal_rtp(rtp(seq)) for seq in range(1300)]
    for seq in (0, 1, 3, 2, 1200):
        assert opened(receiver.unseal_rtp(sealed[seq], 0)) == rtp(seq)
        assert receiver.unseal_rtp(sealed[seq], 0) == "replay"
    assert receiver.unseal_rtp(sealed[1200 - 1024], 0) == "replay", "too old to tell"
    order = [seq for seq in range(1300 - 1024, 1300) if seq != 1200]
    random.Random(4).shuffle(order)
    assert all(opened(receiver.unseal_rtp(sealed[seq], 0)) == rtp(seq) for seq in order)
    assert all(receiver.unseal_rtp(one, 0) == "replay" for one in sealed)
    controls = [sender.seal_rtcp(rtcp()) for _ in range(40)]
    assert all(opened(receiver.unseal_rtcp(one, 0)) for one in reversed(controls))
    assert all(receiver.unseal_rtcp(one, 0) == "replay" for one in controls)


def test_a_packet_says_whether_it_is_the_newest_of_its_stream() -> None:
    sender, receiver = ends()
    sealed = [sender.seal_rtp(rtp(seq)) for seq in range(3)]
    found = [receiver.unseal_rtp(sealed[seq], 0) for seq in (0, 2, 1)]
    assert [one[1] for one in found] == [True, True, False]


def test_sequence_numbers_wrap_and_what_comes_late_finds_its_index() -> None:
    sender, receiver = ends()
    sealed = {index: sender.seal_rtp(rtp(index)) for index in range(65_000, 3 * 65_536 + 10, 101)}
    order = sorted(sealed, key=lambda index: index + 100 * (index % 7))
    for index in order:
        assert opened(receiver.unseal_rtp(sealed[index], 0)) == rtp(index)


def test_a_packet_sent_again_is_sealed_to_the_same_bytes() -> None:
    sender, _ = ends()
    sealed = [sender.seal_rtp(rtp(seq)) for seq in range(65_500, 65_600)]
    assert [sender.seal_rtp(rtp(seq)) for seq in range(65_500, 65_600)] == sealed


def test_after_a_silence_a_wrap_that_nobody_saw_is_found() -> None:
    sender, receiver = ends()
    opened(receiver.unseal_rtp(sender.seal_rtp(rtp(100)), 0))
    for index in range(101, 2 * 65_536 + 200, 999):
        last = sender.seal_rtp(rtp(index))
    assert receiver.unseal_rtp(last, SECOND // 2) == "auth"
    assert opened(receiver.unseal_rtp(last, 2 * SECOND))
    assert opened(receiver.unseal_rtp(sender.seal_rtp(rtp(index + 1)), 2 * SECOND))


def test_a_session_that_begins_beyond_the_first_wrap_is_opened() -> None:
    sender, receiver = ends()
    sender.seal_rtp(rtp(65_535))
    assert opened(receiver.unseal_rtp(sender.seal_rtp(rtp(65_536)), 0)) == rtp(65_536)


def test_strangers_and_other_sessions_are_refused_by_name() -> None:
    sender, receiver = ends()
    stranger = Seal()
    stranger.install(OTHER, UP, SSRC)
    assert receiver.unseal_rtp(stranger.seal_rtp(rtp(1)), 0) == "auth"
    assert receiver.unseal_rtcp(stranger.seal_rtcp(rtcp()), 0) == "auth"
    stranger.install(DOWN, UP, SSRC + 7)
    assert receiver.unseal_rtp(stranger.seal_rtp(rtp(1, ssrc=SSRC + 7)), 0) == "ssrc"
    assert receiver.unseal_rtp(rtp(1) + bytes(16), 0) == "auth", "not sealed at all"
    assert receiver.unseal_rtcp(rtcp(bytes(24)), 0) == "auth", "says that it is not sealed"
    assert receiver.unseal_rtp(b"\x00" * 40, 0) == "version"
    assert receiver.unseal_rtp(b"\x9f" + b"\xff" * 60, 0) == "extension"
    with pytest.raises(ValueError, match="not sealed"):
        sender.seal_rtp(rtp(1, ssrc=SSRC + 2))


def test_without_keys_nothing_is_sealed_or_opened() -> None:
    sender, receiver = ends()
    sealed, control = sender.seal_rtp(rtp(1)), sender.seal_rtcp(rtcp())
    receiver.forget()
    assert not receiver.ready
    assert receiver.unseal_rtp(sealed, 0) == "auth"
    assert receiver.unseal_rtcp(control, 0) == "auth"
    for empty in (Seal(), receiver):
        with pytest.raises((ValueError, BitstreamError)):
            empty.seal_rtp(rtp(1))
        with pytest.raises(BitstreamError):
            empty.seal_rtcp(rtcp())
    with pytest.raises(ValueError, match="88 bytes"):
        receiver.install(UP[:-1], DOWN, SSRC)


# ---- new keys


def renewed(sender: Seal, receiver: Seal) -> None:
    """The sender has the new pair first, and seals with it once it knows that the receiver has it."""
    sender.install(OTHER, UP[::-1], SSRC, after_peer=True)
    before = sender.seal_rtp(rtp(1000))
    assert before == Direction(DOWN).rtp(rtp(1000), 1000)
    receiver.install(UP[::-1], OTHER, SSRC)
    assert opened(receiver.unseal_rtp(before, SECOND)) == rtp(1000)
    assert opened(sender.unseal_rtcp(receiver.seal_rtcp(rtcp()), SECOND)) == rtcp()


def test_new_keys_lose_nothing_that_is_on_its_way() -> None:
    sender, receiver = ends()
    old = [sender.seal_rtp(rtp(seq)) for seq in range(3)]
    opened(receiver.unseal_rtp(old[1], 0))
    renewed(sender, receiver)
    new = sender.seal_rtp(rtp(1001))
    assert new == Direction(OTHER).rtp(rtp(1001), 1001)
    assert opened(receiver.unseal_rtp(new, SECOND)) == rtp(1001)
    assert opened(receiver.unseal_rtp(old[2], 2 * SECOND)) == rtp(2)
    assert receiver.unseal_rtp(old[1], 2 * SECOND) == "replay"
    assert receiver.unseal_rtp(old[0], 3 * SECOND + 1) == "auth", "the older keys are gone"


def test_new_keys_that_the_receiver_never_had_harm_nothing() -> None:
    sender, receiver = ends()
    opened(sender.unseal_rtcp(receiver.seal_rtcp(rtcp()), 0))
    for _ in range(3):
        sender.install(OTHER, UP[::-1], SSRC, after_peer=True)
    assert opened(receiver.unseal_rtp(sender.seal_rtp(rtp(5)), 0)) == rtp(5)
    assert opened(sender.unseal_rtcp(receiver.seal_rtcp(rtcp()), 0)) == rtcp()
    renewed(sender, receiver)
    assert opened(receiver.unseal_rtp(sender.seal_rtp(rtp(1001)), SECOND)) == rtp(1001)


def test_a_key_that_is_used_up_seals_nothing_more() -> None:
    sender, _ = ends(limit=5)
    for seq in range(5):
        sender.seal_rtp(rtp(seq))
        sender.seal_rtcp(rtcp())
    assert sender.packets_sealed == 5
    with pytest.raises(BitstreamError):
        sender.seal_rtp(rtp(6))
    with pytest.raises(BitstreamError):
        sender.seal_rtcp(rtcp())
    sender.install(OTHER, UP, SSRC)
    assert sender.packets_sealed == 0
    assert sender.seal_rtp(rtp(7)) == Direction(OTHER).rtp(rtp(7), 7)
