"""ISA-L's erasure code (Debian's libisal2, isa-l/erasure_code.h) for `bench repair`, with its Cauchy matrix."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

_LIBRARY = "libisal.so.2"


class IsaL:
    """k sources, r symbols, `size` bytes each. Raises OSError where the library is not there."""

    def __init__(self, k: int, r: int, size: int) -> None:
        self._lib = ctypes.CDLL(_LIBRARY)
        self._k, self._r, self._size = k, r, size
        self._kept: list[ctypes.Array[ctypes.c_char]] = []  # what pointers point at
        self._matrix = (ctypes.c_uint8 * ((k + r) * k))()
        self._lib.gf_gen_cauchy1_matrix(self._matrix, k + r, k)
        rows = (ctypes.c_uint8 * (r * k)).from_buffer(self._matrix, k * k)
        self._encode_tables = self._tables(rows)

    def _tables(self, rows: ctypes.Array[ctypes.c_uint8]) -> ctypes.Array[ctypes.c_uint8]:
        tables = (ctypes.c_uint8 * (32 * self._k * self._r))()
        self._lib.ec_init_tables(self._k, self._r, rows, tables)
        return tables

    def pointers(self, blocks: Sequence[ctypes.Array[ctypes.c_char]]) -> ctypes.Array[ctypes.c_void_p]:
        self._kept += blocks
        return (ctypes.c_void_p * len(blocks))(*(ctypes.addressof(block) for block in blocks))

    def encode(self, sources: ctypes.Array[ctypes.c_void_p], out: ctypes.Array[ctypes.c_void_p]) -> None:
        self._lib.ec_encode_data(self._size, self._k, self._r, self._encode_tables, sources, out)

    def decode(
        self, order: Sequence[int], lost: Sequence[int], held: ctypes.Array[ctypes.c_void_p],
        out: ctypes.Array[ctypes.c_void_p],
    ) -> None:  # fmt: skip
        """`held`: k of the sources and symbols, whose numbers are in `order`. The matrix is inverted each time, as
        after a loss."""
        k = self._k
        some, inverse = (ctypes.c_uint8 * (k * k))(), (ctypes.c_uint8 * (k * k))()
        for row, number in enumerate(order):
            ctypes.memmove(ctypes.addressof(some) + row * k, ctypes.addressof(self._matrix) + number * k, k)
        if self._lib.gf_invert_matrix(some, inverse, k):
            raise ValueError("no inverse")
        rows = (ctypes.c_uint8 * (self._r * k))()
        for row, number in enumerate(lost):
            ctypes.memmove(ctypes.addressof(rows) + row * k, ctypes.addressof(inverse) + number * k, k)
        self._lib.ec_encode_data(self._size, k, len(lost), self._tables(rows), held, out)
