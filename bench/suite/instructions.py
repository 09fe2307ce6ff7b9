"""Instructions of each hot piece, counted by callgrind: the same on a busy machine as on a quiet one.

Each piece runs n and 2n times; the difference divided by n is the cost of one call, without the start of the
interpreter. `python -m thinair.bench.suite.instructions` prints the counts."""

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
_VALGRIND_TIMEOUT_S = 300
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


def count(names: Iterable[str] | None = None) -> dict[str, int]:
    """Instructions of one call of each piece. Raises DeviceError where valgrind is missing or fails."""
    if shutil.which("valgrind") is None:
        raise DeviceError("valgrind is not installed: run make bench-setup, or apt-get install valgrind")
    wanted = [piece.name for piece in PIECES] if names is None else list(names)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(wanted, pool.map(_one, wanted), strict=True))


def _one(name: str) -> int:
    n = _COUNTS.get(name, _USUAL)
    return (_run(name, 2 * n) - _run(name, n)) // n


def _run(name: str, times: int) -> int:
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    argv += python_module("thinair.bench.suite.pieces", name, str(times))
    # Fixed, because they would change the count: hash seeds, and the vector instructions that libcrypto uses.
    env = {**os.environ, "PYTHONHASHSEED": "0", "OPENSSL_ia32cap": "~0x0:~0x21c0002c", "PYTHONMALLOC": "pymalloc"}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # the build that this process uses
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=_VALGRIND_TIMEOUT_S, check=False)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise DeviceError(f"{name} failed under valgrind: {done.stderr.strip()[-300:]}")
    return int(found[1])


def main() -> None:
    for name, instructions in count().items():
        print(f"{name:12}{instructions:>14,}")


if __name__ == "__main__":
    main()
