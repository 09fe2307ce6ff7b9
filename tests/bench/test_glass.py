"""bench glass: the framebuffer file, the sampler, the join, and rows of baselines that cannot run."""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from thinair.bench.analysis.summary import read_frames, summary
from thinair.bench.glass import SCHEMA, against_best, footer, line, table
from thinair.bench.glass.baselines import INSTALL, PLAYERS, UNENCRYPTED, Place, PlayerSpec, choose
from thinair.bench.glass.figures import Figures, SentFrame, join, sent_frames
from thinair.bench.glass.row import Row, Settings, measure, merged, sender_command
from thinair.bench.glass.strip_delimiters import strip
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.run_conditions import Conditions
from thinair.bench.harness.xvfb_screen import Framebuffer, ScreenError, ScreenSampler, Sighting, xvfb
from thinair.link.errors import ConfigError
from thinair.sender.sources.visual_code import BLACK, Code, Geometry, Painter

WIDTH, HEIGHT, PADDING, NAME = 640, 360, 64, b"screen\0\0"
STRIDE = WIDTH * 4 + PADDING
COLOURS = 3


def xwd_header(*, version: int = 7, bits: int = 32, stride: int = STRIDE) -> bytes:
    fields = [0] * 25
    fields[0:3] = [100 + len(NAME), version, 2]
    fields[3:6] = [24, WIDTH, HEIGHT]
    fields[11:13] = [bits, stride]
    fields[19] = COLOURS
    return struct.pack(">25I", *fields) + NAME


def framebuffer_file(path: Path) -> Path:
    path.write_bytes(xwd_header() + bytes(COLOURS * 12) + bytes(STRIDE * HEIGHT))
    return path


class Painted:
    """Writes codes into a framebuffer file as an X server does: the rows from top to bottom."""

    def __init__(self, path: Path) -> None:
        offset = len(xwd_header()) + COLOURS * 12
        pixels = np.memmap(path, np.uint8, "r+", offset, (HEIGHT, STRIDE))
        self._green = pixels[:, 1 : WIDTH * 4 : 4]
        self._painter = Painter(Geometry(WIDTH, HEIGHT))

    def draw(self, frame_id: int, time_us: int, rows: slice = slice(None)) -> None:
        picture = np.full((HEIGHT, WIDTH), BLACK, np.uint8)
        self._painter.draw(picture, frame_id, time_us)
        self._green[rows] = picture[rows]


@pytest.mark.quick
def test_the_pixels_of_an_xwd_file_begin_after_header_and_colours() -> None:
    assert Framebuffer.parse(xwd_header()) == Framebuffer(108 + 36, STRIDE, WIDTH, HEIGHT)


@pytest.mark.quick
@pytest.mark.parametrize(
    "header", [b"", xwd_header()[:99], xwd_header(version=6), xwd_header(bits=16), xwd_header(stride=WIDTH * 4 - 1)]
)
def test_a_file_that_is_no_such_framebuffer_is_refused(header: bytes) -> None:
    with pytest.raises(ScreenError):
        Framebuffer.parse(header)


