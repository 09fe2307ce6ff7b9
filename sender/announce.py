"""Tells the network by multicast DNS that this sender is here, where python-zeroconf is installed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

from link.service import SERVICE

_LOOK_S = 1.0


async def announce(name: str, port: int, tell: Callable[[], dict[str, str]], say: Callable[[str], None]) -> None:
    """Until cancelled; `tell` gives the TXT keys, looked at once a second. Returns where it cannot be done."""
    try:
        zeroconf = await asyncio.to_thread(importlib.import_module, "zeroconf")
        aio = await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        ifaddr = importlib.import_module("ifaddr")  # of zeroconf's own needs
    except ImportError:
        return
    try:
        here = aio.AsyncZeroconf()
    except OSError as error:
        say(f"cannot announce this sender: {error.strerror or error}")
        return
    try:
        told = tell()
        known: dict[str, Any] = {"port": port, "server": f"thinair-{told['fp'][:8]}.local."}
        addresses = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
        known["parsed_addresses"] = [one for one in addresses if not one.startswith("127.")] or addresses
        info = aio.AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", properties=told, **known)
        try:
            await here.async_register_service(info, allow_name_change=True)
        except (OSError, zeroconf.Error) as error:
            say(f"cannot announce this sender: {error}")
            return
        while True:
            await asyncio.sleep(_LOOK_S)
            if (now := tell()) != told:
                told = now
                info = aio.AsyncServiceInfo(SERVICE, info.name, properties=told, **known)
                await here.async_update_service(info)
    finally:
        await here.async_close()
