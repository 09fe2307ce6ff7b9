"""The pumps over loopback: real sockets and threads, access units and control both ways, and hostile datagrams."""

import errno
import gc
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import Any

import pytest

from tests.support.processes import environment
from tests.support.seeds import seed
from thinair.link.native import AccessUnit, BitstreamError, Packetizer, Rx, Tx, now_us
from thinair.link.protocol.rtcp import Hello, Pli, Probe, ProbeEcho, build, parse

pytestmark = pytest.mark.quick

HOST, HOST_BYTES = "127.0.0.1", bytes((127, 0, 0, 1))
PATIENCE_US = 2_000_000
SSRC = 0x11223344
COOKIE, BOOT_ID = 0xA1A2A3A4A5A6A7A8, 0x0102030405060708
PATIENCE_S = 60.0  # then it hangs
AUD = bytes.fromhex("00000001 09f0")
PARAMETER_SETS = bytes.fromhex("00000001 6742c01f 00000001 68ce3c80")
SO_TIMESTAMPNS = 35


def unit(size: int, seed: int, *, key: bool = True) -> bytes:
    """An access unit of one slice; its bytes cannot be taken for a start code."""
    body = bytes(random.Random(seed).choices(range(1, 256), k=size))
    head = PARAMETER_SETS if key else b""
    return head + b"\x00\x00\x00\x01" + (b"\x65\x88" if key else b"\x41\x9a") + body


def until(condition: Callable[[], Any], what: str) -> None:
    """What the pump's thread does, it does soon: waits for it, and fails with `what`."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)


def take(rx: Rx) -> AccessUnit:
    got = rx.wait(int(PATIENCE_S * 1e6))
    assert got is not None, "no access unit came"
    return got


@contextmanager
def raw_socket() -> Iterator[socket.socket]:
    """Somebody who speaks UDP but is none of ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.bind((HOST, 0))
        raw.settimeout(PATIENCE_S)
        yield raw


@contextmanager
def linked(**rx_options: Any) -> Iterator[tuple[Tx, Rx]]:
    """A sender that may send and a receiver that accepts it."""
    with closing(Rx(port=0, **rx_options)) as rx, closing(Tx(host=HOST, port=rx.local_port, ssrc=SSRC)) as tx:
        rx.accept(HOST, tx.local_port, SSRC)
        tx.allow_media(True)
        yield tx, rx


def push(tx: Tx, data: bytes, number: int, *, key: bool = False) -> int:
    return tx.push(data, frame_id=number, rtp_time=number * 3600, key=key, capture_us=1_000_000 + number * 40_000)


# ---- media


@pytest.mark.parametrize("size", [1, 1300, 40_000, 900_000])
def test_an_access_unit_arrives_as_it_was_sent_with_its_stamps(size: int) -> None:
    data = unit(size, seed=size)
    with linked() as (tx, rx):
        began_us = now_us()
        packets = tx.push(
            data,
            frame_id=7,
            rtp_time=90,
            key=True,
            capture_us=5000,
            dequeue_us=5010,
            encode_in_us=5020,
            encode_out_us=9000,
        )
        got = take(rx)
        assert bytes(got) == data
        assert (got.frame_id, got.rtp_time, got.key, got.sps, got.gap) == (7, 90, True, True, False)
        assert (got.capture_us, got.dequeue_us, got.encode_in_us, got.encode_out_us) == (5000, 5010, 5020, 9000)
        assert got.packets == packets
        assert began_us <= got.first_us <= got.last_us <= got.taken_us <= now_us()
        assert not any(rx.drops().values())


def test_the_next_frame_tells_when_the_frame_before_left() -> None:
    with linked() as (tx, rx):
        capture_us = now_us()
        tx.push(unit(9000, 1), frame_id=0x20001, rtp_time=0, key=True, capture_us=capture_us)
        assert take(rx).sent is None
        left = tx.sent()
        assert left is not None
        assert left[0] == 0x20001
        assert capture_us <= left[1] <= left[2] <= now_us()
        push(tx, unit(900, 2, key=False), 0x20002)
        assert take(rx).sent == (1, left[1] - capture_us, left[2] - capture_us)


def test_a_view_of_an_access_unit_outlives_the_receiver() -> None:
    data = unit(30_000, seed=3)
    with linked() as (tx, rx):
        push(tx, data, 1, key=True)
        view = memoryview(take(rx))
    del rx
    assert bytes(view) == data


