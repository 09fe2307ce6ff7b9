"""Random bits of the system."""

import os


def random_bits(count: int) -> int:
    """`count` of 64 at most. `secrets` has the same, and loads for ten million instructions what else it has."""
    return int.from_bytes(os.urandom(8), "big") >> (64 - count)
