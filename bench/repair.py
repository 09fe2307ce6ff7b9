"""`thinair bench repair`: what repair symbols cost, beside memcpy and plain XOR parity in the same run.

One thread; the ways take turns block by block. Speed is bytes read over time: r symbols of k sources at 1 GB/s take
r * k * size nanoseconds. XOR parity is the code's own symbol 0. zfec and ISA-L get the same blocks where they are
installed (make bench-setup).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from thinair.bench.suite.isal import IsaL
from thinair.link.errors import ConfigError, FileError
from thinair.link.native import RepairDecoder, RepairEncoder
from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

SCHEMA = "thinair.bench-repair/1"
_BLOCKS = 8  # different ones, in turn: the first-level cache holds one
_WARM_UP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", type=int, default=30, metavar="K", help="of a block; default 30")
    parser.add_argument("--symbols", type=int, default=6, metavar="R", help="repair symbols, and losses; default 6")
    parser.add_argument("--size", type=int, default=1200, help="bytes of a source; default 1200")
    parser.add_argument("--count", type=int, default=2000, help="blocks; default 2000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError, FileError."""
    k, r, size = args.sources, args.symbols, args.size
    if not (1 <= k <= 254 and 2 <= r <= 255 - k and r <= k and 1 <= size <= 65535 and args.count >= 1):
        raise ConfigError("--sources and --symbols: 2 to K symbols, 255 with the sources; --size: 1 to 65535")
    watch = ConditionsWatch()
    watch.start()
    found = measure(k, r, size, args.count)
    conditions: dict[str, Any] = {**collect(), **watch.stop()}
    print(f"{k} sources of {size} bytes, {r} repair symbols, {r} losses")
    for name, row in found.items():
        print(f"{name:22}{row['block_us']:>9.1f} us a block{row['mb_per_s']:>9.0f} MB/s{row['of_xor']:>7.2f} of XOR")
    for reason in conditions["unfit"]:
        print(f"unfit: {reason}")
    if args.json:
        content = {"schema": SCHEMA, "conditions": conditions, "k": k, "r": r, "size": size, "rows": found}
        try:
            args.json.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"cannot write {args.json}: {error.strerror or error}") from error
    return 0


def measure(k: int, r: int, size: int, count: int) -> dict[str, dict[str, float]]:
    """By way: `block_us` (median), `mb_per_s` (bytes read by sums over time) and its ratio to XOR parity's. Raises
    AssertionError where a way restores something else."""
    pick = random.Random(1)
    blocks = [[pick.randbytes(size) for _ in range(k)] for _ in range(_BLOCKS)]
    lost = sorted(pick.sample(range(k), r))
    ways = _ways(blocks, lost)
    times: dict[str, list[int]] = {name: [] for name in ways}
    for turn in range(count + _WARM_UP):
        for name, (prepare, work, _) in ways.items():
            prepare(turn % _BLOCKS)
            start = time.perf_counter_ns()
            work(turn % _BLOCKS)
            times[name].append(time.perf_counter_ns() - start)
    rows = {}
    for name, (_, _, sums) in ways.items():
        taken_ns = statistics.median(times[name][_WARM_UP:])
        rows[name] = {"block_us": taken_ns / 1e3, "mb_per_s": sums * k * size * 1e3 / taken_ns}
    xor = rows["XOR parity"]["mb_per_s"]
    return {name: row | {"of_xor": row["mb_per_s"] / xor} for name, row in rows.items()}


Way = tuple[Callable[[int], None], Callable[[int], Any], int]  # before the clock, what is timed, sums over a block


def _ways(blocks: list[list[bytes]], lost: list[int]) -> dict[str, Way]:
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


def _zfec(blocks: list[list[bytes]], lost: list[int]) -> dict[str, Way]:
    try:
        zfec = import_module("zfec")
    except ImportError:
        return {}
    k, r = len(blocks[0]), len(lost)
    encoder, decoder = zfec.Encoder(k, k + r), zfec.Decoder(k, k + r)
    numbers = list(range(k, k + r))
    repairs = [encoder.encode(block, numbers) for block in blocks]
    # zfec wants a source that came at its own place.
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


def _isal(blocks: list[list[bytes]], lost: list[int]) -> dict[str, Way]:
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
