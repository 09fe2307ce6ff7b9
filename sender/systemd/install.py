"""`thinair service`: the sender as a systemd service on a Raspberry Pi without keyboard or screen."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from thinair.link.errors import DeviceError, FileError
from thinair.link.files import writing
from thinair.link.security.pairing import scan_text
from thinair.link.security.tls import PORT
from thinair.link.web import qr
from thinair.sender.board import status_led
from thinair.sender.board.doctor import Board, fix
from thinair.sender.connection.mdns_publisher import AVAHI_FILE

UNITS = ("thinair-edid.service", "thinair.service")
USER = "thinair"
_UNIT_DIRECTORY = "etc/systemd/system"
_CONFIG = "etc/thinair/sender.toml"
STATE = Path("/var/lib/thinair")  # StateDirectory of the unit
UNIT = Path("/") / _UNIT_DIRECTORY / "thinair.service"
_PAIRING = "thinair-pairing"
_SYSUSERS = "etc/sysusers.d/thinair.conf"


def install(root: Path, program: str, run: bool) -> list[Path]:
    """Writes units, their user, and a configuration where there is none; with `run`, enables them. The files written.
    Raises FileError, DeviceError."""
    texts = {f"{_UNIT_DIRECTORY}/{name}": _packaged(name).replace("@THINAIR@", program) for name in UNITS}
    texts[_SYSUSERS] = _packaged("thinair.sysusers")
    if not (root / _CONFIG).exists():
        texts[_CONFIG] = _packaged("sender.toml")
    written = []
    for name, text in texts.items():
        path = root / name
        with writing(path, "run it with sudo"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        written.append(path)
    if run:
        for command in (
            ["systemd-sysusers", f"/{_SYSUSERS}"],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", *UNITS],
        ):
            try:
                subprocess.run(command, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise DeviceError(f"{' '.join(command)}: {error}") from error
    return written


def prepare(user: str, board: Board, leds: Path = status_led.LEDS) -> list[str]:
    """As root, before the service starts: applies the safe fixes of `thinair doctor` and gives LED and avahi file to
    the service's user. What was done, as text; no failure keeps the service from starting."""
    done = [f"{finding.name}: {why or 'fixed'}" for finding, why in fix(board)]
    if (led := status_led.find_led(leds)) is not None:
        try:
            uid = pwd.getpwnam(user).pw_uid
            _blink(led, status_led.LedState.BOOTING)
            for name in ("brightness", "trigger"):
                os.chown(led / name, uid, -1)
            done.append(f"status LED {led.name}: owned by {user} now")
        except (OSError, KeyError) as error:
            done.append(f"status LED {led.name}: {error}")
    done += _hand_over_avahi(user, board.root)
    return done


def _hand_over_avahi(user: str, root: Path) -> list[str]:
    """The sender announces itself through one file of avahi's, the only one there that it may write."""
    path = root / AVAHI_FILE.relative_to("/")
    if not path.parent.is_dir():
        return []
    try:
        path.touch(mode=0o644)
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    except (OSError, KeyError) as error:
        return [f"avahi: {error}"]
    return [f"avahi: {path} owned by {user} now"]


def write_pairing(user: str, program: Sequence[str], root: Path = Path("/")) -> str:
    """As root: writes the pairing code, as text and image, to the boot partition, which any PC reads from the card.
    What was done. The code is read as the service's user: nothing of that user is touched as root. Raises FileError,
    DeviceError."""
    boot = next((one for one in (root / "boot/firmware", root / "boot") if (one / "config.txt").exists()), None)
    if boot is None:
        return "no boot partition here: run thinair pairings code for the pairing code"
    command, env = [*program, "pairings", "code"], {"STATE_DIRECTORY": str(STATE), **os.environ}
    try:
        done = subprocess.run(command, user=user, group=user, env=env, capture_output=True, text=True, check=False)
    except (OSError, KeyError, ValueError) as error:
        raise DeviceError(f"cannot read the pairing code as {user}: {error}") from error
    code, place = done.stdout.strip(), f"{socket.gethostname()}.local:{PORT}"
    text, image = f"{done.stderr.strip()}\n", ""
    if done.returncode == 0:
        matrix = qr.encode(scan_text(place, code))
        text = "\n".join(
            [f"On the receiver, run: thinair pair {place}", f"Pairing code: {code}", "", *qr.plain(matrix), ""]
        )
        image = qr.svg(matrix)
    for name, content in ((f"{_PAIRING}.txt", text), (f"{_PAIRING}.svg", image)):
        _write_if_changed(boot / name, content)
    return f"pairing code: {boot / _PAIRING}.txt and .svg"


def _write_if_changed(path: Path, content: str) -> None:
    """Writes only what differs: cards wear out."""
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.touch(mode=0o600)
            path.write_text(content, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileError(f"cannot write {path}: {error}") from error


def release(leds: Path = status_led.LEDS, environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> None:
    """As root, after the service ended: the kernel blinks the LED, fast after a failure (systemd.exec(5),
    SERVICE_RESULT)."""
    with contextlib.suppress(OSError):  # not unlinked: it is a mount of the unit's own
        os.truncate(root / AVAHI_FILE.relative_to("/"), 0)
    led = status_led.find_led(leds)
    if led is None:
        return
    with contextlib.suppress(OSError):
        if environment.get("SERVICE_RESULT", "success") == "success":
            (led / "trigger").write_text("heartbeat")
        else:
            _blink(led, status_led.LedState.FAULT)


def _blink(led: Path, state: status_led.LedState) -> None:
    """By the kernel's timer, while no service runs. Raises OSError."""
    (led / "trigger").write_text("timer")
    for name, length_ms in zip(("delay_on", "delay_off"), status_led.PATTERNS[state], strict=True):
        (led / name).write_text(str(length_ms))


def offer_edid(source: str, edid: str) -> str:
    """Writes the EDID into the HDMI input of `source` where it holds another. What was done. Raises LinkError."""
    from thinair.sender.hdmi.port import read_edid
    from thinair.sender.hdmi.v4l2 import find_input, open_control, write_edid

    kind, _, device = source.partition(":")
    wanted = read_edid(edid) if kind == "hdmi" else None
    if wanted is None:
        return f"source {source}, EDID {edid}: nothing to write"
    control = open_control(find_input(device or None).control)
    try:
        return write_edid(control, wanted)
    finally:
        control.close()


def _packaged(name: str) -> str:
    return (files("thinair.sender.systemd") / "units" / name).read_text()
