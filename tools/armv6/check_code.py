"""Refuses machine code that the Pi Zero W's ARM1176JZF-S cannot run: ARMv6K with VFPv2 and Thumb-1, no more.

    python tools/armv6/check_code.py WHEEL-OR-LIBRARY...

Two witnesses: what the linker says (the build attributes) and every instruction of every executable section. Code and
data are told apart by the mapping symbols ($a, $t, $d), so the symbol table must be there. Sources: ELF for the Arm
Architecture (mapping symbols), Addenda to the ABI (build attributes), Arm ARM DDI 0406C (encodings).
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WHEEL_TAG = "-cp311-abi3-linux_armv6l.whl"
_EM_ARM, _EF_HARD_FLOAT = 40, 0x400
_SHT_SYMTAB, _SHT_ARM_ATTRIBUTES, _SHF_EXECINSTR = 2, 0x70000003, 4
_MOST_FAULTS = 20  # told per file

# Build attributes: tag -> name and the values an ARM1176 satisfies. Architectures up to v6KZ (7), and v6K (9).
_ATTRIBUTES = {
    6: ("Tag_CPU_arch", {*range(8), 9}),
    9: ("Tag_THUMB_ISA_use", {0, 1}),
    10: ("Tag_FP_arch", {0, 1, 2}),
    12: ("Tag_Advanced_SIMD_arch", {0}),
    44: ("Tag_DIV_use", {0, 1}),
}
_TEXT_TAGS = {4, 5, 65, 67}  # their values are strings
_TAG_VFP_ARGS, _TAG_COMPATIBILITY = 28, 32

# A32 with a condition: mask, value, name.
_CONDITIONAL = [
    (0x0FF00000, 0x03000000, "movw"),
    (0x0FF00000, 0x03400000, "movt"),
    (0x0FF000F0, 0x00600090, "mls"),
    (0x0F2000F0, 0x002000B0, "ldrht or strht"),
    (0x0F3000F0, 0x003000D0, "ldrsbt"),
    (0x0F3000F0, 0x003000F0, "ldrsht"),
    (0x0FE00070, 0x07C00010, "bfi or bfc"),
    (0x0FE00070, 0x07A00050, "sbfx"),
    (0x0FE00070, 0x07E00050, "ubfx"),
    (0x0FFF0FF0, 0x06FF0F30, "rbit"),
    (0x0FF0F0F0, 0x0710F010, "sdiv"),
    (0x0FF0F0F0, 0x0730F010, "udiv"),
    (0x0F800FF0, 0x01800C90, "lda or stl"),
    (0x0F800FF0, 0x01800E90, "ldaex or stlex"),
    (0x0F900DF0, 0x01000040, "crc32"),
    (0x0FF000F0, 0x01400070, "hvc"),
    (0x0FFFFFFF, 0x0160006E, "eret"),
    (0x0FFFFFF0, 0x0320F0F0, "dbg"),
    (0x0FB00EF0, 0x0EB00A00, "vmov of a constant (VFPv3)"),
    (0x0FBA0E50, 0x0EBA0A40, "vcvt of fixed point (VFPv3)"),
    (0x0FBE0E50, 0x0EB20A40, "vcvtb or vcvtt"),
    (0x0FB00E10, 0x0EA00A00, "vfma or vfms (VFPv4)"),
    (0x0FB00E10, 0x0E900A00, "vfnma or vfnms (VFPv4)"),
]
# A32 without a condition.
_UNCONDITIONAL = [
    (0xFE000000, 0xF2000000, "NEON"),
    (0xFF100000, 0xF4000000, "NEON load or store"),
    (0xFF000E00, 0xFE000A00, "VFP of ARMv8"),
    (0xFD70F000, 0xF450F000, "pli"),
    (0xFD70F000, 0xF510F000, "pldw"),
    (0xFFFFFFF0, 0xF57FF040, "dsb"),
    (0xFFFFFFF0, 0xF57FF050, "dmb"),
    (0xFFFFFFF0, 0xF57FF060, "isb"),
]
# VFPv2 has d0 to d15; the bits named here would select d16 to d31 (or, in transfers, a part that NEON alone has).
_UPPER_REGISTERS = [  # mask, value, the bits that may not be set, name; the first that matches decides
    (0x0FE00FD0, 0x0C400B10, 0x00000020, "vmov of d16 to d31"),
    (0x0E000F00, 0x0C000B00, 0x00400000, "vldr, vstr, vldm or vstm of d16 to d31"),
    (0x0F000F10, 0x0E000B10, 0x00C000E0, "vmov or vdup of NEON"),
    (0x0FBF0FD0, 0x0EB70AC0, 0x00400000, "vcvt to d16 to d31"),
    (0x0FBF0FD0, 0x0EB70BC0, 0x00000020, "vcvt from d16 to d31"),
    (0x0FBF0F50, 0x0EB80B40, 0x00400000, "vcvt to d16 to d31"),
    (0x0FBE0F50, 0x0EBC0B40, 0x00000020, "vcvt from d16 to d31"),
    (0x0FB00F10, 0x0EB00B00, 0x00400020, "arithmetic on d16 to d31"),  # one operand: bit 7 is part of the operation
    (0x0F000F10, 0x0E000B00, 0x004000A0, "arithmetic on d16 to d31"),
]


class NotArmError(ValueError):
    """No 32-bit little-endian ARM ELF file."""


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    kind: int
    flags: int
    address: int
    data: bytes
    link: int


def a32_fault(word: int) -> str | None:
    """The name of an A32 instruction that an ARM1176 lacks, else None."""
    table = _UNCONDITIONAL if word >> 28 == 0xF else _CONDITIONAL
    for mask, value, name in table:
        if word & mask == value:
            return name
    if word >> 28 == 0xF:
        return None
    for mask, value, bits, name in _UPPER_REGISTERS:
        if word & mask == value:
            return name if word & bits else None
    return None


def thumb_faults(halves: list[int]) -> Iterator[tuple[int, str]]:
    """Index and name of what is no Thumb-1."""
    i = 0
    while i < len(halves):
        half = halves[i]
        if half >> 11 in (0b11101, 0b11110, 0b11111):  # the first of two
            second = halves[i + 1] if i + 1 < len(halves) else 0
            bl, blx = second & 0xD000 == 0xD000, second & 0xD001 == 0xC000
            if half >> 11 != 0b11110 or not (bl or blx):
                yield i, "a 32-bit Thumb-2 instruction"
            i += 2
            continue
        if half & 0xF500 == 0xB100:
            yield i, "cbz or cbnz"
        elif half & 0xFF00 == 0xBF00:
            yield i, "it or a Thumb hint"
        i += 1


def faults(elf: bytes, *, hard_float: bool = True) -> list[str]:
    """One sentence per thing that an ARM1176 cannot run, at most a screen of them. Raises NotArmError."""
    sections = _sections(elf)
    flags = struct.unpack_from("<I", elf, 36)[0]
    found = list(_attribute_faults(sections, hard_float))
    if hard_float and not flags & _EF_HARD_FLOAT:
        found.append("the ELF header does not say hard float")
    marks = _mapping_symbols(sections)
    for index, section in enumerate(sections):
        if section.flags & _SHF_EXECINSTR and section.data:
            found += _code_faults(section, marks.get(index, []))
    return found[:_MOST_FAULTS]


def _sections(elf: bytes) -> list[_Section]:
    if elf[:6] != b"\x7fELF\x01\x01" or struct.unpack_from("<H", elf, 18)[0] != _EM_ARM:
        raise NotArmError("no 32-bit little-endian ARM ELF file")
    table, size, count, names_at = struct.unpack_from("<I10xHHH", elf, 32)
    heads = [struct.unpack_from("<10I", elf, table + i * size) for i in range(count)]
    names = heads[names_at]

    def name(at: int) -> str:
        begin = names[4] + at
        return elf[begin : elf.index(b"\0", begin)].decode()

    return [_Section(name(h[0]), h[1], h[2], h[3], elf[h[4] : h[4] + h[5]] if h[1] != 8 else b"", h[6]) for h in heads]


def _uleb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _attributes(data: bytes) -> dict[int, int]:
    """Numeric attributes of the whole file: "A", length, "aeabi", tag 1 (file), length, then tag and value in turn."""
    if not data.startswith(b"A") or data[5:11] != b"aeabi\0" or data[11] != 1:
        return {}
    end, at = 11 + struct.unpack_from("<I", data, 12)[0], 16
    values: dict[int, int] = {}
    while at < end:
        tag, at = _uleb(data, at)
        if tag in _TEXT_TAGS:
            at = data.index(b"\0", at) + 1
            continue
        values[tag], at = _uleb(data, at)
        if tag == _TAG_COMPATIBILITY:
            at = data.index(b"\0", at) + 1
    return values


def _attribute_faults(sections: list[_Section], hard_float: bool) -> Iterator[str]:
    values = next((_attributes(s.data) for s in sections if s.kind == _SHT_ARM_ATTRIBUTES), {})
    if not values:
        yield "no build attributes"
        return
    for tag, (name, allowed) in _ATTRIBUTES.items():
        if values.get(tag, 0) not in allowed:
            yield f"{name} is {values[tag]}"
    if hard_float and values.get(_TAG_VFP_ARGS, 0) != 1:
        yield "Tag_ABI_VFP_args does not say hard float"


def _mapping_symbols(sections: list[_Section]) -> dict[int, list[tuple[int, str]]]:
    """Per section: address and kind ("a", "t" or "d"), by address."""
    marks: dict[int, list[tuple[int, str]]] = {}
    for table in sections:
        if table.kind != _SHT_SYMTAB:
            continue
        names = sections[table.link].data
        for name_at, value, _, _, _, section in struct.iter_unpack("<IIIBBH", table.data):
            name = names[name_at : names.index(b"\0", name_at)].decode()
            if name[:2] in ("$a", "$t", "$d") and name[2:3] in ("", "."):
                marks.setdefault(section, []).append((value, name[1]))
    return {section: sorted(found) for section, found in marks.items()}


def _code_faults(section: _Section, marks: list[tuple[int, str]]) -> Iterator[str]:
    if not marks or marks[0][0] != section.address:
        yield f"{section.name}: no mapping symbols, so code and data cannot be told apart"
        return
    ends = [address for address, _ in marks[1:]] + [section.address + len(section.data)]
    for (begin, kind), end in zip(marks, ends, strict=True):
        piece = section.data[begin - section.address : end - section.address]
        if kind == "a":
            words = struct.unpack(f"<{len(piece) // 4}I", piece[: len(piece) & ~3])
            for i, word in enumerate(words):
                if (name := a32_fault(word)) is not None:
                    yield f"{section.name} {begin + 4 * i:#x}: {name} ({word:08x})"
        elif kind == "t":
            halves = struct.unpack(f"<{len(piece) // 2}H", piece[: len(piece) & ~1])
            for i, name in thumb_faults(list(halves)):
                yield f"{section.name} {begin + 2 * i:#x}: {name} ({halves[i]:04x})"


def _libraries(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix != ".whl":
        yield path.name, path.read_bytes()
        return
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            if name.endswith(".so") or ".so." in name:
                yield f"{path.name}: {name}", wheel.read(name)


def check(path: Path) -> list[str]:
    """Faults of a library, or of a wheel, its name and all libraries in it."""
    found = []
    if path.suffix == ".whl" and not path.name.endswith(_WHEEL_TAG):
        found.append(f"{path.name}: the name does not end in {_WHEEL_TAG}")
    libraries = list(_libraries(path))
    if not libraries:
        found.append(f"{path.name}: no library in it")
    for name, data in libraries:
        try:
            found += [f"{name}: {fault}" for fault in faults(data)]
        except NotArmError as error:
            found.append(f"{name}: {error}")
    return found


def main(arguments: list[str]) -> int:
    found = [fault for argument in arguments for fault in check(Path(argument))]
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found or not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
