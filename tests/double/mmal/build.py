"""Builds and loads the double of libmmal, so that a test can open the MMAL encoder where there is none."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = {"libvcsm.so": ["vcsm.c"], "libmmal.so": ["double.c", "pcm.c"]}


def build_double(directory: Path) -> None:
    """Compiles the two libraries into `directory`: a program with this $LD_LIBRARY_PATH has the encoder."""
    for name, sources in LIBRARIES.items():
        options = [
            "-shared",
            "-fPIC",
            "-O2",
            "-std=gnu11",
            "-D_GNU_SOURCE",
            "-fvisibility=hidden",
            f"-Wl,-soname,{name}",
        ]
        files = [str(HERE / source) for source in sources]
        subprocess.run(["cc", *options, "-o", str(directory / name), *files, "-lpthread", "-ldl"], check=True)


def load_double(directory: Path) -> ctypes.CDLL:
    """Builds both and loads them into this process: the encoder's dlopen then finds them by their names. They stay.
    Returns libmmal; its faults are told by $MMAL_DOUBLE (README.md)."""
    build_double(directory)
    for name in LIBRARIES:
        loaded = ctypes.CDLL(str(directory / name))
    return loaded
