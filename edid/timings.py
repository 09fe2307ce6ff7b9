"""The modes of CTA-861 and VESA DMT that the capture chip takes, and what each costs on the way to the encoder.

The chip is the TC358743 (limits of its Linux driver), behind it lie CSI-2 lanes and the Pi's H.264 encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

# CTA-861-H tables 1 and 2: VIC, active size, pixel clock in kHz, horizontal front porch, sync and back porch, the same
# vertically, polarity of horizontal and vertical sync, aspect ratio of the picture.
_CTA = """
1 640x480 25175 16 96 48 10 2 33 -- 4:3
2 720x480 27000 16 62 60 9 6 30 -- 4:3
3 720x480 27000 16 62 60 9 6 30 -- 16:9
4 1280x720 74250 110 40 220 5 5 20 ++ 16:9
14 1440x480 54000 32 124 120 9 6 30 -- 4:3
15 1440x480 54000 32 124 120 9 6 30 -- 16:9
16 1920x1080 148500 88 44 148 4 5 36 ++ 16:9
17 720x576 27000 12 64 68 5 5 39 -- 4:3
18 720x576 27000 12 64 68 5 5 39 -- 16:9
19 1280x720 74250 440 40 220 5 5 20 ++ 16:9
29 1440x576 54000 24 128 136 5 5 39 -- 4:3
30 1440x576 54000 24 128 136 5 5 39 -- 16:9
31 1920x1080 148500 528 44 148 4 5 36 ++ 16:9
32 1920x1080 74250 638 44 148 4 5 36 ++ 16:9
33 1920x1080 74250 528 44 148 4 5 36 ++ 16:9
34 1920x1080 74250 88 44 148 4 5 36 ++ 16:9
41 1280x720 148500 440 40 220 5 5 20 ++ 16:9
42 720x576 54000 12 64 68 5 5 39 -- 4:3
43 720x576 54000 12 64 68 5 5 39 -- 16:9
47 1280x720 148500 110 40 220 5 5 20 ++ 16:9
48 720x480 54000 16 62 60 9 6 30 -- 4:3
49 720x480 54000 16 62 60 9 6 30 -- 16:9
52 720x576 108000 12 64 68 5 5 39 -- 4:3
53 720x576 108000 12 64 68 5 5 39 -- 16:9
56 720x480 108000 16 62 60 9 6 30 -- 4:3
57 720x480 108000 16 62 60 9 6 30 -- 16:9
60 1280x720 59400 1760 40 220 5 5 20 ++ 16:9
61 1280x720 74250 2420 40 220 5 5 20 ++ 16:9
62 1280x720 74250 1760 40 220 5 5 20 ++ 16:9
65 1280x720 59400 1760 40 220 5 5 20 ++ 64:27
66 1280x720 74250 2420 40 220 5 5 20 ++ 64:27
67 1280x720 74250 1760 40 220 5 5 20 ++ 64:27
68 1280x720 74250 440 40 220 5 5 20 ++ 64:27
69 1280x720 74250 110 40 220 5 5 20 ++ 64:27
70 1280x720 148500 440 40 220 5 5 20 ++ 64:27
71 1280x720 148500 110 40 220 5 5 20 ++ 64:27
72 1920x1080 74250 638 44 148 4 5 36 ++ 64:27
73 1920x1080 74250 528 44 148 4 5 36 ++ 64:27
74 1920x1080 74250 88 44 148 4 5 36 ++ 64:27
75 1920x1080 148500 528 44 148 4 5 36 ++ 64:27
76 1920x1080 148500 88 44 148 4 5 36 ++ 64:27
79 1680x720 59400 1360 40 220 5 5 20 ++ 64:27
80 1680x720 59400 1228 40 220 5 5 20 ++ 64:27
81 1680x720 59400 700 40 220 5 5 20 ++ 64:27
82 1680x720 82500 260 40 220 5 5 20 ++ 64:27
83 1680x720 99000 260 40 220 5 5 20 ++ 64:27
84 1680x720 165000 60 40 220 5 5 95 ++ 64:27
108 1280x720 90000 960 40 220 5 5 20 ++ 16:9
109 1280x720 90000 960 40 220 5 5 20 ++ 64:27
110 1680x720 99000 810 40 220 5 5 20 ++ 64:27
111 1920x1080 148500 638 44 148 4 5 36 ++ 16:9
112 1920x1080 148500 638 44 148 4 5 36 ++ 64:27
"""
# VESA DMT 1.13: id (hexadecimal), then as above. Borders are counted to the porches, as V4L2 does.
_DMT = """
01 640x350 31500 32 64 96 32 3 60 +-
02 640x400 31500 32 64 96 1 3 41 -+
03 720x400 35500 36 72 108 1 3 42 -+
04 640x480 25175 16 96 48 10 2 33 --
05 640x480 31500 24 40 128 9 3 28 --
06 640x480 31500 16 64 120 1 3 16 --
07 640x480 36000 56 56 80 1 3 25 --
08 800x600 36000 24 72 128 1 2 22 ++
09 800x600 40000 40 128 88 1 4 23 ++
0a 800x600 50000 56 120 64 37 6 23 ++
0b 800x600 49500 16 80 160 1 3 21 ++
0c 800x600 56250 32 64 152 1 3 27 ++
0d 800x600 73250 48 32 80 3 4 29 +-
0e 848x480 33750 16 112 112 6 8 23 ++
10 1024x768 65000 24 136 160 3 6 29 --
11 1024x768 75000 24 136 144 3 6 29 --
12 1024x768 78750 16 96 176 1 3 28 ++
13 1024x768 94500 48 96 208 1 3 36 ++
14 1024x768 115500 48 32 80 3 4 38 +-
15 1152x864 108000 64 128 256 1 3 32 ++
55 1280x720 74250 110 40 220 5 5 20 ++
16 1280x768 68250 48 32 80 3 7 12 +-
17 1280x768 79500 64 128 192 3 7 20 -+
18 1280x768 102250 80 128 208 3 7 27 -+
19 1280x768 117500 80 136 216 3 7 31 -+
1a 1280x768 140250 48 32 80 3 7 35 +-
1b 1280x800 71000 48 32 80 3 6 14 +-
1c 1280x800 83500 72 128 200 3 6 22 -+
1d 1280x800 106500 80 128 208 3 6 29 -+
1e 1280x800 122500 80 136 216 3 6 34 -+
1f 1280x800 146250 48 32 80 3 6 38 +-
20 1280x960 108000 96 112 312 1 3 36 ++
21 1280x960 148500 64 160 224 1 3 47 ++
23 1280x1024 108000 48 112 248 1 3 38 ++
24 1280x1024 135000 16 144 248 1 3 38 ++
25 1280x1024 157500 64 160 224 1 3 44 ++
27 1360x768 85500 64 112 256 3 6 18 ++
28 1360x768 148250 48 32 80 3 5 37 +-
51 1366x768 85500 70 143 213 3 3 24 ++
56 1366x768 72000 14 56 64 1 3 28 ++
29 1400x1050 101000 48 32 80 3 4 23 +-
2a 1400x1050 121750 88 144 232 3 4 32 -+
2b 1400x1050 156000 104 144 248 3 4 42 -+
2e 1440x900 88750 48 32 80 3 6 17 +-
2f 1440x900 106500 80 152 232 3 6 25 -+
30 1440x900 136750 96 152 248 3 6 33 -+
31 1440x900 157000 104 152 256 3 6 39 -+
53 1600x900 108000 24 80 96 1 3 96 ++
33 1600x1200 162000 64 192 304 1 3 46 ++
39 1680x1050 119000 48 32 80 3 6 21 +-
3a 1680x1050 146250 104 176 280 3 6 30 -+
52 1920x1080 148500 88 44 148 4 5 36 ++
44 1920x1200 154000 48 32 80 3 6 26 +-
"""
# The other VICs, which the chip does not take, by mode.
_NOT_TAKEN = """
1920x1080i@60 5; 1440x480i@60 6,7; 1440x240@60 8,9; 2880x480i@60 10,11; 2880x240@60 12,13;
1920x1080i@50 20,39; 1440x576i@50 21,22; 1440x288@50 23,24; 2880x576i@50 25,26; 2880x288@50 27,28;
2880x480@60 35,36; 2880x576@50 37,38; 1920x1080i@100 40; 1440x576i@100 44,45; 1920x1080i@120 46;
1440x480i@120 50,51; 1440x576i@200 54,55; 1440x480i@240 58,59; 1920x1080@120 63,78; 1920x1080@100 64,77;
1680x720@120 85; 2560x1080@24 86; 2560x1080@25 87; 2560x1080@30 88; 2560x1080@50 89; 2560x1080@60 90;
2560x1080@100 91; 2560x1080@120 92; 3840x2160@24 93,103; 3840x2160@25 94,104; 3840x2160@30 95,105;
3840x2160@50 96,106; 3840x2160@60 97,107; 4096x2160@24 98; 4096x2160@25 99; 4096x2160@30 100;
4096x2160@50 101; 4096x2160@60 102; 2560x1080@48 113; 3840x2160@48 114,116; 4096x2160@48 115;
3840x2160@100 117,119; 3840x2160@120 118,120; 5120x2160@24 121; 5120x2160@25 122; 5120x2160@30 123;
5120x2160@48 124; 5120x2160@50 125; 5120x2160@60 126; 5120x2160@100 127; 5120x2160@120 193;
7680x4320@24 194,202; 7680x4320@25 195,203; 7680x4320@30 196,204; 7680x4320@48 197,205;
7680x4320@50 198,206; 7680x4320@60 199,207; 7680x4320@100 200,208; 7680x4320@120 201,209;
10240x4320@24 210; 10240x4320@25 211; 10240x4320@30 212; 10240x4320@48 213; 10240x4320@50 214;
10240x4320@60 215; 10240x4320@100 216; 10240x4320@120 217; 4096x2160@100 218; 4096x2160@120 219
"""
HDMI_VICS = {1: "3840x2160@30", 2: "3840x2160@25", 3: "3840x2160@24", 4: "4096x2160@24"}  # HDMI 1.4b, table 8-13
WIDTHS = range(640, 1921)
HEIGHTS = range(350, 1201)
PIXEL_CLOCKS_HZ = range(13_000_000, 165_000_001)
LANE_RATES_BPS = (972_000_000, 594_000_000)  # link frequencies of 486 and 297 MHz, both edges
UYVY_BITS = 16
ENCODER_MACROBLOCKS_S = 245_760
ENCODER_MACROBLOCKS = 8_192
LEVEL_MACROBLOCKS_S = {"4.0": 245_760, "4.2": 522_240}  # H.264 table A-1, MaxMBPS
NTSC = Fraction(1000, 1001)


@dataclass(frozen=True, slots=True)
class Timing:
    """One video timing. Porches and sync are in pixels and lines; of an interlaced one `height` counts both fields, the
    vertical porches one field."""

    width: int
    height: int
    pixel_clock_hz: int
    h_front: int
    h_sync: int
    h_back: int
    v_front: int
    v_sync: int
    v_back: int
    h_positive: bool = True
    v_positive: bool = True
    interlaced: bool = False
    name: str = ""  # VIC 4, DMT 0x10
    aspect: str = ""

    @property
    def h_total(self) -> int:
        return self.width + self.h_front + self.h_sync + self.h_back

    @property
    def v_total(self) -> Fraction:
        """Lines of a frame; of a field, with its half line, where interlaced."""
        return Fraction(self._half_lines, 2)

    @property
    def rate(self) -> Fraction:
        """Pictures per second, fields where interlaced."""
        return Fraction(2 * self.pixel_clock_hz, self.h_total * self._half_lines)

    @property
    def _half_lines(self) -> int:
        blank = self.v_front + self.v_sync + self.v_back
        return self.height + 2 * blank + 1 if self.interlaced else 2 * (self.height + blank)

    @property
    def line_hz(self) -> Fraction:
        return Fraction(self.pixel_clock_hz, self.h_total)

    @property
    def frame_us(self) -> Fraction:
        return 1_000_000 / self.rate

    @property
    def macroblocks(self) -> int:
        """Of one picture, 16x16 pixels each, the last row and column filled up."""
        return -(-self.width // 16) * -(-self.height // 16)

    @property
    def macroblocks_s(self) -> int:
        return round(self.macroblocks * self.rate)

    @property
    def latency_us(self) -> Fraction:
        """Computed, not measured: one picture to capture, then the encoder at its rated speed."""
        return self.frame_us + Fraction(self.macroblocks * 1_000_000, ENCODER_MACROBLOCKS_S)

    def lanes(self, lane_bps: int, bits: int = UYVY_BITS) -> int:
        """CSI-2 lanes needed, counted as the driver does: active pixels at the rounded rate."""
        return -(-self.width * self.height * round(self.rate) * bits // lane_bps)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}{'i' * self.interlaced}@{rate_text(self.rate)}"


@dataclass(frozen=True, slots=True)
class Chain:
    """What stands behind the chip. The default is a B101 on a Pi with two lanes at 972 Mb/s."""

    lanes: int = 2
    lane_bps: int = LANE_RATES_BPS[0]


DEFAULT_CHAIN = Chain()


def rate_text(rate: Fraction) -> str:
    """At most three decimals: 60, 59.94, 23.976, 60.004."""
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def chip_refusal(timing: Timing) -> str:
    """Why the capture chip's driver rejects the timing; empty where it takes it."""
    if timing.interlaced:
        return "interlaced: the bridge supports progressive pictures only"
    if timing.width not in WIDTHS or timing.height not in HEIGHTS:
        return _SIZE
    if timing.pixel_clock_hz not in PIXEL_CLOCKS_HZ:
        return f"pixel clock of {timing.pixel_clock_hz / 1e6:.6g} MHz: the bridge supports 13 to 165 MHz"
    return ""


