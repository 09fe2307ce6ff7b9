"""Admission to our HTTP servers: Host, Origin and access token of each request."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

COOKIE = "thinair"
# Headers of every response.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def given(request: web.Request) -> Iterable[str]:
    """The access tokens of a request: cookie, query, Authorization."""
    _, _, bearer = request.headers.get("Authorization", "").partition("Bearer ")
    words = (request.cookies.get(COOKIE, ""), request.query.get("token", ""), bearer)
    return (one for one in words if one)


def same(one: str, other: str) -> bool:
    """Constant-time comparison."""
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode(errors="surrogateescape"))


def set_cookie(response: web.StreamResponse, token: str, *, secure: bool = False) -> None:
    response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", path="/", secure=secure)


def _netloc(origin: str) -> str:
    """ "" for an unreadable origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class RequestGuard:
    """`right` tells whether a token is valid; None: no token is needed. A Host that is neither an address nor a name of
    this machine means DNS rebinding. A foreign Origin is another site's page."""

    def __init__(self, host: str, right: Callable[[str], bool] | None) -> None:
        self._right = right
        own = socket.gethostname().lower()
        self._any_address = not is_loopback(host)
        self._names = _LOCAL | ({host.lower(), own, f"{own}.local"} if self._any_address else set())

    def refusal(self, request: web.Request) -> str | None:
        """Why the request is refused: "host", "origin" or "token"; None: it is admitted."""
        if not self._is_ours(request.headers.get("Host", "")):
            return "host"
        origin = request.headers.get("Origin")
        if origin is not None and _netloc(origin) != request.headers["Host"].lower():
            return "origin"
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and request.path != "/":
            return "origin"
        return None if self._right is None or any(map(self._right, given(request))) else "token"

    def opens(self, token: str) -> bool:
        return self._right is not None and self._right(token)

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address
