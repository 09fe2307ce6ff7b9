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

from thinair.link.endpoint import Endpoint, parse_local
from thinair.link.host import own_address
from thinair.link.web.connection_limits import ConnectionLimits
from thinair.link.web.request_guard import RequestGuard, is_loopback, same
from thinair.receiver.dashboard.server import Dashboard
from thinair.receiver.workers.ipc import SECRET_NAME, Content, Listening, MessageReader, Note, pack

_READ = 1 << 20
_RETRY_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--listen", type=parse_local, required=True)
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the player's socket ends this process, in good order
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_main(given.fd, given.listen, os.environ.pop(SECRET_NAME, "")))
    return 0


async def _main(fd: int, listen: Endpoint, token: str) -> None:
    if not token and not is_loopback(listen.host):
        token = secrets.token_urlsafe(16)
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=fd), limit=_READ)

    def tell(message: Content) -> None:
        writer.write(pack(message))

    limits = ConnectionLimits()
    dashboard = Dashboard(RequestGuard(listen.host, partial(same, token) if token else None), limits, tell)
    runner = web.AppRunner(dashboard.app, access_log=None, handler_cancellation=True)
    await runner.setup()
    serving = asyncio.create_task(
        _serve(limits.wrap(cast("Callable[[], asyncio.Protocol]", runner.server)), listen, token, tell)
    )
    messages = MessageReader()
    with contextlib.suppress(ConnectionError):
        while not messages.broken and (data := await reader.read(_READ)):
            for message in messages.read(data):
                dashboard.receive(message)
    serving.cancel()
    await runner.cleanup()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _serve(factory: Any, listen: Endpoint, token: str, tell: Callable[[Content], None]) -> None:
    """Until the port is free: it may be another player's that ends."""
    noted = False
    while True:
        try:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(factory, listen.host, listen.port, backlog=16)
        except OSError as error:
            if not noted:
                noted = True
                why = f"no dashboard on {listen}: {error.strerror or error}; retrying. Another port: --dashboard PORT"
                tell(Note("dashboard", why))
            await asyncio.sleep(_RETRY_S)
            continue
        port = server.sockets[0].getsockname()[1]
        url = f"http://{Endpoint(_reachable(listen.host), port)}/" + (f"?token={token}" if token else "")
        tell(Listening(port))
        tell(Note("dashboard", f"dashboard: {url}"))
        return


def _reachable(host: str) -> str:
    """For "every address" the one that others most likely see."""
    return own_address() if host in {"0.0.0.0", "::"} else host  # noqa: S104 -- compared with


if __name__ == "__main__":
    raise SystemExit(main())
