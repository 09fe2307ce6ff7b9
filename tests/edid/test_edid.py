"""edid: what is in it, what is wrong with it, what is fixed and built."""

from __future__ import annotations

import random
import re
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.paths import FIXTURES
from tests.support.seeds import seed
from thinair.cli import main
from thinair.edid import presets, show
from thinair.edid.base import DetailedTiming, RangeLimits, checksum, fits
from thinair.edid.build import PRESETS, build, mode, preset
from thinair.edid.check import check
from thinair.edid.cta import EXTENSION_COUNT, DataBlock
from thinair.edid.errors import EdidError, ModeError
from thinair.edid.fix import fix
from thinair.edid.parse import offers, parse
from thinair.edid.text import read, to_hex
from thinair.edid.timings import DMTS, VICS, Timing, find, menu_name, refusal, supported_instead
from thinair.link.errors import Exit

pytestmark = pytest.mark.quick

ORIGIN = (FIXTURES / "origin-edid.txt").read_bytes()
WISHES = (
    "1280x720@60",
    "1920x1080@30,1280x720@60",
    "1280x720@60000/1001,1920x1080@24000/1001",
    "640x480@60",
    "720x576@50",
    "1024x768@60",
    "1024x768@60,800x600@75,848x480@60",
    "1680x720@30,1280x720@48",
)


def origin() -> bytes:
    return read(ORIGIN)


def built(wish: str, name: str = "thinair") -> bytes:
    modes = []
    for text in wish.split(","):
        width, height, rate = re.split("[x@]", text)
        modes.append(mode(int(width), int(height), Fraction(rate)))
    return build(modes, name)


def valid() -> list[bytes]:
    return [*(preset(name) for name in PRESETS), *(built(wish) for wish in WISHES), fix(origin())[0]]


def sealed(data: bytes | bytearray) -> bytes:
    """With right checksums."""
    blocks = (data[at : at + 128] for at in range(0, len(data), 128))
    return b"".join(bytes(block[:127]) + bytes((checksum(bytes(block)),)) for block in blocks)


def test_the_origins_faults_are_named() -> None:
    said = "\n".join(check(origin()))
    for words in (
        "block 0: checksum 0x00, expected 0x4f",
        "block 1: checksum 0x00, expected 0x28",
        "its header 0xE3 should be 0xE2",
        "range limits are 59 to 61 Hz, but modes have rates of 24 to 60 Hz",
        "1440x480i@59.94, which is not supported: interlaced",
        "audio is offered",
        "VIC 31 offers 1920x1080@50, which is not supported",
    ):
        assert words in said


def test_the_origins_file_is_fixed_and_keeps_what_is_supported() -> None:
    fixed, done = fix(origin())
    assert check(fixed) == []
    was, now = parse(origin()), parse(fixed)
    assert now.base.name == was.base.name == "Toshiba-H2C"
    assert (now.base.manufacturer, now.base.serial) == (was.base.manufacturer, was.base.serial)
    supported = [offer.mode for offer in offers(was) if not offer.why_not]
    assert [offer.mode for offer in offers(now)] == supported
    assert len(done) >= 9


def test_what_has_no_fault_is_not_touched_by_fix() -> None:
    for data in valid():
        assert fix(data) == (data, [])


def test_the_sender_s_ready_edids_are_what_is_built() -> None:
    assert {name: preset(name) for name in PRESETS} == presets.PRESETS


def test_a_valid_edid_builds_the_same_bytes_again() -> None:
    for data in valid():
        assert parse(data).to_bytes() == data
    assert parse(origin()).to_bytes() == sealed(origin())


def test_random_content_behind_a_valid_frame_builds_the_same_bytes_again() -> None:
    dice = random.Random(seed())
    read = 0
    for _ in range(2000):
        data = bytearray(dice.choice(valid_cached()))
        for at in range(20, 126):
            data[at] = dice.randrange(256)
        extension = bytearray(dice.randbytes(128))
        extension[0] = dice.choice((2, 2, 2, 0x70, dice.randrange(256)))
        extension[1:3] = bytes((3, dice.choice((0, 4, dice.randrange(4, 128)))))
        whole = sealed(data[:128] + extension)
        assert parse(whole).to_bytes() == whole
        read += 1
    assert read == 2000


_valid: list[bytes] = []


def valid_cached() -> list[bytes]:
    if not _valid:
        _valid.extend(valid())
    return _valid


def mutated(dice: random.Random, pool: list[bytes]) -> bytes:
    data = bytearray(dice.choice(pool))
    for _ in range(dice.choice((1, 2, 8, 40))):
        at = dice.randrange(8 if dice.random() < 0.95 else 0, len(data))
        data[at] = dice.choice((0, 255, data[at] ^ 1 << dice.randrange(8), dice.randrange(256)))
    cut = dice.random()
    if cut < 0.05:
        return bytes(data[: dice.randrange(len(data))])
    if cut < 0.1:
        return bytes(data) + bytes(data[128:]) * dice.choice((1, 7, 300))
    return sealed(data) if cut < 0.6 else bytes(data)


