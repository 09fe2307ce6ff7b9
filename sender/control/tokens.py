"""Access tokens for the control API over the network: paired receivers have the token of their pairing, pages one that
expires."""

from __future__ import annotations

import time

from thinair.link.errors import FileError
from thinair.link.host import random_bits
from thinair.link.security.pairing_store import Pairings, digest
from thinair.link.web.request_guard import same

_MOST = 8  # page tokens at once; the oldest expires first
_LIFE_S = 12 * 3600.0  # a day on set
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # short in a QR code
_LENGTH = 26  # of 5 bits


class AccessTokens:
    def __init__(self, pairings: Pairings) -> None:
        self._pairings = pairings
        self._pages: dict[str, float] = {}  # token → when it expires

    def page(self) -> tuple[str, float]:
        """(a new token for a browser, its lifetime in seconds)."""
        while len(self._pages) >= _MOST:
            del self._pages[next(iter(self._pages))]
        bits = random_bits(5 * _LENGTH)
        token = "".join(_LETTERS[bits >> 5 * at & 31] for at in range(_LENGTH))
        self._pages[token] = time.monotonic() + _LIFE_S
        return token, _LIFE_S

    def good(self, token: str) -> bool:
        now = time.monotonic()
        self._pages = {one: end for one, end in self._pages.items() if end > now}
        if any(same(token, one) for one in self._pages):
            return True
        try:
            return any(same(digest(token), one.token) for one in self._pairings.all() if one.token)
        except FileError:
            return False
