"""`thinair service`: the sender as a systemd service of a Raspberry Pi that has no keyboard."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from link.errors import DeviceError, FileError
from sender import light
from sender.doctor import Board, fix

UNITS = ("thinair-edid.service", "thinair.service")
USER = "thinair"
_UNIT_DIRECTORY = "etc/systemd/system"
_CONFIG = "etc/thinair/sender.toml"
_SYSUSERS = "etc/sysusers.d/thinair.conf"


def install(root: Path, program: str, run: bool) -> list[Path]:
    """Writes units, their user, and a configuration where there is none yet; with `run` tells systemd. The files
    written. Raises FileError, DeviceError."""
    texts = {f"{_UNIT_DIRECTORY}/{name}": _packaged(name).replace("@THINAIR@", program) for name in UNITS}
    texts[_SYSUSERS] = _packaged("thinair.sysusers")
    if not (root / _CONFIG).exists():
        texts[_CONFIG] = _packaged("sender.toml")
    written = []
    for name, text in texts.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror}; run it with sudo") from error
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


def prepare(user: str, board: Board, leds: Path = light.LEDS) -> list[str]:
    """As root, before the service starts: the board made quiet, the light handed to the service's user. What was done,
    in words; nothing here keeps the service from starting."""
    done = [f"{finding.name}: {why or 'mended'}" for finding, why in fix(board)]
    if (led := light.find(leds)) is not None:
        try:
            uid = pwd.getpwnam(user).pw_uid
            _blink(led, light.Light.BOOTING)
            for name in ("brightness", "trigger"):
                os.chown(led / name, uid, -1)
            done.append(f"light {led.name}: handed to {user}")
        except (OSError, KeyError) as error:
            done.append(f"light {led.name}: {error}")
    return done


def release(leds: Path = light.LEDS, environment: Mapping[str, str] = os.environ) -> None:
    """As root, after the service ended: the kernel blinks on, fast where it ended by a fault (systemd.exec(5),
    SERVICE_RESULT), since nobody else is there to do it."""
    led = light.find(leds)
    if led is None:
        return
    with contextlib.suppress(OSError):
        if environment.get("SERVICE_RESULT", "success") == "success":
            (led / "trigger").write_text("heartbeat")
        else:
            _blink(led, light.Light.FAULT)


def _blink(led: Path, state: light.Light) -> None:
    """By the kernel's own timer, while no service is there to do it. Raises OSError."""
    (led / "trigger").write_text("timer")
    for name, length_ms in zip(("delay_on", "delay_off"), light.PATTERNS[state], strict=True):
        (led / name).write_text(str(length_ms))


def offer_edid(source: str, edid: str) -> str:
    """Writes the EDID into the HDMI input of `source` where it holds another. What was done. Raises LinkError."""
    from sender.hdmi_port import read_edid
    from sender.v4l2 import find_input, open_control, write_edid

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
    return (files("sender") / "units" / name).read_text()
