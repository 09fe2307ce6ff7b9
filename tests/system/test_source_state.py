"""A camera that loses its picture and changes its mode, through the real sender, network and player."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Glass
from tests.support.processes import PLAY, Running, running
from thinair.link.child_process import python_module

pytestmark = pytest.mark.net

SCRIPTED = tuple(python_module("tests.support.scripted_source"))
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


def until(condition: Callable[[], bool]) -> float:
    """time.monotonic() when it held."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return time.monotonic()


def steps(send: Running) -> list[tuple[str, float]]:
    """(what, when it began on time.monotonic()'s clock)."""
    words = [line.split() for _, line in send.lines if line.startswith("step ")]
    return [(what, int(at) / 1e6) for _, what, at in words]


@pytest.mark.display
def test_the_cause_stands_over_the_dimmed_picture_and_goes_with_the_first_new_one(glass: Glass, tmp_path: Path) -> None:
    reports = tmp_path / "play.json", tmp_path / "send.json"
    play_words = [*PLAY, "--presenter", "x11", "--listen", "45990", "--report", str(reports[0])]
    send_words = [*SCRIPTED, f"{SMALL}:2,NO_CABLE:2.2,{SMALL}:2", "--to", "127.0.0.1:45990", "--bitrate", "2M"]
    with running(play_words) as play:
        play.wait_for("listening")
        with running([*send_words, "--report", str(reports[1])]) as send:
            send.wait_for("linked")
            play.wait_for("640x360")
            time.sleep(0.7)
            live = brightness(glass)
            send.wait_for("step NO_CABLE")
            dark_s = until(lambda: marked(glass))
            play.wait_for("no HDMI cable at the camera")
            time.sleep(1.2)
            assert brightness(glass) < 0.8 * live
            words = glass.pixels()[TOP + 36 : TOP + 60, LEFT + 20 : LEFT + 230]
            assert (words > 200).all(axis=2).sum() > 100, "white on a dark ground"
            light_s = until(lambda: not marked(glass))
            time.sleep(0.3)
            assert brightness(glass) > 0.9 * live
            assert send.end() == 0, send.text()
        assert play.stop() == 0
    (_, _), (_, cable_s), (_, back_s) = steps(send)
    print(f"dark after {dark_s - cable_s:.3f} s, light after {light_s - back_s:.3f} s")
    assert dark_s - cable_s < 0.5
    assert light_s - back_s < 0.5
    played, sent = (json.loads(file.read_text()) for file in reports)
    texts = [event["text"] for event in played["events"] if event["kind"] == "source"]
    assert texts == ["no HDMI cable at the camera", "the camera's picture is back"]
    assert [event["state"] for event in sent["source_state"]["events"] if "state" in event] == [
        "live",
        "no_cable",
        "live",
    ]
    assert sent["source_state"]["state"] == "live"


def test_a_player_that_joins_late_is_told_the_state_and_its_age(tmp_path: Path) -> None:
    report = tmp_path / "play.json"
    with running([*SCRIPTED, f"NO_SIGNAL:3,{SMALL}:1", "--to", "127.0.0.1:45989", "--bitrate", "2M"]) as send:
        send.wait_for("no HDMI signal")
        time.sleep(1)
        with running([*PLAY, "--headless", "--listen", "45989", "--report", str(report)]) as play:
            play.wait_for("no HDMI signal from the camera")
            play.wait_for("the camera's picture is back")
            play.wait_for("the sender has stopped")
            assert play.stop() == 0
    played = json.loads(report.read_text())
    assert played["frames"]["presented"] > 10, played
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
    script = ",".join([f"{LARGE}:1.5", *(f"{FAST if number % 2 == 0 else LARGE}:0.25" for number in range(changes))])
    seen: list[tuple[list[int], list[int]]] = [([], []), ([], [])]  # open files, resident kB; of player and sender
    with (
        running([*PLAY, *shown, "--listen", "45988", "--report", str(report)]) as play,
        running([*SCRIPTED, f"{script},{LARGE}:0.8", "--to", "127.0.0.1:45988", "--bitrate", "4M"]) as send,
    ):
        while len(seen[0][0]) < changes:
            until(lambda: len(steps(send)) > len(seen[0][0]) + 1)
            for one, (files, memory_kb) in zip((play, send), seen, strict=True):
                count, kb = resources(one)
                files.append(count)
                memory_kb.append(kb)
        play.wait_for("the sender has stopped")
        assert play.stop() == 0
    for files, memory_kb in seen:
        print(files, memory_kb)
        early, late = slice(WARM, WARM + 6), slice(-6, None)
        assert min(files[late]) <= min(files[early])  # for a moment the encoder has one open that reads the machine
        assert min(memory_kb[late]) - min(memory_kb[early]) < LEAK_KB
    played = json.loads(report.read_text())
    modes = [event["text"].split()[-1] for event in played["events"] if event["kind"] == "mode"]
    assert modes[-20:] == [FAST, LARGE] * 10
    assert played["mode"] == {"width": 1920, "height": 1080, "rate": "25"}
    assert played["frames"]["presented"] > 4 * changes
    assert sum(played["decoder"].values()) == 0


def test_a_picture_of_another_shape_is_letterboxed_in_the_same_window(glass: Glass) -> None:
    with (
        running([*PLAY, "--presenter", "x11", "--listen", "45987"]) as play,
        running([*SCRIPTED, f"{SMALL}:1.5,640x480@30:1.5,{SMALL}:3", "--to", "127.0.0.1:45987"]) as send,
    ):
        send.wait_for("step 640x480")
        play.wait_for("640x480@30")
        time.sleep(0.7)
        bars = glass.pixels()[TOP : TOP + 360, [*range(LEFT + 4, LEFT + 70), *range(LEFT + 570, LEFT + 636)]]
        assert int(bars.max()) == 0, "black beside the picture, nothing left of the one before"
        send.wait_for("step 640x360@25", after_s=send.wait_for("step 640x480"))
        time.sleep(0.7)
        assert glass.pixels()[TOP + 200 : TOP + 340, LEFT + 4 : LEFT + 70].mean() > 20, "full width again"
        assert send.end() == 0
        assert play.stop() == 0


def test_a_plain_output_shows_a_slate_with_the_words(tmp_path: Path) -> None:
    sdp, png = tmp_path / "a.sdp", tmp_path / "a.png"
    words = [*SCRIPTED, f"NO_CABLE:20,{SMALL}:1", "--output", "rtp://127.0.0.1:45986", "--sdp", str(sdp)]
    with running(words) as send:
        until(lambda: sdp.exists() and sdp.stat().st_size > 0)
        read = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file,udp,rtp", "-i", str(sdp)]
        read[4:4] = ["-analyzeduration", "0", "-fpsprobesize", "0"]  # else it studies the rate for seconds
        subprocess.run([*read, "-frames:v", "1", str(png)], check=True, timeout=30)
        assert send.stop() == 0
    picture = np.asarray(Image.open(png).convert("L"))
    assert picture.shape == (360, 640)
    assert abs(float(np.median(picture)) - 48) < 6, "the ground"
    rows, columns = np.nonzero(picture > 200)
    assert rows.size > 500, "words"
    assert (rows > 150).all() and (rows < 210).all(), "one line in the middle"  # noqa: PT018 -- one range
    assert abs(int(columns.min()) - (639 - int(columns.max()))) < 12
