"""How long a web server waits for its clients, and for how many: asyncio protocols around another server's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOST = 48  # connections; the one that has waited longest gives way
_IDLE_S = 5.0  # from the connection, or the last answer, to the end of the next request's head


class Patience:
    """`wrap` goes around a server's factory of protocols; `busy` around the work on a request of one of them."""

    def __init__(self, most: int = _MOST, idle_s: float = _IDLE_S) -> None:
        self.refused: Counter[str] = Counter()
        self._most, self._idle_s = most, idle_s
        self._waiting: dict[asyncio.BaseProtocol, _Visit] = {}  # those without a request, the oldest first
        self._open: dict[asyncio.BaseProtocol, _Visit] = {}

    def wrap(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        return lambda: _Visit(self, factory())

    @contextmanager
    def busy(self, inner: asyncio.BaseProtocol) -> Iterator[None]:
        visit = self._open.get(inner)
        if visit is not None:
            self._waiting.pop(inner, None)
            visit.rest()
        try:
            yield
        finally:
            if visit is not None and inner in self._open:
                self._waiting[inner] = visit
                visit.expect(self._idle_s)

    def enter(self, inner: asyncio.BaseProtocol, visit: _Visit) -> None:
        self._open[inner] = self._waiting[inner] = visit
        visit.expect(self._idle_s)
        if len(self._open) > self._most:
            oldest = next(iter(self._waiting))  # the newest at the latest
            self.refused["too_many"] += 1
            self._waiting.pop(oldest).end()

    def leave(self, inner: asyncio.BaseProtocol) -> None:
        self._open.pop(inner, None)
        self._waiting.pop(inner, None)

    def tired(self) -> None:
        self.refused["slow"] += 1


class _Visit(asyncio.Protocol):
    """One connection."""

    def __init__(self, patience: Patience, inner: asyncio.Protocol) -> None:
        self._patience, self._inner = patience, inner
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def expect(self, seconds: float) -> None:
        self.rest()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tired)

    def rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _tired(self) -> None:
        self._patience.tired()
        self.end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        self._patience.enter(self._inner, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.rest()
        self._patience.leave(self._inner)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
