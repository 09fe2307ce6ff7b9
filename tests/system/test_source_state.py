"""A camera that loses its picture and changes its mode, through the real sender, network and player."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Glass
from tests.support.player_with_dashboard import eventually
from tests.support.processes import HANG_S, PLAY, Running, running
from thinair.link.child_process import python_module

pytestmark = pytest.mark.net

SCRIPTED = tuple(python_module("tests.support.scripted_source"))
MEDIA = 5004  # known before anybody listens; the tests' network is their own
SMALL = "640x360@25"
LARGE, FAST = "1920x1080@25", "1280x720@50"
WARM = 6  # changes until each side has had both modes and its buffers are full
# The sender's heap stands 20 MB higher or lower with where its last encoder came to lie. An encoder lost at each of 20
# changes would be 300 MB, a picture lost at each of 200 600 MB.
LEAK_KB = 48 * 1024
BORDER = (0xE0, 0x30, 0x30)
LEFT, TOP = 320, 220  # of a window of 640x360, in the middle of the screen


def marked(glass: Glass) -> bool:
    """The border of a picture that is not live."""
    return bool((glass.pixels()[TOP + 180, LEFT] == BORDER).all())


def brightness(glass: Glass) -> float:
    return float(glass.pixels()[TOP + 180 : TOP + 320, LEFT + 40 : LEFT + 600].mean())


def scripted(*steps: str, **files: Path) -> AbstractContextManager[Running]:
    """The sender with a source of these steps, each of which lasts until it is told to go on."""
    more = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    to = ("--to", f"127.0.0.1:{MEDIA}") if "sdp" not in files else ("--output", f"rtp://127.0.0.1:{MEDIA}")
    return running([*SCRIPTED, ",".join(steps), *to, "--bitrate", "2M", *more], stdin=subprocess.PIPE)


@pytest.mark.display
def test_the_cause_stands_over_the_dimmed_picture_and_goes_with_the_first_new_one(glass: Glass, tmp_path: Path) -> None:
    reports = tmp_path / "play.json", tmp_path / "send.json"
    with running([*PLAY, "--presenter", "x11", "--listen", str(MEDIA), "--report", str(reports[0])]) as play:
        with scripted(SMALL, "NO_CABLE", SMALL, report=reports[1]) as send:
            play.wait_for("640x360")
            play.wait_for_pictures(10)
            live = brightness(glass)
            send.say()
            eventually(lambda: marked(glass))
            play.wait_for("no HDMI cable at the camera")
            eventually(lambda: brightness(glass) < 0.8 * live)
            words = glass.pixels()[TOP + 36 : TOP + 60, LEFT + 20 : LEFT + 230]
            assert (words > 200).all(axis=2).sum() > 100, "white on a dark ground"
            send.say()
            eventually(lambda: not marked(glass))
            eventually(lambda: brightness(glass) > 0.9 * live)
            play.wait_for("the camera's picture is back")
            send.say()
            assert send.end() == 0, send.text()
        assert play.stop() == 0
    played, sent = (json.loads(file.read_text()) for file in reports)
    texts = [event["text"] for event in played["events"] if event["kind"] == "source"]
    assert texts == ["no HDMI cable at the camera", "the camera's picture is back"]
    assert [event["state"] for event in sent["source_state"]["events"] if "state" in event] == [
        "live",
        "no_cable",
        "live",
    ]
    assert sent["source_state"]["state"] == "live"


def test_a_player_that_joins_late_is_told_the_state(tmp_path: Path) -> None:
    report = tmp_path / "play.json"
    with scripted("NO_SIGNAL", SMALL) as send:
        send.wait_for("no HDMI signal")
        with running([*PLAY, "--headless", "--listen", str(MEDIA), "--report", str(report)]) as play:
            play.wait_for("no HDMI signal from the camera")
            send.say()
            play.wait_for("the camera's picture is back")
            play.wait_for_pictures(11)
            send.say()
            play.wait_for("the sender has stopped")
            assert play.stop() == 0
    played = json.loads(report.read_text())
    texts = [event["text"] for event in played["events"] if event["kind"] == "source"]
    assert texts == ["no HDMI signal from the camera", "the camera's picture is back"]


def resources(process: Running) -> tuple[int, int]:
    """(open files, resident kB)."""
    home = Path(f"/proc/{process.process.pid}")
    status = (home / "status").read_text()
    return len(list((home / "fd").iterdir())), int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.display
@pytest.mark.parametrize(
    ("shown", "changes"),
    [
        (["--headless"], 20),
        (["--presenter", "x11", "--fullscreen"], 20),
        pytest.param(["--presenter", "x11"], 200, marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
def test_changes_of_mode_are_followed_live_without_growth(
    glass: Glass, tmp_path: Path, shown: list[str], changes: int
) -> None:
    report = tmp_path / "play.json"
    modes = [LARGE, *(FAST if number % 2 == 0 else LARGE for number in range(changes))]
    seen: list[tuple[list[int], list[int]]] = [([], []), ([], [])]  # open files, resident kB; of player and sender
    with (
        running([*PLAY, *shown, "--listen", str(MEDIA), "--report", str(report)]) as play,
        scripted(*modes) as send,
    ):
        play.wait_for(LARGE)
        send.wait_for("page: http")  # the last that it opens for itself
        for number, mode in enumerate(modes[1:]):
            at_s = time.monotonic()
            send.say()
            play.wait_for(mode, after_s=at_s)
            if number % 10 == 9:
                play.wait_for_pictures(40)
            for one, (files, memory_kb) in zip((play, send), seen, strict=True):
                count, kb = resources(one)
                files.append(count)
                memory_kb.append(kb)
        send.say()
        play.wait_for("the sender has stopped")
        assert play.stop() == 0
    for files, memory_kb in seen:
        print(files, memory_kb)
        early, late = slice(WARM, WARM + 6), slice(-6, None)
        assert min(files[late]) <= min(files[early])  # for a moment the encoder has one open that reads the machine
        assert min(memory_kb[late]) - min(memory_kb[early]) < LEAK_KB
    played = json.loads(report.read_text())
    followed = [event["text"].split()[-1] for event in played["events"] if event["kind"] == "mode"]
    assert followed[-20:] == [FAST, LARGE] * 10
    assert played["mode"] == {"width": 1920, "height": 1080, "rate": "25"}
    assert played["frames"]["presented"] > 4 * changes
    assert sum(played["decoder"].values()) == 0


def test_a_picture_of_another_shape_is_letterboxed_in_the_same_window(glass: Glass) -> None:
    def black_beside() -> bool:
        bars = glass.pixels()[TOP : TOP + 360, [*range(LEFT + 4, LEFT + 70), *range(LEFT + 570, LEFT + 636)]]
        return int(bars.max()) == 0

    with (
        running([*PLAY, "--presenter", "x11", "--listen", str(MEDIA)]) as play,
        scripted(SMALL, "640x480@30", SMALL) as send,
    ):
        play.wait_for("640x360@25")
        play.wait_for_pictures(1)
        send.say()
        play.wait_for("640x480@30")
        eventually(black_beside)  # nothing is left of the one before
        at_s = time.monotonic()
        send.say()
        play.wait_for("640x360@25", after_s=at_s)
        eventually(lambda: glass.pixels()[TOP + 200 : TOP + 340, LEFT + 4 : LEFT + 70].mean() > 20)  # full width again
        send.say()
        assert send.end() == 0
        assert play.stop() == 0


def test_a_plain_output_shows_a_slate_with_the_words(tmp_path: Path) -> None:
    sdp, png = tmp_path / "a.sdp", tmp_path / "a.png"
    with scripted("NO_CABLE", SMALL, sdp=sdp) as send:
        eventually(lambda: sdp.exists() and sdp.stat().st_size > 0)
        read = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file,udp,rtp", "-i", str(sdp)]
        read[4:4] = ["-analyzeduration", "0", "-fpsprobesize", "0"]  # else it studies the rate for seconds
        subprocess.run([*read, "-frames:v", "1", str(png)], check=True, timeout=HANG_S)
        assert send.stop() == 0
    picture = np.asarray(Image.open(png).convert("L"))
    assert picture.shape == (360, 640)
    assert abs(float(np.median(picture)) - 48) < 6, "the ground"
    rows, columns = np.nonzero(picture > 200)
    assert rows.size > 500, "words"
    assert (rows > 150).all() and (rows < 210).all(), "one line in the middle"  # noqa: PT018 -- one range
    assert abs(int(columns.min()) - (639 - int(columns.max()))) < 12
