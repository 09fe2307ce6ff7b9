"""Repair symbols the slow way, to compare the C core with: products of polynomials, a generator matrix, and Gaussian
elimination (I. S. Reed, G. Solomon 1960; the Cauchy matrix after J. Blömer et al., TR-95-048)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

POLYNOMIAL = 0x11D  # x^8 + x^4 + x^3 + x^2 + 1
SIZE = 2  # bytes of a symbol that hold its source's size


def _product(a: int, b: int) -> int:
    result = 0
    for bit in range(8):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(14, 7, -1):
        if result >> bit & 1:
            result ^= POLYNOMIAL << (bit - 8)
    return result


TIMES = [bytes(_product(a, b) for b in range(256)) for a in range(256)]  # TIMES[a][b] = a * b
INVERSE = [0, *(row.index(1) for row in TIMES[1:])]


def factor(repair: int, source: int) -> int:
    """What repair symbol `repair` has of a source: 1 / (x + y) for points x = 255 - repair and y = source, times the
    inverse of repair symbol 0's."""
    return TIMES[INVERSE[(255 - repair) ^ source]][INVERSE[INVERSE[255 ^ source]]]


def add_multiple(total: bytearray, times: int, line: bytes) -> None:
    """total += times * line, byte by byte."""
    for i, value in enumerate(line.translate(TIMES[times])):
        total[i] ^= value


def lines(sources: Sequence[bytes]) -> list[bytes]:
    longest = max(map(len, sources))
    return [len(source).to_bytes(SIZE, "big") + source.ljust(longest, b"\0") for source in sources]


def encode(sources: Sequence[bytes], repair: int) -> bytes:
    padded = lines(sources)
    total = bytearray(len(padded[0]))
    for j, line in enumerate(padded):
        add_multiple(total, factor(repair, j), line)
    return bytes(total)


def decode(k: int, sources: Mapping[int, bytes], repairs: Mapping[int, bytes]) -> list[bytes]:
    """All k sources from as many symbols. Raises ValueError where they do not determine them."""
    width = len(next(iter(repairs.values()))) if repairs else SIZE + max(map(len, sources.values()))
    missing = [j for j in range(k) if j not in sources]
    known = {j: len(s).to_bytes(SIZE, "big") + s.ljust(width - SIZE, b"\0") for j, s in sources.items()}
    rows = []  # of the linear system: factors of the missing sources, then the right-hand side
    for i, symbol in list(repairs.items())[: len(missing)]:
        right = bytearray(symbol)
        for j, line in known.items():
            add_multiple(right, factor(i, j), line)
        rows.append(bytearray(factor(i, j) for j in missing) + right)
    for column in range(len(missing)):
        pivot = next((n for n in range(column, len(rows)) if rows[n][column]), None)
        if pivot is None:
            raise ValueError("too few symbols, or a matrix without an inverse")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = bytearray(rows[column].translate(TIMES[INVERSE[rows[column][column]]]))
        for n, row in enumerate(rows):
            if n != column and row[column]:
                add_multiple(row, row[column], bytes(rows[column]))
    restored = {j: bytes(rows[n][len(missing) :]) for n, j in enumerate(missing)}
    whole = [(known | restored)[j] for j in range(k)]
    return [line[SIZE : SIZE + int.from_bytes(line[:SIZE], "big")] for line in whole]