def test_media_is_refused_until_it_is_allowed() -> None:
    with closing(Rx(port=0)) as rx, closing(Tx(host=HOST, port=rx.local_port, ssrc=SSRC)) as tx:
        rx.accept(HOST, tx.local_port, SSRC)
        assert push(tx, unit(3000, 1), 1, key=True) == 0
        assert tx.stats()["media_refused"] == 1
        tx.allow_media(True)
        assert push(tx, unit(3000, 2), 2, key=True) > 0
        assert take(rx).frame_id == 2
        tx.allow_media(False)
        assert push(tx, unit(3000, 3), 3, key=True) == 0
        assert rx.stats()["packets"] == tx.stats()["packets"]


def test_bytes_that_are_no_access_unit_are_refused_and_the_sender_goes_on() -> None:
    with linked() as (tx, rx):
        with pytest.raises(BitstreamError):
            push(tx, b"no start code in here", 1)
        with pytest.raises(ValueError, match="sent"):
            push(tx, unit(1024 * 1400 + 1, 1), 2)
        push(tx, unit(100, 4), 3, key=True)
        assert take(rx).frame_id == 3


def test_a_stranger_is_counted_and_changes_nothing() -> None:
    with linked() as (tx, rx), closing(Tx(host=HOST, port=rx.local_port, ssrc=SSRC)) as other:
        other.allow_media(True)
        packets = push(other, unit(8000, 1), 1, key=True)
        push(tx, unit(500, 2), 40, key=True)
        assert take(rx).frame_id == 40
        until(lambda: rx.drops()["address"] == packets, "the stranger's packets were not counted")


def test_media_before_any_session_is_counted_by_its_address() -> None:
    with closing(Rx(port=0)) as rx, closing(Tx(host=HOST, port=rx.local_port, ssrc=SSRC)) as tx:
        tx.allow_media(True)
        packets = push(tx, unit(8000, 1), 1, key=True)
        until(lambda: rx.drops()["address"] == packets, "not counted")
        assert rx.wait(0) is None


def test_another_sender_that_is_accepted_starts_with_a_gap() -> None:
    with linked() as (tx, rx), closing(Tx(host=HOST, port=rx.local_port, ssrc=99)) as other:
        push(tx, unit(500, 1), 500, key=True)
        assert not take(rx).gap
        other.allow_media(True)
        rx.accept(HOST, other.local_port, 99)
        push(other, unit(500, 2), 0, key=True)
        got = take(rx)
        assert (got.frame_id, got.gap, got.lost_before) == (0, True, 0)


def test_units_that_nobody_takes_are_dropped_and_the_gap_is_told() -> None:
    with linked(slots=4) as (tx, rx):
        for number in range(1, 7):
            push(tx, unit(500, number), number, key=True)
            until(lambda number=number: rx.stats()["frames"] == number, "not completed")  # type: ignore[misc]  # a default
        got = take(rx)
        assert (got.frame_id, got.gap, got.lost_before) == (5, True, 4)
        assert rx.drops()["queue_full"] == 4
        after = take(rx)
        assert (after.frame_id, after.gap, after.lost_before) == (6, False, 0)


def test_slots_held_for_ever_neither_stop_nor_crash_the_pump() -> None:
    with linked(slots=2, window_frames=4) as (tx, rx):
        held = []
        for number in (1, 2):
            push(tx, unit(500, number), number, key=True)
            held.append(take(rx))
        for number in range(3, 40):
            push(tx, unit(20_000, number), number, key=True)
            assert tx.send_control(build(Hello(SSRC, BOOT_ID, COOKIE, SSRC, 640, 360, 25, 1, 1000, "io")))
            until(rx.control, "control stands still")
        until(lambda: rx.drops()["queue_full"] > 0, "what had no room was not counted")
        assert [bytes(one) for one in held] == [unit(500, 1), unit(500, 2)]
        held.clear()
        numbers = [take(rx).frame_id]
        push(tx, unit(500, 40), 40, key=True)
        while numbers[-1] != 40:
            numbers.append(take(rx).frame_id)
        assert numbers == sorted(numbers)


