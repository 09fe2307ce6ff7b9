"""`thinair bench armv6`: instructions of a frame and of the start on the Pi Zero W's processor.

qemu-arm emulates an ARM1176, and a plugin (count.c) counts, without the kernel's part of system calls. The count is the
measurement. The share of the core is an estimate: caches are not emulated, and such code was measured at 0.7
instructions per cycle of 1 GHz. Fails above its ceilings."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from thinair.bench.analysis.run_files import write_json
from thinair.link.errors import ConfigError, DeviceError, Exit
from thinair.link.security.pairing_store import introduce

SCHEMA = "thinair.bench.armv6/1"
INSTRUCTIONS_PER_S = 0.7e9  # 1 GHz at 0.7 per cycle
FRAME_BYTES, RATE = 33_333, 30  # 1080p30 at 8 Mbit/s
FRAME_CEILING = 150_000
REPAIR_CEILING = 1_300_000  # with a quarter as many repair symbols as packets
SEALED_CEILING = 2_500_000  # the same, sealed
SEAL_CEILING = 36_000  # one packet of 1200 bytes
START_CEILING = 465_000_000

_HERE = Path(__file__).resolve().parent  # thinair/bench is a link in the source tree
_ROOT = _HERE.parents[1]
_BUILD = _ROOT / "build" / "armv6"
_PYTHON = _ROOT / "tools" / "armv6" / "python"
_SENDTO = 290  # EABI number of the system call that the first packet leaves by
_IMPORTS = (
    "import os, thinair.cli, thinair.sender.service, thinair.sender.hdmi.port, thinair.sender.pipeline.hardware; "
    "os._exit(0)"
)
_EMPTY, _SCAN, _PACKETIZE, _PUSH, _REPAIR, _SEALED, _SEAL = range(7)  # regions of frame.c


@dataclass(frozen=True, slots=True)
class FrameCost:
    """Instructions per frame, without those of the region marks."""

    packets: int
    scan: int
    packetize: int
    send: int
    with_repair: int  # the frame with its repair symbols, made and sent
    sealed: int  # the same, sealed
    seal: int  # to seal one packet of 1200 bytes

    @property
    def total(self) -> int:
        return self.scan + self.packetize + self.send

    @classmethod
    def of(cls, regions: dict[int, int], packets: int) -> FrameCost:
        """From the regions of frame.c: packetizing includes the scan, and pushing the packetizing."""
        net = {region: count - regions[_EMPTY] for region, count in regions.items()}
        plain = net[_SCAN], net[_PACKETIZE] - net[_SCAN], net[_PUSH] - net[_PACKETIZE]
        return cls(packets, *plain, net[_REPAIR], net[_SEALED], net[_SEAL])


@dataclass(frozen=True, slots=True)
class StartCost:
    """Instructions from the start of the process."""

    interpreter: int  # Python alone
    imports: int  # with the command and the service imported
    first_packet: int  # up to the first packet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bytes", type=int, default=FRAME_BYTES, metavar="N", help="size of a frame; default %(default)s bytes"
    )
    parser.add_argument("--rate", type=int, default=RATE, metavar="FPS", help="frame rate; default %(default)s")
    parser.add_argument(
        "--max-packet", type=int, default=1400, metavar="BYTES", help="largest RTP packet; default %(default)s bytes"
    )
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="output: the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 where a ceiling is exceeded. Raises ConfigError, DeviceError, FileError."""
    _prepare()
    frame = frame_cost(arguments.bytes, arguments.max_packet)
    start = start_cost()
    figures = as_json(frame, start, arguments.bytes, arguments.rate)
    print("\n".join(lines(frame, start, arguments.bytes, arguments.rate)))
    write_json(arguments.json, figures)
    above = faults(frame, start)
    print("\n".join(above) if above else "all ceilings are kept")
    return int(Exit.FAULTS if above else Exit.OK)


def faults(frame: FrameCost, start: StartCost) -> list[str]:
    """One sentence per exceeded ceiling."""
    held = [
        (frame.total, FRAME_CEILING, "for a frame"),
        (frame.with_repair, REPAIR_CEILING, "for a frame with repair"),
        (frame.sealed, SEALED_CEILING, "for a sealed frame with repair"),
        (frame.seal, SEAL_CEILING, "to seal a packet"),
        (start.first_packet, START_CEILING, "to the first packet"),
    ]
    return [
        f"ceiling exceeded: {count:,} instructions {what}, limit {ceiling:,}"
        for count, ceiling, what in held
        if count > ceiling
    ]


def lines(frame: FrameCost, start: StartCost, size: int, rate: int) -> list[str]:
    """The table for the terminal."""
    rows = [("scan", frame.scan), ("packetize", frame.packetize), ("send", frame.send), ("frame", frame.total)]
    rows += [("frame with 25 % repair symbols", frame.with_repair), ("the same, sealed", frame.sealed)]
    load = rate / INSTRUCTIONS_PER_S
    return [
        f"a frame of {size:,} bytes, {frame.packets} packets     instructions   share of the core at {rate} fps",
        *(f"  {name:34}{count:>16,}{count * load:>12.2%}" for name, count in rows),
        f"  {'seal a packet of 1200 bytes':34}{frame.seal:>16,}",
        "the start                              instructions   seconds of the core",
        *(
            f"  {name:34}{count:>16,}{count / INSTRUCTIONS_PER_S:>11.2f} s"
            for name, count in (
                ("Python alone", start.interpreter),
                ("with the sender imported", start.imports),
                ("to the first packet", start.first_packet),
            )
        ),
    ]


