"""The packets that a receiver notes on request, over loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native.test_io import BOOT_ID, COOKIE, HOST, HOST_BYTES, PATIENCE_US, SSRC, linked, push, unit, until
from thinair.bench.report.frame_timeline import read_pcap
from thinair.link.native import now_us
from thinair.link.protocol.rtcp import Hello, Pli, build
from thinair.receiver.stats.pcap import PacketLog

pytestmark = pytest.mark.quick


def test_packets_are_noted_both_ways_as_a_pcap_that_tells_addresses_and_times(tmp_path: Path) -> None:
    hello, pli = build(Hello(SSRC, BOOT_ID, COOKIE, SSRC, 640, 360, 25, 1, 1000, "io")), build(Pli(7, SSRC))
    with linked(log_packets=True) as (tx, rx):
        log = PacketLog(tmp_path / "a.pcap", rx)
        began = now_us()
        count = push(tx, unit(5_000, 1), 1, key=True)
        assert rx.wait(PATIENCE_US) is not None
        tx.send_control(hello)
        until(lambda: bool(rx.control()), "the control came")
        assert rx.send_control(pli, HOST, tx.local_port)
        log.close()
    noted = list(read_pcap(tmp_path / "a.pcap"))
    assert [one.sent for one in noted] == [False] * (count + 1) + [True]
    assert noted[-1].data == pli
    assert noted[-2].data == hello
    assert sum(one.size for one in noted[:count]) > 5_000
    assert all(len(one.data) <= 192 for one in noted)
    assert all(began <= one.at_us <= now_us() for one in noted)


@pytest.mark.slow
def test_packets_that_nobody_fetches_make_room_for_newer_ones_and_are_counted() -> None:
    with linked(log_packets=True) as (tx, rx):
        for number in range(60):
            push(tx, unit(400_000, 1), number)
            while rx.wait(20_000) is not None:
                pass
        stats = rx.stats()
        assert stats["packets_not_logged"] == max(0, stats["packets"] - 16_384)
        records = b"".join(iter(rx.packets, b""))
        assert records.count(HOST_BYTES) >= min(16_384, stats["packets"])


def test_without_being_asked_nothing_is_noted() -> None:
    with linked() as (tx, rx):
        push(tx, unit(1_000, 1), 1, key=True)
        assert rx.wait(PATIENCE_US) is not None
        assert rx.packets() == b""
