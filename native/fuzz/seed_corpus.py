"""Writes the fuzz targets' first inputs to DIRECTORY/NAME: PYTHONPATH=. python native/fuzz/seed_corpus.py DIRECTORY
(needs the `pc` extra). With build/corpus as DIRECTORY, `tools/fuzz.sh minimise` adds those that reach new code.

Each target gets small, valid inputs in its own framing; the fuzzer derives the invalid ones."""

from __future__ import annotations

import random
import sys
from fractions import Fraction
from pathlib import Path

from tests.oracle.annexb import join, split
from tests.oracle.rtp import Meta, packetize
from tests.oracle.sps import Sps, Vui, build, without_vui

RAW = 0x80  # kind of a step of fuzz_reassembler.c: the datagram itself, 16-bit size before it


def encoded(**params: int | str) -> list[bytes]:
    """A few access units of a tiny picture."""
    import av
    import numpy as np

    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuv420p", Fraction(1, 25)
    told = ":".join(f"{name}={value}" for name, value in params.items())
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": told}
    units = []
    for i in range(3):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 40 * i + 30, np.uint8), format="yuv420p")
        frame.pts = i
        units += [bytes(packet) for packet in codec.encode(frame)]
    return [join([nal for nal in split(unit) if nal[0] & 31 != 6]) for unit in units]  # x264's SEI is long and dull


def headers() -> list[bytes]:
    sets = [split(encoded(**options)[0])[:2] for options in ({}, {"interlaced": 1}, {"cqm": "jvt", "8x8dct": 1})]
    sets += [[without_vui(sps)] for sps, _ in sets[:1]]
    hrd = Vui(
        aspect=(255, 4, 3), video=(5, 1, (1, 1, 1)), timing=(1, 50, 1), nal_hrd=(1, 2), vcl_hrd=(3,), pic_struct=1
    )
    sets += [[build(Sps(100, scaling=((-8,),) * 8, order_count=(1, 1, -3, 4, 5), crop=(1, 1, 1, 1), vui=hrd))]]
    sets += [[build(Sps(77, order_count=(0, 4), frame_mbs_only=0, vui=Vui(restriction=(1, 2, 1, 10, 10, 2, 4))))]]
    return [join(nals) for nals in sets] + [unit[:300] for unit in encoded(slices=2)]


def packets(elements: bool) -> list[list[bytes]]:
    meta = Meta(3, 9000, True, (1000, 1001, 1002, 1003), 77, (2, 500, 600, 700))
    setup = {"payload_type": 96, "ssrc": 7, "max_packet": 200, "elements": elements}
    frames, seq = [], 65533
    for i, unit in enumerate([*encoded(), *encoded(slices=2)]):
        told = Meta(meta.frame_id + i, meta.rtp_time + 3600 * i, i == 0, meta.stamps, meta.capture_ntp, meta.sent)
        frames.append(packetize(unit[:900], told, first_seq=seq, **setup))  # type: ignore[arg-type]  # object by name
        seq = (seq + len(frames[-1])) % 65536
    return frames


