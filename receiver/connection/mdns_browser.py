"""Senders that say by multicast DNS that they are here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from thinair.link.errors import NetworkError
from thinair.link.mdns import SERVICE, Announcement, read_announcement

_ANSWER_MS = 2000
_MOST = 64  # asked about; somebody may shout many names


@contextlib.asynccontextmanager
async def watching(see: Callable[[Announcement], None]) -> AsyncIterator[None]:
    """`see` is told of each sender that comes or says something new. Raises NetworkError."""
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(name: str) -> None:
        info = AsyncServiceInfo(SERVICE, name)
        if not await info.async_request(here.zeroconf, _ANSWER_MS):
            return
        for host in info.parsed_addresses()[:1]:
            if (found := read_announcement(name, host, info.decoded_properties)) is not None:
                see(found)

    def changed(zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        if state_change.name == "Removed":
            return
        if name not in tasks and len(tasks) >= _MOST:
            return
        tasks[name] = asyncio.get_running_loop().create_task(ask(name))

    try:
        here = AsyncZeroconf()
    except OSError as error:
        raise NetworkError(f"cannot look for senders: {error.strerror or error}") from error
    browser = AsyncServiceBrowser(here.zeroconf, SERVICE, handlers=[changed])
    try:
        yield
    finally:
        await browser.async_cancel()
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await here.async_close()


async def look(seconds: float) -> list[Announcement]:
    """Those that are found in this time, by name. Raises NetworkError."""
    found: dict[str, Announcement] = {}
    async with watching(lambda one: found.update({one.fingerprint: one})):
        await asyncio.sleep(seconds)
    return sorted(found.values(), key=lambda one: one.name)
