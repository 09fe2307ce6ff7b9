"""What somebody on the same network records with tshark: no byte of the picture, no key, no code."""

from __future__ import annotations

import os
import random
import re
import shutil
import ssl
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.player_with_dashboard import eventually
from tests.support.processes import PLAY, THINAIR, call, environment, running
from tests.support.seeds import seed
from thinair.link.security.pairing_store import Pairings, introduce
from thinair.sender.connection.pairing_code import PairingCode

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("tshark") is None, reason="needs root and tshark"),
]
HOST = "127.0.0.1"
WINDOW = 24  # bytes of the picture that are looked for


def captured(folder: Path, *, encrypted: bool) -> tuple[bytes, bytes, Path]:
    """(the capture as tshark wrote it, the recorded movie, the state): a pairing's session from its first packet on."""
    state = Path(introduce(folder / "state"))
    env = environment(THINAIR_STATE=str(state))
    media, session_port, control = 5004, 5010, 5011  # known before anybody listens; the tests' network is their own
    file = folder / "air.pcapng"
    ports = " or ".join(f"port {port}" for port in (media, session_port, control))
    tshark = ["tshark", "-i", "lo", "-f", ports, "-w", str(file), "-q"]
    more = [] if encrypted else ["--no-encryption"]
    send = [
        "send",
        "--to",
        f"{HOST}:{media}",
        "--session-port",
        str(session_port),
        "--control",
        str(control),
        "--mode",
        "640x360@30",
    ]
    play = ["--headless", "--listen", str(media), "--record", "--record-to", str(folder / "set")]
    with running(tshark) as tap:
        tap.wait_for("Capturing on")
        with running([*PLAY, *play, *more], env=env) as player:
            player.wait_for("listening on port")
            with running([*THINAIR, *send, "--bitrate", "4M", *more], env=env) as sender:
                eventually(lambda: int((re.findall(r"presented (\d+)", player.text()) or ["0"])[-1]) > 60)
                if encrypted:
                    sender.wait_for("page: http")
                    code = str(PairingCode(state / "sender").current())
                    env_guest = environment(THINAIR_STATE=str(folder / "guest"))
                    assert call("pair", f"{HOST}:{session_port}", code, env=env_guest).returncode == 0
                    assert call("remote", "status", env=env).returncode == 0
            assert player.stop() == 0
        tap.process.terminate()
        tap.end()
    (movie,) = (folder / "set").glob("*.mp4")
    return file.read_bytes(), movie.read_bytes(), state


def seen(capture: bytes, movie: bytes) -> int:
    """Of 400 places in the coded pictures, how many stand in the capture."""
    chance, found = random.Random(seed()), 0
    first = movie.index(b"mdat") + 100
    last = movie.rindex(b"moof") if b"moof" in movie else len(movie)
    for _ in range(400):
        at = chance.randrange(first, last - WINDOW)
        window = movie[at : at + WINDOW]
        found += len(set(window)) > WINDOW // 2 and window in capture
    return found


def test_an_open_link_s_pictures_are_found_in_the_capture(tmp_path: Path) -> None:
    """So that the next test could fail."""
    capture, movie, _ = captured(tmp_path, encrypted=False)
    assert seen(capture, movie) > 100


def test_an_encrypted_session_shows_no_byte_of_the_picture_and_no_secret(tmp_path: Path) -> None:
    capture, movie, state = captured(tmp_path, encrypted=True)
    assert len(capture) > 500_000
    assert seen(capture, movie) == 0
    paired = Pairings(state / "receiver").all()[0]
    code = str(PairingCode(state / "sender").current())
    for end in ("sender", "receiver"):
        key = (state / end / "identity" / "key.pem").read_text()
        der = ssl.PEM_cert_to_DER_cert(key.replace("PRIVATE KEY", "CERTIFICATE"))
        assert der[36:68] not in capture, "a private key"
    for secret in (paired.token, code, code.replace("-", "")):
        assert secret.encode() not in capture
    lines = subprocess.run(
        ["tshark", "-r", str(tmp_path / "air.pcapng"), "-Y", "tls.handshake.type == 2", "-T", "fields", "-e",
         "tls.handshake.extensions.supported_version"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert Counter(lines).keys() <= {"0x0304"}, "TLS 1.3 alone"