def journeys(elements: bool) -> list[bytes]:
    out = []
    for seed in range(6):
        noise = random.Random(seed)
        flat = [packet for frame in packets(elements) for packet in frame]
        if seed:
            flat = [p for p in flat if noise.random() > 0.1]
            late = {packet: at + noise.random() * 4 for at, packet in enumerate(flat)}
            flat.sort(key=late.__getitem__)
        steps = [bytes([RAW | noise.choice([0, 1, 8])]) + len(p).to_bytes(2, "big") + p for p in flat]
        out.append(bytes([seed]) + b"".join(steps))
    made_up = [bytes([0, 0x10 | i // 4 % 2, 0x30 | i % 4, 6]) + b"\x7c\x85abcd" for i in range(24)]
    return [*out, b"\1" + b"".join(made_up)]


def austreams() -> list[bytes]:
    out = []
    for seed, tail in enumerate((b"", b"\0\0\0\1\x09\xf0")):
        noise, rest = random.Random(seed), b"".join(unit[:200] + tail for unit in encoded(slices=1 + seed))
        steps = [bytes([seed])]
        while rest:
            size = noise.randrange(1, 64)
            steps.append(bytes([size | noise.choice([0, 0, 0x40])]) + rest[:size])
            rest = rest[size:]
        out.append(b"".join(steps))
    return out


def repairs() -> list[bytes]:
    """Blocks for fuzz_repair.c: whole after losses, with too few symbols, with a forged one, and two in a row."""
    source, forged = 1, 2
    out = []
    for seed, (k, losses, symbols) in enumerate(
        [(1, 1, 1), (30, 6, 6), (20, 5, 4), (40, 40, 40), (12, 3, 5), (8, 0, 0)]
    ):
        noise = random.Random(seed)
        lost = noise.sample(range(k), losses)
        steps = [bytes([source, j]) for j in range(k) if j not in lost]
        steps += [bytes([0, i]) for i in noise.sample(range(255 - k), symbols)]
        if seed % 3 == 1:
            steps.append(bytes([forged | noise.choice([0, source]), noise.randrange(k), 62]) + noise.randbytes(62))
        noise.shuffle(steps)
        out.append(bytes([k, 60, seed, len(steps)]) + b"".join(steps))
    return [*out, out[0] + out[1]]


def outboxes() -> list[bytes]:
    """For fuzz_send_queue.c: options, then units with requests, targets and NACKs between them."""
    out = []
    for seed in range(8):
        noise = random.Random(seed)
        steps = []
        for _ in range(30):
            steps.append(bytes([0x20 | noise.choice([0, 4, 16])]) + noise.randbytes(2))
            for kind in noise.choices([0, 1, 2], k=noise.randrange(4)):
                count = noise.randrange(4)
                fields = b"".join(bytes([noise.randrange(5), 0, noise.randrange(9), 1, 0]) for _ in range(count))
                steps.append(bytes([1, kind, count]) + (noise.randbytes(12) if kind == 1 else fields))
            steps.append(bytes([3 | noise.choice([0, 8])]))
        out.append(bytes([2 | seed % 8]) + b"".join(steps))
    return out


def recoveries() -> list[bytes]:
    """For fuzz_recovery.c: options, then per unit its size and the fates of its datagrams (1 lost, 2 twice, 8 late)."""
    out = []
    airs = [(9, 1, 0, 0), (5, 5, 0, 0), (6, 1, 1, 2), (20, 1, 0, 1), (6, 2, 2, 2), (3, 1, 0, 0)]
    for seed, weights in enumerate(airs):
        noise = random.Random(seed)
        steps = []
        for _ in range(25):
            size = noise.randrange(120)
            steps.append(bytes([size]) + (bytes([noise.randrange(129)]) if size & 1 else b""))
            fates = noise.choices([0, 1, 2, 8 | noise.randrange(16) << 4], weights, k=size // 8 + 4)
            steps.append(bytes(fates))
        out.append(bytes([2 | seed & 5]) + b"".join(steps))
    forged = bytes([0]) + b"".join(bytes([40, 0, 0, 4 | 16 * i % 256, 3 * i % 256, 0]) for i in range(30))
    return [*out, forged]


def seals() -> list[bytes]:
    """For fuzz_seal.c: RTP, RTCP, changed, repeated; keys renewed between."""
    out = []
    for seed in range(6):
        noise = random.Random(seed)
        steps = []
        for index in range(20):
            control = noise.choice([0, 8])
            head = bytes([0x80, 200 if control else 96, 0, index]) + bytes(4) + bytes([0, 0, 0, 7])
            body = noise.randbytes(noise.randrange(40))
            kind = noise.choice([0, 5, 16, 32]) | control
            after = noise.randbytes(2 if kind & 32 else 1 if kind & 16 else 0)
            steps.append(bytes([kind, len(body)]) + head + body + after + bytes([noise.randrange(3)]))
            if noise.random() < 0.15:
                steps.append(bytes([7, noise.randrange(256), noise.choice([0, 255])]))
        out.append(bytes([seed]) + b"".join(steps))
    return out


def main() -> None:
    seeds = {
        "headers": headers(),
        "rtp": [frame[i] for kind in (True, False) for frame in packets(kind)[:2] for i in (0, -1)],
        "reassembler": journeys(elements=True),
        "reassembler_plain": journeys(elements=False),
        "annexb_stream": austreams(),
        "packetizer": [
            bytes([i * 7, i, 200 * i % 256]) + unit[:900] for i, unit in enumerate([*encoded(), *encoded(slices=2)])
        ],
        "repair": repairs(),
        "send_queue": outboxes(),
        "recovery": recoveries(),
        "seal": seals(),
    }
    for target, inputs in seeds.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(inputs):
            (folder / f"seed-{i:02}").write_bytes(content)


if __name__ == "__main__":
    main()
