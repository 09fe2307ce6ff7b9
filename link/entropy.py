"""Random bits of the system."""

import os


def random_bits(count: int) -> int:
    """`secrets` has the same, and loads for ten million instructions what else it has."""
    size = -(-count // 8)
    return int.from_bytes(os.urandom(size), "big") >> (8 * size - count)
