"""`thinair bench payload`: the cost of the packet size, the measurement behind `max_packet`.

Per size: packets per frame, headers as a share of the stream (IPv4 and UDP included), and processor time per frame of
the sender (packetize, sendmmsg, loopback delivery) and the receiver (recvmmsg, reassembly, hand-over). The minimum over
the rounds counts: other programs can only add."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence

from thinair.bench.analysis.run_files import write_json
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.options import add_bitrate, add_json, add_mode
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import RunConditions, scheduling
from thinair.bench.harness.stream import access_units
from thinair.link.native import Rx, Tx, now_us, sleep_until_us
from thinair.link.options import parse_bitrate
from thinair.link.video_mode import Mode

SCHEMA = "thinair.bench-payload/1"
SIZES = (600, 800, 1000, 1200, 1300, 1400, 1472)
_SSRC = 0x7A1B
_IP_UDP = 20 + 8
_INTERVAL_US = 2500  # between frames: faster than real time, slow enough that no buffer fills
_WAIT_US = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mode(parser)
    add_bitrate(parser)
    parser.add_argument("--frames", type=int, default=400, metavar="N", help="frames per size and round; default 400")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds; default 3")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0, or 1 where a frame was lost. Raises ConfigError, FileError."""
    mode = Mode.parse(args.mode)
    units = access_units(mode, parse_bitrate(args.bitrate), 50)
    refused = realtime()
    conditions = RunConditions({"scheduling": scheduling(refused, PRIORITY)})
    print(f"{'':8}{'packets':>11}{'':>10}{'processor, us per frame':>24}")
    print(f"{'packet':>8}{'per frame':>11}{'headers':>10}{'send':>12}{'receive':>12}")
    runs = [[measure(units, size, args.frames) for size in SIZES] for _ in range(args.rounds)]
    rows = [_least(column) for column in zip(*runs, strict=True)]
    for row in rows:
        print(
            f"{row['max_packet']:8}{row['packets_per_frame']:11.1f}{row['overhead_share']:10.1%}"
            f"{row['send_cpu_us']:12.1f}{row['receive_cpu_us']:12.1f}",
            flush=True,
        )
    finished = conditions.finish()
    for reason in finished["unfit"]:
        print(f"unfit: {reason}")
    write_json(args.json, {"schema": SCHEMA, "conditions": finished, "rows": rows})
    return 0 if all(row["received"] == row["sent"] for row in rows) else 1


def _least(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: min(row[key] for row in rounds) for key in rounds[0]}


def measure(units: list[bytes], max_packet: int, frames: int) -> dict[str, float]:
    """One size. The sender's processor time is that of this thread, the receiver's that of all others."""
    port, sender_port = free_port(), free_port()
    rx = Rx(port=port, host="127.0.0.1", slots=16)
    tx = Tx(host="127.0.0.1", port=port, bind_port=sender_port, ssrc=_SSRC, max_packet=max_packet)
    rx.accept("127.0.0.1", sender_port, _SSRC)
    tx.allow_media(True)
    received, done = [0], threading.Event()

    def take() -> None:
        while not done.is_set():
            received[0] += rx.wait(_WAIT_US) is not None

    taker = threading.Thread(target=take)
    taker.start()
    try:
        thread_ns, process_ns, sent = time.thread_time_ns(), time.process_time_ns(), 0
        due_us = now_us()
        for n in range(frames):
            unit, due_us = units[n % len(units)], due_us + _INTERVAL_US
            sleep_until_us(due_us)
            sent += len(unit)
            tx.push(unit, frame_id=n, rtp_time=n, capture_us=due_us)
        sleep_until_us(due_us + _WAIT_US)
        thread_ns, process_ns = time.thread_time_ns() - thread_ns, time.process_time_ns() - process_ns
        stats = tx.stats()
    finally:
        done.set()
        taker.join()
        tx.close()
        rx.close()
    on_wire = stats["bytes"] + stats["packets"] * _IP_UDP
    return {
        "max_packet": max_packet,
        "packets_per_frame": round(stats["packets"] / frames, 2),
        "overhead_share": round(on_wire / sent - 1, 4),
        "send_cpu_us": round(thread_ns / 1000 / frames, 1),
        "receive_cpu_us": round((process_ns - thread_ns) / 1000 / frames, 1),
        "sent": frames,
        "received": received[0],
    }
