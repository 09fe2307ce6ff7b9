"""The routes of docs/control.md. HTTPS with the sender's pinned certificate and a token for the network; plain HTTP
without one for whoever holds the device: its loopback, and a USB cable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from thinair.link.errors import ConfigError, FileError, NetworkError
from thinair.link.host import own_address
from thinair.link.options import MIN_BITRATE_BPS, parse_bitrate
from thinair.link.security import tls
from thinair.link.security.identity import Identity
from thinair.link.security.pairing import scan_text
from thinair.link.video_mode import Mode
from thinair.link.web import qr
from thinair.link.web.connection_limits import ConnectionLimits
from thinair.link.web.request_guard import HEADERS, RequestGuard, set_cookie
from thinair.sender.connection.session_server import SessionServer
from thinair.sender.control.operations import Operations
from thinair.sender.control.tokens import AccessTokens

_BODY = 1024  # bytes
_BODY_S = 3.0
_LOOK_S = 2.0  # for USB cables
_LOOPBACK = "lo"
_STATIC = Path(__file__).with_name("static")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
_REFUSALS = {
    "host": (421, "Host is none of the sender's names and addresses"),
    "origin": (403, "requests from pages of other sites are refused"),
    "token": (401, "access token missing or expired: run thinair remote page, or open the page over USB"),
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BodyError(ValueError):
    """Words for the one who sent it."""


@dataclass(slots=True)
class ControlServer:
    operations: Operations
    sessions: SessionServer
    identity: Identity
    log: Callable[[str], None]
    port: int = 0  # HTTPS
    local_port: int = 0
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    _tokens: AccessTokens = field(init=False)
    _cables: dict[str, asyncio.Server] = field(default_factory=dict)
    _factory: Any = None

    def __post_init__(self) -> None:
        self._tokens = AccessTokens(self.sessions.pairings)

    @property
    def refused(self) -> Counter[str]:
        return self.limits.refused

    async def run(self, listening: socket.socket, *, chosen: bool) -> None:
        """HTTPS on `listening`, HTTP at the port after it, or any where that is taken; of a port that the user has
        `chosen` that raises NetworkError. Until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            far = await self._runner(stack, RequestGuard("", self._tokens.good), local=False)
            near = await self._runner(stack, RequestGuard("127.0.0.1", None), local=True)
            cable = await self._runner(stack, RequestGuard("", None), local=True)
            self._factory = self._patient(cable)
            loop = asyncio.get_running_loop()
            factory = self._patient(far)
            context = tls.page_context(self.identity)
            server = await loop.create_server(factory, sock=listening, ssl=context, ssl_handshake_timeout=5, backlog=32)
            stack.callback(server.close)
            self.port = listening.getsockname()[1]
            local = self._listen_here(self.port + 1, chosen)
            self.local_port = local.getsockname()[1]
            local_factory = self._patient(near)
            server = await loop.create_server(local_factory, sock=local, backlog=16)
            stack.callback(server.close)
            stack.callback(self._drop_cables)
            here = f"http://127.0.0.1:{self.local_port}/ here and over USB, HTTPS port {self.port} for paired machines"
            self.log(f"operator page: {here}; for a phone run thinair remote page")
            while True:
                await self._see_cables()
                await asyncio.sleep(_LOOK_S)

    def _patient(self, runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
        assert runner.server is not None  # it is set up
        return self.limits.wrap(runner.server)

    async def _runner(self, stack: contextlib.AsyncExitStack, guard: RequestGuard, *, local: bool) -> web.AppRunner:
        runner = web.AppRunner(self._app(guard, local), access_log=None, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        return runner

    def _listen_here(self, port: int, chosen: bool) -> socket.socket:
        try:
            return _bound(_LOOPBACK, port)
        except OSError as error:
            if chosen:
                why = error.strerror or error
                raise NetworkError(
                    f"cannot listen on TCP port {port}: {why}; use --control with another port"
                ) from error
            return _bound(_LOOPBACK, 0)

    def _drop_cables(self) -> None:
        for one in self._cables.values():
            one.close()

    async def _see_cables(self) -> None:
        """A USB cable to a phone or PC is a network interface that comes and goes."""
        there = {name for _, name in socket.if_nameindex() if name.startswith("usb")}
        for name in self._cables.keys() - there:
            self._cables.pop(name).close()
        for name in there - self._cables.keys():
            with contextlib.suppress(OSError):
                listening = _bound(name, self.local_port)
                loop = asyncio.get_running_loop()
                self._cables[name] = await loop.create_server(self._factory, sock=listening, backlog=16)

    # ---- routes -----------------------------------------------------------------------------------------------------

    def _app(self, guard: RequestGuard, local: bool) -> web.Application:
        near = [
            web.get("/api/v1/pairing", self._pairing),
            web.post("/api/v1/pairing/renew", self._renew),
            web.delete("/api/v1/pairings/{fingerprint}", self._forget),
        ]
        app = web.Application(middlewares=[self._checker(guard)], client_max_size=_BODY)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/{name:[a-z_]+\\.(?:js|css)}", self._file),
                web.get("/T/{token}", self._ticket),
                web.get("/api/v1/openapi.json", self._openapi),
                web.get("/api/v1/status", self._status),
                web.put("/api/v1/mode", self._mode),
                web.put("/api/v1/bitrate", self._bitrate),
                web.post("/api/v1/key-frame", self._key_frame),
                web.post("/api/v1/restart", self._restart),
                web.get("/api/v1/logs", self._logs),
                web.get("/api/v1/preview.jpg", self._preview),
                web.post("/api/v1/page-links", self._page_link),
                *(near if local else [web.route(one.method, one.path, _near_only) for one in near]),
            ]
        )
        return app

    def _checker(self, guard: RequestGuard) -> Any:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            with self.limits.busy(request.protocol):
                reason = guard.refusal(request)
                if reason == "token" and (request.path in {"/", "/app.js", "/style.css"} or request.path[:3] == "/T/"):
                    reason = None  # nothing of the sender is in them; the page asks for the rest
                if reason is not None:
                    self.refused[reason] += 1
                    return _problem(*_REFUSALS[reason])
                try:
                    return await handler(request)
                except BodyError as error:
                    self.refused["malformed"] += 1
                    return _problem(400, str(error))
                except FileError as error:
                    return _problem(503, str(error))
                except web.HTTPException as error:
                    self.refused[str(error.status)] += 1
                    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
                    return _problem(error.status, error.reason.lower(), headers)

        return check

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return _static("index.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return _static(request.match_info["name"])

    async def _openapi(self, _request: web.Request) -> web.StreamResponse:
        return _static("openapi.json")

    async def _ticket(self, request: web.Request) -> web.StreamResponse:
        """The address of a QR code: its token goes into a cookie, out of the browser's history."""
        token = request.match_info["token"]
        if not self._tokens.good(token):
            self.refused["token"] += 1
            return _problem(*_REFUSALS["token"])
        answer = web.Response(status=302, headers=HEADERS | {"Location": "/"})
        set_cookie(answer, token, secure=request.secure)
        return answer

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        return _json(self.operations.status())

    async def _logs(self, _request: web.Request) -> web.StreamResponse:
        return _json({"lines": self.operations.log_lines()})

    async def _preview(self, _request: web.Request) -> web.StreamResponse:
        picture = await self.operations.preview()
        if picture is None:
            return _problem(404, "no picture")
        return web.Response(body=picture, content_type="image/jpeg", headers=HEADERS | {"Cache-Control": "no-store"})

    async def _mode(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request, {"mode"}, {"mode"})
        try:
            mode = Mode.parse(_text(body, "mode"))
        except ConfigError as error:
            raise BodyError(str(error)) from error
        self.operations.request_mode(mode)
        return _json({"requested": str(mode)}, 202)

    async def _bitrate(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request, {"max_bps"}, {"min_bps", "max_bps"})
        low, high = (_bps(body, key) for key in ("min_bps", "max_bps"))
        if low > high:
            raise BodyError("min_bps must not be above max_bps")
        self.operations.limit_bitrate(low, high)
        return _json({"min_bps": low, "max_bps": high})

    async def _key_frame(self, _request: web.Request) -> web.StreamResponse:
        self.operations.request_key_frame()
        return _json({"requested": "key frame"}, 202)

    async def _restart(self, _request: web.Request) -> web.StreamResponse:
        if not self.operations.restart():
            return _problem(409, "this sender was started by hand: no service manager would start it again")
        return _json({"requested": "restart"}, 202)

    async def _page_link(self, request: web.Request) -> web.StreamResponse:
        token, life_s = self._tokens.page()
        url = f"HTTPS://{own_address()}:{self.port}/T/{token}".upper()
        return _json({"url": url, "qr": qr.svg(qr.encode(url)), "expires_s": int(life_s)}, 201)

    async def _pairing(self, _request: web.Request) -> web.StreamResponse:
        code = self.sessions.code.current()
        paired = [{"fingerprint": one.fingerprint, "name": one.name} for one in self.sessions.pairings.all()]
        content: dict[str, Any] = {"code": code, "qr": None, "place": None, "paired": paired}
        if code is not None:
            place = f"{own_address()}:{self.sessions.port}"
            content |= {"place": place, "qr": qr.svg(qr.encode(scan_text(place, code)))}
        return _json(content)

    async def _renew(self, request: web.Request) -> web.StreamResponse:
        self.sessions.code.renew()
        self.log("pairing code renewed on the page")
        return await self._pairing(request)

    async def _forget(self, request: web.Request) -> web.StreamResponse:
        which = request.match_info["fingerprint"]
        gone = self.sessions.pairings.forget(which) if len(which) == 64 else []
        if not gone:
            return _problem(404, "no pairing has this fingerprint")
        self.log(f"pairing with {gone[0].name} removed on the page")
        return _json({"forgotten": [one.name for one in gone]})


async def _near_only(_request: web.Request) -> web.StreamResponse:
    return _problem(403, "only over USB or on the sender itself")


def _bound(interface: str, port: int) -> socket.socket:
    """At one interface only: its address alone would be answered on any. Raises OSError."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        one.bind(("", port))
    except OSError:
        one.close()
        raise
    return one


async def _body(request: web.Request, needed: set[str], known: set[str]) -> Mapping[str, Any]:
    """A small JSON object. Raises BodyError, HTTPRequestEntityTooLarge."""
    if request.content_type != "application/json":
        raise BodyError("Content-Type must be application/json")
    try:
        async with asyncio.timeout(_BODY_S):
            found = json.loads(await request.read())
    except TimeoutError as error:
        raise BodyError("the body is incomplete") from error
    except (ValueError, RecursionError) as error:
        raise BodyError("the body is not JSON") from error
    if not isinstance(found, dict) or not needed <= found.keys() <= known:
        raise BodyError(f"the body must be an object with {', '.join(sorted(known))}")
    return found


def _text(body: Mapping[str, Any], key: str) -> str:
    if not isinstance(value := body[key], str):
        raise BodyError(f"{key} must be a string")
    return value


def _bps(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key, MIN_BITRATE_BPS)
    if type(value) is not int:
        raise BodyError(f"{key} must be a whole number of bits per second")
    try:
        return parse_bitrate(str(value))
    except ConfigError as error:
        raise BodyError(f"{key}: {error}") from error


def _json(content: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.json_response(content, status=status, headers=HEADERS)


def _problem(status: int, why: str, more: Mapping[str, str] = {}) -> web.Response:
    return web.json_response({"problem": why}, status=status, headers=HEADERS | dict(more))


def _static(name: str) -> web.StreamResponse:
    path = _STATIC / name
    if not path.is_file():
        return _problem(404, "no such page")
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=HEADERS)
