"""How a process of this program starts another: the one place that names the interpreter."""

from __future__ import annotations

import sys


def python_module(name: str, *words: str) -> list[str]:
    """argv that runs this module with this interpreter. `-P`: nothing is imported from the current folder."""
    return [sys.executable, "-P", "-m", name, *words]


def python_code(code: str) -> list[str]:
    """argv that runs these statements, likewise."""
    return [sys.executable, "-P", "-c", code]
