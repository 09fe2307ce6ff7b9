"""edid beside edid-decode's reading of the same bytes, and xxd's own output."""

from __future__ import annotations

import random
import re
import subprocess

import pytest

from tests.edid.test_edid import origin, sealed, valid, valid_cached
from tests.support.seeds import seed
from thinair.edid.errors import EdidError
from thinair.edid.fix import fix
from thinair.edid.text import read, to_hex
from thinair.edid.timings import DMTS, VICS

pytestmark = pytest.mark.peer


def verdict(data: bytes) -> str:
    done = subprocess.run(["edid-decode", "--check"], input=data, capture_output=True, check=False)
    return done.stdout.decode()


def test_binary_hex_text_and_both_kinds_of_xxd_read_alike() -> None:
    data = sealed(origin())
    commas = ", ".join(f"0x{byte:02X}" for byte in data).encode()
    remark = to_hex(origin()).encode() + b"Block 1 has a checksum error (should be 0x28)\n"
    plain = subprocess.run(["xxd", "-p"], input=data, capture_output=True, check=True).stdout
    full = subprocess.run(["xxd"], input=data, capture_output=True, check=True).stdout
    for text in (data, to_hex(data).encode(), commas, plain, full, full.replace(b"\n", b"\r\n")):
        assert read(text) == data
    assert read(remark) == origin()


def test_edid_decode_finds_no_failure_in_what_is_built_or_fixed() -> None:
    for data in valid():
        assert "EDID conformity: PASS" in verdict(data), verdict(data)


def test_edid_decode_passes_what_is_fixed_after_damage() -> None:
    dice = random.Random(seed())
    passed = 0
    for _ in range(60):
        data = bytearray(dice.choice([origin(), *valid_cached()]))
        data[dice.choice((20, 24, 35, 36, 37, 126, 127, *range(95, 108), 131, 255))] ^= 1 << dice.randrange(8)
        try:
            fixed, _ = fix(bytes(data))
        except EdidError:
            continue
        assert "EDID conformity: PASS" in verdict(fixed), (data.hex(), verdict(fixed))
        passed += 1
    assert passed > 30


@pytest.mark.parametrize("kind", ["vic", "dmt"])
def test_timings_are_those_of_edid_decode(kind: str) -> None:
    for number, timing in (VICS if kind == "vic" else DMTS).items():
        said = subprocess.run(["edid-decode", f"--{kind}", str(number)], capture_output=True, text=True, check=True)
        assert _read_timing(said.stdout) == (
            *(timing.width, timing.height, timing.pixel_clock_hz),
            *(timing.h_front, timing.h_sync, timing.h_back, timing.v_front, timing.v_sync, timing.v_back),
            *(timing.h_positive, timing.v_positive),
        )


def _read_timing(text: str) -> tuple[int | bool, ...]:
    """Borders count to the porches."""
    size = re.search(r"(\d+)x(\d+) .* ([\d.]+) MHz", text)
    assert size is not None
    row: list[int | bool] = [int(size[1]), int(size[2]), round(float(size[3]) * 1e6)]
    signs = []
    for axis in "HV":
        found = re.search(rf"{axis}front +(\d+) {axis}sync +(\d+) {axis}back +(\d+).*{axis}pol ([NP])", text)
        border = re.search(rf"{axis}border (\d+)", text)
        assert found is not None
        more = int(border[1]) if border else 0
        row += [int(found[1]) + more, int(found[2]), int(found[3]) + more]
        signs.append(found[4] == "P")
    return (*row, *signs)
