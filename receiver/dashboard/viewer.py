"""One browser: what waits for it, and when it is given up. A slow one loses pictures, never memory or others' time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Mapping

from aiohttp import web

from thinair.receiver.workers.codec import encode
from thinair.receiver.workers.ipc import Unit

HEAD = struct.Struct("<BBxxIdd")  # kind, flags, frame id, capture µs on the player's clock or 0, stream's µs
H264, JPEG = 1, 2
_KEY = 1
_BACKLOG = 512 << 10  # bytes of pictures: half a second of 8 Mbit/s
_MESSAGES = 64  # messages that wait; more are dropped
_SOCKET_BUFFER = 256 << 10
_GIVE_UP_S = 5.0  # for one message


def picture_message(kind: int, unit: Unit, data: bytes) -> bytes:
    return HEAD.pack(kind, _KEY * unit.key, unit.frame_id, unit.capture_us, unit.time_us) + data


def unit_message(unit: Unit) -> bytes:
    return picture_message(H264, unit, unit.data)


class Viewer:
    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.watches = ""  # h264, jpeg or ""
        self.wants_key = False  # nothing can be shown before a key frame
        self.skipped = 0  # pictures it was too slow for
        self.stuck = False  # did not read for too long
        self._ws, self._transport = ws, transport
        self._pictures: deque[bytes] = deque()
        self._waiting = 0  # bytes
        self._messages: deque[str] = deque()
        self._state: str | None = None  # newest wins
        self._news = asyncio.Event()
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)

    def watch(self, kind: str) -> None:
        self.watches, self.wants_key = kind, bool(kind)
        self._forget()

    def picture(self, message: bytes, key: bool) -> bool:
        """False: it was left out, and a key frame is wanted before the next."""
        if self.wants_key and not key:
            self.skipped += 1
            return False
        if self._waiting > _BACKLOG:
            self._forget()
            self.wants_key = True
            self.skipped += 1
            return False
        self.wants_key = False
        self._pictures.append(message)
        self._waiting += len(message)
        self._news.set()
        return True

    def state(self, content: str) -> None:
        self._state = content
        self._news.set()

    def send(self, content: Mapping[str, object]) -> None:
        if len(self._messages) < _MESSAGES:
            self._messages.append(encode(content))
            self._news.set()

    async def run(self) -> None:
        """Writes until the socket is closed or the browser does not read."""
        try:
            while not self._ws.closed:
                await self._news.wait()
                self._news.clear()
                while self._pictures or self._messages or self._state is not None:
                    async with asyncio.timeout(_GIVE_UP_S):
                        await self._write_one()
        except TimeoutError:
            self.stuck = True
            self._transport.abort()
        except (ConnectionError, RuntimeError):  # RuntimeError: aiohttp's, of a closing socket
            return

    async def _write_one(self) -> None:
        if self._pictures:
            message = self._pictures.popleft()
            self._waiting -= len(message)
            await self._ws.send_bytes(message)
        elif self._messages:
            await self._ws.send_str(self._messages.popleft())
        elif self._state is not None:
            content, self._state = self._state, None
            await self._ws.send_str(content)

    def _forget(self) -> None:
        self.skipped += len(self._pictures)
        self._pictures.clear()
        self._waiting = 0
