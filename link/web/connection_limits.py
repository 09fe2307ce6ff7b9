"""Limits of a web server's connections, by number and by time: asyncio protocols around the server's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MAX_CONNECTIONS = 48  # above it, the one that has been idle longest is closed
_IDLE_S = 5.0  # from the connection, or the last answer, to the end of the next request's head


class ConnectionLimits:
    """`wrap` goes around a server's protocol factory, `busy` around the work on one request. `refused` counts closed
    connections by reason: "too_many", "slow"."""

    def __init__(self, most: int = _MAX_CONNECTIONS, idle_s: float = _IDLE_S) -> None:
        self.refused: Counter[str] = Counter()
        self._most, self._idle_s = most, idle_s
        self._waiting: dict[asyncio.BaseProtocol, _Connection] = {}  # without a request, the oldest first
        self._open: dict[asyncio.BaseProtocol, _Connection] = {}

    def wrap(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        return lambda: _Connection(self, factory())

    @contextmanager
    def busy(self, inner: asyncio.BaseProtocol) -> Iterator[None]:
        connection = self._open.get(inner)
        if connection is not None:
            self._waiting.pop(inner, None)
            connection.rest()
        try:
            yield
        finally:
            if connection is not None and inner in self._open:
                self._waiting[inner] = connection
                connection.expect(self._idle_s)

    def enter(self, inner: asyncio.BaseProtocol, connection: _Connection) -> None:
        self._open[inner] = self._waiting[inner] = connection
        connection.expect(self._idle_s)
        if len(self._open) > self._most:
            oldest = next(iter(self._waiting))  # at least the new one is idle
            self.refused["too_many"] += 1
            self._waiting.pop(oldest).end()

    def leave(self, inner: asyncio.BaseProtocol) -> None:
        self._open.pop(inner, None)
        self._waiting.pop(inner, None)

    def timed_out(self) -> None:
        self.refused["slow"] += 1


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, limits: ConnectionLimits, inner: asyncio.Protocol) -> None:
        self._limits, self._inner = limits, inner
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def expect(self, seconds: float) -> None:
        self.rest()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._timed_out)

    def rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _timed_out(self) -> None:
        self._limits.timed_out()
        self.end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        self._limits.enter(self._inner, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.rest()
        self._limits.leave(self._inner)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
