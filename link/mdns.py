"""A sender's announcement by multicast DNS (RFC 6762, RFC 6763): a hint for finding it, never trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thinair.link.security.pairing import clean_name

SERVICE = "_thinair._udp.local."


@dataclass(frozen=True, slots=True)
class Announcement:
    """`place` is HOST:PORT of the session server."""

    name: str
    place: str
    fingerprint: str
    model: str = ""
    state: str = ""
    mode: str = ""
    signal: str = ""  # dBm, roughly


def properties(own: Announcement, session_port: int) -> dict[str, str]:
    """TXT keys of our own announcement; its address is in the address records."""
    texts = {"model": own.model, "state": own.state, "mode": own.mode, "signal": own.signal}
    return {"v": "1", "fp": own.fingerprint, "door": str(session_port), **texts}


def read_announcement(instance: str, host: str, txt: Mapping[str, str | None]) -> Announcement | None:
    """None for a record that no sender of this version publishes."""
    fingerprint, port = (txt.get("fp") or "").lower(), txt.get("door") or ""
    hexadecimal = len(fingerprint) == 64 and set(fingerprint) <= set("0123456789abcdef")
    if txt.get("v") != "1" or not hexadecimal or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None
    name = clean_name(instance.removesuffix(f".{SERVICE}"))
    place = f"[{host}]:{int(port)}" if ":" in host else f"{host}:{int(port)}"
    texts = (clean_name(txt.get(key) or "", 40) for key in ("model", "state", "mode", "signal"))
    return Announcement(name, place, fingerprint, *texts)
