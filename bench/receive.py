"""`thinair bench receive`: the receive path alone.

Latency: from the kernel's stamp of a frame's last packet to its access unit in the thread that decodes, through real
pumps over loopback. Throughput: packets to access units on one core, beside GStreamer's depacketizer with the same
packets."""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from thinair.bench.analysis.run_files import write_json
from thinair.bench.analysis.summary import COLUMNS, Percentiles, summary
from thinair.bench.glass.baselines import INSTALL
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.options import add_bitrate, add_json, add_mode
from thinair.bench.harness.processes import PRIORITY, realtime
from thinair.bench.harness.run_conditions import RunConditions, scheduling
from thinair.bench.harness.stream import access_units
from thinair.link.child_process import python_module
from thinair.link.native import Packetizer, Reassembler, Rx, Seal, SendQueue
from thinair.link.options import parse_bitrate
from thinair.link.protocol.rtcp import Target, build
from thinair.link.video_mode import Mode

SCHEMA = "thinair.bench-receive/1"
_SSRC = 0x7A1A
_WAIT_US = 200_000
_START_S = 20.0
_REPEATS = 5
_REPAIR_RATIO = 64  # of 256: 25 %
_LOSE = 20  # one packet in this many
_KEYS = bytes(range(88))


class Handover(TypedDict):
    """`drops`: by drop reason."""

    last_packet_to_decoder_ms: Percentiles
    sent: int
    drops: dict[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mode(parser)
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="length of the latency part; default 10 s"
    )
    add_bitrate(parser)
    parser.add_argument("--pace-us", type=int, default=500, metavar="US", help="pause per five packets; default 500 µs")
    add_json(parser, "the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where a frame was lost. Raises ConfigError, FileError."""
    mode, bitrate_bps = Mode.parse(args.mode), parse_bitrate(args.bitrate)
    refused = realtime()
    conditions = RunConditions({"scheduling": scheduling(refused, PRIORITY)}, tools=True)
    handover = latency(mode, bitrate_bps, args.seconds, args.pace_us)
    figures = handover["last_packet_to_decoder_ms"]
    values = ", ".join(f"{name} {figures[name]:.3f}" for name in COLUMNS) if figures["n"] else "-"
    print(f"{mode}, {bitrate_bps / 1e6:g} Mbit/s, {args.pace_us} us pause per five packets")
    print(f"last packet to decoder, ms: {values}; {figures['n']} of {handover['sent']} frames", flush=True)
    speed = throughput(mode, bitrate_bps)
    for name, value in speed.items():
        print(f"{name:40}{value if isinstance(value, str) else f'{value:.2f} Gbit/s'}")
    finished = conditions.finish()
    for reason in finished["unfit"]:
        print(f"unfit: {reason}")
    content = {"schema": SCHEMA, "conditions": finished, "latency": handover, "throughput_gbps": speed}
    write_json(args.json, content)
    return 0 if handover["sent"] == figures["n"] else 1


def latency(mode: Mode, bitrate_bps: int, seconds: float, pace_us: int) -> Handover:
    """The sender is another process; this thread takes the access units in place of the decoder."""
    port, sender_port = free_port(), free_port()
    rx = Rx(port=port, host="127.0.0.1", slots=16)
    rx.accept("127.0.0.1", sender_port, _SSRC)
    arguments = (mode, bitrate_bps, seconds, sender_port, port, _SSRC, pace_us)
    sender = subprocess.Popen(python_module("thinair.bench.harness.stream", *map(str, arguments)))
    values = []
    try:
        began = time.monotonic()
        while sender.poll() is None and time.monotonic() < began + seconds + _START_S:
            while (unit := rx.wait(_WAIT_US)) is not None:
                values.append((unit.taken_us - unit.last_us) / 1000)
        drops = {name: count for name, count in rx.drops().items() if count}
    finally:
        sender.terminate()
        sender.wait()
        rx.close()
    return {"last_packet_to_decoder_ms": summary(values), "sent": int(seconds * mode.rate), "drops": drops}


def throughput(mode: Mode, bitrate_bps: int, frames: int = 3000) -> dict[str, float | str]:
    """Gbit/s of RTP packets on one core; the best of some runs, since other programs can only slow one down."""
    units = access_units(mode, bitrate_bps, 50)
    found: dict[str, float | str] = {}
    for name, elements in (("thinair link", True), ("plain RTP", False)):
        packets = packetize(units, frames, elements=elements)
        found[name] = sum(map(len, packets)) * 8e-9 / min(_push_all(packets, frames, elements) for _ in range(_REPEATS))
    found["thinair link, encrypted, 5 % loss repaired"] = encrypted_throughput(units, frames)
    found["gstreamer rtph264depay"] = gstreamer(packets) if shutil.which("gst-launch-1.0") else INSTALL
    return found


def encrypted_throughput(units: Sequence[bytes], frames: int) -> float:
    """Gbit/s of sealed packets opened, reassembled and repaired, one call from Python per packet included."""
    packets = seal(units, frames)
    return sum(map(len, packets)) * 8e-9 / min(_open_all(packets, frames) for _ in range(_REPEATS))


def seal(units: Sequence[bytes], frames: int) -> list[bytes]:
    """Packets of a sender with a repair ratio of 25 %, without one in twenty."""
    box, cover, cookie = SendQueue(ssrc=_SSRC, interval_us=40_000), Seal(), 7
    cover.install(_KEYS, bytes(88), _SSRC)
    box.set_cookie(cookie)
    box.control(build(Target(1, cookie, 1, 8_000_000, 0, 0, 65535, _REPAIR_RATIO)), 1)
    packets: list[bytes] = []
    for n in range(frames):
        now_us = 40_000 * (n + 1)
        unit, rtp_time = units[n % len(units)], 3600 * n & 0xFFFFFFFF
        box.push(unit, now_us=now_us, frame_id=n, rtp_time=rtp_time, capture_us=now_us)
        while due := box.next(now_us):
            packets += [cover.seal_rtp(datagram) for datagram in due]
    return [packet for at, packet in enumerate(packets) if at % _LOSE != _LOSE // 2]


def _open_all(packets: Sequence[bytes], frames: int) -> float:
    reassembler, cover = Reassembler(repair_timeout_us=60_000), Seal()
    cover.install(bytes(88), _KEYS, _SSRC)
    began = time.perf_counter()
    opened = [cover.unseal_rtp(packet, 1) for packet in packets]
    whole = reassembler.push_many([one[0] for one in opened if not isinstance(one, str)], 1)
    took = time.perf_counter() - began
    if whole != frames:
        raise RuntimeError(f"{whole} of {frames} access units were complete: {reassembler.drops()}")
    return took


def packetize(units: Sequence[bytes], frames: int, *, elements: bool) -> list[bytes]:
    packetizer = Packetizer(ssrc=_SSRC, elements=elements)
    packets: list[bytes] = []
    for n in range(frames):
        unit = units[n % len(units)]
        packets += packetizer.packetize(unit, frame_id=n, rtp_time=3600 * n & 0xFFFFFFFF, capture_us=40_000 * n + 1)
    return packets


def _push_all(packets: Sequence[bytes], frames: int, elements: bool) -> float:
    reassembler = Reassembler(elements=elements)
    began = time.perf_counter()
    whole = reassembler.push_many(packets, 1)
    took = time.perf_counter() - began
    if whole != frames:
        raise RuntimeError(f"{whole} of {frames} access units were complete: {reassembler.drops()}")
    return took


def gstreamer(packets: Sequence[bytes]) -> float:
    """Gbit/s of rtph264depay alone: a long and a short file, each with and without it. The differences of the times
    exclude start-up, reading the file and splitting it into packets."""
    few = packets[: len(packets) // 4]
    caps = "application/x-rtp-stream,media=video,clock-rate=90000,encoding-name=H264,payload=96"
    with tempfile.TemporaryDirectory(prefix="thinair-receive-") as directory:
        seconds = {}
        for length, part in (("few", few), ("all", packets)):
            file = Path(directory, length)
            file.write_bytes(b"".join(struct.pack(">H", len(packet)) + packet for packet in part))  # RFC 4571
            source = ["gst-launch-1.0", "-q", "filesrc", f"location={file}", "blocksize=1048576", "!", caps]
            for what, depay in (("with", ["!", "rtph264depay"]), ("without", [])):
                line = [*source, "!", "rtpstreamdepay", *depay, "!", "fakesink", "sync=false"]
                seconds[length, what] = min(_wall(line) for _ in range(_REPEATS))
    took = seconds["all", "with"] - seconds["few", "with"] - seconds["all", "without"] + seconds["few", "without"]
    return sum(map(len, packets[len(few) :])) * 8e-9 / took if took > 0 else float("inf")


def _wall(line: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
