"""The player's window as the producer uses it: keys, marks, snapshot, and displays that come and go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Glass
from tests.support.player_with_dashboard import eventually, free_port
from tests.support.processes import PLAY, THINAIR, Running, environment, running
from thinair.bench.harness.xvfb_screen import xvfb
from thinair.link.diagnostics import Verdict
from thinair.receiver.commands.doctor import display, examine, room
from thinair.receiver.video.hud import marks
from thinair.sender.sources.visual_code import Code, Geometry, Reader

pytestmark = pytest.mark.display
WIDTH, HEIGHT = 640, 360
MODE = ("--mode", f"{WIDTH}x{HEIGHT}@30", "--bitrate", "3M", "--name", "A-CAM")


@contextmanager
def shown(folder: Path, *words: str, env: dict[str, str] | None = None) -> Iterator[tuple[Running, Running]]:
    import socket

    port = str(free_port(socket.SOCK_DGRAM))
    play_words = [*PLAY, "--listen", port, "--record-to", str(folder), *words]
    with (
        running(play_words, env=env) as play,
        running([*THINAIR, "send", "--to", f"127.0.0.1:{port}", *MODE]) as send,
    ):
        yield play, send


def press(*keys: str) -> None:
    subprocess.run(["xdotool", "mousemove", "640", "400", "key", *keys], check=True)


def code_on(glass: Glass, left: int, top: int) -> Code | None:
    pixels = glass.pixels()[top : top + HEIGHT, left : left + WIDTH, 1]
    return Reader(Geometry(WIDTH, HEIGHT), WIDTH, pixel_bytes=1).bottom(np.ascontiguousarray(pixels).tobytes())


def centred(glass: Glass) -> Code | None:
    return code_on(glass, (1280 - WIDTH) // 2, (800 - HEIGHT) // 2)


def age_ms(code: Code) -> float:
    return ((time.monotonic_ns() // 1000 - code.time_us) % (1 << 32)) / 1000


def live(glass: Glass, left: int = (1280 - WIDTH) // 2, top: int = (800 - HEIGHT) // 2) -> Code:
    code: Code = eventually(lambda: (one := code_on(glass, left, top)) is not None and age_ms(one) < 500 and one)
    return code


def longest_gap_s(movie: Path) -> float:
    """Between two pictures of a recording."""
    probe = ("ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", str(movie))
    times = [float(line.strip(",")) for line in subprocess.check_output(probe, text=True).split()]
    return max(b - a for a, b in pairwise(times))


def test_record_and_snapshot_by_key_and_the_window_says_so(tmp_path: Path, glass: Glass) -> None:
    with shown(tmp_path) as (play, _):
        live(glass)
        press("r")
        play.wait_for("recording to")
        before = glass.pixels()[220:300, 860:960].copy()
        press("s")
        play.wait_for("snapshot: ")
        eventually(lambda: bool((glass.pixels()[220:300, 860:960] != before).any()))  # REC and its clock
        press("r")
        play.wait_for("recorded ")
        assert play.stop() == 0
    (picture,) = tmp_path.glob("A-CAM_*.png")
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape == (HEIGHT, WIDTH)
    assert Reader(Geometry(WIDTH, HEIGHT), WIDTH, pixel_bytes=1).top(pixels.tobytes()) is not None
    assert len(list(tmp_path.glob("A-CAM_*.mp4"))) == 1


def test_a_snapshot_that_cannot_be_written_is_one_line(tmp_path: Path, glass: Glass) -> None:
    (tmp_path / "set").write_text("a file where the folder should be")
    with shown(tmp_path / "set") as (play, _):
        live(glass)
        press("s")
        play.wait_for("no snapshot: ")
        live(glass)


def test_the_figures_come_in_three_sizes(tmp_path: Path, glass: Glass) -> None:
    left, top = (1280 - WIDTH) // 2, (800 - HEIGHT) // 2

    def dark() -> int:
        """Rows of the panel's place that are dimmed as its ground is."""
        part = glass.pixels()[top : top + HEIGHT, left + 14 : left + 120].astype(int).sum(axis=2)
        return int((np.percentile(part, 60, axis=1) < 110).sum())

    with shown(tmp_path, "--hud", "off") as (play, _):
        live(glass)
        none = dark()
        press("h")
        line = eventually(lambda: (rows := dark()) > none + 5 and rows)
        press("h")
        time.sleep(1.5)
        full = eventually(lambda: (rows := dark()) > line + 60 and rows)
        press("h")
        eventually(lambda: dark() < full - 60)
        assert play.stop() == 0