def test_random_text_is_read_or_refused_with_a_sentence() -> None:
    dice = random.Random(seed())
    refused = set()
    for _ in range(2000):
        text = bytearray(to_hex(origin()).encode())
        for _ in range(dice.choice((0, 1, 5))):
            text[dice.randrange(len(text))] = dice.choice(b"0aFxX:;,. \n\x00\xff")
        try:
            parse(read(bytes(text)))
        except EdidError as error:
            refused.add(str(error))
    assert len(refused) > 3
    assert [said for said in refused if "\n" in said] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\x00" * (1 << 20) + b"1", "too long"),
        (b"\xff\xd8\xff\xe0 picture", "neither text"),
        (b"root:x:0:0", "line 1 is not hex text ('r')"),
        (b"00 ff f", "half a byte"),
        (b"00000000: 00ff ffff  ....\n00000010: ffff  ..\n", "line 2 does not continue"),
    ],
)
def test_what_is_no_edid_is_refused_by_name(content: bytes, said: str) -> None:
    with pytest.raises(EdidError, match=re.escape(said)):
        read(content)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (bytes(130), "130 bytes"),
        (bytes(128), "does not begin with"),
        (bytes(128 * 257), "at most 256 blocks"),
        (origin()[:18] + b"\x02" + origin()[19:], "version 2.3"),
        (origin()[:130] + b"\x02" + origin()[131:], "block 1: timings begin at byte 2"),
    ],
)
def test_bytes_that_are_no_edid_are_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(EdidError, match=said):
        parse(data)


def test_unknown_blocks_are_kept_byte_for_byte() -> None:
    seed = 5
    strange = random.Random(seed).randbytes(127)
    data = bytearray(preset("everything") + b"\x99" + strange)
    data[126] = 2
    data = bytearray(sealed(data))
    assert parse(bytes(data)).to_bytes() == bytes(data)
    assert "tag 0x99, kept unchanged" in show.show(parse(bytes(data)))
    assert check(bytes(data)) == []


def test_an_extension_count_that_is_not_true_is_a_fault() -> None:
    data = bytearray(preset("low-latency"))
    data[126] = 3
    assert check(sealed(data)) == ["3 extension blocks announced, 1 present"]
    override = DataBlock.of(7, bytes((EXTENSION_COUNT, 1)))
    assert override.extended == EXTENSION_COUNT


def test_range_limits_of_a_secondary_formula_without_its_parameters_are_a_fault_that_is_fixed() -> None:
    data = bytearray(origin())
    data[data.index(b"\xfd\0", 54) + 7] = 2
    assert any("match their formula byte" in fault for fault in check(sealed(data)))
    assert check(fix(bytes(data))[0]) == []


def test_more_blocks_than_the_driver_takes_are_a_fault() -> None:
    data = bytearray(preset("low-latency") + (b"\x99" + bytes(127)) * 7)
    data[126] = 8
    assert check(sealed(data)) == ["9 blocks; the bridge's driver accepts 8"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("1920x1080@60", "3 CSI-2 lanes"),
        ("1920x1080@50", "408,000 macroblocks/s"),
        ("3840x2160@30", "not a mode of CTA-861 or DMT"),
        ("1234x700@60", "not a mode of CTA-861 or DMT"),
        ("1280x720@24", "cannot be the preferred mode"),
    ],
)
def test_a_mode_that_is_not_supported_is_refused_with_the_reason(wish: str, said: str) -> None:
    with pytest.raises(ModeError, match=said):
        built(wish)