def refusal(timing: Timing, chain: Chain = DEFAULT_CHAIN) -> str:
    """Why bridge, lanes or encoder do not support the timing; empty where they do."""
    if reason := chip_refusal(timing):
        return reason
    if (lanes := timing.lanes(chain.lane_bps)) > chain.lanes:
        return f"needs {lanes} CSI-2 lanes at {chain.lane_bps / 1e6:.0f} Mb/s: there are {chain.lanes}"
    if timing.macroblocks > ENCODER_MACROBLOCKS:
        return f"{timing.macroblocks:,} macroblocks per picture: the encoder's limit is {ENCODER_MACROBLOCKS:,}"
    if timing.macroblocks_s > ENCODER_MACROBLOCKS_S:
        return f"{timing.macroblocks_s:,} macroblocks/s: the encoder's limit is {ENCODER_MACROBLOCKS_S:,}"
    return ""


def vic_refusal(vic: int) -> tuple[str, str]:
    """(mode, why) of a VIC that the chip does not take and `VICS` does not hold."""
    mode = _OTHER_VICS.get(vic, f"VIC {vic}")
    return mode, _mode_refusal(mode) if vic in _OTHER_VICS else "not a VIC of CTA-861"


def hdmi_vic_refusal(vic: int) -> tuple[str, str]:
    """The same for the four modes of HDMI 1.4 beyond the VICs."""
    return HDMI_VICS.get(vic, f"HDMI VIC {vic}"), _SIZE if vic in HDMI_VICS else "not a mode of HDMI 1.4"


