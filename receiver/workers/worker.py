"""A process of the player's own at the other end of a socket pair, started again when it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence

from thinair.link.child_process import python_module
from thinair.receiver.workers.ipc import Content, Message, MessageReader, pack

_RESTART_S = (0.5, 1.0, 2.0, 5.0, 15.0)
_STEADY_S = 30.0  # a process that lived this long starts again at once
_LAST_MESSAGES_S = 1.0
_SOCKET_BUFFER = 4 << 20  # asked for; the system grants less


class Worker(asyncio.Protocol):
    """`python -m module --fd N arguments`. All methods belong to the loop's thread.

    Nothing here waits for the process: what its socket does not take lies in memory, `limit` bytes of access units at
    most; units beyond are refused: `offer` returns False."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        receive: Callable[[Message], None],
        limit: int,
        *,
        niceness: int = 0,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """`secrets` go into its environment: arguments are for everybody on the machine to read."""
        self.wanted = False
        self._secrets = dict(secrets or {})
        self._module, self._receive, self._limit = module, receive, limit
        self.arguments = list(arguments)  # also of its next start
        self._niceness = niceness
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = MessageReader()
        self._began_s = 0.0
        self._failures = 0
        self._gone = asyncio.Event()  # its socket is closed
        self._gone.set()
        self._restart: asyncio.TimerHandle | None = None
        self.on_start: Callable[[], None] = lambda: None  # it is there, and knows nothing yet
        self.on_end: Callable[[int | None], None] = lambda _code: None  # it ended by itself

    @property
    def alive(self) -> bool:
        return self._transport is not None

    async def start(self) -> None:
        self.wanted = True
        if self._transport is not None or (self._restart is not None and not self._restart.cancelled()):
            return
        await self._open()

    async def _open(self) -> None:
        self._restart = None
        if not self.wanted or self._transport is not None:
            return
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for one in (ours, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        command = python_module(self._module, "--fd", str(theirs.fileno()), *self.arguments)
        self._began_s = loop.time()
        self._reader = MessageReader()
        try:
            self._process = await asyncio.to_thread(_start, command, theirs.fileno(), self._niceness, self._secrets)
        finally:
            theirs.close()
        await loop.create_unix_connection(lambda: self, sock=ours)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._gone.clear()
        transport.set_write_buffer_limits(high=1 << 30)  # pause_writing is not used
        self.on_start()

    def data_received(self, data: bytes) -> None:
        for message in self._reader.read(data):
            self._receive(message)
        if self._reader.broken:
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone.set()
        if self.wanted:
            asyncio.get_running_loop().create_task(self._ended())

    async def _ended(self) -> None:
        loop = asyncio.get_running_loop()
        code = await asyncio.to_thread(self._reap, 2.0)
        lived_s = loop.time() - self._began_s
        self._failures = 0 if lived_s > _STEADY_S else self._failures + 1
        self.on_end(code)
        if self.wanted:
            delay_s = _RESTART_S[min(self._failures, len(_RESTART_S)) - 1] if self._failures else 0.0
            self._restart = loop.call_later(delay_s, lambda: loop.create_task(self._open()))

    def tell(self, message: Content) -> None:
        if self._transport is not None and self.wanted:
            self._transport.write(pack(message))

    def offer(self, packed: bytes) -> bool:
        """An access unit, packed. False: it was refused, for the process is behind."""
        if self._transport is None or not self.wanted:
            return False
        if self._transport.get_write_buffer_size() > self._limit:
            return False
        self._transport.write(packed)
        return True

    async def close(self, timeout_s: float) -> bool:
        """Closes our direction once all is written; its last messages are still read. False: it had to be killed."""
        self.wanted = False
        if self._restart is not None:
            self._restart.cancel()
        if self._transport is not None:
            self._transport.write_eof()
        ended = await asyncio.to_thread(self._reap, timeout_s) is not None
        with contextlib.suppress(TimeoutError):  # its last messages
            async with asyncio.timeout(_LAST_MESSAGES_S):
                await self._gone.wait()
        if self._transport is not None:
            self._transport.abort()
            await asyncio.sleep(0)
        return ended

    def _reap(self, timeout_s: float) -> int | None:
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None


def _start(command: Sequence[str], fd: int, niceness: int, secrets: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is the player's, and the process ends, in good order, with the socket. Never at
    the player's real-time priority."""
    env = {**os.environ, **secrets}
    process = subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL, start_new_session=True, env=env)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(process.pid, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
    return process