@pytest.mark.parametrize("name", ["", "fourteen chars", "naïve", "a\nb", " x"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ModeError, match="1 to 13 ASCII characters"):
        built("1280x720@60", name)


def test_what_is_built_prefers_the_first_mode_and_offers_no_audio() -> None:
    for data in valid()[:-1]:
        found = offers(parse(data))
        assert not any(offer.why_not for offer in found)
        assert not parse(data).cta[0].flags & 0x40
    first = offers(parse(built("1920x1080@25,1280x720@60", "CAM 1")))[0]
    assert (first.mode, first.by) == ("1920x1080@25", "DTD 1")


def test_lanes_levels_and_latency_are_those_of_the_chips_papers() -> None:
    lanes = {4: (1, 2), 19: (1, 2), 32: (1, 2), 33: (1, 2), 34: (2, 2), 31: (2, 3), 16: (3, 4)}
    for vic, (fast, slow) in lanes.items():
        assert VICS[vic].lanes(972_000_000) == fast
        assert VICS[vic].lanes(594_000_000) == slow
    assert VICS[31].lanes(972_000_000, 24) == 3
    assert [VICS[vic].macroblocks_s for vic in (4, 34)] == [216_000, 244_800]
    assert [round(VICS[vic].latency_us / 1000) for vic in (4, 34)] == [31, 67]
    assert refusal(VICS[34]) == "" != refusal(VICS[31])


def test_a_rate_of_1000_over_1001_gives_the_clock_that_belongs_to_it() -> None:
    slow = find(1280, 720, Fraction(60000, 1001))
    assert slow is not None
    assert abs(slow.pixel_clock_hz - 74_175_824) <= 1
    assert str(slow) == "1280x720@59.94"


def test_a_timing_goes_through_its_eighteen_bytes() -> None:
    seen = 0
    for timing in filter(fits, (*VICS.values(), *DMTS.values())):
        seen += 1
        again = DetailedTiming.parse(DetailedTiming.of(timing).to_bytes()).timing
        want = (timing.h_total, timing.v_total, timing.h_front, timing.v_sync, timing.h_positive, timing.v_positive)
        assert want == (again.h_total, again.v_total, again.h_front, again.v_sync, again.h_positive, again.v_positive)
        assert abs(again.pixel_clock_hz - timing.pixel_clock_hz) <= 5000
    assert seen > 90
    assert not fits(VICS[60])


def test_range_limits_go_through_their_descriptor() -> None:
    limits = RangeLimits(23, 61, 15, 68, 150)
    assert RangeLimits.of(limits.descriptor()) == limits


def test_explain_says_each_mode_once_and_why_it_is_not_supported() -> None:
    text = show.explain(parse(origin()))
    assert len(re.findall(r"^1280x720@60 ", text, re.MULTILINE)) == 1
    row = next(line for line in text.splitlines() if line.startswith("1920x1080@30"))
    assert re.split(r"\s{2,}", row)[1:9] == ["74.25", "2 / 2", "244,800", "99.6 %", "46.9 %", "33.3 ms", "67 ms", "yes"]
    assert "1920x1080@50: 408,000 macroblocks/s: the encoder's limit is 245,760" in text


def test_impossible_timings_are_said_so() -> None:
    data = bytearray(preset("low-latency"))
    data[54 + 3] = data[54 + 4] = 0  # no blanking
    assert any("impossible" in fault for fault in check(sealed(data)))
    assert isinstance(VICS[4], Timing)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "/no/edid.txt"], Exit.FILE, "cannot read /no/edid.txt"),
        (["check", "/usr"], Exit.FILE, "cannot read /usr"),
        (["fix", __file__], Exit.FILE, "neither text nor"),
        (["build", "--output", "/no/edid.txt"], Exit.FILE, "cannot write /no/edid.txt"),
        (["build", "--modes", "1080p"], Exit.USAGE, "1920x1080@25"),
        (["build", "--modes", "1920x1080@60"], Exit.USAGE, "3 CSI-2 lanes"),
        (["build", "--name", "a name that is long"], Exit.USAGE, "1 to 13 ASCII characters"),
    ],
)
def test_a_mistake_at_the_command_ends_in_one_line_and_its_exit_code(
    words: list[str], code: Exit, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edid", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_the_command_builds_checks_and_mends_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, fixed, old = tmp_path / "made.bin", tmp_path / "fixed.txt", tmp_path / "old.txt"
    old.write_bytes(ORIGIN)
    modes = "1280x720@60,1920x1080@30"
    assert main(["edid", "build", "--modes", modes, "--name", "CAM 1", "--binary", "--output", str(made)]) == Exit.OK
    assert made.read_bytes() == built(modes, "CAM 1")
    assert main(["edid", "check", str(made)]) == Exit.OK
    assert main(["edid", "check", str(old)]) == Exit.FAULTS
    assert main(["edid", "fix", str(old), "--output", str(fixed)]) == Exit.OK
    assert read(fixed.read_bytes()) == fix(origin())[0]
    capsys.readouterr()
    assert main(["edid", "explain", str(fixed)]) == Exit.OK
    assert "1920x1080@30" in capsys.readouterr().out


def test_a_mode_that_is_not_supported_is_named_as_a_camera_names_it_with_one_to_choose() -> None:
    full = VICS[31]  # 1920x1080@50
    # CTA-861: VIC 20 is 1080i50, 1125 lines of 2640 pixels at 74.25 MHz
    interlaced = Timing(1920, 1080, 74_250_000, 528, 44, 148, 2, 5, 15, interlaced=True)
    assert menu_name(interlaced) == "1080i50"
    for timing, instead in ((interlaced, "1080p25"), (full, "1080p25"), (VICS[16], "1080p30")):
        other = supported_instead(timing)
        assert other is not None
        assert menu_name(other) == instead
        assert refusal(other) == ""