def find(width: int, height: int, rate: Fraction) -> Timing | None:
    """The CTA timing of this size and rate, 16:9 first, else the nearest DMT one. A rate of 1000/1001 the table's gives
    the clock that belongs to it."""
    known = [timing for timing in VICS.values() if (timing.width, timing.height) == (width, height)]
    near = [timing for timing in known if abs(timing.rate - rate) / rate < Fraction(11, 10_000)]
    if near:
        best = min(near, key=lambda timing: ("16:9", "4:3", "64:27").index(timing.aspect))
        slow = abs(best.rate * NTSC - rate) < abs(best.rate - rate)
        return replace(best, pixel_clock_hz=round(best.pixel_clock_hz * NTSC)) if slow else best
    sized = [timing for timing in DMTS.values() if (timing.width, timing.height) == (width, height)]
    close = [timing for timing in sized if abs(timing.rate - rate) / rate < Fraction(5, 1000)]
    return min(close, key=lambda timing: (abs(timing.rate - rate), timing.pixel_clock_hz), default=None)


def dmt(width: int, height: int, rate: int) -> Timing | None:
    """The DMT timing that a standard or established timing of this size and rate means: never the reduced-blanking one
    where both exist."""
    return _DMT_MODES.get((width, height, rate))


_SIZE = "size: the bridge supports 640x350 to 1920x1200"