@pytest.mark.quick
def test_each_picture_is_seen_once_and_soon_after_its_last_row(tmp_path: Path) -> None:
    path = framebuffer_file(tmp_path / "screen")
    painted = Painted(path)
    sampler = ScreenSampler(path, WIDTH, HEIGHT)
    drawn: list[tuple[int, int]] = []  # before and after the drawing of the lower half
    finished = threading.Event()

    def draw() -> None:
        for number in range(20):
            painted.draw(number, 1000 * number, slice(0, HEIGHT // 2))
            time.sleep(0.003)
            before_us = time.monotonic_ns() // 1000
            painted.draw(number, 1000 * number, slice(HEIGHT // 2, HEIGHT))
            drawn.append((before_us, time.monotonic_ns() // 1000))
            time.sleep(0.003)
        finished.set()

    artist = threading.Thread(target=draw)
    artist.start()
    sampler.run(lambda _: finished.is_set(), check_us=1000)
    artist.join()
    sampler.close()
    assert [sighting.code for sighting in sampler.sightings] == [Code(number, 1000 * number) for number in range(20)]
    worst_us = max(sampler.gaps_us)
    for sighting, (before_us, after_us) in zip(sampler.sightings, drawn, strict=True):
        # Not before the lower half was there; after it, by one look and what a look itself may take.
        assert before_us <= sighting.seen_us <= after_us + 2 * worst_us


@pytest.mark.quick
def test_a_torn_picture_is_not_seen(tmp_path: Path) -> None:
    path = framebuffer_file(tmp_path / "screen")
    painted = Painted(path)
    painted.draw(1, 10)
    painted.draw(2, 20, slice(0, HEIGHT // 2))
    sampler = ScreenSampler(path, WIDTH, HEIGHT)
    sampler.run(lambda _: len(sampler.gaps_us) > 20, check_us=0)
    assert sampler.sightings == []
    painted.draw(2, 20)
    sampler.run(lambda _: bool(sampler.sightings) or len(sampler.gaps_us) > 5000, check_us=0)
    sampler.close()
    assert [sighting.code for sighting in sampler.sightings] == [Code(2, 20)]


@pytest.mark.quick
def test_a_screen_of_another_size_is_refused(tmp_path: Path) -> None:
    path = framebuffer_file(tmp_path / "screen")
    with pytest.raises(ScreenError, match="640x360, not 1280x720"):
        ScreenSampler(path, 1280, 720)


@pytest.mark.quick
def test_latency_is_joined_by_the_time_in_the_code() -> None:
    high = 3 << 32  # the code carries the low 32 bits only
    sent = [SentFrame(n, high + 40_000 * n, high + 40_000 * n + 1000, high + 40_000 * n + 6000) for n in range(5)]
    seen = [
        Sighting(Code(n + 7, 40_000 * n), high + 40_000 * n + 12_000 + n)
        for n in (0, 1, 3, 4)  # 2 was never shown
    ] + [Sighting(Code(11, 160_000), high + 999_999)]  # shown again later: the first time counts
    figures = join(sent, seen, {3: 11_500}, (high + 40_000, high + 200_000))
    assert figures.sent == 4
    assert figures.screen_ms == [12.001, 12.003, 12.004]
    assert figures.encode_ms == [5.0] * 3
    assert figures.receive_ms == pytest.approx([7.001, 7.003, 7.004])
    assert figures.difference_ms == [0.503]


@pytest.mark.quick
def test_frame_logs_keep_whole_numbers_and_leave_the_unknown_out(tmp_path: Path) -> None:
    log = tmp_path / "frames.csv"
    log.write_text(
        "frame_id,capture_us,outcome,encode_in_us,encode_out_us\n1,100,presented,101,103\n2,,lost,,\n3,300,x,,\n"
    )
    rows = read_frames(log)
    assert rows[1] == {"frame_id": 2}
    assert sent_frames(rows) == [SentFrame(1, 100, 101, 103), SentFrame(3, 300, None, None)]
    assert read_frames(tmp_path / "missing.csv") == []


@pytest.mark.quick
def test_percentiles_of_nothing_are_unknown_and_never_zero() -> None:
    assert summary([]) == {"p50": None, "p95": None, "p99": None, "max": None, "n": 0}
    assert summary([float(n) for n in range(1, 101)]) == {"p50": 50, "p95": 95, "p99": 99, "max": 100, "n": 100}


@pytest.mark.quick
def test_delimiters_are_taken_off_the_end_of_a_datagram_only() -> None:
    assert strip(b"\x00\x00\x01\x65abc\x00\x00\x00\x01\x09\xf0") == b"\x00\x00\x01\x65abc"
    assert strip(b"\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x65") == b"\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x65"
    assert strip(b"\x00\x00\x00\x01\x09\xf0") == b""


@pytest.mark.quick
def test_the_sender_of_every_row_sends_the_same_stream() -> None:
    settings = Settings("1920x1080@25", 1920, 1080, 8_000_000, 15.0, 5)
    commands = {feed: sender_command(feed, 5004, settings, Path("f.csv")) for feed in ("thinair", "rtp", "annexb")}
    words = {feed: command[command.index("send") + 1 :] for feed, command in commands.items()}
    assert words["thinair"][:2] == ["--to", "127.0.0.1:5004"]
    assert words["annexb"][:2] == ["--output", "annexb://127.0.0.1:5004"]
    assert len({tuple(rest[2:]) for rest in words.values()}) == 1


@pytest.mark.quick
def test_baselines_are_chosen_by_name_and_thinair_and_the_floor_are_always_there() -> None:
    assert choose("all") == list(PLAYERS)
    assert [player.name for player in choose("none")] == ["thinair", "floor"]
    assert [player.name for player in choose("mpv")] == ["thinair", "floor", "mpv"]
    with pytest.raises(ConfigError, match="vlc"):
        choose("vlc,mpv")


def place(home: Path) -> Place:
    return Place(":9", free_port(), WIDTH, HEIGHT, "640x360@25", home)


@pytest.mark.quick
def test_every_player_gets_its_port_or_its_session_description(tmp_path: Path) -> None:
    where = place(tmp_path)
    for player in PLAYERS:
        command = " ".join(player.command(where))
        assert player.name == "floor" or str(where.port) in command or str(where.sdp) in command


@pytest.mark.quick
def test_a_missing_baseline_is_named_in_the_table_and_in_the_file() -> None:
    row = Row("mpv", INSTALL)
    content = row.as_json()
    assert content["note"] == "not installed; make bench-setup"
    assert content["screen_latency_ms"]["p50"] is None
    assert (content["shown"], content["sent"]) == (0, 0)
    assert line(content).split(maxsplit=1) == ["mpv", INSTALL]


@pytest.mark.quick
def test_file_and_footer_of_the_table_have_sampling_error_and_agreement() -> None:
    figures = join([SentFrame(1, 1000, 1100, 1200)], [Sighting(Code(1, 1000), 3000)], {1: 1400}, (0, 5000))
    conditions: Conditions = {"steal_share": 0.0, "foreign_share": 0.3, "load_average": [1.0], "unfit": ["busy"]}
    result = table([Row("thinair", "", figures, [0.2, 0.4], ["busy"])], conditions)
    assert result["schema"] == SCHEMA == "thinair.bench-glass/1"
    assert result["rows"][0].get("in_band_vs_screen_ms", {}).get("p50") == 0.6
    assert result["rows"][0]["unfit"] == ["busy"]
    assert result["sampling"]["gap_ms"]["max"] == 0.4
    assert result["sampling"]["rate_hz"] == 3333
    text = footer(result)
    assert "0.60 ms" in text
    assert "max 0.40 ms" in text
    assert "unfit: busy" in text


SETTINGS = Settings("640x360@25", WIDTH, HEIGHT, 2_000_000, 1.0, 0)


@pytest.mark.display
def test_a_baseline_that_is_not_installed_is_named_in_its_row() -> None:
    row = measure(PlayerSpec("nobody", "", "rtp", lambda _: ["no-such-player"]), SETTINGS)
    assert (row.note, row.figures) == (INSTALL, None)


def _row(name: str, screen_ms: list[float], encode_ms: float = 5.0) -> Row:
    receive_ms = [value - encode_ms for value in screen_ms]
    return Row(name, "", Figures(len(screen_ms), screen_ms, [encode_ms] * len(screen_ms), receive_ms, []))


@pytest.mark.quick
def test_the_rounds_of_a_row_pool_their_pictures_and_keep_failures() -> None:
    rounds = [_row("mpv", [10.0, 12.0]), Row("mpv", "receiver ended with code 4"), _row("mpv", [30.0])]
    row = merged(rounds).as_json()
    assert (row["screen_latency_ms"]["n"], row["screen_latency_ms"]["max"], row["sent"]) == (3, 30.0, 3)
    assert row["note"] == "receiver ended with code 4"


@pytest.mark.quick
def test_thinair_is_compared_with_the_best_baseline_and_never_with_a_row_of_its_own() -> None:
    own = [_row("thinair", [8.0]), _row("floor", [1.0]), _row(UNENCRYPTED, [7.9]), _row("thinair-browser", [2.0])]
    rows = [*own, _row("mpv", [16.0]), _row("gstreamer", [10.0], 2.0)]
    ratios = against_best([row.as_json() for row in rows])
    assert ratios["screen_latency_p50"] == {"ratio": 0.8, "baseline": "gstreamer"}
    assert ratios["receive_p95"] == {"ratio": 0.375, "baseline": "gstreamer"}
    assert against_best([row.as_json() for row in own]) == {}


@pytest.mark.display
def test_a_player_that_ends_early_is_named_in_its_row_with_its_last_line() -> None:
    row = measure(PlayerSpec("nobody", "", "", lambda _: ["sh", "-c", "echo no codec; exit 4"]), SETTINGS)
    assert row.note == "player ended with code 4: no codec"


@pytest.mark.display
def test_the_floor_is_measured_on_a_real_screen() -> None:
    (floor,) = (player for player in PLAYERS if player.name == "floor")
    row = measure(floor, SETTINGS)
    assert row.figures is not None, row.note
    assert row.figures.sent >= 20
    assert len(row.figures.screen_ms) >= row.figures.sent - 2
    assert all(0 < latency < 1000 for latency in row.figures.screen_ms)
    assert row.gaps_ms


@pytest.mark.display
def test_the_screen_file_is_gone_with_its_server() -> None:
    with xvfb(WIDTH, HEIGHT) as screen:
        header = screen.file.read_bytes()[:100]
        assert Framebuffer.parse(header).width == WIDTH
        directory = screen.file.parent
    assert not os.path.lexists(directory)
