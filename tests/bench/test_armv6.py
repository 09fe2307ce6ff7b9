"""The check of ARMv6 code, and the figures of thinair.bench.armv6; what needs the emulator is in `make test-armv6`."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from thinair.bench.armv6 import (
    FRAME_CEILING,
    REPAIR_CEILING,
    SEAL_CEILING,
    SEALED_CEILING,
    START_CEILING,
    FrameCost,
    StartCost,
    as_json,
    faults,
    lines,
)
from tools.armv6 import check_code
from tools.armv6.check_code import NotArmError, a32_fault, thumb_faults

pytestmark = pytest.mark.quick

# As LLVM's assembler encodes them for ARMv8-A with NEON; none of them is ARMv6K, VFPv2.
NEWER = {
    "movw r1, #0x1234": 0xE3011234,
    "movt r1, #0x1234": 0xE3411234,
    "mls r0, r1, r2, r3": 0xE0603291,
    "ldrht r0, [r1], #2": 0xE0F100B2,
    "strht r0, [r1], r2": 0xE0A100B2,
    "ldrsbt r0, [r1], #1": 0xE0F100D1,
    "ldrsht r0, [r1], r2": 0xE0B100F2,
    "bfi r0, r1, #3, #5": 0xE7C70191,
    "bfc r0, #3, #5": 0xE7C7019F,
    "sbfx r0, r1, #3, #5": 0xE7A401D1,
    "ubfx r0, r1, #3, #5": 0xE7E401D1,
    "rbit r0, r1": 0xE6FF0F31,
    "sdiv r0, r1, r2": 0xE710F211,
    "udiv r0, r1, r2": 0xE730F211,
    "lda r0, [r1]": 0xE1910C9F,
    "stl r0, [r1]": 0xE181FC90,
    "ldaex r0, [r1]": 0xE1910E9F,
    "stlex r0, r2, [r1]": 0xE1810E92,
    "crc32b r0, r1, r2": 0xE1010042,
    "crc32cw r0, r1, r2": 0xE1410242,
    "dbg #3": 0xE320F0F3,
    "vmov.f32 s1, #1.0": 0xEEF70A00,
    "vmov.f64 d1, #1.0": 0xEEB71B00,
    "vcvt.f32.s16 s0, s0, #4": 0xEEBA0A46,
    "vcvt.f64.u32 d0, d0, #4": 0xEEBB0BCE,
    "vcvtb.f32.f16 s0, s1": 0xEEB20A60,
    "vcvtt.f16.f32 s0, s1": 0xEEB30AE0,
    "vfma.f32 s0, s1, s2": 0xEEA00A81,
    "vfms.f64 d0, d1, d2": 0xEEA10B42,
    "vfnma.f32 s0, s1, s2": 0xEE900AC1,
    "vfnms.f64 d0, d1, d2": 0xEE910B02,
    "vadd.i32 d0, d1, d2": 0xF2210802,
    "vmov.i32 q0, #0": 0xF2800050,
    "vshl.u8 q0, q1, q2": 0xF3040442,
    "vld1.8 {d0}, [r0]": 0xF420070F,
    "vst4.16 {d0, d1, d2, d3}, [r0]": 0xF400004F,
    "vmaxnm.f32 s0, s1, s2": 0xFE800A81,
    "vselge.f64 d0, d1, d2": 0xFE210B02,
    "pli [r0, #4]": 0xF4D0F004,
    "pli [r0, r1]": 0xF6D0F001,
    "pldw [r0, #4]": 0xF590F004,
    "pldw [r0, r1]": 0xF790F001,
    "dsb sy": 0xF57FF04F,
    "dmb ish": 0xF57FF05B,
    "isb sy": 0xF57FF06F,
    "vldr d16, [r0]": 0xEDD00B00,
    "vstr d31, [r0, #8]": 0xEDC0FB02,
    "vldmia r0!, {d16-d19}": 0xECF00B08,
    "vpush {d20}": 0xED6D4B02,
    "vmov d16, r0, r1": 0xEC410B30,
    "vmov r0, r1, d31": 0xEC510B3F,
    "vmov.8 d0[1], r0": 0xEE400B30,
    "vmov.u16 r0, d0[1]": 0xEE900B70,
    "vdup.32 d0, r0": 0xEE800B10,
    "vmov.32 d17[0], r0": 0xEE010B90,
    "vcvt.f64.f32 d16, s0": 0xEEF70AC0,
    "vcvt.f32.f64 s0, d16": 0xEEB70BE0,
    "vcvt.f64.s32 d16, s0": 0xEEF80BC0,
    "vcvt.s32.f64 s0, d16": 0xEEBD0BE0,
    "vadd.f64 d16, d1, d2": 0xEE710B02,
    "vmul.f64 d1, d16, d2": 0xEE201B82,
    "vdiv.f64 d1, d2, d16": 0xEE821B20,
    "vcmp.f64 d16, #0": 0xEEF50B40,
    "vsqrt.f64 d16, d1": 0xEEF10BC1,
    "vmov.f64 d16, d2": 0xEEF00B42,
    "vabs.f64 d3, d31": 0xEEB03BEF,
}
# As LLVM's assembler encodes them for ARM1176JZF-S.
OWN = {
    "mov r1, #0xff00": 0xE3A01CFF,
    "mvn r1, #0": 0xE3E01000,
    "add r0, r1, r2, lsl #3": 0xE0810182,
    "adds r0, r1, r2, ror r3": 0xE0910372,
    "orr r0, r0, #16711680": 0xE38008FF,
    "tst r1, #3": 0xE3110003,
    "cmn r1, #1": 0xE3710001,
    "mul r0, r1, r2": 0xE0000291,
    "mla r0, r1, r2, r3": 0xE0203291,
    "umull r0, r1, r2, r3": 0xE0810392,
    "smlal r0, r1, r2, r3": 0xE0E10392,
    "umaal r0, r1, r2, r3": 0xE0410392,
    "smulbb r0, r1, r2": 0xE1600281,
    "smlawt r0, r1, r2, r3": 0xE12032C1,
    "smmul r0, r1, r2": 0xE750F211,
    "smmla r0, r1, r2, r3": 0xE7503211,
    "smuad r0, r1, r2": 0xE700F211,
    "smlald r0, r1, r2, r3": 0xE7410312,
    "usad8 r0, r1, r2": 0xE780F211,
    "usada8 r0, r1, r2, r3": 0xE7803211,
    "qadd r0, r1, r2": 0xE1020051,
    "qdsub r0, r1, r2": 0xE1620051,
    "clz r0, r1": 0xE16F0F11,
    "rev r0, r1": 0xE6BF0F31,
    "rev16 r0, r1": 0xE6BF0FB1,
    "revsh r0, r1": 0xE6FF0FB1,
    "uxtb r0, r1": 0xE6EF0071,
    "uxtb16 r0, r1, ror #8": 0xE6CF0471,
    "sxtah r0, r1, r2": 0xE6B10072,
    "sel r0, r1, r2": 0xE6810FB2,
    "uadd8 r0, r1, r2": 0xE6510F92,
    "uqsub8 r0, r1, r2": 0xE6610FF2,
    "ssat r0, #5, r1": 0xE6A40011,
    "usat16 r0, #5, r1": 0xE6E50F31,
    "pkhbt r0, r1, r2, lsl #4": 0xE6810212,
    "ldrex r0, [r1]": 0xE1910F9F,
    "strex r0, r1, [r2]": 0xE1820F91,
    "ldrexb r0, [r1]": 0xE1D10F9F,
    "strexh r0, r1, [r2]": 0xE1E20F91,
    "ldrexd r0, r1, [r2]": 0xE1B20F9F,
    "strexd r0, r2, r3, [r1]": 0xE1A10F92,
    "clrex": 0xF57FF01F,
    "yield": 0xE320F001,
    "ldr r0, [r1, #4]": 0xE5910004,
    "ldrt r0, [r1], #4": 0xE4B10004,
    "ldrb r0, [r1, r2]": 0xE7D10002,
    "strbt r0, [r1], r2": 0xE6E10002,
    "ldrh r0, [r1, #2]": 0xE1D100B2,
    "ldrh r0, [r1, #2]!": 0xE1F100B2,
    "ldrh r0, [r1], #2": 0xE0D100B2,
    "strh r0, [r1], r2": 0xE08100B2,
    "ldrsb r0, [r1, r2]": 0xE19100D2,
    "ldrsh r0, [r1, r2]!": 0xE1B100F2,
    "ldrd r0, r1, [r2], #8": 0xE0C200D8,
    "strd r0, r1, [r2, #8]!": 0xE1E200F8,
    "ldm r0!, {r1, r2, r3}": 0xE8B0000E,
    "push {r4, lr}": 0xE92D4010,
    "pld [r0, #4]": 0xF5D0F004,
    "bx lr": 0xE12FFF1E,
    "blx r0": 0xE12FFF30,
    "blx .": 0xFAFFFFFE,
    "bl .": 0xEBFFFFFE,
    "svc #0": 0xEF000000,
    "smc #0": 0xE1600070,
    "swp r0, r1, [r2]": 0xE1020091,
    "mrs r0, cpsr": 0xE10F0000,
    "msr cpsr_f, r0": 0xE128F000,
    "mcr p15, 0, r0, c7, c10, 5": 0xEE070FBA,
    "mrc p15, 0, r0, c13, c0, 3": 0xEE1D0F70,
    "cps #16": 0xF1020010,
    "setend be": 0xF1010200,
    "bkpt #0": 0xE1200070,
    "udf #0": 0xE7F000F0,
    "vadd.f64 d0, d1, d15": 0xEE310B0F,
    "vadd.f32 s31, s1, s31": 0xEE70FAAF,
    "vmla.f64 d0, d1, d2": 0xEE010B02,
    "vnmul.f32 s1, s3, s5": 0xEE610AE2,
    "vdiv.f64 d15, d14, d13": 0xEE8EFB0D,
    "vsqrt.f32 s1, s31": 0xEEF10AEF,
    "vabs.f64 d0, d15": 0xEEB00BCF,
    "vneg.f32 s1, s3": 0xEEF10A61,
    "vmov.f32 s1, s31": 0xEEF00A6F,
    "vmov.f64 d1, d15": 0xEEB01B4F,
    "vcmp.f64 d0, d1": 0xEEB40B41,
    "vcmpe.f32 s1, #0": 0xEEF50AC0,
    "vcvt.f64.f32 d15, s31": 0xEEB7FAEF,
    "vcvt.f32.f64 s31, d15": 0xEEF7FBCF,
    "vcvt.s32.f64 s31, d15": 0xEEFDFBCF,
    "vcvtr.u32.f64 s31, d15": 0xEEFCFB4F,
    "vcvt.f64.s32 d15, s31": 0xEEB8FBEF,
    "vcvt.f64.u32 d15, s31": 0xEEB8FB6F,
    "vcvt.s32.f32 s31, s31": 0xEEFDFAEF,
    "vcvt.f32.u32 s31, s31": 0xEEF8FA6F,
    "vldr d15, [r0]": 0xED90FB00,
    "vldr s31, [r0]": 0xEDD0FA00,
    "vstr s1, [r0]": 0xEDC00A00,
    "vldmia r0!, {d8-d15}": 0xECB08B10,
    "vpush {s17-s31}": 0xED6D8A0F,
    "vmov s31, r0": 0xEE0F0A90,
    "vmov r0, s31": 0xEE1F0A90,
    "vmov s30, s31, r0, r1": 0xEC410A1F,
    "vmov d15, r0, r1": 0xEC410B1F,
    "vmov r0, r1, d15": 0xEC510B1F,
    "vmov.32 d15[1], r0": 0xEE2F0B10,
    "vmov.32 r0, d15[0]": 0xEE1F0B10,
    "vmrs r0, fpscr": 0xEEF10A10,
    "vmrs APSR_nzcv, fpscr": 0xEEF1FA10,
    "vmsr fpscr, r0": 0xEEE10A10,
}
ARM1176 = {6: 7, 9: 1, 10: 2, 28: 1}  # tag: value, as its compiler writes them


def library(code: bytes, attributes: dict[int, int], *, marks: str = "a", flags: int = 0x05000400) -> bytes:
    """The least ELF file: .text, build attributes, symbols and names."""
    names = b"\0.text\0.ARM.attributes\0.symtab\0.strtab\0$a\0$t\0$d\0"
    values = b"".join(bytes((tag, value)) for tag, value in attributes.items())
    inner = b"\1" + struct.pack("<I", 5 + len(values)) + values
    vendor = b"A" + struct.pack("<I", 10 + len(inner)) + b"aeabi\0" + inner
    symbols = b"".join(
        struct.pack("<IIIBBH", names.index(b"$" + mark.encode()), 4 * i, 0, 0, 0, 1) for i, mark in enumerate(marks)
    )
    at, heads, body = 52, struct.pack("<10I", *[0] * 10), b""
    for name, kind, section_flags, data, link in (
        (b".text", 1, 6, code, 0),
        (b".ARM.attributes", 0x70000003, 0, vendor, 0),
        (b".symtab", 2, 0, symbols, 4),
        (b".strtab", 3, 0, names, 0),
    ):
        heads += struct.pack(
            "<10I", names.index(name), kind, section_flags, 0, at + len(body), len(data), link, 0, 1, 0
        )
        body += data
    ident = b"\x7fELF\1\1\1" + bytes(9)
    return (
        ident + struct.pack("<HHIIIIIHHHHHH", 3, 40, 1, 0, 0, at + len(body), flags, 52, 0, 0, 40, 5, 4) + body + heads
    )


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


@pytest.mark.parametrize("text", NEWER)
def test_an_instruction_that_the_processor_lacks_is_named(text: str) -> None:
    assert a32_fault(NEWER[text]) is not None


@pytest.mark.parametrize("text", OWN)
def test_an_instruction_that_the_processor_has_passes(text: str) -> None:
    assert a32_fault(OWN[text]) is None


def test_thumb_code_passes_as_long_as_it_is_the_first_thumb() -> None:
    bl, push, movw, cbz, it = [0xF000, 0xF801], [0xB510], [0xF240, 0x0001], [0xB108], [0xBF08]
    assert list(thumb_faults(bl + push)) == []
    assert [i for i, _ in thumb_faults(push + movw + cbz + push + it)] == [1, 3, 5]


def test_a_library_for_the_processor_passes() -> None:
    assert check_code.faults(library(words(OWN["bx lr"]), ARM1176)) == []


def test_a_library_is_refused_for_one_newer_instruction() -> None:
    found = check_code.faults(library(words(OWN["bx lr"], NEWER["dmb ish"]), ARM1176))
    assert found == [".text 0x4: dmb (f57ff05b)"]


def test_data_between_code_is_not_read_as_code() -> None:
    assert check_code.faults(library(words(OWN["bx lr"], NEWER["dmb ish"]), ARM1176, marks="ad")) == []


@pytest.mark.parametrize("tag", [6, 9, 10, 12, 44])
def test_a_library_is_refused_for_what_its_attributes_say(tag: int) -> None:
    newer = {6: 10, 9: 2, 10: 3, 12: 1, 44: 2}[tag]
    assert len(check_code.faults(library(words(OWN["bx lr"]), ARM1176 | {tag: newer}))) == 1


def test_soft_float_no_attributes_and_no_symbols_are_refused() -> None:
    code = words(OWN["bx lr"])
    soft = library(code, ARM1176 | {28: 0}, flags=0x05000200)
    assert len(check_code.faults(soft)) == 2
    assert check_code.faults(soft, hard_float=False) == []
    assert (
        check_code.faults(library(code, {})) == ["no build attributes", "Tag_ABI_VFP_args does not say hard float"][:1]
    )
    assert "mapping symbols" in check_code.faults(library(code, ARM1176, marks=""))[0]


def test_what_is_no_arm_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotArmError):
        check_code.faults(Path(sys.executable).read_bytes())
    wheel = tmp_path / "thinair-0-cp311-abi3-linux_aarch64.whl"
    wheel.write_bytes(b"PK\5\6" + bytes(18))
    assert len(check_code.check(wheel)) == 2  # its name, and nothing in it


def test_each_part_of_a_frame_is_what_it_adds() -> None:
    cost = FrameCost.of({0: 10, 1: 110, 2: 160, 3: 180, 4: 910, 5: 2010, 6: 60}, 25)
    assert (cost.scan, cost.packetize, cost.send, cost.total) == (100, 50, 20, 170)
    assert (cost.with_repair, cost.sealed, cost.seal) == (900, 2000, 50)


def test_each_ceiling_passed_is_a_fault_with_its_figures() -> None:
    good, start = (
        FrameCost(25, FRAME_CEILING - 3, 2, 1, REPAIR_CEILING, SEALED_CEILING, SEAL_CEILING),
        StartCost(1, 2, START_CEILING),
    )
    assert faults(good, start) == []
    assert "150,001" in faults(FrameCost(25, FRAME_CEILING, 1, 0, 1, 1, 1), start)[0]
    assert "1,300,001" in faults(FrameCost(25, 1, 1, 1, REPAIR_CEILING + 1, 1, 1), start)[0]
    assert "2,500,001" in faults(FrameCost(25, 1, 1, 1, 1, SEALED_CEILING + 1, 1), start)[0]
    assert "36,001" in faults(FrameCost(25, 1, 1, 1, 1, 1, SEAL_CEILING + 1), start)[0]
    assert "465,000,001" in faults(good, StartCost(1, 2, START_CEILING + 1))[0]
    assert as_json(good, start, 33_333, 30)["frame"]["core_share"] == round(FRAME_CEILING * 30 / 0.7e9, 5)
    assert "0.64%" in "\n".join(lines(good, start, 33_333, 30))


def test_the_service_starts_without_anything_but_the_standard_library() -> None:
    code = (
        "import sys, thinair.cli, thinair.sender.service, thinair.sender.pipeline.hardware, thinair.sender.hdmi.port\n"
        "print({'aiohttp', 'av', 'numpy', 'PIL'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
