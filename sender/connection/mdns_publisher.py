"""Announces this sender by multicast DNS: through avahi, which Raspberry Pi OS has, or python-zeroconf where that is
installed."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinair.link.mdns import SERVICE, running

_CHECK_S = 1.0
AVAHI_FILE = Path("/etc/avahi/services/thinair.service")  # made by `thinair service prepare`


async def _by_avahi(name: str, port: int, txt_keys: Callable[[], dict[str, str]], log: Callable[[str], None]) -> None:
    """The service owns the file, not its folder: it is written in place, and avahi reads it again."""
    published: dict[str, str] = {}
    while True:
        if (now := txt_keys()) != published:
            published = now
            try:
                await asyncio.to_thread(AVAHI_FILE.write_text, avahi_file(name, port, published))
            except OSError as error:
                log(f"cannot announce this sender: {AVAHI_FILE}: {error.strerror}")
                return
        await asyncio.sleep(_CHECK_S)


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


async def announce(name: str, port: int, txt_keys: Callable[[], dict[str, str]], log: Callable[[str], None]) -> None:
    """Until cancelled; `txt_keys` gives the TXT keys, looked at once a second. Returns where it cannot be done."""
    if os.access(AVAHI_FILE, os.W_OK):
        await _by_avahi(name, port, txt_keys, log)
        return
    try:
        zeroconf = await asyncio.to_thread(importlib.import_module, "zeroconf")
        aio = await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        ifaddr = importlib.import_module("ifaddr")  # of zeroconf's own needs
    except ImportError:
        return
    published = txt_keys()
    known: dict[str, Any] = {"port": port, "server": f"thinair-{published['fp'][:8]}.local."}
    addresses = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    known["parsed_addresses"] = [one for one in addresses if not one.startswith("127.")] or addresses
    info = aio.AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", properties=published, **known)
    try:
        here = aio.AsyncZeroconf()
    except OSError as error:
        log(f"cannot announce this sender: {error.strerror or error}")
        return
    try:
        async with running(here):
            await here.async_register_service(info, allow_name_change=True)
            while True:
                await asyncio.sleep(_CHECK_S)
                if (now := txt_keys()) != published:
                    published = now
                    info = aio.AsyncServiceInfo(SERVICE, info.name, properties=published, **known)
                    await here.async_update_service(info)
    except (OSError, zeroconf.Error) as error:
        log(f"cannot announce this sender: {error}")
