"""Who may open the page: Host, Origin and token, checked for every request."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp import web

COOKIE = "thinair"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _netloc(origin: str) -> str:
    """ "" where it cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class Guard:
    """`token` is asked for where it is not "". A name that is not this machine's in Host is a rebound one (DNS
    rebinding); an address in it cannot be rebound. A foreign Origin is another site's page."""

    def __init__(self, host: str, token: str) -> None:
        self._token = token
        own = socket.gethostname().lower()
        self._any_address = not is_loopback(host)
        self._names = _LOCAL | ({host.lower(), own, f"{own}.local"} if self._any_address else set())

    def refusal(self, request: web.Request) -> str | None:
        """host, origin, token; None: come in."""
        if not self._is_ours(request.headers.get("Host", "")):
            return "host"
        origin = request.headers.get("Origin")
        if origin is not None and _netloc(origin) != request.headers["Host"].lower():
            return "origin"
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and request.path != "/":
            return "origin"
        return None if not self._token or self.has_token(request) else "token"

    def has_token(self, request: web.Request) -> bool:
        _, _, bearer = request.headers.get("Authorization", "").partition("Bearer ")
        given = (request.cookies.get(COOKIE, ""), request.query.get("token", ""), bearer)
        return any(hmac.compare_digest(one.encode(errors="surrogateescape"), self._token.encode()) for one in given)

    def cookie(self, response: web.StreamResponse) -> None:
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="Strict", path="/")

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
