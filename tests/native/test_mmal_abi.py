"""MMAL's numbers and layouts as the C encoder declares them, against picamera 1.13's independent copy of the headers,
for this machine and for the Pi's 32-bit ARM. picamera is read out of its archive, never installed."""

from __future__ import annotations

import builtins
import ctypes
import re
import subprocess
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.paths import ROOT

ARCHIVE = ROOT / "build/picamera/picamera-1.13.tar.gz"
COMPILERS = {
    "64-bit": ["cc"],
    "ARM": ["clang-14", "--target=arm-linux-gnueabihf", "-mcpu=arm1176jzf-s", "-fno-integrated-as"],
}
# picamera counts these values one too low: in the headers the vendor range's first name takes 0x7f000000 itself.
OFF_BY_ONE = {"MMAL_VIDEO_INTRA_REFRESH_CYCLIC_MROWS"}


def declared(target: str) -> dict[str, int]:
    """Name → number of native/tests/mmal_numbers.c, asked of a target's compiler."""
    source = ROOT / "native/tests/mmal_numbers.c"
    command = [*COMPILERS[target], "-std=gnu11", "-ffreestanding", "-S", "-o", "-", str(source)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: int(value) & 0xFFFFFFFF for name, value in re.findall(r"# TA (\S+) (-?\d+)", text)}


class _Library:
    """Takes the place of a loaded library: picamera only writes prototypes down."""

    def __getattr__(self, name: str) -> SimpleNamespace:
        function = SimpleNamespace()
        setattr(self, name, function)
        return function


def picamera_mmal(*, pointers_of_4: bool) -> dict[str, Any]:
    """The names of picamera's mmal.py, its structures laid out with this machine's pointers or with those of 32-bit ARM
    (which aligns 64-bit integers as this machine does)."""
    if not ARCHIVE.exists():
        subprocess.run([ROOT / "tools/fetch-picamera.sh"], check=True)
    with tarfile.open(ARCHIVE) as archive:
        member = archive.extractfile("picamera-1.13/picamera/mmal.py")
        assert member is not None
        source = member.read()
    types = SimpleNamespace(**vars(ctypes))
    types.CDLL = lambda _name: _Library()
    if pointers_of_4:
        types.c_void_p = types.c_char_p = ctypes.c_uint32
        types.POINTER = types.CFUNCTYPE = lambda *_arguments: ctypes.c_uint32

    def load(name: str, *arguments: Any) -> Any:
        if name == "ctypes":
            return types
        if name == "bcm_host":
            return SimpleNamespace(VCOS_UNSIGNED=ctypes.c_uint32)
        return builtins.__import__(name, *arguments)

    names: dict[str, Any] = {"__name__": "mmal", "__builtins__": {**vars(builtins), "__import__": load}}
    exec(compile(source, "mmal.py", "exec"), names)  # noqa: S102 -- the archive is named by its checksum
    return names


def oracle_value(names: dict[str, Any], name: str) -> int:
    structure, _, field = name.partition(".")
    if field:
        return int(getattr(names[structure], field).offset)
    if name.endswith("_T"):
        return ctypes.sizeof(names[name])
    if name == "MMAL_TIME_UNKNOWN":
        value = getattr(names[name], "value", names[name])
        assert value & 0xFFFFFFFF == 0
        return int(value >> 32 & 0xFFFFFFFF)
    return int(names[name]) + (name in OFF_BY_ONE)


@pytest.mark.slow
@pytest.mark.quick
@pytest.mark.parametrize("target", COMPILERS)
def test_every_number_and_layout_agrees_with_picamera(target: str) -> None:
    ours = declared(target)
    names = picamera_mmal(pointers_of_4=target == "ARM")
    assert len(ours) > 80
    assert ours == {name: oracle_value(names, name) for name in ours}


@pytest.mark.quick
def test_no_number_the_encoder_uses_is_left_uncompared() -> None:
    header = (ROOT / "native/src/io/mmal_abi.h").read_text(encoding="utf-8")
    numbers = (ROOT / "native/tests/mmal_numbers.c").read_text(encoding="utf-8")
    constants = re.findall(r"\bTA_MMAL_(\w+) = ", header)
    constants += re.findall(r"^#define TA_MMAL_(\w+) TA_MMAL_FOURCC", header, re.MULTILINE)
    assert len(constants) > 30
    assert [name for name in constants if f", {name})" not in numbers] == []
    structures = re.findall(r"^(?:typedef )?struct (ta_mmal_\w+) \{", header, re.MULTILINE)
    assert [name for name in structures if f", {name})" not in numbers] == []
    code = "".join((ROOT / f"native/src/io/{name}").read_text(encoding="utf-8") for name in ("mmal.c", "mmal_run.c"))
    used = set(re.findall(r"(?:component|input|output|port|in|out|buffer|format|es)->(\w+)", code))
    used -= {"capture_us"}  # of the encoder's own ta_coded
    assert len(used) > 20
    assert used - set(re.findall(r"AT\(.*, (\w+)\)", numbers)) == set()
