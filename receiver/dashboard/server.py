"""The page's server: aiohttp routes, viewers, and what passes between them and the player."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from thinair.link.native import now_us
from thinair.link.web.connection_limits import ConnectionLimits
from thinair.link.web.request_guard import HEADERS, RequestGuard, set_cookie
from thinair.receiver.dashboard.commands import CommandError, PageCommand, Ping, WatchAs, read_command
from thinair.receiver.dashboard.history import History
from thinair.receiver.dashboard.jpeg import JpegMaker
from thinair.receiver.dashboard.metrics import ReceiverMetrics
from thinair.receiver.dashboard.viewer import JPEG, Viewer, picture_message, unit_message
from thinair.receiver.stats.event_log import Event
from thinair.receiver.stats.live_state import LiveState
from thinair.receiver.workers.codec import as_dict, encode
from thinair.receiver.workers.ipc import (
    Content,
    Frames,
    Message,
    ReportText,
    RequestKeyFrame,
    RequestReport,
    State,
    Unit,
    Watch,
)

MAX_VIEWERS = 32
MAX_COMMAND = 4096  # bytes
_MAX_MISTAKES = 10  # of one viewer; then it is closed
_KEY_INTERVAL_US = 300_000
_EVENTS = 256
_REPORT_S = 5.0
_STATIC = Path(__file__).with_name("static")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_REFUSALS = {
    "host": (421, "This page is served under this machine's own names and addresses only."),
    "origin": (403, "Requests from pages of other sites are refused."),
    "token": (
        401,
        "Access token missing. Open the address that thinair play printed; it ends with ?token=…",
    ),
}


class Dashboard:
    """`tell` sends a message to the player. All but the JPEG thread belongs to one loop."""

    def __init__(self, guard: RequestGuard, limits: ConnectionLimits, tell: Callable[[Content], None]) -> None:
        self.refused = limits.refused
        self.viewers: set[Viewer] = set()
        self.dropped = 0  # viewers that did not read
        self._guard, self._limits, self._tell = guard, limits, tell
        self._history = History()
        self._events: deque[Event] = deque(maxlen=_EVENTS)
        self._metrics = ReceiverMetrics()
        self._state: LiveState | None = None
        self._watched = False
        self._requested_us = -_KEY_INTERVAL_US
        self._need_key = False  # frames are missing in the stream itself
        self._reports: set[asyncio.Future[str]] = set()
        self._loop = asyncio.get_running_loop()
        self._jpeg: JpegMaker | None = None
        self.app = web.Application(middlewares=[self._check], client_max_size=MAX_COMMAND)
        self.app.add_routes(
            [
                web.get("/", self._page),
                web.get("/ws", self._socket),
                web.get("/metrics", self._serve_metrics),
                web.get("/report.json", self._serve_report),
                web.get("/history.json", self._serve_history),
                web.get("/{name:[a-z_]+\\.(?:js|css|svg|html)}", self._file),
            ]
        )

    # ---- from the player ------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        match message:
            case Unit():
                self._unit(message)
            case Frames(rows=rows):
                self._history.rows(rows)
            case Event():
                self._events.append(message)
                self._send_all({"type": "event", **as_dict(message)})
            case State(state=state):
                self._see_state(state)
            case ReportText(text=text):
                for waiting in self._reports:
                    if not waiting.done():
                        waiting.set_result(text)

    def _see_state(self, state: LiveState) -> None:
        self._state = state
        second = self._history.state(state)
        content = self._state_message(state)
        for viewer in self.viewers:
            viewer.state(content)
        if second is not None:
            self._send_all({"type": "second", **second})

    def _state_message(self, state: LiveState) -> str:
        viewers = {"open": len(self.viewers), "dropped": self.dropped, "refused": dict(self.refused)}
        return encode({"type": "state", **as_dict(state), "viewers": viewers})

    def _unit(self, unit: Unit) -> None:
        self._need_key = (self._need_key or unit.gap) and not unit.key
        if self._need_key:
            return
        message = b""
        for viewer in self.viewers:
            if viewer.watches == "h264":
                message = message or unit_message(unit)
                if not viewer.picture(message, unit.key) and viewer.wants_key:
                    self._request_key_frame("a browser fell behind")
        if self._jpeg is not None and any(viewer.watches == "jpeg" for viewer in self.viewers):
            self._jpeg.unit(unit)
        elif self._jpeg is not None:
            self._jpeg.pause()

    def _jpeg_done(self, unit: Unit, data: bytes) -> None:
        """In the JPEG maker's thread."""
        message = picture_message(JPEG, unit, data)

        def send() -> None:
            for viewer in self.viewers:
                if viewer.watches == "jpeg":
                    viewer.picture(message, True)

        self._loop.call_soon_threadsafe(send)

    def _request_key_frame(self, why: str) -> None:
        if now_us() - self._requested_us >= _KEY_INTERVAL_US:
            self._requested_us = now_us()
            self._tell(RequestKeyFrame(why))

    def _send_all(self, content: Mapping[str, object]) -> None:
        for viewer in self.viewers:
            viewer.send(content)

    # ---- routes -----------------------------------------------------------------------------------------------------

    @web.middleware
    async def _check(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        reason = self._guard.refusal(request)
        if reason is not None:
            self.refused[reason] += 1
            status, text = _REFUSALS[reason]
            return web.Response(status=status, text=text + "\n", headers=HEADERS)
        with self._limits.busy(request.protocol):
            return await handler(request)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("token", "")
        if self._guard.opens(token):  # into the cookie, out of the address and the browser's history
            answer = web.Response(status=302, headers=HEADERS | {"Location": "/"})
            set_cookie(answer, token)
            return answer
        return _static("index.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return _static(request.match_info["name"])

    async def _serve_metrics(self, _request: web.Request) -> web.StreamResponse:
        metrics = self._metrics
        metrics.state, metrics.viewers, metrics.refused = self._state, (len(self.viewers), self.dropped), self.refused
        return web.Response(body=metrics.text(), headers=HEADERS | {"Content-Type": "text/plain; version=0.0.4"})

    async def _serve_report(self, _request: web.Request) -> web.StreamResponse:
        waiting: asyncio.Future[str] = self._loop.create_future()
        self._reports.add(waiting)
        self._tell(RequestReport())
        try:
            async with asyncio.timeout(_REPORT_S):
                text = await waiting
        except TimeoutError:
            return web.Response(status=504, text="the player does not answer\n", headers=HEADERS)
        finally:
            self._reports.discard(waiting)
        save = {"Content-Disposition": 'attachment; filename="thinair-report.json"'}
        return web.Response(text=text, content_type="application/json", headers=HEADERS | save)

    async def _serve_history(self, _request: web.Request) -> web.StreamResponse:
        content = encode({"seconds": list(self._history.seconds), "events": list(self._events)})
        return web.Response(text=content, content_type="application/json", headers=HEADERS)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self.viewers) >= MAX_VIEWERS:
            self.refused["too_many"] += 1
            return web.Response(status=503, text=f"{MAX_VIEWERS} browsers are connected already\n", headers=HEADERS)
        ws = web.WebSocketResponse(max_msg_size=MAX_COMMAND, compress=False, heartbeat=5.0)
        if not ws.can_prepare(request):
            return web.Response(status=426, text="this address is for the page's own script\n", headers=HEADERS)
        await ws.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        viewer = Viewer(ws, request.transport)
        seconds, events = list(self._history.seconds), list(self._events)
        viewer.send({"type": "history", "now_us": now_us(), "seconds": seconds, "events": events})
        self.viewers.add(viewer)
        if self._state is not None:
            viewer.state(self._state_message(self._state))
        writing = asyncio.create_task(viewer.run())
        try:
            await self._listen(ws, viewer)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
            self.viewers.discard(viewer)
            # A browser that reads answers pings too.
            self.dropped += viewer.stuck or isinstance(ws.exception(), TimeoutError)
            self._see_watchers()
        return ws

    async def _listen(self, ws: web.WebSocketResponse, viewer: Viewer) -> None:
        mistakes = 0
        async for message in ws:
            try:
                if message.type is not WSMsgType.TEXT:
                    raise CommandError("a command is text")
                self._do(viewer, read_command(message.data))
            except CommandError as error:
                mistakes += 1
                self.refused["malformed"] += 1
                viewer.send({"type": "mistake", "text": str(error)})
                if mistakes >= _MAX_MISTAKES:
                    await ws.close(code=1008, message=b"too many mistakes")
        ended_by = ws.exception()
        if isinstance(ended_by, WebSocketError) and ended_by.code == WSCloseCode.MESSAGE_TOO_BIG:
            self.refused["huge"] += 1

    def _do(self, viewer: Viewer, command: PageCommand) -> None:
        match command:
            case Ping(t=t):
                viewer.send({"type": "pong", "t": t, "now_us": now_us()})
            case WatchAs(kind=kind):
                viewer.watch(kind)
                self._see_watchers()
                if kind:
                    self._request_key_frame("a browser starts to watch")
                if kind == "jpeg" and self._jpeg is None:
                    self._jpeg = JpegMaker(self._jpeg_done)
            case RequestKeyFrame(why=why):
                self._request_key_frame(why)
            case _:
                self._tell(command)

    def _see_watchers(self) -> None:
        watched = any(viewer.watches for viewer in self.viewers)
        if watched != self._watched:
            self._watched = watched
            self._tell(Watch(watched))


def _static(name: str) -> web.StreamResponse:
    path = _STATIC / name
    if not path.is_file():
        return web.Response(status=404, text="no such page\n", headers=HEADERS)
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=HEADERS)
