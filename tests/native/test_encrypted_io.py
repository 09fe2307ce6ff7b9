"""The pumps with keys, over loopback: what strangers send, see and send again."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from tests.native.test_io import BOOT_ID, COOKIE, HOST, SSRC, push, raw_socket, take, unit, until
from thinair.link.native import AccessUnit, Rx, Seal, Tx, now_us
from thinair.link.protocol.rtcp import Message, Pli, Probe, ProbeEcho, Repair, RepairRequest, Target, build, parse

pytestmark = pytest.mark.quick

OWN_SSRC = 0x55667788
DOWN, UP, NEW = (random.Random(seed).randbytes(88) for seed in (1, 2, 3))
CALL = struct.pack("!BBHI4s", 0x8A, 204, 17, SSRC, b"TAIR") + bytes(60)


@contextmanager
def sealed(*, relay: bool = False, repairs: bool = True) -> Iterator[tuple[Tx, Rx]]:
    """A sender and a receiver with the keys of one session; with `relay` the sender sends to nobody yet.
    A receiver that `repairs` may ask for a packet whenever the sender is kept waiting in the middle of a frame."""
    with (
        closing(Rx(port=0, encrypted=True, repair_timeout_us=1_000_000)) as rx,
        closing(Tx(host="" if relay else HOST, port=0 if relay else rx.local_port, ssrc=SSRC, encrypted=True)) as tx,
    ):
        tx.install_keys(DOWN, UP, SSRC)
        rx.install_keys(UP, DOWN, SSRC)
        rx.accept(HOST, tx.local_port, SSRC, OWN_SSRC, COOKIE if repairs else 0)
        tx.set_cookie(COOKIE, BOOT_ID)
        tx.allow_media(True)
        yield tx, rx


def captured(tx: Tx, number: int = 1) -> list[bytes]:
    """The datagrams of one unit, caught on their way."""
    with raw_socket() as tap:
        tx.set_peer(HOST, tap.getsockname()[1])
        count = push(tx, unit(5000, number), number, key=True)
        return [tap.recv(2000) for _ in range(count)]


def test_access_units_cross_encrypted_and_nothing_of_them_is_in_the_clear() -> None:
    with sealed(repairs=False) as (tx, rx):
        packets = 0
        for number in range(20):
            packets += push(tx, unit(9000, number), number, key=True)
            assert bytes(take(rx))[-9000:] == unit(9000, number)[-9000:]
        data = unit(5000, 99)
        caught = captured(tx, 99)
        packets += len(caught)
        seen = b"".join(caught)
        assert not any(data[at : at + 8] in seen for at in range(0, len(data) - 8, 3))
        assert rx.stats()["packets_sealed"] == 0
        assert tx.stats()["packets_sealed"] == packets


def test_control_crosses_encrypted_both_ways_and_probes_are_answered() -> None:
    with sealed() as (tx, rx):
        rx.send_control(build(Pli(OWN_SSRC, SSRC)), HOST, tx.local_port)
        until(lambda: [parse(one[0]) for one in tx.control()] == [[Pli(OWN_SSRC, SSRC)]], "the request did not come")
        rx.send_control(build(Probe(OWN_SSRC, 3, now_us(), COOKIE)), HOST, tx.local_port)
        found: list[ProbeEcho] = []

        def answered() -> bool:
            found.extend(one for data, *_ in rx.control() for one in parse(data) if isinstance(one, ProbeEcho))
            return bool(found)

        until(answered, "the probe was not answered")
        assert found[0].probe_id == 3


def test_lost_packets_are_requested_and_repaired_encrypted() -> None:
    with sealed(relay=True) as (tx, rx), raw_socket() as relay:
        tx.set_peer(HOST, relay.getsockname()[1])
        rx.accept(HOST, relay.getsockname()[1], SSRC, OWN_SSRC, COOKIE)
        count = push(tx, unit(9000, 1), 1, key=True)
        for index in range(count):
            datagram = relay.recv(2000)
            if index not in {2, 3}:
                relay.sendto(datagram, (HOST, rx.local_port))
        relay.settimeout(0.02)  # between two looks at what has come of it
        repaired: list[AccessUnit] = []

        def comes_by_the_relay() -> bool:
            with suppress(TimeoutError):
                datagram, (_, port) = relay.recvfrom(2000)
                relay.sendto(datagram, (HOST, tx.local_port if port == rx.local_port else rx.local_port))
            repaired.extend([] if (got := rx.wait(0)) is None else [got])
            return bool(repaired)

        until(comes_by_the_relay, "it was not repaired")
        assert repaired[0].repaired
        assert tx.stats()["repair_on_demand"] >= 2


def test_forged_and_replayed_media_changes_nothing_and_is_counted() -> None:
    with sealed() as (tx, rx), raw_socket() as stranger:
        caught = captured(tx)
        for datagram in caught:
            forged = bytearray(datagram)
            forged[-1] ^= 1
            stranger.sendto(bytes(forged), (HOST, rx.local_port))
            stranger.sendto(datagram[:-16], (HOST, rx.local_port))

        def refused() -> int:
            return rx.drops()["auth"] + rx.drops()["extension"]  # one is shorter than it says now

        until(lambda: refused() == 2 * len(caught), "forged packets were not counted")
        assert rx.progress() == (0, 0)
        for _ in range(2):
            for datagram in caught:
                stranger.sendto(datagram, (HOST, rx.local_port))
        assert bytes(take(rx))[-5000:] == unit(5000, 1)[-5000:]
        until(lambda: rx.drops()["replay"] == len(caught), "replays were not counted")
        assert rx.wait(50_000) is None


def test_the_same_session_opened_again_plays_nothing_of_what_was_recorded() -> None:
    with sealed() as (tx, _):
        recorded = captured(tx)
    with closing(Rx(port=0, encrypted=True)) as rx, raw_socket() as stranger:
        rx.install_keys(UP, NEW, SSRC)  # another session's keys
        rx.accept(HOST, 9, SSRC)
        for datagram in recorded:
            stranger.sendto(datagram, (HOST, rx.local_port))
        until(lambda: rx.drops()["auth"] == len(recorded), "the recording was not refused")


def test_forged_control_moves_nothing_at_the_sender() -> None:
    with sealed() as (tx, _rx), raw_socket() as stranger:
        stranger.sendto(build(Pli(OWN_SSRC, SSRC)), (HOST, tx.local_port))
        forger = Seal()
        forger.install(NEW, NEW, SSRC)
        messages: list[Message] = [
            Target(OWN_SSRC, COOKIE, 1, 500_000, 1, 0, 0, 128),
            Repair(OWN_SSRC, COOKIE, (RepairRequest(1, 255, 255, 1),)),
            Probe(OWN_SSRC, 1, 1, COOKIE),
        ]
        for message in messages:
            stranger.sendto(build(message), (HOST, tx.local_port))
            stranger.sendto(forger.seal_rtcp(build(message)), (HOST, tx.local_port))
        until(lambda: tx.stats()["control_drops"] == 7, "forged control was not counted")
        stats = tx.stats()
        assert stats["auth"] >= 3
        assert (stats["targets"], stats["requests"], stats["probes"]) == (0, 0, 0)
        assert tx.control() == []
        stranger.settimeout(0.05)
        with pytest.raises(TimeoutError):
            stranger.recv(2000)


def test_a_receiver_that_moved_is_noticed_by_its_newest_packet_only() -> None:
    with sealed() as (tx, rx), raw_socket() as elsewhere:
        peer = Seal()
        peer.install(UP, DOWN, SSRC)
        old, new = (peer.seal_rtcp(build(Pli(OWN_SSRC, SSRC))) for _ in range(2))
        assert tx.new_peer() is None
        elsewhere.sendto(new, (HOST, tx.local_port))
        until(lambda: len(tx.control()) == 1, "it was not heard")
        assert tx.new_peer() == (HOST, elsewhere.getsockname()[1])
        assert tx.new_peer() is None, "told once"
        elsewhere.sendto(old, (HOST, tx.local_port))
        until(lambda: len(tx.control()) == 1, "an older one is heard, too")
        assert tx.new_peer() is None
        elsewhere.sendto(new, (HOST, tx.local_port))
        until(lambda: tx.stats()["replay"] == 1, "a replay was not counted")
        push(tx, unit(500, 1), 1, key=True)
        assert bytes(take(rx)), "until it is told otherwise the media goes where it went"
        tx.set_peer(*elsewhere.getsockname())
        push(tx, unit(500, 2), 2, key=True)
        assert elsewhere.recv(2000)[:1] == b"\x90"


def test_a_sender_that_moved_is_followed_at_once() -> None:
    with sealed() as (tx, rx), raw_socket() as moved:
        caught = captured(tx)
        for datagram in caught:
            moved.sendto(datagram, (HOST, rx.local_port))
        take(rx)
        assert rx.stats()["address_changes"] == 1
        moved.settimeout(10)
        later = captured(tx, 2)
        for datagram in later[1:]:
            moved.sendto(datagram, (HOST, rx.local_port))
        assert len(moved.recv(2000)) > 20, "what it lacks, it asks for there"


def test_senders_that_call_in_the_clear_are_few_a_second_and_nothing_else_is_let_in() -> None:
    with sealed() as (_tx, rx), raw_socket() as stranger:
        stranger.sendto(CALL, (HOST, rx.local_port))
        until(lambda: [one[0] for one in rx.invites()] == [CALL], "the call was not heard")
        for count in range(1, 201):
            stranger.sendto(CALL, (HOST, rx.local_port))
            stranger.sendto(CALL + bytes(4), (HOST, rx.local_port))
            if count % 20 == 0:  # what the receiver's socket holds is bounded
                until(lambda count=count: rx.drops()["auth"] == count, "what is no call was not refused")  # type: ignore[misc]  # a default
        assert len(rx.invites()) <= 8
        assert rx.drops()["control"] >= 150
        assert rx.control() == []


def test_without_keys_nothing_leaves() -> None:
    with raw_socket() as tap, closing(Tx(host=HOST, port=tap.getsockname()[1], ssrc=SSRC, encrypted=True)) as tx:
        tx.allow_media(True)
        push(tx, unit(500, 1), 1, key=True)
        assert not tx.send_control(build(Pli(1, 2)))
        assert tx.stats()["media_refused"] > 0
        assert tx.send_control(CALL, HOST, tap.getsockname()[1], True)
        assert tap.recv(2000) == CALL
        tap.setblocking(False)
        with pytest.raises(BlockingIOError):
            tap.recv(2000)


def test_plain_rtp_cannot_be_encrypted() -> None:
    with pytest.raises(ValueError, match="cannot use"):
        Tx(host=HOST, port=9, mode="rtp", encrypted=True)
    with pytest.raises(ValueError, match="cannot use"):
        Rx(port=0, mode="rtp", encrypted=True)
    with closing(Rx(port=0)) as rx, pytest.raises(ValueError, match="keys"):
        rx.install_keys(UP, DOWN, SSRC)


def test_new_keys_are_taken_up_in_the_middle_of_a_stream() -> None:
    with sealed(repairs=False) as (tx, rx):
        with_new_keys = 0
        for number in range(30):
            if number == 10:
                tx.install_keys(NEW, UP[::-1], SSRC, after_peer=True)
            if number == 15:
                rx.install_keys(UP[::-1], NEW, SSRC)
                rx.send_control(build(Pli(OWN_SSRC, SSRC)), HOST, tx.local_port)
                until(lambda: len(tx.control()) == 1, "the receiver was not heard with its new keys")
            packets = push(tx, unit(3000, number), number, key=True)
            with_new_keys += packets if number >= 15 else 0
            assert bytes(take(rx))[-3000:] == unit(3000, number)[-3000:]
        assert rx.drops()["auth"] == 0
        assert tx.stats()["packets_sealed"] == with_new_keys


def test_a_link_packet_leaves_room_for_its_symbol_and_the_seal() -> None:
    with raw_socket() as tap:
        port = tap.getsockname()[1]
        with closing(Tx(host=HOST, port=port, ssrc=SSRC, encrypted=True, max_packet=1430)) as tx:
            tx.install_keys(DOWN, UP, SSRC)
            tx.allow_media(True)
            count = push(tx, unit(20_000, 1), 1, key=True)
            assert max(len(tap.recv(65536)) for _ in range(count)) <= 1446
