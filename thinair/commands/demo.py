"""`thinair demo`: a sender and a player as two processes on this machine; the player prints the live table."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thinair.link.child_process import python_module
from thinair.link.errors import Exit
from thinair.link.files import check_readable, check_writable, writing
from thinair.link.host import PORT_FD
from thinair.link.options import load, options
from thinair.link.security.pairing_store import introduce
from thinair.receiver.config import ReceiverConfig
from thinair.receiver.stats.run_conditions import ConditionsWatch
from thinair.sender.config import SenderConfig

_STOP_S = 5.0


def run(arguments: argparse.Namespace) -> int:
    sender, player = load(SenderConfig, arguments), load(ReceiverConfig, arguments)
    kind, _, clip = sender.source.partition(":")
    if kind == "file":
        check_readable(clip)
    report: Path | None = getattr(arguments, "report", None)
    check_writable(
        report, getattr(arguments, "frames", None), getattr(arguments, "packets", None)
    )  # a wrong word ends here, before anything starts
    watch = ConditionsWatch()  # of both processes; each of them would take the other for a stranger
    watch.start()
    with tempfile.TemporaryDirectory(prefix="thinair-") as folder:
        sender_report, player_report = Path(folder) / "sender.json", Path(folder) / "player.json"
        sender_words = ["send", "--report", str(sender_report)]
        player_words = ["play", "--listen", "127.0.0.1:0", "--report", str(player_report)]
        sender_words += _passed_on(arguments, SenderConfig)
        player_words += _passed_on(arguments, ReceiverConfig)
        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # as Ctrl-C: both processes end, the report is written
        env = dict(os.environ)
        if player.encryption:
            sender_words += ["--session-port", "0"]
            env["THINAIR_STATE"] = introduce(Path(folder) / "state")
        started: list[subprocess.Popen[bytes]] = []
        try:
            port = _start_player(player_words, env, started)
            if port:
                sender_words += ["--to", f"127.0.0.1:{port}"]
                started.append(_start(sender_words, env, stdout=subprocess.DEVNULL))
            code = _wait(*started)
        except KeyboardInterrupt:  # before both were there
            code = int(Exit.OK)
        finally:
            for process in started:
                _stop(process)
        if code == Exit.OK and report is not None:
            _write(report, merge(_read(player_report), _read(sender_report), watch.stop()))
    return code


def merge(
    player: Mapping[str, object], sender: Mapping[str, object], shares: Mapping[str, object]
) -> dict[str, object]:
    """The player's report with what only the sender can count (pictures captured, encoded, sent) and the `shares` of
    processor time over the whole run."""
    merged = dict(player)
    merged["conditions"] = {**_section(player, "conditions"), **shares}
    merged["frames"] = {**_section(player, "frames"), **_section(sender, "frames")}
    merged["sender"] = {key: sender[key] for key in ("source", "encoder", "mode", "pace_us", "notes") if key in sender}
    return merged


def _section(report: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = report.get(key)
    return found if isinstance(found, Mapping) else {}


def _passed_on(arguments: argparse.Namespace, kind: type[SenderConfig] | type[ReceiverConfig]) -> list[str]:
    words: list[str] = []
    if arguments.config is not None:
        words += ["--config", str(arguments.config)]
    for key, (field, option) in options(kind).items():
        name = key if key == "encryption" else field  # one flag for both ends
        if field in {"report", "to", "listen", "plain", "input", "sdp"} or not hasattr(arguments, name):
            continue
        if kind is SenderConfig and name in {"frames", "seconds"}:
            continue  # the player's; the sender runs until it ends
        value, flag = getattr(arguments, name), key.replace("_", "-")
        if option.kinds == (bool,):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", "off" if value is None else str(value)]
    return words


def _start(
    words: Sequence[str], env: dict[str, str], stdout: int | None = None, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(python_module("thinair", *words), stdout=stdout, env=env, pass_fds=pass_fds)


def _start_player(words: Sequence[str], env: dict[str, str], started: list[subprocess.Popen[bytes]]) -> int:
    """The port that it listens on; 0 where it has ended without one."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as pipe:
        try:
            started.append(_start(words, {**env, PORT_FD: str(theirs)}, pass_fds=[theirs]))
        finally:
            os.close(theirs)
        return int(pipe.readline() or 0)


def _wait(player: subprocess.Popen[bytes], *sender: subprocess.Popen[bytes]) -> int:
    """The player's exit code, or the sender's where that ends first, which it does only for a reason."""
    while True:
        try:
            return player.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            for one in sender:
                if (code := one.poll()) not in {None, 0}:
                    return int(code or 0)
        except KeyboardInterrupt:
            return int(Exit.OK)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    with writing(path):
        path.write_text(json.dumps(content, indent=1) + "\n")
