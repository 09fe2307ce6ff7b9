"""`thinair service`: arguments of its actions; thinair/sender/systemd does the work."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from thinair.link.child_process import python_module
from thinair.link.errors import Exit
from thinair.link.options import load
from thinair.sender.board.doctor import Board
from thinair.sender.config import SenderConfig
from thinair.sender.systemd import install

_CONFIG = Path("/etc/thinair/sender.toml")


def add_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    if action == "install":
        parser.add_argument(
            "--program",
            default=_program(),
            metavar="COMMAND",
            help="command that the units start (default this thinair)",
        )
        parser.add_argument(
            "--root",
            type=Path,
            default=Path("/"),
            metavar="FOLDER",
            help="folder for the files, without systemctl (default /)",
        )
    elif action == "edid":
        parser.add_argument(
            "--config",
            type=Path,
            default=_CONFIG,
            metavar="FILE",
            help=f"configuration of the sender (default {_CONFIG})",
        )
    elif action == "prepare":
        parser.add_argument(
            "--user", default=install.USER, metavar="USER", help=f"owner of the status LED (default {install.USER})"
        )


def run(action: str, arguments: argparse.Namespace) -> int:
    """Raises LinkError."""
    if action == "install":
        live = arguments.root == Path("/")
        for path in install.install(arguments.root, arguments.program, live):
            print(path)
        if live:
            print(
                "next: sudo systemctl start thinair; then sudo thinair pairings code here, and thinair pair where the "
                "player runs"
            )
    elif action == "edid":
        config = load(SenderConfig, arguments)
        print(install.offer_edid(config.source, config.edid))
    elif action == "prepare":
        for line in install.prepare(arguments.user, Board()):
            print(line)
        print(install.write_pairing(arguments.user, python_module("thinair")))
    else:
        install.release()
    return int(Exit.OK)


def _program() -> str:
    return shutil.which(sys.argv[0]) or shlex.join(python_module("thinair"))
