"""What a person can get wrong: one line that says what to do, a documented exit code, no traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import HANG_S, PLAY, call, environment, running
from thinair.link.errors import Exit
from thinair.link.native import Rx

pytestmark = pytest.mark.quick

SEND = ("send", "--to", "127.0.0.1:9", "--mode", "640x360@30")
PLAY_OFF = ("play", "--dashboard", "off")
QUIET_PLAY = (*PLAY_OFF, "--headless")
HDMI = ("--encoder", "x264", "--source")
MISTAKES: dict[str, tuple[tuple[str, ...], Exit, str]] = {
    "no command": ((), Exit.USAGE, "thinair --help"),
    "an unknown command": (("fly",), Exit.USAGE, "thinair --help"),
    "an unknown option": (("play", "--loud"), Exit.USAGE, "--loud"),
    "a mode that is none": (("send", "--mode", "1080p"), Exit.USAGE, "1920x1080@25"),
    "a mode of no size": (("send", "--mode", "0x0@25"), Exit.USAGE, "from 16 to 8192"),
    "a bitrate that is none": (("send", "--bitrate", "fast"), Exit.USAGE, "8M"),
    "an unknown source": ((*SEND, "--source", "camera"), Exit.USAGE, "testcard, screen::0, file:CLIP, hdmi"),
    "no destination": (("send", "--no-encryption"), Exit.USAGE, "--to HOST:PORT"),
    "two destinations": ((*SEND, "--output", "rtp://127.0.0.1:9"), Exit.USAGE, "--to HOST:PORT"),
    "a destination without a port": (("send", "--to", "host"), Exit.USAGE, "HOST:PORT"),
    "a port that is none": (("play", "--listen", "99999"), Exit.USAGE, "0 to 65535"),
    "a plain output that is none": (("send", "--output", "http://a:5"), Exit.USAGE, "rtp://HOST:PORT"),
    "a plain input that is none": (("play", "--input", "rtmp:5"), Exit.USAGE, "rtp:PORT"),
    "an SDP of our own link": ((*SEND, "--sdp", "a.sdp"), Exit.USAGE, "--output rtp://HOST:PORT"),
    "a test card too small": (("send", "--to", "127.0.0.1:9", "--mode", "320x180@30"), Exit.USAGE, "640x360"),
    "a file that is not there": ((*SEND, "--source", "file:/no/clip.mp4"), Exit.FILE, "/no/clip.mp4"),
    "a folder as a clip": ((*SEND, "--source", "file:/usr"), Exit.FILE, "/usr"),
    "a file without pictures": ((*SEND, "--source", f"file:{__file__}"), Exit.FILE, "test_cli.py"),
    "no screen to grab": ((*SEND, "--source", "screen::99"), Exit.DEVICE, ":99"),
    "no HDMI input there": ((*SEND, *HDMI, "hdmi:/dev/video99"), Exit.DEVICE, "/dev/video99 is not there"),
    "an HDMI input that is none": ((*SEND, *HDMI, "hdmi:/dev/null"), Exit.DEVICE, "is no V4L2 device"),
    "an EDID that is not there": ((*SEND, "--edid", "nowhere", *HDMI, "hdmi"), Exit.FILE, "low-latency, resolution"),
    "an EDID that is none": ((*SEND, "--edid", __file__, *HDMI, "hdmi"), Exit.USAGE, "test_cli.py"),
    "a host that is not known": (("send", "--to", "no-host.invalid:5004"), Exit.NETWORK, "unknown host"),
    "an address that is not ours": (("play", "--listen", "192.0.2.1:5004"), Exit.NETWORK, "cannot listen"),
    "a report in no folder": (("play", "--report", "/no/r.json"), Exit.FILE, "/no/r.json"),
    "a report that is a folder": (("play", "--report", "/usr"), Exit.FILE, "/usr"),
    "frames in no folder": (("play", "--frames", "/no/f.csv"), Exit.FILE, "/no/f.csv"),
    "the sender's report in no folder": ((*SEND, "--report", "/no/r.json"), Exit.FILE, "/no/r.json"),
    "an SDP in no folder": (("send", "--output", "rtp://127.0.0.1:9", "--sdp", "/no/a.sdp"), Exit.FILE, "/no/a.sdp"),
    "the demo's report in no folder": (("demo", "--report", "/no/r.json"), Exit.FILE, "/no/r.json"),
    "the demo's clip not there": (("demo", "--headless", "--source", "file:/no/clip.mp4"), Exit.FILE, "/no/clip.mp4"),
    "a configuration that is not there": (("play", "--config", "/no/thinair.toml"), Exit.FILE, "/no/thinair.toml"),
    "no display for a window": ((*PLAY_OFF, "--presenter", "x11", "--display", ":99"), Exit.DEVICE, ":99"),
    "no DISPLAY for a window": ((*PLAY_OFF, "--presenter", "x11"), Exit.DEVICE, "display"),
    "no display for SDL": ((*PLAY_OFF, "--presenter", "sdl"), Exit.DEVICE, "SDL finds no display"),
    "nobody to play": (
        (*QUIET_PLAY, "--listen", "0", "--seconds", "0.2"),
        Exit.NO_PEER,
        "no stream received on port ",
    ),
    "nobody to send to": ((*SEND, "--seconds", "0.5"), Exit.NO_PEER, "no receiver at 127.0.0.1:9"),
    "an unknown bench": (("bench", "dream"), Exit.USAGE, "dream"),
}


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("thinair")
    return line


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (code is not Exit.USAGE))
        for name, (_, code, _) in MISTAKES.items()
    ],
)
def test_a_mistake_ends_in_one_line_and_its_exit_code(mistake: str, tmp_path: Path) -> None:
    words, code, said = MISTAKES[mistake]
    env = environment(XDG_RUNTIME_DIR=str(tmp_path))  # without one libwayland says so
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        env.pop(name, None)
    done = call(*words, env=env)
    progress = ("thinair send: sending", "thinair send: session server at")
    done.stderr = "".join(line for line in done.stderr.splitlines(True) if not line.startswith(progress))
    assert said in one_line(done)
    assert done.returncode == code


def test_a_port_in_use_is_told_with_its_number() -> None:
    with closing(Rx(port=0)) as rx:
        done = call(*QUIET_PLAY, "--listen", str(rx.local_port))
        assert f"cannot listen on port {rx.local_port}: Address already in use" in one_line(done)
        assert done.returncode == Exit.NETWORK


@pytest.mark.slow
def test_a_configuration_with_a_mistake_names_the_file_and_the_key(tmp_path: Path) -> None:
    for content, said in {
        "[play]\nvolume = 3\n": "'volume'",
        "[play]\nlisten = true\n": "listen",
        "volume = 3\n": "[send] or [play]",
        "[play\n": "not a TOML file",
    }.items():
        file = tmp_path / "thinair.toml"
        file.write_text(content)
        done = call("play", "--config", str(file))
        line = one_line(done)
        assert said in line
        assert str(file) in line
        assert done.returncode == Exit.USAGE


@pytest.mark.slow
def test_a_configuration_is_read_and_arguments_go_before_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        file = tmp_path / "thinair.toml"
        file.write_text(
            f"[play]\nheadless = true\nlisten = {port}\nseconds = 0.2\ndashboard = 'off'\n[send]\nto = '127.0.0.1:1'\n"
        )
        assert call("play", "--config", str(file)).returncode == Exit.NETWORK
    assert f"on port {port}" in one_line(call("play", "--config", str(file)))
    assert "0.1 s" in one_line(call("play", "--config", str(file), "--seconds", "0.1"))


@pytest.mark.slow
def test_what_a_run_would_write_is_left_alone_by_the_check(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.csv"
    old.write_text("kept")
    done = call("play", "--listen", "192.0.2.1:5004", "--report", str(old), "--frames", str(new))
    assert done.returncode == Exit.NETWORK
    assert old.read_text() == "kept"
    assert not new.exists()


def test_a_defect_ends_in_its_own_exit_code_with_the_place() -> None:
    script = "import thinair.sender.pipeline.software as s; s.open_source = lambda *a, **k: 1 / 0\n"
    script += "from thinair.cli import main; raise SystemExit(main(['send', '--to', '127.0.0.1:9']))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == Exit.INTERNAL
    assert "ZeroDivisionError" in done.stderr
    assert "defect" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "broken"),
    [
        ("play", "thinair.receiver.connection.session_loop.SessionLoop._see_media"),
        ("play", "thinair.receiver.video.display_thread.DisplayThread.run"),
        ("send", "thinair.sender.session_loop.SessionLoop._exchange"),
    ],
)
def test_a_defect_in_a_task_or_a_thread_ends_the_run(command: str, broken: str) -> None:
    module, kind, method = broken.rsplit(".", 2)
    words = [*QUIET_PLAY, "--listen", "0"] if command == "play" else list(SEND)
    script = f"from {module} import {kind}\n{kind}.{method} = lambda *a: 1 / 0\n"
    script += f"from thinair.cli import main; raise SystemExit(main({words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False, timeout=30
    )
    assert "ZeroDivisionError" in done.stderr
    assert done.returncode == Exit.INTERNAL


def test_help_loads_nothing_heavy() -> None:
    script = """
