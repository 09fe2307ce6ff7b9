"""What a machine keeps to itself: core dumps, logs, files, and what leaves it on purpose."""

from __future__ import annotations

import getpass
import os
import re
import resource
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.player_with_dashboard import eventually
from tests.support.processes import LISTENING, PLAY, THINAIR, environment, running
from thinair.link.child_process import python_module
from thinair.link.security.pairing_store import Pairings, digest, introduce
from thinair.link.web import qr
from thinair.sender.board.doctor import Board
from thinair.sender.board.telemetry import battery_percent, signal_dbm
from thinair.sender.connection.mdns_publisher import AVAHI_FILE, avahi_file
from thinair.sender.connection.pairing_code import PairingCode
from thinair.sender.systemd.install import prepare, release, write_pairing

PROGRAM = python_module("thinair")
MODE = ("--mode", "640x360@30", "--control", "off", "--session-port", "0")


def words_of(pid: int, name: str) -> str:
    return (Path("/proc") / str(pid) / name).read_text()


@pytest.mark.parametrize("end", ["sender", "player"])
def test_neither_end_leaves_its_memory_behind(end: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    line = [*THINAIR, "send", *MODE] if end == "sender" else [*PLAY, "--headless", "--listen", "0"]
    with running(line) as one:
        one.wait_for("session server at" if end == "sender" else "listening on port")
        limits = words_of(one.process.pid, "limits")
        assert re.search(r"Max core file size +0 +0 ", limits)


@pytest.mark.skipif(os.getuid() != 0, reason="becomes somebody else")
@pytest.mark.parametrize("secret", [False, True])
def test_another_process_of_the_same_user_cannot_read_the_keys_out_of_memory(secret: bool) -> None:
    line = [sys.executable, "-c", _TWO_OF_ONE_USER, str(int(secret))]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.strip() == ("refused" if secret else "read"), done.stderr


_TWO_OF_ONE_USER = """
import ctypes, os, sys, time
from thinair.link.native import disable_core_dumps
ready, said = os.pipe()
holder = os.fork()
if not holder:
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: a new user's process is not, at first
    assert sys.argv[1] == "0" or disable_core_dumps() is None
    os.write(said, b".")
    time.sleep(20)
os.read(ready, 1)
if not os.fork():
    os.setuid(65534)
    try:
        open(f"/proc/{holder}/mem", "rb").close()
        print("read", flush=True)
    except PermissionError:
        print("refused", flush=True)
    os._exit(0)
os.wait()
os.kill(holder, 9)
"""


def test_keys_tokens_and_codes_are_in_files_of_their_owner_and_in_no_log(tmp_path: Path) -> None:
    state = Path(introduce(tmp_path / "state"))
    env = environment(THINAIR_STATE=str(state))
    with ExitStack() as stack:
        player = stack.enter_context(running([*PLAY, "--headless", "--listen", "0"], env=env))
        send = [*THINAIR, "send", "--to", f"127.0.0.1:{player.port(LISTENING)}", *MODE]
        sender = stack.enter_context(running(send, env=env))
        eventually(lambda: "latency " in player.text())
        said = sender.text() + player.text()
        arguments = "".join(words_of(one.process.pid, "cmdline") for one in (sender, player))
    files = [path for path in state.rglob("*") if path.is_file()]
    assert len(files) >= 7
    assert all(path.stat().st_mode & 0o077 == 0 for path in files if path.name != "cert.pem")
    assert all(path.stat().st_mode & 0o077 == 0 for path in state.rglob("*") if path.is_dir())
    token = Pairings(state / "receiver").all()[0].token
    assert Pairings(state / "sender").all()[0].token == digest(token), "a sender's file opens nothing"
    code = PairingCode(state / "sender").current()
    assert code is not None
    key = (state / "sender" / "identity" / "key.pem").read_text().splitlines()[1]
    for secret in (token, code, key):
        assert secret not in said
        assert secret not in arguments


def test_the_card_s_boot_partition_has_the_code_as_text_and_as_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot" / "firmware"
    boot.mkdir(parents=True)
    monkeypatch.setenv("THINAIR_STATE", str(tmp_path / "state"))
    assert "no boot partition" in write_pairing(getpass.getuser(), PROGRAM, tmp_path)
    (boot / "config.txt").write_text("")
    assert "thinair-pairing.txt" in write_pairing(getpass.getuser(), PROGRAM, tmp_path)
    text, image = ((boot / f"thinair-pairing.{end}") for end in ("txt", "svg"))
    code = PairingCode(tmp_path / "state" / "sender").current()
    assert f"Pairing code: {code}" in text.read_text()
    assert f"thinair pair {socket.gethostname()}.local:5010" in text.read_text()
    assert scanned(image) == f"THINAIR://{socket.gethostname().upper()}.LOCAL:5010/{code}"
    assert image.stat().st_mode & 0o077 == 0
    before = text.stat().st_mtime_ns
    write_pairing(getpass.getuser(), PROGRAM, tmp_path)
    assert text.stat().st_mtime_ns == before, "a card wears out"
    for _ in range(10):
        PairingCode(tmp_path / "state" / "sender").wrong()
    write_pairing(getpass.getuser(), PROGRAM, tmp_path)
    assert "thinair pairings renew" in text.read_text()
    assert str(code) not in text.read_text()
    assert image.read_text() == ""


def scanned(image: Path) -> str:
    """By zbarimg, from the image as a browser draws it."""
    from playwright.sync_api import sync_playwright

    from thinair.bench.harness.chromium import QUIET, chromium

    picture = image.with_suffix(".png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET])
        page = browser.new_page(viewport={"width": 400, "height": 400})
        page.goto(f"file://{image}")
        page.screenshot(path=picture)
        browser.close()
    done = subprocess.run(["zbarimg", "--quiet", "--raw", str(picture)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.quick
def test_avahi_s_file_is_handed_to_the_service_and_taken_away_after_it(tmp_path: Path) -> None:
    file = tmp_path / AVAHI_FILE.relative_to("/")
    board = Board(tmp_path, lambda _: None)
    assert prepare(getpass.getuser(), board, tmp_path / "leds") == [], "there is no avahi"
    file.parent.mkdir(parents=True)
    assert prepare(getpass.getuser(), board, tmp_path / "leds") == [f"avahi: {file} owned by {getpass.getuser()} now"]
    assert file.stat().st_uid == os.getuid()
    file.write_text("said")
    release(tmp_path / "leds", {}, tmp_path)
    assert file.read_text() == ""


@pytest.mark.quick
def test_what_avahi_is_told_is_well_formed_whatever_the_camera_is_called() -> None:
    root = ET.fromstring(avahi_file("A & B <1>", 40000, {"v": "1", "mode": "640x360@30", "state": 'no "cable" & <x>'}))  # noqa: S314 -- our own
    assert root.findtext("name") == "A & B <1>"
    assert root.findtext("service/type") == "_thinair._udp"
    assert root.findtext("service/port") == "40000"
    assert [one.text for one in root.iter("txt-record")] == ["v=1", "mode=640x360@30", 'state=no "cable" & <x>']


WIRELESS = """Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   52.  {level}.  -256        0      0      0      0     12        0
"""


@pytest.mark.quick
@pytest.mark.parametrize(("level", "dbm"), [("-58", -58), ("-256", None), ("x", None), ("0", None)])
def test_the_radio_s_level_is_read_where_it_is_one(tmp_path: Path, level: str, dbm: int | None) -> None:
    file = tmp_path / "wireless"
    file.write_text(WIRELESS.format(level=level))
    assert signal_dbm(file) == dbm
    assert signal_dbm(tmp_path / "none") is None


@pytest.mark.quick
def test_a_battery_that_is_known_is_told(tmp_path: Path) -> None:
    assert battery_percent(tmp_path) is None
    for name, text in (("AC", "x"), ("BAT0", "83\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "capacity").write_text(text)
    assert battery_percent(tmp_path) == 83


@pytest.mark.quick
def test_an_image_of_a_code_has_its_quiet_zone() -> None:
    svg = qr.svg(qr.encode("A"))
    assert 'viewBox="0 0 29 29"' in svg
    assert "M4 4h1" in svg
