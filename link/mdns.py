"""What a sender says of itself by multicast DNS (RFC 6762, RFC 6763): a hint for finding it, never believed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from thinair.link.security.pairing import clean_name

SERVICE = "_thinair._udp.local."


@contextlib.asynccontextmanager
async def running(here: Any) -> AsyncIterator[None]:
    """An AsyncZeroconf once it has started, closed at the end. Its start is never cancelled: after that it could not be
    closed. Raises zeroconf.NotRunningException."""
    starting = asyncio.ensure_future(here.zeroconf.async_wait_for_start())
    try:
        await asyncio.shield(starting)
        yield
    finally:
        await asyncio.gather(starting, return_exceptions=True)
        await here.async_close()


@dataclass(frozen=True, slots=True)
class Sighting:
    """`place` is HOST:PORT of its door."""

    name: str
    place: str
    fingerprint: str
    model: str = ""
    state: str = ""
    mode: str = ""
    signal: str = ""  # dBm, roughly


def properties(found: Sighting, door: int) -> dict[str, str]:
    """TXT keys of one's own; `place` is left to the address records."""
    words = {"model": found.model, "state": found.state, "mode": found.mode, "signal": found.signal}
    return {"v": "1", "fp": found.fingerprint, "door": str(door), **words}


def read_sighting(instance: str, host: str, txt: Mapping[str, str | None]) -> Sighting | None:
    """None for what no sender of this version says."""
    fingerprint, door = (txt.get("fp") or "").lower(), txt.get("door") or ""
    hexadecimal = len(fingerprint) == 64 and set(fingerprint) <= set("0123456789abcdef")
    if txt.get("v") != "1" or not hexadecimal or not (door.isascii() and door.isdigit() and 0 < int(door) < 65536):
        return None
    name = clean_name(instance.removesuffix(f".{SERVICE}"))
    place = f"[{host}]:{int(door)}" if ":" in host else f"{host}:{int(door)}"
    words = (clean_name(txt.get(key) or "", 40) for key in ("model", "state", "mode", "signal"))
    return Sighting(name, place, fingerprint, *words)
