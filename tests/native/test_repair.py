"""Repair symbols of the C core against the slow ones of tests/oracle."""

from __future__ import annotations

import random

import pytest

from tests.oracle import repair
from thinair.link.native import BitstreamError, RepairDecoder, RepairEncoder

pytestmark = pytest.mark.quick
SHAPES = [  # sources, repair symbols: the corners, then a sample
    *((1, 1), (1, 254), (2, 1), (2, 253), (127, 128), (128, 127), (253, 2), (253, 1), (254, 1)),
    *((30, 6), (24, 6), (20, 4), (35, 17), (60, 30), (8, 4), (12, 200), (200, 55), (100, 10)),
]


def block(pick: random.Random, k: int, longest: int) -> list[bytes]:
    """Sources of different sizes, empty ones and equal ones too."""
    sizes = [pick.choice([longest, longest, pick.randint(0, longest)]) for _ in range(k)]
    return [pick.randbytes(size) for size in sizes]


def encoder_of(sources: list[bytes]) -> RepairEncoder:
    encoder = RepairEncoder(max_sources=len(sources), max_source=max(1, *map(len, sources)))
    encoder.add(*sources)
    return encoder


def restored(
    k: int, held: dict[int, bytes], symbols: dict[int, bytes], max_source: int, pick: random.Random
) -> list[bytes]:
    """The block, everything pushed in any order."""
    decoder = RepairDecoder(max_sources=k, max_source=max_source)
    decoder.begin(k)
    arrivals = [(decoder.source, j, data) for j, data in held.items()]
    arrivals += [(decoder.symbol, i, data) for i, data in symbols.items()]
    pick.shuffle(arrivals)
    for n, (take, index, data) in enumerate(arrivals):
        assert decoder.wanted == k - n
        assert take(index, data)
    return [held[j] if j in held else decoder.restore(j) or b"" for j in range(k)]


def test_every_factor_of_every_block_is_as_the_slow_matrix_has_it() -> None:
    """Source j is a one at place j, so repair symbol i is row i of the matrix: all k, all r."""
    encoder = RepairEncoder(max_sources=254, max_source=254)
    rows = [bytes(repair.factor(i, j) for j in range(255 - i)) for i in range(255)]
    for k in range(1, 255):
        encoder.reset()
        encoder.add(*(bytes(j) + b"\1" for j in range(k)))
        for i in range(255 - k):
            assert encoder.symbol(i)[2:] == rows[i][:k], (k, i)
        with pytest.raises(ValueError, match="repair symbol"):
            encoder.symbol(255 - k)


@pytest.mark.parametrize(("k", "r"), SHAPES)
def test_symbols_and_what_they_restore_are_as_the_slow_code_has_it(k: int, r: int) -> None:
    pick = random.Random(1000 * k + r)
    longest = pick.choice([1, 5, 31, 130])
    sources = block(pick, k, longest)
    encoder = encoder_of(sources)
    chosen = sorted({0, 1 % r, r - 1, *(pick.randrange(r) for _ in range(5))})
    for i in chosen:
        assert encoder.symbol(i) == repair.encode(sources, i), (k, i)
    lost = pick.sample(range(k), min(k, len(chosen)))
    held = {j: data for j, data in enumerate(sources) if j not in lost}
    symbols = {i: encoder.symbol(i) for i in pick.sample(chosen, len(lost))}
    assert repair.decode(k, held, symbols) == sources
    assert restored(k, held, symbols, max(1, *map(len, sources)), pick) == sources


@pytest.mark.parametrize(("k", "r"), SHAPES)
def test_as_many_losses_as_there_are_symbols_are_restored(k: int, r: int) -> None:
    pick = random.Random(k + 1000 * r)
    for longest in (3, 124, 125, 1472):  # with its size and lead, 124 fills a line
        sources = block(pick, k, longest)
        encoder = encoder_of(sources)
        lost = pick.sample(range(k), min(k, r))
        symbols = {i: encoder.symbol(i) for i in pick.sample(range(r), len(lost))}
        held = {j: data for j, data in enumerate(sources) if j not in lost}
        assert restored(k, held, symbols, longest, pick) == sources, longest


def test_blocks_of_every_size_come_back_from_as_few_sources_as_can_be() -> None:
    for k in range(1, 255):
        pick = random.Random(k)
        sources = block(pick, k, 12)
        encoder = encoder_of(sources)
        lost = pick.sample(range(k), min(k, 255 - k))
        symbols = {i: encoder.symbol(i) for i in pick.sample(range(255 - k), len(lost))}
        held = {j: data for j, data in enumerate(sources) if j not in lost}
        assert restored(k, held, symbols, 12, pick) == sources, k


def test_the_first_symbol_is_plain_parity() -> None:
    sources = [bytes([1, 2, 3]), bytes([7]), bytes([255, 0])]
    assert encoder_of(sources).symbol(0) == bytes([0, 3 ^ 1 ^ 2, 1 ^ 7 ^ 255, 2, 3])


def test_vectors_that_another_implementation_can_check_itself_against() -> None:
    sources = [b"thinair", b"", b"\xff\x00\x80", b"repair!"]
    assert {i: encoder_of(sources).symbol(i).hex() for i in (0, 1, 2, 250)} == {
        0: "0003f90d990f081b53",
        1: "0022add420140830f8",
        2: "006a0c39e09cf07947",
        250: "00f0a60e8d0c5d7100",
    }


