"""The player's window as the producer uses it: keys, marks, snapshot, and displays that come and go."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Glass
from tests.support.player_with_dashboard import eventually
from tests.support.processes import LISTENING, PLAY, THINAIR, Running, environment, running
from thinair.bench.harness.xvfb_screen import xvfb
from thinair.link.diagnostics import Verdict
from thinair.link.native import now_us
from thinair.receiver.commands.doctor import display, examine, room
from thinair.receiver.video.hud import marks
from thinair.sender.sources.visual_code import Code, Geometry, Reader

pytestmark = pytest.mark.display
WIDTH, HEIGHT = 640, 360
CLOCK_US = 10_000  # by which a recording may set its clock, a third of an interval
STALE_US = 400_000  # what lay in a buffer for longer is not decoded
MODE = ("--mode", f"{WIDTH}x{HEIGHT}@30", "--bitrate", "3M", "--name", "A-CAM")


@contextmanager
def shown(
    folder: Path, *words: str, env: dict[str, str] | None = None, sent: Path | None = None
) -> Iterator[tuple[Running, Running]]:
    """A player and a sender, which writes its frames to `sent`."""
    more = [] if sent is None else ["--frames", str(sent)]
    with running([*PLAY, "--listen", "0", "--record-to", str(folder), *words], env=env) as play:
        to = f"127.0.0.1:{play.port(LISTENING)}"
        with running([*THINAIR, "send", "--to", to, *MODE, *more]) as send:
            yield play, send


def press(*keys: str) -> None:
    subprocess.run(["xdotool", "mousemove", "640", "400", "key", *keys], check=True)


def code_on(glass: Glass, left: int, top: int) -> Code | None:
    pixels = glass.pixels()[top : top + HEIGHT, left : left + WIDTH, 1]
    return Reader(Geometry(WIDTH, HEIGHT), WIDTH, pixel_bytes=1).bottom(np.ascontiguousarray(pixels).tobytes())


def centred(glass: Glass) -> Code | None:
    return code_on(glass, (1280 - WIDTH) // 2, (800 - HEIGHT) // 2)


def live(glass: Glass, left: int = (1280 - WIDTH) // 2, top: int = (800 - HEIGHT) // 2) -> Code:
    """A picture that was taken after this was asked."""
    asked_us = now_us()

    def taken_since() -> Code | None:
        code = code_on(glass, left, top)
        return code if code is not None and (code.time_us - asked_us) % (1 << 32) < 1 << 31 else None

    code: Code = eventually(taken_since)
    return code


def check_recorded(movie: Path, sent: Path) -> None:
    """Each picture that was sent from the first recorded to the last stands in the recording, and as long as it was."""
    probe = ("ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", str(movie))
    shown = [float(line.strip(",")) * 1e6 for line in subprocess.check_output(probe, text=True).split()]
    with sent.open(newline="") as file:
        captured = [int(row["capture_us"]) for row in csv.DictReader(file)]
    recorded, steps = ([after - before for before, after in pairwise(times)] for times in (shown, captured))

    def agree(first: int) -> bool:
        pairs = zip(steps[first:], recorded, strict=False)
        return len(steps) - first >= len(recorded) and all(abs(one - other) < CLOCK_US for one, other in pairs)

    assert len(shown) > 60
    assert any(agree(first) for first in range(len(steps))), (steps, recorded)


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
        play.wait_for_pictures(30)
        live(glass)
        press("l")
        play.wait_for("latency mode: lowest")
        live(glass)


def test_a_player_that_was_stopped_shows_no_old_picture_when_it_goes_on(tmp_path: Path, glass: Glass) -> None:
    frames = tmp_path / "frames.csv"
    with shown(tmp_path, "--frames", str(frames)) as (play, _):
        live(glass)
        play.process.send_signal(signal.SIGSTOP)
        stopped_us = now_us()
        eventually(lambda: now_us() - stopped_us > 2_500_000)  # while pictures pile up in its socket
        went_on_us = now_us()
        play.process.send_signal(signal.SIGCONT)
        seen: set[int] = set()

        def many_are_seen() -> bool:
            seen.update([] if (code := centred(glass)) is None else [code.time_us])
            return len(seen) > 20

        eventually(many_are_seen, every_s=0.003)
        assert play.stop() == 0
    with frames.open(newline="") as file:
        rows = {int(row["capture_us"]) % (1 << 32): row for row in csv.DictReader(file) if row["capture_us"]}
    for drawn_us in seen:
        row = rows[min(rows, key=lambda captured_us: abs(captured_us - drawn_us))]
        in_flight, came_us = int(row["taken_us"]) < went_on_us, int(row["last_packet_us"])
        assert in_flight or came_us > went_on_us - STALE_US, "what came while it stood still was shown"


def test_a_display_that_stands_still_costs_the_recording_nothing_and_shows_a_live_picture_after(
    tmp_path: Path, glass: Glass
) -> None:
    sent = tmp_path / "sent.csv"
    with shown(tmp_path / "set", "--record", sent=sent) as (play, send):
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
        assert send.stop() == 0, send.text()
    (movie,) = (tmp_path / "set").glob("*.mp4")
    check_recorded(movie, sent)


def test_recording_outlives_the_display_and_the_window_comes_back_with_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(xvfb(1280, 800))
        env = environment(DISPLAY=first.display)
        words, sent = ("--record", "--display", first.display), tmp_path / "sent.csv"
        play, send = stack.enter_context(shown(tmp_path, *words, env=env, sent=sent))
        play.wait_for("recording to")
        live(Glass(first.display, first.file))
        play.wait_for_pictures(45)
        Glass(first.display, first.file).signal(signal.SIGKILL)
        play.wait_for("the display is gone")
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
        play.wait_for_pictures(20)
        assert play.stop() == 0, play.text()
        assert send.stop() == 0, send.text()
    (movie,) = tmp_path.glob("*.mp4")
    check_recorded(movie, sent)


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
    assert "no permission to write" in room(tmp_path).text