def test_a_raw_stream_gives_each_unit_a_delimiter_and_needs_no_next_picture() -> None:
    data = [unit(5000, 1), unit(3000, 2, key=False)]
    with raw_socket() as raw, closing(Tx(host=HOST, port=raw.getsockname()[1], mode="annexb", max_packet=1000)) as tx:
        for number, one in enumerate(data):
            packets = push(tx, one, number)
            assert b"".join(raw.recv(2000) for _ in range(packets)) == one + AUD
    with (
        closing(Rx(port=0, mode="annexb", quiet_us=0)) as rx,
        closing(Tx(host=HOST, port=rx.local_port, mode="annexb")) as tx,
    ):
        push(tx, data[0], 0)
        assert bytes(take(rx)) == data[0]
        push(tx, data[1], 1)
        assert bytes(take(rx)) == AUD + data[1]


def test_a_raw_stream_of_another_sender_does_not_mix_with_the_one_before() -> None:
    with closing(Rx(port=0, mode="annexb", quiet_us=0)) as rx, raw_socket() as first, raw_socket() as second:
        first.sendto(unit(3000, 0) + AUD + unit(3000, 1), (HOST, rx.local_port))  # ends in an unfinished unit
        second.sendto(unit(3000, 2) + AUD, (HOST, rx.local_port))
        assert bytes(take(rx)) == unit(3000, 0)
        until(lambda: rx.drops()["address"] == 1, "a second sender is refused while the first is live")

        def second_is_heard() -> bool:
            second.sendto(unit(3000, 2) + AUD, (HOST, rx.local_port))
            time.sleep(0.05)
            return rx.stats()["frames"] > 1

        until(second_is_heard, "the second sender was never taken")
        got = take(rx)
        assert bytes(got) == unit(3000, 2)
        assert got.gap


def test_a_plain_stream_under_a_new_ssrc_starts_with_a_gap() -> None:
    with closing(Rx(port=0, mode="rtp", payload_type=0)) as rx, raw_socket() as raw:
        for ssrc, gap in ((1, False), (2, True)):
            packets = Packetizer(ssrc=ssrc, elements=False)
            for packet in packets.packetize(unit(3000, ssrc), frame_id=0, rtp_time=0, key=True):
                raw.sendto(packet, (HOST, rx.local_port))
            got = take(rx)
            assert bytes(got) == unit(3000, ssrc)
            assert got.gap is gap


