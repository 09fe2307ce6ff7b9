"""Tells the network by multicast DNS that this sender is here: by avahi, which Raspberry Pi OS has, or python-zeroconf
where that is installed."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinair.link.mdns import SERVICE, running

_LOOK_S = 1.0
AVAHI_FILE = Path("/etc/avahi/services/thinair.service")  # made by `thinair service prepare`


async def _by_avahi(name: str, port: int, tell: Callable[[], dict[str, str]], say: Callable[[str], None]) -> None:
    """The file is this service's own, of the folder that is not: it is written in place, and avahi reads it then."""
    told: dict[str, str] = {}
    while True:
        if (now := tell()) != told:
            told = now
            try:
                await asyncio.to_thread(AVAHI_FILE.write_text, avahi_file(name, port, told))
            except OSError as error:
                say(f"cannot announce this sender: {AVAHI_FILE}: {error.strerror}")
                return
        await asyncio.sleep(_LOOK_S)


def avahi_file(name: str, port: int, txt: dict[str, str]) -> str:
    """avahi.service(5)."""
    from html import escape  # a board without avahi does without

    records = "".join(f"<txt-record>{escape(f'{key}={value}')}</txt-record>" for key, value in txt.items())
    kind = SERVICE.removesuffix(".local.")
    return (
        '<?xml version="1.0" standalone="no"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">'
        f"<service-group><name>{escape(name)}</name><service><type>{kind}</type><port>{port}</port>{records}"
        "</service></service-group>\n"
    )


async def announce(name: str, port: int, tell: Callable[[], dict[str, str]], say: Callable[[str], None]) -> None:
    """Until cancelled; `tell` gives the TXT keys, looked at once a second. Returns where it cannot be done."""
    if os.access(AVAHI_FILE, os.W_OK):
        await _by_avahi(name, port, tell, say)
        return
    try:
        zeroconf = await asyncio.to_thread(importlib.import_module, "zeroconf")
        aio = await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        ifaddr = importlib.import_module("ifaddr")  # of zeroconf's own needs
    except ImportError:
        return
    told = tell()
    known: dict[str, Any] = {"port": port, "server": f"thinair-{told['fp'][:8]}.local."}
    addresses = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    known["parsed_addresses"] = [one for one in addresses if not one.startswith("127.")] or addresses
    info = aio.AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", properties=told, **known)
    try:
        here = aio.AsyncZeroconf()
    except OSError as error:
        say(f"cannot announce this sender: {error.strerror or error}")
        return
    try:
        async with running(here):
            await here.async_register_service(info, allow_name_change=True)
            while True:
                await asyncio.sleep(_LOOK_S)
                if (now := tell()) != told:
                    told = now
                    info = aio.AsyncServiceInfo(SERVICE, info.name, properties=told, **known)
                    await here.async_update_service(info)
    except (OSError, zeroconf.Error) as error:
        say(f"cannot announce this sender: {error}")