def _mode_refusal(mode: str) -> str:
    size, _, rate = mode.partition("@")
    width, height = (int(part) for part in size.rstrip("i").split("x"))
    if size.endswith("i"):
        return "interlaced: the bridge supports progressive pictures only"
    if width not in WIDTHS or height not in HEIGHTS:
        return _SIZE
    return f"pixel clock over 165 MHz at {rate} pictures per second: the bridge supports 13 to 165 MHz"


def _timing(row: str, name: str) -> Timing:
    _, size, clock, *counts, polarity, aspect = (row + " -").split()[:11]
    width, height = map(int, size.split("x"))
    h_front, h_sync, h_back, v_front, v_sync, v_back = map(int, counts)
    return Timing(
        *(width, height, int(clock) * 1000, h_front, h_sync, h_back, v_front, v_sync, v_back),
        h_positive=polarity[0] == "+",
        v_positive=polarity[1] == "+",
        name=name,
        aspect="" if aspect == "-" else aspect,
    )


VICS = {int(row.split()[0]): _timing(row, f"VIC {row.split()[0]}") for row in _CTA.strip().splitlines()}
DMTS = {int(row[:2], 16): _timing(row, f"DMT 0x{row[:2]}") for row in _DMT.strip().splitlines()}
# The widest last, so that it stays where a mode comes with reduced blanking too.
_DMT_MODES = {
    (timing.width, timing.height, round(timing.rate)): timing
    for timing in sorted(DMTS.values(), key=lambda timing: timing.h_total)
}
_OTHER_VICS = {
    int(vic): item.split()[0] for item in _NOT_TAKEN.replace("\n", " ").split(";") for vic in item.split()[1].split(",")
}


def menu_name(timing: Timing) -> str:
    """As cameras name their modes: 1080p25, 1080i50."""
    return f"{timing.height}{'i' if timing.interlaced else 'p'}{rate_text(timing.rate)}"


def supported_instead(timing: Timing, chain: Chain = DEFAULT_CHAIN) -> Timing | None:
    """What to choose instead of an unsupported timing: the same height at half the rate, as an interlaced picture has
    it, else the usual sizes at this rate, else at half of it."""
    rate = timing.rate
    wishes = [(timing.height, rate / 2), (1080, rate), (720, rate), (1080, rate / 2), (720, rate / 2)]
    for height, wanted in wishes:
        for other in VICS.values():
            fits = not other.interlaced and other.height == height and abs(other.rate - wanted) < Fraction(1, 10)
            if fits and not refusal(other, chain):
                return other
    return None
