"""`thinair service`: the words of its actions; what they do is the sender's."""

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


def add_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    if action == "install":
        parser.add_argument(
            "--program", default=_program(), metavar="COMMAND", help="what the units start; default this thinair"
        )
        parser.add_argument(
            "--root", type=Path, default=Path("/"), help="write below this directory, and tell no systemd"
        )
    elif action == "edid":
        parser.add_argument("--config", type=Path, default=Path("/etc/thinair/sender.toml"), metavar="FILE")
    elif action == "prepare":
        parser.add_argument("--user", default=install.USER, help=f"whose light it will be; default {install.USER}")


def run(action: str, arguments: argparse.Namespace) -> int:
    """Raises LinkError."""
    if action == "install":
        live = arguments.root == Path("/")
        for path in install.install(arguments.root, arguments.program, live):
            print(path)
        if live:
            print(
                "now: sudo systemctl start thinair; its code: sudo thinair pairings code; on the receiver: thinair pair"
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
