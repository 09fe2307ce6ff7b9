"""`thinair edid`: shows, checks, fixes, builds and explains EDIDs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thinair.edid.build import DEFAULT_NAME, PRESETS, build, mode, preset
from thinair.edid.check import check
from thinair.edid.errors import EdidError, ModeError
from thinair.edid.fix import fix
from thinair.edid.parse import parse
from thinair.edid.show import explain, show
from thinair.edid.text import MAX_FILE_BYTES, read, to_hex
from thinair.link.errors import ConfigError, Exit, FileError
from thinair.link.files import writing
from thinair.link.video_mode import Mode

_FILE_HELP = "EDID: binary, hex text of v4l2-ctl, or output of xxd; - is standard input"


def add_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    if action != "build":
        parser.add_argument("file", metavar="FILE", help=_FILE_HELP)
    else:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--modes", metavar="MODE,...", help="modes, the preferred one first, such as 1280x720@60,1920x1080@30"
        )
        ready = "prepared list of modes (default low-latency)"
        what.add_argument("--preset", choices=PRESETS, default="low-latency", help=ready)
        parser.add_argument(
            "--name",
            default=DEFAULT_NAME,
            metavar="NAME",
            help=f"display name, which the camera may show (default {DEFAULT_NAME})",
        )
    if action in {"build", "fix"}:
        parser.add_argument("--output", metavar="FILE", type=Path, help="file for the result (default standard output)")
        parser.add_argument("--binary", action="store_true", help="binary blocks of 128 bytes instead of hex text")


def run(action: str, arguments: argparse.Namespace) -> int:
    """Raises ConfigError, FileError."""
    if action == "build":
        _write(_build(arguments), arguments)
        return int(Exit.OK)
    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        data = read(_content(arguments.file))
        parsed = parse(data)
        if action == "show":
            print(show(parsed))
        elif action == "explain":
            print(explain(parsed))
        elif action == "fix":
            fixed, changes = fix(data)
            for line in changes or ["no fault found: nothing changed"]:
                print(line, file=sys.stderr)
            _write(fixed, arguments)
        else:
            faults = check(data)
            print("\n".join(faults) if faults else "no fault found")
            return int(Exit.FAULTS if faults else Exit.OK)
    except EdidError as error:
        raise FileError(f"{name}: {error}") from error
    return int(Exit.OK)


def _build(arguments: argparse.Namespace) -> bytes:
    try:
        if arguments.modes is None:
            return preset(arguments.preset, arguments.name)
        wanted = [Mode.parse(text.strip()) for text in arguments.modes.split(",")]
        return build([mode(item.width, item.height, item.rate) for item in wanted], arguments.name)
    except ModeError as error:
        raise ConfigError(str(error)) from error


def _content(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        with Path(file).open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror or error}") from error


def _write(data: bytes, arguments: argparse.Namespace) -> None:
    content = data if arguments.binary else to_hex(data).encode()
    if arguments.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with writing(arguments.output):
        arguments.output.write_bytes(content)