class Figures(TypedDict):
    """docs/armv6.md."""

    schema: str
    instructions_per_s: float
    frame: dict[str, float]
    start: dict[str, int]
    faults: list[str]


def as_json(frame: FrameCost, start: StartCost, size: int, rate: int) -> Figures:
    return {
        "schema": SCHEMA,
        "instructions_per_s": INSTRUCTIONS_PER_S,
        "frame": {
            "bytes": size,
            "rate": rate,
            "packets": frame.packets,
            "scan": frame.scan,
            "packetize": frame.packetize,
            "send": frame.send,
            "total": frame.total,
            "with_repair": frame.with_repair,
            "repair_ceiling": REPAIR_CEILING,
            "sealed": frame.sealed,
            "sealed_ceiling": SEALED_CEILING,
            "seal": frame.seal,
            "seal_ceiling": SEAL_CEILING,
            "core_share": round(frame.total * rate / INSTRUCTIONS_PER_S, 5),
            "ceiling": FRAME_CEILING,
        },
        "start": {
            "interpreter": start.interpreter,
            "imports": start.imports,
            "first_packet": start.first_packet,
            "ceiling": START_CEILING,
        },
        "faults": faults(frame, start),
    }


def frame_cost(size: int, max_packet: int) -> FrameCost:
    """Measures a frame. _prepare() must have built the program."""
    program = _BUILD / "build" / "native" / "tests" / "frame_cost"
    found, said = _count(
        ["qemu-arm", "-cpu", "arm1176", "-L", str(_BUILD / "armel")], [str(program), f"{size}", f"{max_packet}"]
    )
    # The minimum: without a share of other threads of the program.
    return FrameCost.of({int(region): r["least"] for region, r in found["regions"].items()}, int(said))


def start_cost() -> StartCost:
    """Measures the start with compiled modules, as on a Pi that has run it before."""
    python = ["qemu-arm", "-cpu", "arm1176", "-L", str(_BUILD / "armel")]
    program = str(_BUILD / "armel" / "usr" / "bin" / "python3.11")
    totals = []
    for code in ("import os; os._exit(0)", _IMPORTS):
        _count(python, [program, "-P", "-c", code])  # compiles the modules
        totals.append(_count(python, [program, "-P", "-c", code])[0]["total"])
    # By its path: as a module it would import what this package needs.
    first_packet = [program, str(_HERE / "first_packet.py")]
    with tempfile.TemporaryDirectory(
        prefix="thinair-"
    ) as home:  # without the generation of its keys, which happens once
        state = introduce(Path(home))
        _count(python, first_packet, THINAIR_STATE=state)
        found, _ = _count(python, first_packet, mark=_SENDTO, THINAIR_STATE=state)
    first = found["marks"][str(_SENDTO)]
    if not first:
        raise DeviceError("the emulated sender sent nothing")
    return StartCost(totals[0], totals[1], first)


class _Counts(TypedDict):
    """Of count.c."""

    total: int
    regions: dict[str, dict[str, int]]
    marks: dict[str, int]


def _count(emulator: Sequence[str], program: Sequence[str], mark: int = 0, **env: str) -> tuple[_Counts, str]:
    """The counts of the plugin, and the output of the program."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        plugin = f"{_BUILD / 'count.so'},out={out.name}" + (f",mark={mark}" if mark else "")
        own = {
            "PYTHONPATH": str(_BUILD / "package"),
            "PYTHONPYCACHEPREFIX": str(_BUILD / "pycache"),
            "PYTHONDONTWRITEBYTECODE": "",  # the first run compiles what pip has compiled on a Pi
            "PYTHONHASHSEED": "0",
        }
        done = subprocess.run(
            [*emulator, "-plugin", plugin, *program],
            env=os.environ | own | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode != 0:
            raise DeviceError(f"{program[0]} failed under qemu-arm: {done.stderr.strip()[-300:]}")
        return json.loads(Path(out.name).read_text(encoding="utf-8")), done.stdout


def _prepare() -> None:
    """Builds what is measured; quick where it is up to date."""
    if not _PYTHON.exists():
        raise ConfigError("bench armv6 builds from the sources: run it in a checkout")
    if shutil.which("cc") is None:
        raise DeviceError("gcc is not installed: apt-get install gcc libc6-dev")
    for command in (["tools/armv6/setup.sh", "test"], ["tools/armv6/build.sh"]):
        done = subprocess.run(command, cwd=_ROOT, check=False)
        if done.returncode != 0:
            raise DeviceError(f"{command[0]} failed: see its output above")