def test_marks_are_lines_at_the_safe_areas_and_the_centre(tmp_path: Path, glass: Glass) -> None:
    with shown(tmp_path, "--marks") as (play, _):
        live(glass)
        left, top = (1280 - WIDTH) // 2, (800 - HEIGHT) // 2

        def lit() -> bool:
            pixels = glass.pixels()[top : top + HEIGHT, left : left + WIDTH].min(axis=2)
            return all(
                pixels[line.y + (1 if line.height == 3 else line.height * part // 5),
                       line.x + (1 if line.width == 3 else line.width * part // 5)] > 180
                for line in marks((WIDTH, HEIGHT))
                for part in (1, 2, 3)
            )  # fmt: skip

        eventually(lit)
        press("m")
        eventually(lambda: not lit())
        assert play.stop() == 0


def test_smooth_and_back_by_key(tmp_path: Path, glass: Glass) -> None:
    with shown(tmp_path) as (play, _):
        live(glass)
        press("l")
        play.wait_for("latency mode: smooth")
        time.sleep(1)
        live(glass)
        press("l")
        play.wait_for("latency mode: lowest")
        live(glass)


def test_a_player_that_was_stopped_shows_no_old_picture_when_it_goes_on(tmp_path: Path, glass: Glass) -> None:
    with shown(tmp_path) as (play, _):
        live(glass)
        play.process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        held = centred(glass)
        time.sleep(2.5)
        play.process.send_signal(signal.SIGCONT)
        seen: list[Code] = []
        until = time.monotonic() + 3
        while time.monotonic() < until:
            code = centred(glass)
            if code is not None and code != held and (not seen or seen[-1] != code):
                assert age_ms(code) < 600, "stale video was shown"
                seen.append(code)
            time.sleep(0.003)
        assert len(seen) > 20
        assert play.stop() == 0


def test_a_display_that_stands_still_costs_the_recording_nothing_and_shows_a_live_picture_after(
    tmp_path: Path, glass: Glass
) -> None:
    report = tmp_path / "report.json"
    with shown(tmp_path / "set", "--record", "--report", str(report)) as (play, _):
        play.wait_for("recording to")
        live(glass)
        glass.signal(signal.SIGSTOP)
        try:
            play.wait_for("the display does not answer")
            play.run_on(2)
        finally:
            glass.signal(signal.SIGCONT)
        play.wait_for("the display answers again")
        live(glass)
        assert play.stop() == 0, play.text()
    (movie,) = (tmp_path / "set").glob("*.mp4")
    assert longest_gap_s(movie) < 0.2
    assert json.loads(report.read_text())["frames"]["lost"] == 0


def test_recording_outlives_the_display_and_the_window_comes_back_with_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(xvfb(1280, 800))
        env = environment(DISPLAY=first.display)
        words = ("--record", "--display", first.display)
        play, _ = stack.enter_context(shown(tmp_path, *words, env=env))
        play.wait_for("recording to")
        live(Glass(first.display, first.file))
        Glass(first.display, first.file).signal(signal.SIGKILL)
        play.wait_for("the display is gone")
        play.run_on(1.5)
        directory = tmp_path / "fb"
        directory.mkdir()
        argv = ["Xvfb", first.display, "-screen", "0", "1280x800x24", "-fbdir", str(directory), "-nolisten", "tcp"]
        again = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(again.wait)
        stack.callback(again.terminate)
        play.wait_for("the display is back")
        screen = Glass(first.display, directory / "Xvfb_screen0")
        eventually(lambda: screen.pixels().any())
        live(screen)
        assert play.stop() == 0, play.text()
    (movie,) = tmp_path.glob("*.mp4")
    assert longest_gap_s(movie) < 0.2


def xrandr(*words: str) -> None:
    subprocess.run(["xrandr", *words], check=True, capture_output=True)


def two_monitors() -> None:
    """The screen's left half and its right half."""
    xrandr("--setmonitor", "LEFT", "640/160x800/200+0+0", "screen")
    xrandr("--setmonitor", "RIGHT", "640/160x800/200+640+0", "none")


def test_a_monitor_that_goes_takes_the_full_screen_to_another(tmp_path: Path, glass: Glass) -> None:
    two_monitors()
    with shown(tmp_path, "--fullscreen", "--monitor", "1") as (play, _):
        live(glass, 640, (800 - HEIGHT) // 2)
        xrandr("--delmonitor", "RIGHT")
        live(glass, 0, (800 - HEIGHT) // 2)
        assert play.stop() == 0


def test_a_key_moves_the_picture_from_display_to_display(tmp_path: Path, glass: Glass) -> None:
    two_monitors()
    with shown(tmp_path, "--fullscreen") as (play, _):
        live(glass, 0, (800 - HEIGHT) // 2)
        for left in (640, 0, 640):
            press("d")
            live(glass, left, (800 - HEIGHT) // 2)
        assert play.stop() == 0, play.text()


def test_with_one_display_the_key_leaves_the_picture_where_it_is(tmp_path: Path, glass: Glass) -> None:
    with shown(tmp_path) as (play, _):
        live(glass)
        press("d")
        play.wait_for("display 0")
        live(glass)
        press("h", "m")
        assert play.stop() == 0, play.text()


SAVER = """
import sys
from jeepney import DBusAddress, HeaderFields, MessageType, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection("SESSION")
bus.send_and_get_reply(message_bus.RequestName("org.freedesktop.ScreenSaver"))
print("ready", flush=True)
while True:
    call = bus.receive()
    if call.header.fields.get(HeaderFields.member) == "Inhibit":
        print("inhibited by", *call.body, flush=True)
        bus.send(new_method_return(call, "u", (7,)))
"""


def test_the_desktop_s_screen_saver_is_asked_to_stay_away(tmp_path: Path, glass: Glass) -> None:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("no dbus-daemon")
    daemon = ["dbus-daemon", "--session", "--print-address=1", "--nofork"]
    with subprocess.Popen(daemon, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout is not None
        env = environment(DBUS_SESSION_BUS_ADDRESS=bus.stdout.readline().strip(), DISPLAY=glass.name)
        try:
            with running([sys.executable, "-c", SAVER], env=env) as saver:
                saver.wait_for("ready")
                with shown(tmp_path, env=env) as (play, _):
                    saver.wait_for("inhibited by thinair a live picture is shown")
                    assert play.stop() == 0, play.text()
        finally:
            bus.terminate()


def test_the_doctor_tries_display_and_decoder(tmp_path: Path, glass: Glass) -> None:
    findings = {finding.name: finding for finding in examine(tmp_path)}
    assert set(findings) == {
        "decoder", "graphics", "refresh", "compositor", "receive buffer", "real time", "recordings",
    }  # fmt: skip
    assert findings["graphics"].text.startswith("x11")
    assert findings["compositor"].verdict is Verdict.OK
    assert findings["refresh"].verdict is Verdict.UNKNOWN  # Xvfb has none
    assert " ms" in findings["decoder"].text


def test_the_doctor_says_what_to_do_where_there_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (finding,) = display([])
    assert finding.verdict is Verdict.BAD
    assert "--headless" in finding.fix


def test_the_doctor_sees_a_folder_that_is_full_or_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room(tmp_path / "not yet" / "there").verdict is Verdict.OK
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=100_000_000))
    assert room(tmp_path).verdict is Verdict.BAD
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert "may not be written" in room(tmp_path).text
