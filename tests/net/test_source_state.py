"""A camera that loses its picture and changes its mode, through the real sender, network and player."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Glass
from tests.processes import THINAIR, Running, running

pytestmark = pytest.mark.net

SCRIPTED = (sys.executable, "-m", "tests.net.scripted")
SMALL = "640x360@25"
BORDER = (0xE0, 0x30, 0x30)
LEFT, TOP = 320, 220  # of a window of 640x360, in the middle of the screen


def marked(glass: Glass) -> bool:
    """The border of a picture that is not live."""
    return bool((glass.pixels()[TOP + 180, LEFT] == BORDER).all())


def brightness(glass: Glass) -> float:
    return float(glass.pixels()[TOP + 180 : TOP + 320, LEFT + 40 : LEFT + 600].mean())


def wait_until_marked(glass: Glass, wanted: bool) -> float:
    """time.monotonic() when it was seen."""
    deadline = time.monotonic() + 10
    while marked(glass) != wanted:
        assert time.monotonic() < deadline, f"marked is not {wanted}"
        time.sleep(0.002)
    return time.monotonic()


def steps(send: Running) -> list[tuple[str, float]]:
    """(what, when it began on time.monotonic()'s clock)."""
    words = [line.split() for _, line in send.lines if line.startswith("step ")]
    return [(what, int(at) / 1e6) for _, what, at in words]


@pytest.mark.display
def test_the_cause_stands_over_the_dimmed_picture_and_goes_with_the_first_new_one(glass: Glass, tmp_path: Path) -> None:
    reports = tmp_path / "play.json", tmp_path / "send.json"
    play_words = [*THINAIR, "play", "--presenter", "x11", "--listen", "45990", "--report", str(reports[0])]
    send_words = [*SCRIPTED, f"{SMALL}:2,NO_CABLE:2.2,{SMALL}:2", "--to", "127.0.0.1:45990", "--bitrate", "2M"]
    with running(play_words) as play:
        play.wait_for("listening")
        with running([*send_words, "--report", str(reports[1])]) as send:
            send.wait_for("linked")
            play.wait_for("640x360")
            time.sleep(0.7)
            live = brightness(glass)
            send.wait_for("step NO_CABLE")
            dark_s = wait_until_marked(glass, True)
            play.wait_for("no HDMI cable at the camera")
            time.sleep(1.2)
            assert brightness(glass) < 0.8 * live
            words = glass.pixels()[TOP + 36 : TOP + 60, LEFT + 20 : LEFT + 230]
            assert (words > 200).all(axis=2).sum() > 100, "white on a dark ground"
            light_s = wait_until_marked(glass, False)
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
