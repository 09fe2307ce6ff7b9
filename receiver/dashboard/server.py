"""The page's server: aiohttp routes, viewers, and what passes between them and the player."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from thinair.link.native import now_us
from thinair.link.web.connection_limits import ConnectionLimits
from thinair.link.web.request_guard import HEADERS, RequestGuard, set_cookie
from thinair.receiver.dashboard.commands import WishError, read_wish
from thinair.receiver.dashboard.history import History
from thinair.receiver.dashboard.jpeg import JpegMaker
from thinair.receiver.dashboard.metrics import ReceiverMetrics
from thinair.receiver.dashboard.viewer import JPEG, Viewer, picture_message, unit_message
from thinair.receiver.workers.ipc import Unit

MAX_VIEWERS = 32
MAX_WISH = 4096  # bytes
_MAX_MISTAKES = 10  # of one viewer; then it is closed
_KEY_INTERVAL_US = 300_000
_EVENTS = 256
_REPORT_S = 5.0
_STATIC = Path(__file__).with_name("static")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_REFUSALS = {
    "host": (421, "This page answers to this machine's own names and addresses only."),
    "origin": (403, "Another site's page may not do this."),
    "token": (
        401,
        "The address lacks the token. Open the address that thinair play printed, with ?token=… at its end.",
    ),
}


class Dashboard:
    """`tell` sends a message to the player. All but the JPEG thread belongs to one loop."""

    def __init__(self, guard: RequestGuard, patience: ConnectionLimits, tell: Callable[[dict[str, Any]], None]) -> None:
        self.refused = patience.refused
        self.viewers: set[Viewer] = set()
        self.dropped = 0  # viewers that did not read
        self._guard, self._patience, self._tell = guard, patience, tell
        self._history = History()
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        self._metrics = ReceiverMetrics()
        self._state: dict[str, Any] | None = None
        self._watched = False
        self._asked_us = -_KEY_INTERVAL_US
        self._need_key = False  # frames are missing in the stream itself
        self._reports: set[asyncio.Future[str]] = set()
        self._loop = asyncio.get_running_loop()
        self._jpeg: JpegMaker | None = None
        self.app = web.Application(middlewares=[self._check], client_max_size=MAX_WISH)
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

    def hear(self, message: dict[str, Any] | Unit) -> None:
        if isinstance(message, Unit):
            self._unit(message)
            return
        match message["type"]:
            case "frames":
                self._history.rows(message["rows"])
            case "event":
                self._events.append(message)
                self._say(message)
            case "state":
                self._see_state(message)
            case "report":
                for waiting in self._reports:
                    if not waiting.done():
                        waiting.set_result(message["text"])

    def _see_state(self, state: dict[str, Any]) -> None:
        self._state = state
        second = self._history.state(state)
        state["viewers"] = {"open": len(self.viewers), "dropped": self.dropped, "refused": dict(self.refused)}
        content = json.dumps(state, separators=(",", ":"))
        for viewer in self.viewers:
            viewer.state(content)
        if second is not None:
            self._say({"type": "second", **second})

    def _unit(self, unit: Unit) -> None:
        self._need_key = (self._need_key or unit.gap) and not unit.key
        if self._need_key:
            return
        message = b""
        for viewer in self.viewers:
            if viewer.watches == "h264":
                message = message or unit_message(unit)
                if not viewer.picture(message, unit.key) and viewer.wants_key:
                    self._ask_key("a browser fell behind")
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

    def _ask_key(self, why: str) -> None:
        if now_us() - self._asked_us >= _KEY_INTERVAL_US:
            self._asked_us = now_us()
            self._tell({"type": "key", "why": why})

    def _say(self, content: dict[str, Any]) -> None:
        for viewer in self.viewers:
            viewer.say(content)

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
        with self._patience.busy(request.protocol):
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
        self._tell({"type": "report"})
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
        content = {"seconds": list(self._history.seconds), "events": list(self._events)}
        return web.json_response(content, headers=HEADERS)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self.viewers) >= MAX_VIEWERS:
            self.refused["too_many"] += 1
            return web.Response(status=503, text=f"{MAX_VIEWERS} browsers are here already\n", headers=HEADERS)
        ws = web.WebSocketResponse(max_msg_size=MAX_WISH, compress=False, heartbeat=5.0)
        if not ws.can_prepare(request):
            return web.Response(status=426, text="this is for the page's own script\n", headers=HEADERS)
        await ws.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        viewer = Viewer(ws, request.transport)
        seconds, events = list(self._history.seconds), list(self._events)
        viewer.say({"type": "history", "now_us": now_us(), "seconds": seconds, "events": events})
        self.viewers.add(viewer)
        if self._state is not None:
            viewer.state(json.dumps(self._state))
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
                    raise WishError("not text")
                self._grant(viewer, read_wish(message.data))
            except WishError as error:
                mistakes += 1
                self.refused["malformed"] += 1
                viewer.say({"type": "mistake", "text": str(error)})
                if mistakes >= _MAX_MISTAKES:
                    await ws.close(code=1008, message=b"too many mistakes")
        ended_by = ws.exception()
        if isinstance(ended_by, WebSocketError) and ended_by.code == WSCloseCode.MESSAGE_TOO_BIG:
            self.refused["huge"] += 1

    def _grant(self, viewer: Viewer, wish: dict[str, Any]) -> None:
        match wish["do"]:
            case "ping":
                viewer.say({"type": "pong", "t": wish["t"], "now_us": now_us()})
            case "watch":
                viewer.watch(wish["as"])
                self._see_watchers()
                if wish["as"]:
                    self._ask_key("a browser begins to watch")
                if wish["as"] == "jpeg" and self._jpeg is None:
                    self._jpeg = JpegMaker(self._jpeg_done)
            case "key":
                self._ask_key(wish["why"])
            case "record":
                self._tell({"type": "record", "on": wish["on"]})
            case "limits":
                self._tell({"type": "limits", "min_bps": wish["min_bps"], "max_bps": wish["max_bps"]})
            case "mode":
                self._tell({"type": "mode", "mode": wish["mode"]})
            case "latency":
                self._tell({"type": "latency", "mode": wish["mode"]})

    def _see_watchers(self) -> None:
        watched = any(viewer.watches for viewer in self.viewers)
        if watched != self._watched:
            self._watched = watched
            self._tell({"type": "watch", "on": watched})


def _static(name: str) -> web.StreamResponse:
    path = _STATIC / name
    if not path.is_file():
        return web.Response(status=404, text="there is no such page\n", headers=HEADERS)
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=HEADERS)
