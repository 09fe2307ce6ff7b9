"""Instructions of each hot piece, counted by callgrind: the same on a busy machine as on a quiet one.

A piece is done `n` times and twice as often; the difference over n is what one costs, so that the interpreter's start
falls out. `python -m thinair.bench.suite.instructions` prints them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from thinair.bench.suite.pieces import PIECES
from thinair.link.child_process import python_module
from thinair.link.errors import DeviceError

_COUNTS = {"convert": 2, "paint": 2, "clock": 40}
_USUAL = 20
_PATIENCE_S = 300
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


def count(names: Iterable[str] | None = None) -> dict[str, int]:
    """Instructions of one call of each piece. Raises DeviceError where valgrind is missing or fails."""
    if shutil.which("valgrind") is None:
        raise DeviceError("valgrind is not installed: apt-get install valgrind, or make bench-setup")
    wanted = [piece.name for piece in PIECES] if names is None else list(names)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(wanted, pool.map(_one, wanted), strict=True))


def _one(name: str) -> int:
    n = _COUNTS.get(name, _USUAL)
    return (_run(name, 2 * n) - _run(name, n)) // n


def _run(name: str, times: int) -> int:
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    argv += python_module("thinair.bench.suite.pieces", name, str(times))
    # What depends on the machine or the moment is held still: hashes, and the vectors that libcrypto finds.
    env = {**os.environ, "PYTHONHASHSEED": "0", "OPENSSL_ia32cap": "~0x0:~0x21c0002c", "PYTHONMALLOC": "pymalloc"}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # the build that this process uses
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=_PATIENCE_S, check=False)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise DeviceError(f"{name} failed under valgrind: {done.stderr.strip()[-300:]}")
    return int(found[1])


def main() -> None:
    for name, instructions in count().items():
        print(f"{name:12}{instructions:>14,}")


if __name__ == "__main__":
    main()