import contextlib, io, json, sys
from thinair.cli import main
said = {}
for command in ("", "send", "play", "demo", "bench"):
    words = [*command.split(), "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(words)
    said[" ".join(words)] = out.getvalue()
heavy = sorted({"av", "numpy", "PIL", "sdl2", "thinair._native"} & set(sys.modules))
print(json.dumps([heavy, said]))
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    heavy, said = json.loads(done.stdout)
    assert heavy == []
    assert all(command in said["--help"] for command in ("demo", "send", "play", "bench", "exit codes"))
    assert "--source" in said["send --help"]
    assert "full screen" in said["play --help"]
    assert "glass" in said["bench --help"]


def test_a_player_whose_terminal_is_gone_ends() -> None:
    read, write = os.pipe()
    os.close(read)
    words = [*PLAY, "--headless", "--listen", "0"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=write, stderr=write, env=environment())
    os.close(write)
    try:
        process.wait(HANG_S)
    finally:
        process.kill()


@pytest.mark.slow
def test_ctrl_c_ends_the_player_in_good_order(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with running([*PLAY, "--headless", "--listen", "0", "--report", str(report)]) as play:
        play.wait_for("listening on port")
        os.kill(play.process.pid, 2)
        assert play.end() == Exit.OK
    assert json.loads(report.read_text())["frames"]["completed"] == 0