def test_pacing_spreads_the_packets_of_a_frame() -> None:
    groups, pace_us = 4, 10_000
    with raw_socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with closing(Tx(host=HOST, port=raw.getsockname()[1], mode="rtp", pace_group=5, pace_us=pace_us)) as tx:
            packets = push(tx, unit(1300 * 5 * groups, 1), 1, key=True)
            stamps_us = []
            for _ in range(packets):
                _, control, _, _ = raw.recvmsg(2000, 100)
                seconds, nanoseconds = struct.unpack("qq", control[0][2])
                stamps_us.append(seconds * 1_000_000 + nanoseconds // 1000)
            until(lambda: tx.sent() is not None, "nobody was told when it left")
            _, first_us, last_us = tx.sent() or (0, 0, 0)
    steps = sorted(b - a for a, b in pairwise(stamps_us))
    assert last_us - first_us >= (groups - 1) * pace_us
    assert steps[len(steps) // 2] < pace_us / 4, "packets of a group do not leave together"


# ---- control


def test_a_probe_is_answered_only_with_the_cookie_and_only_to_the_peer() -> None:
    with raw_socket() as peer, raw_socket() as stranger, closing(Tx(host=HOST, port=peer.getsockname()[1])) as tx:
        to = (HOST, tx.local_port)
        peer.sendto(build(Probe(1, 1, 1, 0)), to)  # no cookie is set yet, and 0 is none
        until(lambda: tx.stats()["control_drops"] == 1, "a probe without a session was not counted")
        tx.set_cookie(COOKIE, BOOT_ID)
        peer.sendto(build(Probe(1, 2, 2, COOKIE ^ 1)), to)
        until(lambda: tx.stats()["control_drops"] == 2, "a wrong cookie was not counted")
        stranger.sendto(build(Probe(1, 3, 3, COOKIE)), to)
        until(lambda: tx.stats()["control_drops"] == 3, "a stranger was not counted")
        began_us = now_us()
        peer.sendto(build(Probe(5, 4, 123456, COOKIE)), to)
        answer, sender = peer.recvfrom(2000)
        (echo,) = parse(answer)
        assert isinstance(echo, ProbeEcho)
        assert (sender, echo.probe_id, echo.t1_us, echo.boot_id) == (to, 4, 123456, BOOT_ID)
        assert began_us <= echo.t2_us <= echo.t3_us <= now_us()
        assert tx.stats()["probes"] == 1
        for silent in (peer, stranger):
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.recv(2000)
        assert tx.control() == []  # probes are the packet thread's own business


def test_control_wakes_both_ends_and_tells_whence_it_came() -> None:
    hello, pli = build(Hello(SSRC, BOOT_ID, COOKIE, SSRC, 640, 360, 25, 1, 1000, "io")), build(Pli(7, SSRC))
    with closing(Rx(port=0)) as rx, closing(Tx(host=HOST, port=rx.local_port)) as tx:
        assert select.select([rx.eventfd, tx.eventfd], [], [], 0)[0] == []
        assert tx.send_control(hello)
        assert select.select([rx.eventfd], [], [], PATIENCE_S)[0]
        ((data, arrival_us, host, port),) = rx.control()
        assert (data, host, port) == (hello, HOST, tx.local_port)
        assert 0 <= now_us() - arrival_us < PATIENCE_S * 1e6
        assert select.select([rx.eventfd], [], [], 0)[0] == [], "emptied, it is quiet again"
        assert rx.send_control(pli, host, port)
        assert select.select([tx.eventfd], [], [], PATIENCE_S)[0]
        assert [one[0] for one in tx.control()] == [pli]


def test_more_control_than_anybody_reads_is_counted() -> None:
    hello = build(Hello(SSRC, BOOT_ID, COOKIE, SSRC, 640, 360, 25, 1, 1000, "io"))
    with closing(Rx(port=0)) as rx, raw_socket() as raw:
        for _ in range(100):
            raw.sendto(hello, (HOST, rx.local_port))
        until(lambda: rx.drops()["control"] == 36, "64 are held, the others counted")
        assert len(rx.control()) == 64


# ---- what the system refuses


def test_a_port_in_use_raises() -> None:
    with closing(Rx(port=0)) as rx:
        with pytest.raises(OSError, match="in use") as caught:
            Rx(port=rx.local_port)
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match="in use"):
            Tx(host=HOST, port=9, bind_port=rx.local_port)


def test_addresses_and_values_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot use address"):
        Tx(host="no such host", port=5004)
    with pytest.raises(ValueError, match="cannot use address"):
        Rx(host="no such host", port=5004)
    with pytest.raises(ValueError, match="mode is"):
        Rx(port=0, mode="tcp")
    with pytest.raises(ValueError, match="slots"):
        Rx(port=0, slots=65)


def test_a_refused_priority_is_a_note_and_no_failure() -> None:
    script = """
import os, resource
from thinair.link.native import Rx, Tx
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
rx = Rx(port=0, priority=10, receive_buffer=1 << 30)
tx = Tx(host="127.0.0.1", port=rx.local_port, priority=10)
print(rx.notes + tx.notes)
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert "no real-time priority for thinair-rx" in done.stdout
    assert "no real-time priority for thinair-tx" in done.stdout
    assert "receive buffer" in done.stdout


def test_a_closed_pump_answers_every_call() -> None:
    with linked() as (tx, rx):
        push(tx, unit(500, 1), 1, key=True)
        take(rx)
    for _ in range(2):
        rx.close()
        tx.close()
    assert rx.wait(0) is None
    assert push(tx, unit(500, 2), 2) == 0
    assert not tx.send_control(b"x" * 20)
    assert not rx.send_control(b"x" * 20, HOST, 9)
    assert (rx.control(), tx.control()) == ([], [])
    assert rx.stats()["frames"] == tx.stats()["frames"] == 1


@pytest.mark.parametrize("pump", [Tx, Rx])
def test_there_is_no_pump_that_was_not_opened(pump: type[Tx] | type[Rx]) -> None:
    with pytest.raises(TypeError):
        pump.__new__(pump)


def test_a_pump_leaves_no_descriptor_behind() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count of open descriptors is meant

    with linked():
        pass
    gc.collect()
    before = count()
    for _ in range(20):
        with linked() as (tx, rx):
            push(tx, unit(500, 1), 1, key=True)
    del tx, rx
    assert count() == before


# ---- hostile datagrams


def rtp(seq: int, *, first: int = 0x80, kind: int = 0x60, ssrc: int = SSRC, rest: bytes = b"") -> bytes:
    return struct.pack("!BBHII", first, kind, seq, 0, ssrc) + rest


def element(frame: int, index: int, count: int) -> bytes:
    return struct.pack("!HHBIHHBxx", 0xBEDE, 3, 0x28, frame, index, count, 0)


HOSTILE = {
    "nothing at all": ("short", b""),
    "a header cut off": ("short", rtp(1)[:11]),
    "version 1": ("version", rtp(1, first=0x40, rest=b"\x65\x88")),
    "padding longer than the packet": ("padding", rtp(1, first=0xA0, rest=b"\x65\x88\xff")),
    "an extension longer than the packet": ("extension", rtp(1, first=0x90, rest=struct.pack("!HH", 0xBEDE, 0xFFFF))),
    "more sources than bytes": ("extension", rtp(1, first=0x8F, rest=b"\x65\x88")),
    "another payload type": ("payload_type", rtp(1, kind=0x61, rest=b"\x65\x88")),
    "another SSRC": ("ssrc", rtp(1, ssrc=5, rest=b"\x65\x88")),
    "65 kB": ("oversize", rtp(1, rest=b"\x65" * 65_000)),
    "no frame element": ("element", rtp(1, rest=b"\x65\x88")),
    "an index past the count": ("element", rtp(1, first=0x90, rest=element(1, 3, 3) + b"\x65\x88")),
    "a count of 0": ("element", rtp(1, first=0x90, rest=element(1, 0, 0) + b"\x65\x88")),
    "control of 2 kB": ("control", bytes([0x80, 204]) + bytes(2000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_datagram_is_counted_by_its_reason(name: str) -> None:
    reason, datagram = HOSTILE[name]
    with closing(Rx(port=0)) as rx, raw_socket() as raw:
        rx.accept(HOST, raw.getsockname()[1], SSRC)
        raw.sendto(datagram, (HOST, rx.local_port))
        until(lambda: rx.drops()[reason] == 1, f"not counted as {reason}: {rx.drops()}")
        assert sum(rx.drops().values()) == 1
        for packet in Packetizer(ssrc=SSRC).packetize(unit(4000, 1), frame_id=9, rtp_time=1, key=True):
            raw.sendto(packet, (HOST, rx.local_port))
        assert bytes(take(rx)) == unit(4000, 1)


@pytest.mark.parametrize("mode", ["thinair", "rtp", "annexb"])
def test_random_and_damaged_datagrams_stop_no_pump(mode: str) -> None:
    rng = random.Random(seed())
    valid = Packetizer(ssrc=SSRC, elements=mode == "thinair").packetize(
        unit(20_000, 1), frame_id=1, rtp_time=1, key=True
    )
    sent = 0
    with closing(Rx(port=0, mode=mode, slots=2)) as rx, raw_socket() as raw:
        rx.accept(HOST, raw.getsockname()[1], SSRC)
        for number in range(1500):
            packet = bytearray(rng.choice(valid))
            for _ in range(rng.choice((0, 1, 3, 20))):
                packet[rng.randrange(len(packet))] = rng.getrandbits(8)
            datagram = rng.choice(
                (bytes(packet), bytes(packet[: rng.randrange(len(packet))]), rng.randbytes(rng.randrange(3000)))
            )
            raw.sendto(datagram, (HOST, rx.local_port))
            sent += len(datagram) > 0
            rx.wait(0)
            if number % 50 == 0:
                rx.control()
        marker = build(Pli(1, 2))
        if mode == "annexb":  # has no control
            until(lambda: rx.stats()["packets"] + rx.stats()["kernel_drops"] == sent, "the pump stands still")
        else:
            rx.control()
            raw.sendto(marker, (HOST, rx.local_port))
            until(lambda: marker in [one[0] for one in rx.control()], "the pump stands still")


def test_a_receiver_that_is_left_alone_takes_units_after_a_storm() -> None:
    """Sequence numbers and frame ids all over the place, then an orderly stream, which is believed."""
    rng = random.Random(5)
    with closing(Rx(port=0)) as rx, raw_socket() as raw:
        rx.accept(HOST, raw.getsockname()[1], SSRC)
        for _ in range(300):
            storm = Packetizer(ssrc=SSRC, first_seq=rng.getrandbits(16))
            for packet in storm.packetize(unit(200, 1), frame_id=rng.getrandbits(32), rtp_time=1, key=True):
                raw.sendto(packet, (HOST, rx.local_port))
            rx.wait(0)
        orderly = Packetizer(ssrc=SSRC, first_seq=100)
        for number in range(20):
            for packet in orderly.packetize(unit(3000, number), frame_id=1000 + number, rtp_time=number, key=True):
                raw.sendto(packet, (HOST, rx.local_port))
        while bytes(take(rx)) != unit(3000, 19):
            pass
