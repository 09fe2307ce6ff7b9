"""`thinair bench repair`: the cost of repair symbols, beside memcpy and plain XOR parity in the same run.

One thread; the methods take turns block by block. Throughput is bytes read over time: r symbols of k sources at 1 GB/s
take r * k * size nanoseconds. XOR parity is the code's own symbol 0. zfec and ISA-L process the same blocks where they
are installed (make bench-setup)."""

from __future__ import annotations

import argparse
import ctypes
import random
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from thinair.bench.analysis.run_files import write_json
from thinair.bench.harness.options import add_json
from thinair.bench.harness.run_conditions import RunConditions
from thinair.bench.suite.isal import IsaL
from thinair.link.errors import ConfigError
from thinair.link.native import RepairDecoder, RepairEncoder

SCHEMA = "thinair.bench-repair/1"
_BLOCKS = 8  # different ones, in turn: the first-level cache holds one of them
_WARM_UP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", type=int, default=30, metavar="K", help="packets of a block; default 30")
    parser.add_argument(
        "--symbols", type=int, default=6, metavar="R", help="repair symbols, and lost packets; default 6"
    )
    parser.add_argument("--size", type=int, default=1200, metavar="BYTES", help="size of a packet; default 1200")
    parser.add_argument("--count", type=int, default=2000, metavar="N", help="blocks; default 2000")
    add_json(parser, "the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError, FileError."""
    k, r, size = args.sources, args.symbols, args.size
    if not (1 <= k <= 254 and 2 <= r <= 255 - k and r <= k and 1 <= size <= 65535 and args.count >= 1):
        raise ConfigError("--symbols must be 2 to K, at most 255 with the sources, and --size 1 to 65535")
    conditions = RunConditions()
    found = measure(k, r, size, args.count)
    finished = conditions.finish()
    print(f"{k} packets of {size} bytes, {r} repair symbols, {r} lost packets")
    for name, row in found.items():
        print(f"{name:22}{row['block_us']:>9.1f} us per block{row['mb_per_s']:>9.0f} MB/s{row['of_xor']:>7.2f} of XOR")
    for reason in finished["unfit"]:
        print(f"unfit: {reason}")
    write_json(args.json, {"schema": SCHEMA, "conditions": finished, "k": k, "r": r, "size": size, "rows": found})
    return 0


def measure(k: int, r: int, size: int, count: int) -> dict[str, dict[str, float]]:
    """By method: `block_us` (median), `mb_per_s` (bytes read over time) and its ratio to XOR parity's. Raises
    AssertionError where a method restores wrong bytes."""
    pick = random.Random(1)
    blocks = [[pick.randbytes(size) for _ in range(k)] for _ in range(_BLOCKS)]
    lost = sorted(pick.sample(range(k), r))
    methods = _methods(blocks, lost)
    times: dict[str, list[int]] = {name: [] for name in methods}
    for turn in range(count + _WARM_UP):
        for name, (prepare, work, _) in methods.items():
            prepare(turn % _BLOCKS)
            start = time.perf_counter_ns()
            work(turn % _BLOCKS)
            times[name].append(time.perf_counter_ns() - start)
    rows = {}
    for name, (_, _, sums) in methods.items():
        taken_ns = statistics.median(times[name][_WARM_UP:])
        rows[name] = {"block_us": taken_ns / 1e3, "mb_per_s": sums * k * size * 1e3 / taken_ns}
    xor = rows["XOR parity"]["mb_per_s"]
    return {name: row | {"of_xor": row["mb_per_s"] / xor} for name, row in rows.items()}


Method = tuple[Callable[[int], None], Callable[[int], Any], int]  # untimed preparation, timed work, reads of the block


def _methods(blocks: list[list[bytes]], lost: list[int]) -> dict[str, Method]:
    k, size, r = len(blocks[0]), len(blocks[0][0]), len(lost)
    encoder = RepairEncoder(max_sources=k, max_source=size)
    decoder = RepairDecoder(max_sources=k, max_source=size)
    target, joined = memoryview(bytearray(k * size)), [b"".join(block) for block in blocks]
    symbols = []
    for block in blocks:
        encoder.reset()
        encoder.add(*block)
        symbols.append([encoder.symbol(i) for i in range(1, r + 1)])

    def nothing(_: int) -> None: ...

    def copy(n: int) -> None:
        target[:] = joined[n]

    def load(n: int) -> None:
        encoder.reset()
        encoder.add(*blocks[n])

    def make(_: int) -> None:
        for i in range(1, r + 1):
            encoder.symbol(i)

    def push(n: int) -> None:
        decoder.begin(k)
        for j, source in enumerate(blocks[n]):
            if j not in lost:
                decoder.source(j, source)
        for i, symbol in enumerate(symbols[n], 1):
            decoder.symbol(i, symbol)

    def restore(n: int) -> None:
        for j in lost:
            assert decoder.restore(j) == blocks[n][j]

    def load_and_make(n: int) -> None:
        load(n)
        make(n)

    def push_and_restore(n: int) -> None:
        push(n)
        restore(n)

    return {
        "memcpy": (nothing, copy, 1),
        "XOR parity": (load, lambda _: encoder.symbol(0), 1),
        "encode": (load, make, r),
        "decode": (push, restore, r),
        "encode, add included": (nothing, load_and_make, r),
        "decode, push included": (nothing, push_and_restore, r),
        **_zfec(blocks, lost),
        **_isal(blocks, lost),
    }


def _zfec(blocks: list[list[bytes]], lost: list[int]) -> dict[str, Method]:
    try:
        zfec = import_module("zfec")
    except ImportError:
        return {}
    k, r = len(blocks[0]), len(lost)
    encoder, decoder = zfec.Encoder(k, k + r), zfec.Decoder(k, k + r)
    numbers = list(range(k, k + r))
    repairs = [encoder.encode(block, numbers) for block in blocks]
    # zfec needs each received source at its own index.
    order = list(range(k))
    for j, number in zip(lost, numbers, strict=True):
        order[j] = number
    held = [
        [block[n] if n < k else symbols[n - k] for n in order] for block, symbols in zip(blocks, repairs, strict=True)
    ]
    assert decoder.decode(held[0], order) == blocks[0]

    def nothing(_: int) -> None: ...

    return {
        "zfec encode": (nothing, lambda n: encoder.encode(blocks[n], numbers), r),
        "zfec decode": (nothing, lambda n: decoder.decode(held[n], order), r),
    }


def _isal(blocks: list[list[bytes]], lost: list[int]) -> dict[str, Method]:
    k, r, size = len(blocks[0]), len(lost), len(blocks[0][0])
    try:
        code = IsaL(k, r, size)
    except OSError:
        return {}
    sources = [[ctypes.create_string_buffer(source, size) for source in block] for block in blocks]
    symbols = [[ctypes.create_string_buffer(size) for _ in range(r)] for _ in blocks]
    restored = [ctypes.create_string_buffer(size) for _ in range(r)]
    order = [j for j in range(k) if j not in lost] + list(range(k, k + r))
    given = [code.pointers(block) for block in sources]
    made = [code.pointers(block) for block in symbols]
    held = [
        code.pointers([(block + repairs)[number] for number in order])
        for block, repairs in zip(sources, symbols, strict=True)
    ]
    out = code.pointers(restored)
    for n in range(len(blocks)):
        code.encode(given[n], made[n])
        code.decode(order, lost, held[n], out)
        assert [block.raw for block in restored] == [blocks[n][j] for j in lost]

    def nothing(_: int) -> None: ...

    return {
        "ISA-L encode": (nothing, lambda n: code.encode(given[n], made[n]), r),
        "ISA-L decode": (nothing, lambda n: code.decode(order, lost, held[n], out), r),
    }
