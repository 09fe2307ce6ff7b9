"""The dashboard's process: `python -m thinair.receiver.dashboard --fd N --listen HOST:PORT`; the player starts it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from aiohttp import web

from thinair.link.endpoint import Endpoint
from thinair.link.host import own_address
from thinair.link.web.connection_limits import ConnectionLimits
from thinair.link.web.request_guard import RequestGuard, is_loopback, same
from thinair.receiver.dashboard import SECRET_NAME
from thinair.receiver.dashboard.server import Dashboard
from thinair.receiver.workers.ipc import Splitter, pack_json

_READ = 1 << 20
_RETRY_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--listen", type=Endpoint.parse, required=True)
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the player's socket ends this process, in good order
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_main(given.fd, given.listen, os.environ.pop(SECRET_NAME, "")))
    return 0


async def _main(fd: int, listen: Endpoint, token: str) -> None:
    if not token and not is_loopback(listen.host):
        token = secrets.token_urlsafe(16)
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=fd), limit=_READ)

    def tell(content: dict[str, Any]) -> None:
        writer.write(pack_json(content))

    patience = ConnectionLimits()
    dashboard = Dashboard(RequestGuard(listen.host, partial(same, token) if token else None), patience, tell)
    runner = web.AppRunner(dashboard.app, access_log=None, handler_cancellation=True)
    await runner.setup()
    serving = asyncio.create_task(
        _serve(patience.wrap(cast("Callable[[], asyncio.Protocol]", runner.server)), listen, token, tell)
    )
    splitter = Splitter()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_READ):
            for message in splitter.split(data):
                dashboard.hear(message)
    serving.cancel()
    await runner.cleanup()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _serve(factory: Any, listen: Endpoint, token: str, tell: Any) -> None:
    """Until the port is free: it may be another player's that ends."""
    told = False
    while True:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_server(factory, listen.host, listen.port, backlog=16)
        except OSError as error:
            if not told:
                told = True
                why = (
                    f"no dashboard on {listen}: {error.strerror or error}; trying again, or choose another --dashboard"
                )
                tell({"type": "say", "kind": "dashboard", "text": why})
            await asyncio.sleep(_RETRY_S)
            continue
        url = f"http://{Endpoint(_reachable(listen.host), listen.port)}/" + (f"?token={token}" if token else "")
        tell({"type": "say", "kind": "dashboard", "text": f"dashboard: {url}"})
        return


def _reachable(host: str) -> str:
    """For "every address" the one that others most likely see."""
    return own_address() if host in {"0.0.0.0", "::"} else host  # noqa: S104 -- compared with


if __name__ == "__main__":
    raise SystemExit(main())
