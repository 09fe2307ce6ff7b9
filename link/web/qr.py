"""QR codes (ISO/IEC 18004) of short upper-case texts: versions 1 to 4, error correction M, alphanumeric mode. What
shows them on a Pi has the standard library alone."""

from __future__ import annotations

from itertools import pairwise

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_DATA = (16, 28, 44, 64)  # codewords of versions 1 to 4, and below: of error correction in each block, blocks (table 9)
_CHECK, _BLOCKS = (10, 16, 26, 18), (1, 1, 1, 2)
_QUIET = 4  # modules of white around (section 9.1)
_DARK_RUN = (1, 0, 1, 1, 1, 0, 1)  # like a finder pattern

Matrix = list[list[bool]]  # rows; True is dark


def encode(text: str) -> Matrix:
    """The modules, without the quiet zone. Raises ValueError for what does not fit: 90 characters of _LETTERS."""
    if not set(text) <= set(_LETTERS):
        raise ValueError("only digits, upper-case letters and $%*+-./: and space")
    need = 4 + 9 + 11 * (len(text) // 2) + 6 * (len(text) % 2)
    version = next((v for v, data in enumerate(_DATA, 1) if need <= 8 * data), None)
    if version is None:
        raise ValueError(f"{len(text)} characters are too many")
    words = _codewords(_bits(text, _DATA[version - 1]), version)
    best = min((_drawn(words, version, mask) for mask in range(8)), key=_penalty)
    return best


def svg(matrix: Matrix) -> str:
    """An image of any size."""
    size = len(matrix) + 2 * _QUIET
    dark = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z" for y, row in enumerate(matrix) for x, module in enumerate(row) if module
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{dark}" fill="#000"/></svg>\n'
    )


def lines(matrix: Matrix) -> list[str]:
    """For a terminal, dark on light whatever its colours are."""
    return [f"\x1b[97;40m{line}\x1b[0m" for line in plain(matrix)]


def plain(matrix: Matrix) -> list[str]:
    """Two modules in a character; light ones are drawn, for light text on dark ground."""
    width = len(matrix) + 2 * _QUIET
    blank = [False] * width
    rows = [blank] * _QUIET + [[False] * _QUIET + row + [False] * _QUIET for row in matrix] + [blank] * _QUIET
    rows += [blank] * (len(rows) % 2)
    shapes = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(shapes[two] for two in zip(*pair, strict=True)) for pair in pairs]


# ---- bytes (7.4, 7.5)


def _bits(text: str, size: int) -> bytes:
    bits = f"{0b0010:04b}{len(text):09b}"
    for at in range(0, len(text), 2):
        part = text[at : at + 2]
        value = _LETTERS.index(part[0])
        bits += f"{45 * value + _LETTERS.index(part[1]):011b}" if len(part) == 2 else f"{value:06b}"
    bits += "0" * min(4, 8 * size - len(bits))
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return (data + b"\xec\x11" * size)[:size]


def _times(a: int, b: int) -> int:
    out = 0
    while b:
        out ^= a if b & 1 else 0
        a, b = a << 1 ^ (0x11D if a & 0x80 else 0), b >> 1
    return out


def _check(data: bytes, size: int) -> bytes:
    """Reed-Solomon over GF(256) (7.5.2)."""
    generator, root = [1], 1
    for _ in range(size):
        shifted = [*generator, 0]
        generator = [a ^ _times(b, root) for a, b in zip(shifted, [0, *generator], strict=True)]
        root = _times(root, 2)
    rest = [0] * size
    for byte in data:
        factor = byte ^ rest.pop(0)
        rest = [a ^ _times(factor, b) for a, b in zip([*rest, 0], generator[1:], strict=True)]
    return bytes(rest)


def _codewords(data: bytes, version: int) -> bytes:
    blocks = _BLOCKS[version - 1]
    size = len(data) // blocks
    parts = [data[at * size : (at + 1) * size] for at in range(blocks)]
    checks = [_check(part, _CHECK[version - 1]) for part in parts]
    return bytes(part[at] for group in (parts, checks) for at in range(len(group[0])) for part in group)


