"""Options that several benches share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_mode(parser: argparse.ArgumentParser, default: str = "1920x1080@25") -> None:
    parser.add_argument(
        "--mode", default=default, metavar="WIDTHxHEIGHT@RATE", help=f"video mode; default {default}"
    )  # fmt: skip


def add_bitrate(parser: argparse.ArgumentParser, default: str = "8M") -> None:
    parser.add_argument("--bitrate", default=default, metavar="BPS", help=f"sender's bitrate; default {default}")


def add_json(parser: argparse.ArgumentParser, what: str = "the table as JSON") -> None:
    parser.add_argument("--json", type=Path, metavar="FILE.json", help=f"output: {what}")


def add_baselines(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """`--baselines`, and its old name."""
    parser.add_argument(
        "--baselines", default="all", metavar="all|none|NAME,NAME",
        help=f"programs measured beside thinair: {', '.join(names)}; default all",
    )  # fmt: skip
    parser.add_argument("--peers", dest="baselines", action=_OldName, new="--baselines", help=argparse.SUPPRESS)


class _OldName(argparse.Action):
    """An option under its old name, for one release."""

    def __init__(self, *args: Any, new: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._new, self.default = new, argparse.SUPPRESS

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        print(f"{parser.prog}: {option} is now {self._new}", file=sys.stderr)
        setattr(namespace, self.dest, values)
