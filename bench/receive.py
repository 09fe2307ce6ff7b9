"""`thinair bench receive`: the receive side alone.

Latency: arrival of a frame's last packet (kernel stamp) to its access unit in the hands of the thread that decodes,
through real pumps over loopback. Throughput: packets to access units on one core, beside GStreamer's depacketizer with
the same packets.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinair.bench.analysis.summary import summary
from thinair.bench.glass.baselines import INSTALL
from thinair.bench.glass.row import free_port
from thinair.bench.harness.processes import realtime
from thinair.bench.harness.stream import access_units
from thinair.link.child_process import python_module
from thinair.link.errors import FileError
from thinair.link.native import Outbox, Packetizer, Reassembler, Rx, Seal
from thinair.link.options import parse_bitrate
from thinair.link.protocol.rtcp import Target, build
from thinair.link.video_mode import Mode
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

SCHEMA = "thinair.bench-receive/1"
_SSRC = 0x7A1A
_WAIT_US = 200_000
_START_S = 20.0
_REPEATS = 5
_SHARE = 64  # of 256: repair symbols, 25 %
_LOSE = 20  # one packet in so many
_KEYS = bytes(range(88))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", default="1920x1080@25", metavar="WIDTHxHEIGHT@RATE", help="default 1920x1080@25")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the latency measurement; default 10")
    parser.add_argument("--bitrate", default="8M", help="default 8M")
    parser.add_argument("--pace-us", type=int, default=500, help="between groups of five packets; default 500")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")


def run(args: argparse.Namespace) -> int:
    """0 where every frame sent came out. Raises ConfigError, FileError."""
    mode, bitrate_bps = Mode.parse(args.mode), parse_bitrate(args.bitrate)
    refused = realtime()
    conditions = collect(tools=True) | {"scheduling": refused or "SCHED_RR for both processes"}
    watch = ConditionsWatch()
    watch.start()
    handover = latency(mode, bitrate_bps, args.seconds, args.pace_us)
    figures = handover["last_packet_to_decoder_ms"]
    values = ", ".join(f"{name} {figures[name]:.3f}" for name in ("p50", "p95", "p99", "max")) if figures["n"] else "-"
    print(f"{mode}, {bitrate_bps / 1e6:g} Mbit/s, {args.pace_us} us between groups of packets")
    print(f"last packet → decoder, ms: {values}; {figures['n']} of {handover['sent']} frames", flush=True)
    speed = throughput(mode, bitrate_bps)
    for name, value in speed.items():
        print(f"{name:40}{value if isinstance(value, str) else f'{value:.2f} Gbit/s'}")
    conditions |= watch.stop()
    for reason in conditions["unfit"]:
        print(f"unfit: {reason}")
    if args.json:
        content = {"schema": SCHEMA, "conditions": conditions, "latency": handover, "throughput_gbps": speed}
        try:
            args.json.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"cannot write {args.json}: {error.strerror or error}") from error
    return 0 if handover["sent"] == figures["n"] else 1


def latency(mode: Mode, bitrate_bps: int, seconds: float, pace_us: int) -> dict[str, Any]:
    """Sender in a process of its own; this thread stands where the decoder would."""
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
    """Gbit/s of RTP packets on one core; the best of some runs, since others on the machine can only slow one down."""
    units = access_units(mode, bitrate_bps, 50)
    found: dict[str, float | str] = {}
    for name, elements in (("thinair, own link", True), ("thinair, plain RTP", False)):
        packets = packetize(units, frames, elements=elements)
        found[name] = sum(map(len, packets)) * 8e-9 / min(_push_all(packets, frames, elements) for _ in range(_REPEATS))
    found["thinair, sealed, 5 % lost and mended"] = sealed_throughput(units, frames)
    found["gstreamer rtph264depay"] = gstreamer(packets) if shutil.which("gst-launch-1.0") else INSTALL
    return found


def sealed_throughput(units: Sequence[bytes], frames: int) -> float:
    """Gbit/s of sealed packets opened, reassembled and repaired, one call of Python for each packet included."""
    packets = seal(units, frames)
    return sum(map(len, packets)) * 8e-9 / min(_open_all(packets, frames) for _ in range(_REPEATS))


def seal(units: Sequence[bytes], frames: int) -> list[bytes]:
    """As the sender makes them with 25 % of repair symbols; one in twenty is left out."""
    box, cover, cookie = Outbox(ssrc=_SSRC, interval_us=40_000), Seal(), 7
    cover.install(_KEYS, bytes(88), _SSRC)
    box.set_cookie(cookie)
    box.control(build(Target(1, cookie, 1, 8_000_000, 0, 0, 65535, _SHARE)), 1)
    packets: list[bytes] = []
    for n in range(frames):
        now_us = 40_000 * (n + 1)
        unit, rtp_time = units[n % len(units)], 3600 * n & 0xFFFFFFFF
        box.push(unit, now_us=now_us, frame_id=n, rtp_time=rtp_time, capture_us=now_us)
        while due := box.next(now_us):
            packets += [cover.seal_rtp(datagram) for datagram in due]
    return [packet for at, packet in enumerate(packets) if at % _LOSE != _LOSE // 2]


def _open_all(packets: Sequence[bytes], frames: int) -> float:
    reassembler, cover = Reassembler(patience_us=60_000), Seal()
    cover.install(bytes(88), _KEYS, _SSRC)
    began = time.perf_counter()
    opened = [cover.unseal_rtp(packet, 1) for packet in packets]
    whole = reassembler.push_many([one[0] for one in opened if not isinstance(one, str)], 1)
    took = time.perf_counter() - began
    if whole != frames:
        raise RuntimeError(f"{whole} of {frames} access units came out: {reassembler.drops()}")
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
        raise RuntimeError(f"{whole} of {frames} access units came out: {reassembler.drops()}")
    return took


def gstreamer(packets: Sequence[bytes]) -> float:
    """Gbit/s of rtph264depay alone: a long and a short file, each with and without it, and the differences of the
    times, so that start-up, reading the file and cutting it into packets fall out."""
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
