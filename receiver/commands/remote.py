"""`thinair remote`: a paired sender's control API from this machine, by HTTPS with its pinned certificate."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from collections.abc import Mapping
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from thinair.link.errors import AuthenticationError, ConfigError, NetworkError
from thinair.link.files import check_writable, writing
from thinair.link.options import parse_bitrate
from thinair.link.security import private_files, tls
from thinair.link.security.identity import fingerprint
from thinair.link.security.pairing import clean_name
from thinair.link.security.pairing_store import Pairing, Pairings, matches
from thinair.link.video_mode import Mode
from thinair.link.web import qr

_TIMEOUT_S = 5.0
_MOST = 1 << 20  # bytes of an answer


def add_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    if action in {"mode", "bitrate", "preview"}:
        parser.add_argument("value", metavar={"mode": "MODE", "bitrate": "BITRATE", "preview": "FILE.jpg"}[action])
    parser.add_argument("--sender", metavar="NAME", default="", help="paired sender, where there are several")
    if action == "status":
        parser.add_argument("--json", action="store_true", help="the sender's answer as JSON")


def run(action: str, arguments: argparse.Namespace) -> int:
    """Raises LinkError."""
    sender = Sender(choose(Pairings(private_files.folder("receiver")).all(), arguments.sender))
    try:
        _do(sender, action, arguments)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NetworkError("the sender's answer is not understood: update thinair at both ends") from error
    return 0


def _do(sender: Sender, action: str, arguments: argparse.Namespace) -> None:
    match action:
        case "status":
            status = json.loads(sender.ask("GET", "status"))
            print(json.dumps(status, indent=1) if arguments.json else "\n".join(_lines(status)))
        case "mode":
            sender.ask("PUT", "mode", {"mode": str(Mode.parse(arguments.value))})
        case "bitrate":
            sender.ask("PUT", "bitrate", {"max_bps": parse_bitrate(arguments.value)})
        case "logs":
            for line in json.loads(sender.ask("GET", "logs"))["lines"]:
                print(f"{float(line['at_s']):10.1f} s  {clean_name(str(line['text']), 400)}")
        case "preview":
            check_writable(Path(arguments.value))
            picture = sender.ask("GET", "preview.jpg")
            with writing(Path(arguments.value)):
                Path(arguments.value).write_bytes(picture)
        case "page":
            url = clean_name(str(json.loads(sender.ask("POST", "page-links"))["url"]), 90)
            print(url)
            if sys.stdout.isatty():
                print("\n".join(qr.lines(qr.encode(url))))
        case _:
            sender.ask("POST", {"key": "key-frame"}.get(action, action))


def choose(paired: list[Pairing], which: str) -> Pairing:
    """Raises ConfigError."""
    found = [one for one in paired if not which or matches(one, which)]
    if len(found) != 1:
        names = ", ".join(one.name for one in paired) or "none, run thinair pair first"
        raise ConfigError(f"choose a sender with --sender NAME; paired: {names}")
    if not found[0].address or not found[0].control or not found[0].token:
        raise ConfigError(f"the control port of {found[0].name} is unknown: run thinair play once, or pair again")
    return found[0]


class Sender:
    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing

    def ask(self, method: str, what: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Raises NetworkError, AuthenticationError, ConfigError for what the sender refuses."""
        pairing = self._pairing
        host = pairing.address.rpartition(":")[0].strip("[]")
        context = tls.receiver_context(None, pairing.certificate)
        way = HTTPSConnection(host, pairing.control, timeout=_TIMEOUT_S, context=context)
        headers = {"Authorization": f"Bearer {pairing.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            way.connect()
            assert isinstance(way.sock, ssl.SSLSocket)
            if fingerprint(way.sock.getpeercert(binary_form=True) or b"") != pairing.fingerprint:
                raise AuthenticationError(f"{host} is not {pairing.name}: its certificate differs from the paired one")
            way.request(method, f"/api/v1/{what}", json.dumps(body) if body is not None else None, headers)
            answer = way.getresponse()
            content = answer.read(_MOST)
        except ssl.SSLCertVerificationError as error:
            raise AuthenticationError(
                f"{host} is not {pairing.name}: its certificate differs from the paired one"
            ) from error
        except (OSError, HTTPException) as error:
            raise NetworkError(f"{pairing.name} does not answer at {host}:{pairing.control}: {error}") from error
        finally:
            way.close()
        if answer.status >= 400:
            raise ConfigError(f"{pairing.name}: {_problem(content) or answer.reason}")
        return content


def _problem(content: bytes) -> str:
    try:
        return clean_name(str(json.loads(content)["problem"]), 200)
    except (ValueError, KeyError, TypeError):
        return ""


def _lines(status: Mapping[str, Any]) -> list[str]:
    def number(key: str, unit: str) -> str:
        value = status.get(key)
        return "unknown" if value is None else f"{value:g} {unit}"

    rows = {
        "sender": f"{status.get('name')} ({status.get('model')})",
        "state": status.get("source") or status.get("status_led", {}).get("state"),
        "mode": status.get("mode") or "unknown",
        "receiver": status.get("receiver") or "none",
        "latency": f"{number('latency_ms', 'ms')} ± {number('latency_bound_ms', 'ms')}",
        "bitrate": f"{status.get('bitrate_bps', 0) / 1e6:g} Mbit/s",
        "signal": number("signal_dbm", "dBm"),
        "battery": number("battery_percent", "%"),
    }
    return [f"{name:9}{clean_name(str(value), 120)}" for name, value in rows.items()]
