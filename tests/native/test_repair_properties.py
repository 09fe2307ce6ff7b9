"""What repair symbols promise: any k symbols of a block are the block, and forged ones do no harm beyond it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.link.native import RepairDecoder, RepairEncoder

pytestmark = pytest.mark.quick

MOST = 40
blocks = st.lists(st.binary(max_size=50) | st.just(b"\0" * 50), min_size=1, max_size=MOST)
orders = st.randoms(use_true_random=False)


@given(blocks, orders, st.integers(0, MOST))
def test_any_k_symbols_in_any_order_with_doubles_restore_every_source(
    sources: list[bytes], pick: Random, losses: int
) -> None:
    k = len(sources)
    encoder, decoder = RepairEncoder(max_sources=MOST, max_source=50), RepairDecoder(max_sources=MOST, max_source=50)
    encoder.add(*sources)
    decoder.begin(k)
    lost = pick.sample(range(k), min(k, losses))
    arrivals = [(decoder.source, j, data) for j, data in enumerate(sources) if j not in lost]
    arrivals += [(decoder.symbol, i, encoder.symbol(i)) for i in pick.sample(range(255 - k), len(lost))]
    pick.shuffle(arrivals)
    for n, arrival in enumerate(arrivals):
        for take, index, data in (arrival, pick.choice(arrivals[: n + 1])):
            assert lost == [] or decoder.wanted == 0 or decoder.restore(lost[0]) is None
            take(index, data)
    assert decoder.wanted == 0
    assert {j: decoder.restore(j) for j in lost} == {j: sources[j] for j in lost}


@given(
    st.integers(1, MOST),
    st.lists(st.tuples(st.booleans(), st.integers(0, 254), st.binary(max_size=60)), max_size=60),
    blocks,
)
def test_forged_symbols_are_refused_or_taken_and_the_next_block_is_whole(
    k: int, steps: list[tuple[bool, int, bytes]], sources: list[bytes]
) -> None:
    encoder, decoder = RepairEncoder(max_sources=MOST, max_source=50), RepairDecoder(max_sources=MOST, max_source=50)
    decoder.begin(k)
    for source, index, data in steps:
        wanted = decoder.wanted
        try:
            taken = (decoder.source if source else decoder.symbol)(index, data)
        except ValueError:
            taken = False
        assert decoder.wanted == wanted - taken
    for j in range(k):
        try:
            found = decoder.restore(j)
        except ValueError:  # held, or not of one block
            continue
        assert (found is None) == (decoder.wanted > 0)
        assert found is None or len(found) <= 50
    encoder.add(*sources)
    decoder.begin(len(sources))
    for i in range(len(sources)):
        assert decoder.symbol(i, encoder.symbol(i))
    assert [decoder.restore(j) for j in range(len(sources))] == sources
