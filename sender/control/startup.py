"""Starts the control API: it listens at once, since clients are told the port, and serves once the picture runs."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from thinair.link.errors import NetworkError
from thinair.link.security import tls

if TYPE_CHECKING:
    from thinair.link.security.identity import Identity
    from thinair.sender.connection.session_server import SessionServer
    from thinair.sender.control.operations import Session
    from thinair.sender.control.server import ControlServer
    from thinair.sender.pipeline.preview import Thumbnail
    from thinair.sender.status import SenderStatus

_AFTER_S = 1.0  # what it needs takes a Pi's processor for a second


def _missing(module: str | None) -> str:
    from thinair.link.missing_package import REQUIREMENTS, install_line

    if module is None or module.partition(".")[0] not in REQUIREMENTS:
        return f"{module} is not installed"
    return f"{module} is not installed: {install_line(module)}"


class ControlApi:
    def __init__(self, port: int | None, log: Callable[[str], None]) -> None:
        """`port`: None for no control API, 0 for any port."""
        self._wanted, self._log = port, log
        self._socket: socket.socket | None = None
        self._server: ControlServer | None = None

    @property
    def port(self) -> int:
        """0: there is none."""
        return self._socket.getsockname()[1] if self._socket is not None else 0

    @property
    def refused(self) -> Counter[str]:
        return self._server.refused if self._server is not None else Counter()

    def listen(self) -> None:
        """Raises NetworkError."""
        if self._wanted is None:
            return
        try:
            self._socket = tls.listen(self._wanted)
        except OSError as error:
            if self._wanted != tls.CONTROL_PORT:
                why = error.strerror or error
                raise NetworkError(
                    f"cannot listen on TCP port {self._wanted}: {why}; use --control with another port"
                ) from error
            self._socket = tls.listen(0)

    async def serve(
        self,
        sessions: SessionServer,
        identity: Identity,
        status: SenderStatus,
        *,
        session: Session,
        preview: Callable[[], Thumbnail | None],
        stop: Callable[[], None],
    ) -> None:
        """After listen(); until cancelled. Raises NetworkError."""
        await asyncio.sleep(_AFTER_S)
        if self._socket is None:
            return
        try:
            server = await asyncio.to_thread(importlib.import_module, "thinair.sender.control.server")
            operations = await asyncio.to_thread(importlib.import_module, "thinair.sender.control.operations")
        except ImportError as error:
            self._log(f"no control API and no operator page: {_missing(error.name)}")
            return
        available = operations.Operations(status, session, preview, stop=stop, log=self._log)
        self._server = server.ControlServer(available, sessions, identity, self._log)
        await self._server.run(self._socket, chosen=self._wanted not in {0, tls.CONTROL_PORT})

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
