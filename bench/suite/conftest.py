"""What every benchmark records beside its times: percentiles, throughput, allocations, instructions where counted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from thinair.bench.analysis.summary import COLUMNS, intervals
from thinair.bench.harness.processes import realtime
from thinair.bench.suite import instructions

_CALLS = 20  # over which allocations are counted


@pytest.fixture(scope="session", autouse=True)
def _first_in_line() -> None:
    realtime()


@pytest.fixture
def counted() -> Callable[[str], int]:
    """Counts the instructions of a piece."""
    return lambda name: instructions.count([name])[name]


@pytest.fixture
def measure(benchmark: Any) -> Callable[..., None]:
    """measure(act, size_bytes, rounds=400): times `act`, and records what docs/measuring.md says."""

    def run(act: Callable[[], object], size_bytes: int = 0, rounds: int = 400) -> None:
        kept, peak, blocks = allocations(act)
        benchmark.pedantic(act, rounds=rounds, iterations=1, warmup_rounds=20)
        figures = intervals([value * 1e6 for value in benchmark.stats.stats.data])
        info: dict[str, float | None] = {f"{name}_us": figures[name] for name in COLUMNS[:3]}
        info |= {"allocated_peak_bytes": peak, "kept_bytes": kept, "kept_blocks": blocks}
        if size_bytes and figures["p50"]:
            info["mb_per_s"] = round(size_bytes / figures["p50"], 1)
        benchmark.extra_info.update(info)

    return run


def allocations(act: Callable[[], object]) -> tuple[int, int, int]:
    """(bytes kept per call, most bytes held within a call, blocks kept per call) of Python's allocator. The C side
    allocates nothing after it has opened, which its tests check."""
    act()
    tracemalloc.start()
    try:
        act()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        taken = tracemalloc.take_snapshot()
        for _ in range(_CALLS):
            act()
        after, peak = tracemalloc.get_traced_memory()
        blocks = sum(one.count_diff for one in tracemalloc.take_snapshot().compare_to(taken, "filename"))
    finally:
        tracemalloc.stop()
    return max(0, after - before) // _CALLS, max(0, peak - before), max(0, blocks) // _CALLS