# ---- modules (7.3, 7.7, 7.8)


def _drawn(words: bytes, version: int, mask: int) -> Matrix:
    size = 17 + 4 * version
    fixed: dict[tuple[int, int], bool] = {}  # (row, column)
    for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):  # finders with their separators
        for dy in range(-4, 5):
            for dx in range(-4, 5):
                if 0 <= row + dy < size and 0 <= column + dx < size:
                    fixed[row + dy, column + dx] = max(abs(dy), abs(dx)) not in {2, 4}
    if version > 1:
        centre = size - 7
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                fixed[centre + dy, centre + dx] = max(abs(dy), abs(dx)) != 1
    for at in range(8, size - 8):
        fixed[6, at] = fixed[at, 6] = at % 2 == 0
    _draw_format(fixed, size, mask)
    out = [[fixed.get((row, column), False) for column in range(size)] for row in range(size)]
    bits = (word >> shift & 1 for word in words for shift in range(7, -1, -1))
    for row, column in _way(size):
        if (row, column) not in fixed:
            out[row][column] = bool(next(bits, 0)) ^ _masked(mask, row, column)
    return out


def _draw_format(fixed: dict[tuple[int, int], bool], size: int, mask: int) -> None:
    """7.9: level M is 00."""
    rest = mask << 10
    for shift in range(14, 9, -1):
        rest ^= 0x537 << (shift - 10) if rest >> shift & 1 else 0
    value = (mask << 10 | rest) ^ 0x5412
    first = [(8, at) for at in (0, 1, 2, 3, 4, 5, 7, 8)] + [(at, 8) for at in (7, 5, 4, 3, 2, 1, 0)]
    second = [(at, 8) for at in range(size - 1, size - 8, -1)] + [(8, at) for at in range(size - 8, size)]
    for places in (first, second):
        for shift, place in zip(range(14, -1, -1), places, strict=True):
            fixed[place] = bool(value >> shift & 1)
    fixed[size - 8, 8] = True


def _way(size: int) -> list[tuple[int, int]]:
    """Two columns at a time from the right, up and down in turn, around the timing column."""
    out, up = [], True
    for right in [*range(size - 1, 6, -2), *range(5, 0, -2)]:
        rows = range(size - 1, -1, -1) if up else range(size)
        out += [(row, column) for row in rows for column in (right, right - 1)]
        up = not up
    return out


def _masked(mask: int, i: int, j: int) -> bool:
    return (
        (i + j) % 2, i % 2, j % 3, (i + j) % 3, (i // 2 + j // 3) % 2, i * j % 2 + i * j % 3,
        (i * j % 2 + i * j % 3) % 2, ((i + j) % 2 + i * j % 3) % 2,
    )[mask] == 0  # fmt: skip


def _penalty(matrix: Matrix) -> int:
    """7.8.3: runs, squares, what looks like a finder, too many of a kind."""
    size, total = len(matrix), 0
    columns = [list(column) for column in zip(*matrix, strict=True)]
    for line in (*matrix, *columns):
        run, before = 0, None
        for module in [*line, None]:
            if module == before:
                run += 1
                continue
            total += run - 2 if run >= 5 else 0
            run, before = 1, module
        for at in range(size - 10):
            part = tuple(int(module) for module in line[at : at + 11])
            total += 40 * (part in {(*_DARK_RUN, 0, 0, 0, 0), (0, 0, 0, 0, *_DARK_RUN)})
    for upper, lower in pairwise(matrix):
        total += 3 * sum(len({*two, *other}) == 1 for two, other in zip(pairwise(upper), pairwise(lower), strict=True))
    dark = sum(map(sum, matrix))
    return total + 10 * (abs(20 * dark - 10 * size * size) // (size * size))