def test_fresh_symbols_can_be_had_later_and_a_new_block_forgets_the_old() -> None:
    pick = random.Random(3)
    first, second = block(pick, 9, 40), block(pick, 4, 20)
    encoder = RepairEncoder(max_sources=9, max_source=40)
    encoder.add(*first)
    before = encoder.symbol(5)
    assert encoder.symbol(200) == repair.encode(first, 200)
    assert encoder.symbol(5) == before == repair.encode(first, 5)
    encoder.reset()
    with pytest.raises(ValueError, match="repair symbol"):
        encoder.symbol(0)
    for source in second:
        encoder.add(source)
    assert encoder.symbol(5) == repair.encode(second, 5)


def test_a_decoder_is_used_block_after_block() -> None:
    pick = random.Random(4)
    decoder = RepairDecoder(max_sources=12, max_source=200)
    for k, longest in ((12, 200), (5, 3), (1, 0), (12, 199)):
        sources = block(pick, k, longest)
        symbol = encoder_of(sources).symbol(k)
        decoder.begin(k)
        assert decoder.symbol(k, symbol)
        assert all(decoder.source(j, sources[j]) for j in range(1, k))
        assert decoder.restore(0) == sources[0]


def test_doubles_and_what_comes_after_enough_change_nothing() -> None:
    sources = [b"one", b"three", b"five!"]
    encoder = encoder_of(sources)
    decoder = RepairDecoder(max_sources=3)
    decoder.begin(3)
    assert decoder.source(1, sources[1])
    assert not decoder.source(1, b"other")
    assert decoder.symbol(4, encoder.symbol(4))
    assert not decoder.symbol(4, bytes(7))
    assert decoder.wanted == 1
    assert decoder.restore(0) is None
    assert decoder.symbol(0, encoder.symbol(0))
    assert not decoder.symbol(1, encoder.symbol(1))
    assert not decoder.source(0, b"late")
    assert [decoder.restore(2), decoder.restore(0)] == [b"five!", b"one"]
    with pytest.raises(ValueError, match="source"):
        decoder.restore(1)  # not missing


def test_sizes_that_no_block_has_are_refused() -> None:
    for wrong in ({"max_sources": 0}, {"max_sources": 255}, {"max_sources": -1}):
        with pytest.raises(ValueError, match="RepairEncoder"):
            RepairEncoder(**wrong)
    for max_source in (0, -1, 65536):
        with pytest.raises(ValueError, match="RepairDecoder"):
            RepairDecoder(max_sources=3, max_source=max_source)


def test_an_encoder_takes_all_sources_or_none() -> None:
    encoder = RepairEncoder(max_sources=3, max_source=4)
    encoder.add(b"a")
    for wrong in ((b"b", b"c", b"d"), (b"b", b"12345"), (b"",) * 255):
        with pytest.raises(BitstreamError, match="sources"):
            encoder.add(*wrong)
    with pytest.raises(TypeError):
        encoder.add(b"b", "text")  # type: ignore[arg-type] # wrong on purpose
    encoder.add(b"1234", b"")
    assert encoder.symbol(7) == repair.encode([b"a", b"1234", b""], 7)
    for index in (-1, 252, 1 << 70):
        with pytest.raises(ValueError, match=r"repair symbol|cannot fit"):
            encoder.symbol(index)


def test_a_decoder_refuses_what_cannot_be_of_its_block() -> None:
    decoder = RepairDecoder(max_sources=3, max_source=10)
    for call in (lambda: decoder.source(0, b""), lambda: decoder.symbol(0, b"12"), lambda: decoder.restore(0)):
        with pytest.raises(ValueError, match=r"source|symbol"):
            call()  # no block begun
    for wrong in (0, 4, -1):
        with pytest.raises(ValueError, match="block"):
            decoder.begin(wrong)
    decoder.begin(3)
    for index in (3, -1):
        with pytest.raises(ValueError, match="source"):
            decoder.source(index, b"")
    for index in (252, -1):
        with pytest.raises(ValueError, match="symbol"):
            decoder.symbol(index, bytes(12))
    for size in (0, 1, 13):
        with pytest.raises(BitstreamError, match="symbol"):
            decoder.symbol(0, bytes(size))
    with pytest.raises(BitstreamError, match="source"):
        decoder.source(0, bytes(11))
    assert decoder.source(0, bytes(5))
    with pytest.raises(BitstreamError, match="symbol"):
        decoder.symbol(0, bytes(6))  # shorter than a source with its size
    assert decoder.symbol(0, bytes(8))
    with pytest.raises(BitstreamError, match="symbol"):
        decoder.symbol(1, bytes(9))  # not as long as the other one
    with pytest.raises(BitstreamError, match="source"):
        decoder.source(1, bytes(7))
    assert decoder.wanted == 1


@pytest.mark.parametrize("spoilt", [0, 1, 2, -1])
def test_a_symbol_of_another_block_is_noticed_by_the_size_or_the_padding_it_yields(spoilt: int) -> None:
    sources = [b"longest one", b"short"]
    symbol = bytearray(encoder_of(sources).symbol(3))
    decoder = RepairDecoder(max_sources=2)
    decoder.begin(2)
    assert decoder.source(0, sources[0])
    symbol[spoilt] ^= 0x40
    assert decoder.symbol(3, symbol)
    if spoilt == 2:  # a byte of the data: nothing here can tell
        assert decoder.restore(1) != b"short"
    else:
        with pytest.raises(BitstreamError, match="source"):
            decoder.restore(1)
