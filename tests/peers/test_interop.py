"""Plain outputs read by ffmpeg and GStreamer, plain inputs fed by them and by socat: pictures are counted and read."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.support.processes import PLAY, THINAIR, Running, running
from thinair.sender.sources.visual_code import Code, Geometry, Reader

pytestmark = pytest.mark.peer

WIDTH, HEIGHT = 640, 360
PICTURE = WIDTH * HEIGHT * 3 // 2
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-y")
PROTOCOLS = ("-protocol_whitelist", "file,udp,rtp")
RTP_CAPS = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"
PORT = 5004  # known before anybody listens; the tests' network is their own
RATE, PICTURES = 15, 30  # of what peers send: an interval of 67 ms tells waiting for the next picture from not waiting
INTERVAL_US = 1_000_000 / RATE


# ---- our plain outputs


def codes(raw: Path) -> list[Code | None]:
    """The visual code of each picture of a file of raw 4:2:0 pictures; None where top and bottom do not agree."""
    reader, data = Reader(Geometry(WIDTH, HEIGHT), WIDTH, pixel_bytes=1), raw.read_bytes()
    pictures = [data[at : at + PICTURE] for at in range(0, len(data) - PICTURE + 1, PICTURE)]
    return [code if (code := reader.top(one)) == reader.bottom(one) else None for one in pictures]


def check_pictures(raw: Path, at_least: int) -> None:
    read = codes(raw)
    assert len(read) >= at_least
    good = [code for code in read if code is not None]
    assert len(good) == len(read), "a damaged picture"
    numbers = [code.frame_id for code in good]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a picture is missing or came twice"


@contextmanager
def sending(*words: str) -> Iterator[Running]:
    mode = ("--mode", f"{WIDTH}x{HEIGHT}@30", "--bitrate", "2M")
    with running([*THINAIR, "send", *words, *mode]) as send:
        yield send
        assert send.stop() == 0, send.text()


def test_ffmpeg_shows_our_plain_rtp_from_its_sdp(tmp_path: Path) -> None:
    sdp, raw = tmp_path / "a.sdp", tmp_path / "a.yuv"
    with sending("--output", f"rtp://127.0.0.1:{PORT}", "--sdp", str(sdp)):
        wait_for_file(sdp)
        probe = ["ffprobe", "-v", "error", *PROTOCOLS, "-show_entries", "stream=codec_name,width,height", "-of", "json"]
        (stream,) = json.loads(subprocess.run([*probe, str(sdp)], check=True, capture_output=True, timeout=30).stdout)[
            "streams"
        ]
        assert stream == {"codec_name": "h264", "width": WIDTH, "height": HEIGHT}
        read = [
            *FFMPEG,
            *PROTOCOLS,
            "-i",
            str(sdp),
            "-frames:v",
            "30",
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "yuv420p",
        ]
        subprocess.run([*read, "-f", "rawvideo", str(raw)], check=True, timeout=30)
    check_pictures(raw, 30)


def test_gstreamer_shows_our_plain_rtp(tmp_path: Path) -> None:
    raw = tmp_path / "a.yuv"
    depay = f"udpsrc port={PORT} caps={RTP_CAPS} ! rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=I420"
    with running(["gst-launch-1.0", "-q", *f"{depay} ! filesink location={raw} buffer-mode=2".split()]) as gst:
        with sending("--output", f"rtp://127.0.0.1:{PORT}"):
            until_size(raw, 30 * PICTURE, gst)
        gst.kill()
    check_pictures(raw, 30)


def test_ffmpeg_shows_our_raw_stream(tmp_path: Path) -> None:
    raw = tmp_path / "a.yuv"
    read = [*FFMPEG, "-f", "h264", "-i", f"udp://127.0.0.1:{PORT}", "-frames:v", "30", "-fps_mode", "passthrough"]
    with (
        running([*read, "-pix_fmt", "yuv420p", "-f", "rawvideo", str(raw)]) as ffmpeg,
        sending("--output", f"annexb://127.0.0.1:{PORT}"),
    ):
        assert ffmpeg.end() == 0, ffmpeg.text()
    check_pictures(raw, 30)


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + 15
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


def until_size(path: Path, size: int, writer: Running) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path.name} stays short: {writer.text()}"
        time.sleep(0.05)


def test_a_players_pli_brings_a_key_frame_and_its_nack_the_packet_again() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as player:
        player.bind(("127.0.0.1", 0))
        player.settimeout(10)
        with sending("--output", f"rtp://127.0.0.1:{player.getsockname()[1]}", "--key-interval", "60"):
            seen = [player.recvfrom(2048) for _ in range(20)]
            sender, ssrc = seen[-1][1], seen[-1][0][8:12]
            seq, wanted = seen[-1][0][2:4], seen[-1][0]
            player.sendto(b"\x81\xcd\0\3\0\0\0\7" + ssrc + seq + b"\0\0", sender)
            assert wanted in {player.recv(2048) for _ in range(20)}
            player.sendto(b"\x81\xce\0\2\0\0\0\7" + ssrc, sender)
            kinds = [packet[12] & 31 if packet[12] & 31 != 28 else packet[13] & 31 for packet in
                     (player.recv(2048) for _ in range(60))]  # fmt: skip
            assert 5 in kinds or 24 in kinds, "an IDR, alone or together with its parameter sets"


# ---- our plain inputs


@dataclass(frozen=True, slots=True)
class Played:
    report: dict[str, Any]
    rows: list[dict[str, str]]

    def whole_after_us(self) -> float:
        """First packet in to access unit at the decoder: the median picture."""
        return median(int(row["taken_us"]) - int(row["first_packet_us"]) for row in self.rows if row["taken_us"])

    def check_all(self, pictures: int) -> None:
        frames = self.report["frames"]
        assert frames["presented"] + frames["superseded"] == pictures
        assert frames["lost"] == 0
        assert not any(self.report["decoder"].values())
        assert self.report["mode"]["width"] == WIDTH


@contextmanager
def playing(plain: str, folder: Path) -> Iterator[tuple[Running, list[Played]]]:
    """The list gets what was played once the block ends."""
    files = folder / "report.json", folder / "frames.csv"
    words = ["--headless", "--input", plain, "--report", str(files[0]), "--frames", str(files[1])]
    played: list[Played] = []
    with running([*PLAY, *words]) as play:
        play.wait_for("listening")
        yield play, played
        play.run_on(0.5)
        assert play.stop() == 0, play.text()
    with files[1].open() as file:
        played.append(Played(json.loads(files[0].read_text()), list(csv.DictReader(file))))


def gstreamer(payloader: str, pixels: str = "I420") -> list[str]:
    source = f"videotestsrc is-live=true num-buffers={PICTURES} pattern=ball"
    raw = f"video/x-raw,format={pixels},width={WIDTH},height={HEIGHT},framerate={RATE}/1"
    encode = "x264enc tune=zerolatency speed-preset=ultrafast bitrate=2000 key-int-max=15"
    return [
        "gst-launch-1.0",
        "-q",
        *f"{source} ! {raw} ! {encode} ! {payloader} ! udpsink host=127.0.0.1 port={PORT}".split(),
    ]


def ffmpeg(*words: str, x264: str = "") -> list[str]:
    source = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}:duration={PICTURES / RATE}"
    encode = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
        "-b:v",
        "2M",
        "-g",
        "15",
    ]
    return [*FFMPEG, "-re", "-f", "lavfi", "-i", source, *encode, *(("-x264-params", x264) if x264 else ()), *words]


@pytest.mark.parametrize("aggregate", ["zero-latency", "none"])
def test_gstreamers_payloader_is_played(tmp_path: Path, aggregate: str) -> None:
    with playing(f"rtp:{PORT}", tmp_path) as (_, played):
        payloader = f"rtph264pay config-interval=-1 aggregate-mode={aggregate} mtu=1200"
        subprocess.run(gstreamer(payloader), check=True, timeout=30)
    played[0].check_all(PICTURES)
    assert played[0].whole_after_us() < INTERVAL_US / 2


def test_a_stream_in_full_chroma_as_gstreamer_makes_it_by_itself_is_played(tmp_path: Path) -> None:
    with playing(f"rtp:{PORT}", tmp_path) as (_, played):
        subprocess.run(gstreamer("rtph264pay config-interval=-1", pixels="Y444"), check=True, timeout=30)
    played[0].check_all(PICTURES)


def test_a_stream_that_cannot_be_shown_is_told_once(tmp_path: Path) -> None:
    with playing(f"rtp:{PORT}", tmp_path) as (play, played):
        subprocess.run(gstreamer("rtph264pay config-interval=-1", pixels="I420_10LE"), check=True, timeout=30)
    assert play.text().count("this stream cannot be shown: only 8 bits per sample") == 1
    assert played[0].report["frames"]["presented"] == 0
    assert played[0].report["decoder"]["refused"] > 0


@pytest.mark.parametrize("flags", ["", "h264_mode0"], ids=["mode 1", "mode 0"])
def test_ffmpegs_rtp_is_played(tmp_path: Path, flags: str) -> None:
    mode = ["-rtpflags", flags] if flags else []
    with playing(f"rtp:{PORT}", tmp_path) as (_, played):
        words = ffmpeg(*mode, "-f", "rtp", f"rtp://127.0.0.1:{PORT}", x264="slice-max-size=1200" if flags else "")
        subprocess.run(words, check=True, timeout=30, stdout=subprocess.DEVNULL)
    played[0].check_all(PICTURES)
    assert played[0].whole_after_us() < INTERVAL_US / 2


@pytest.mark.parametrize("delimiters", [0, 1], ids=["no delimiters", "delimiters"])
def test_the_origins_pipe_through_socat_is_played_without_waiting_for_the_next_picture(
    tmp_path: Path, delimiters: int
) -> None:
    x264 = f"aud={delimiters}:sliced-threads=0:slices=1"
    encode = ffmpeg("-flush_packets", "1", "-f", "h264", "-", x264=x264)
    with (
        playing(f"annexb:{PORT}", tmp_path) as (_, played),
        subprocess.Popen(encode, stdout=subprocess.PIPE) as camera,
        subprocess.Popen(
            ["socat", "-u", "-b", "8192", "-", f"UDP-SENDTO:127.0.0.1:{PORT}"], stdin=camera.stdout
        ) as pipe,
    ):
        assert camera.wait(30) == 0
        assert pipe.wait(30) == 0
    played[0].check_all(PICTURES)
    assert played[0].whole_after_us() < INTERVAL_US / 2


def test_our_own_raw_stream_is_whole_with_its_delimiter(tmp_path: Path) -> None:
    """Silence that would end a picture is switched off: only the delimiter can."""
    files = tmp_path / "report.json", tmp_path / "frames.csv"
    words = [
        "--headless",
        "--input",
        f"annexb:{PORT}",
        "--quiet-us",
        "0",
        "--report",
        str(files[0]),
        "--frames",
        str(files[1]),
    ]
    with running([*PLAY, *words]) as play:
        play.wait_for("listening")
        with running(
            [*THINAIR, "send", "--output", f"annexb://127.0.0.1:{PORT}", "--mode", "640x360@15", "--seconds", "2"]
        ) as send:
            assert send.end() == 0
        assert play.stop() == 0
    with files[1].open() as file:
        played = Played(json.loads(files[0].read_text()), list(csv.DictReader(file)))
    assert played.report["frames"]["presented"] > 15
    assert played.whole_after_us() < INTERVAL_US / 2


def test_a_plain_sender_that_is_restarted_is_shown_again(tmp_path: Path) -> None:
    """No session, no key-frame request: what comes after a restart is shown from its next key frame on."""
    with playing(f"rtp:{PORT}", tmp_path) as (_, played):
        words = gstreamer("rtph264pay config-interval=-1 mtu=1200")
        subprocess.run(words, check=True, timeout=30)
        between_us = time.monotonic() * 1e6
        subprocess.run(words, check=True, timeout=30)
    shown = [int(row["presented_us"]) for row in played[0].rows if row["outcome"] == "presented"]
    first, second = sum(at < between_us for at in shown), sum(at > between_us for at in shown)
    assert first > PICTURES * 0.8
    assert second >= PICTURES / 2
    assert not any(played[0].report["decoder"].values()), "nothing is decoded on top of the stream before"
