"""Pairing by a code, sans-IO: messages (JSON objects) in and out, over a TLS connection that nobody vouches for yet.

Both ends show that they know the code by HMACs over both certificates and fresh nonces of both. Whoever sits between
has certificates of his own, so that what he gets from one end is wrong for the other; with it he may try codes offline,
of 2^60, at one scrypt each. The receiver shows first: to a wrong guess the sender shows nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thinair.link.errors import AuthenticationError, ConfigError

VERSION = 1
MAX_MESSAGE = 8192  # bytes of a line
WRONG_TRIES = 10
NONCE = 32
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
_LOOKALIKE = str.maketrans("ILO", "110")
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32, "maxmem": 64 << 20}  # 16 MB; a second or two of an ARM1176


def make_code(bits: int) -> str:
    """60 random bits as XXXX-XXXX-XXXX."""
    text = "".join(_ALPHABET[bits >> 5 * at & 31] for at in range(12))
    return "-".join((text[:4], text[4:8], text[8:]))


def read_code(text: str) -> str:
    """As make_code() gives it, from what somebody typed or scanned. Raises ConfigError."""
    plain = re.sub(r"[\s-]", "", text).upper().translate(_LOOKALIKE)
    if len(plain) != 12 or not set(plain) <= set(_ALPHABET):
        raise ConfigError("a pairing code has 12 letters and digits, such as 7K2M-9QXD-41TV: look at the sender again")
    return "-".join((plain[:4], plain[4:8], plain[8:]))


def scan_text(place: str, code: str) -> str:
    """For a QR code: where the sender's door is, and its code. read_scan() reads it."""
    return f"THINAIR://{place}/{code}".upper()


def read_scan(text: str) -> tuple[str | None, str]:
    """(address of the door or None, code), of what somebody typed, pasted or scanned. Raises ConfigError."""
    scheme, found, rest = text.strip().partition("://")
    if not found or scheme.upper() != "THINAIR":
        return None, read_code(text)
    place, _, code = rest.rpartition("/")
    return place.lower(), read_code(code)


def stretch(code: str, sender_der: bytes) -> bytes:
    """The code's key at this sender (RFC 7914): slow on purpose."""
    salt = hashlib.sha256(b"thinair pairing 1" + sender_der).digest()
    return hashlib.scrypt(code.encode(), salt=salt, **_SCRYPT)


@dataclass(frozen=True, slots=True)
class _Proofs:
    key: bytes
    sender_der: bytes
    receiver_der: bytes
    sender_nonce: bytes
    receiver_nonce: bytes

    def of(self, end: str) -> str:
        parts = hashlib.sha256(self.sender_der).digest() + hashlib.sha256(self.receiver_der).digest()
        bound = b"thinair pairing 1 " + end.encode() + b"\0" + parts + self.sender_nonce + self.receiver_nonce
        return hmac.digest(self.key, bound, "sha256").hex()

    def holds(self, end: str, given: object) -> bool:
        return isinstance(given, str) and hmac.compare_digest(given.encode(), self.of(end).encode())


@dataclass(frozen=True, slots=True)
class Own:
    """What an end shows of itself."""

    name: str
    pem: str
    der: bytes


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom one is paired with from now on."""

    name: str
    pem: str


class PairingSender:
    """One try at the sender. `nonce` is fresh; `der_of` reads a PEM certificate, ValueError for none."""

    def __init__(
        self,
        key: bytes,
        der: bytes,
        name: str,
        nonce: bytes,
        *,
        der_of: Callable[[str], bytes],
        given: dict[str, Any],
    ) -> None:
        """`given`: what else the paired receiver is told."""
        self.peer: Peer | None = None
        self.wrong = False  # the proof was wrong: to be counted before the answer leaves
        self._key, self._der, self._name, self._nonce, self._der_of = key, der, name, nonce, der_of
        self._given = given
        self._proofs: _Proofs | None = None
        self._asks: Peer | None = None

    def hear(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises AuthenticationError for what is no pairing; nothing is owed then."""
        if self._proofs is None:
            return self._begin(message)
        proofs, self._proofs = self._proofs, None
        if not proofs.holds("receiver", message.get("proof")):
            self.wrong = True
            return {"refusal": "wrong code"}
        self.peer = self._asks
        return {"proof": proofs.of("sender"), "name": self._name, **self._given}

    def _begin(self, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("version") != VERSION:
            return {"refusal": f"this sender pairs by version {VERSION}"}
        name, pem, nonce = (message.get(key) for key in ("name", "certificate", "nonce"))
        if not (isinstance(name, str) and isinstance(pem, str)):
            raise AuthenticationError("no pairing")
        try:
            receiver_der = self._der_of(pem)
        except ValueError as error:
            raise AuthenticationError("no certificate") from error
        self._proofs = _Proofs(self._key, self._der, receiver_der, self._nonce, read_random(nonce))
        self._asks = Peer(clean_name(name), pem)
        return {"version": VERSION, "nonce": self._nonce.hex()}


class PairingReceiver:
    """`sender_der` is what the connection showed, `key` of the code somebody typed, stretched with it; `nonce` is
    fresh."""

    def __init__(self, key: bytes, sender_der: bytes, own: Own, nonce: bytes) -> None:
        self.sender_name: str | None = None  # once it has shown that it knows the code
        self.token = ""  # and what it gave then: for its control API, at this port
        self.control = 0
        self._key, self._sender_der, self._own, self._nonce = key, sender_der, own, nonce
        self._proofs: _Proofs | None = None

    def begin(self) -> dict[str, Any]:
        words = {"name": self._own.name, "certificate": self._own.pem, "nonce": self._nonce.hex()}
        return {"do": "pair", "version": VERSION, **words}

    def hear(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """What to say next; None: paired. Raises AuthenticationError, in words for a person."""
        if isinstance(why := message.get("refusal"), str):
            raise AuthenticationError(clean_name(why, 200))
        if self._proofs is None:
            nonce = read_random(message.get("nonce"))
            self._proofs = _Proofs(self._key, self._sender_der, self._own.der, nonce, self._nonce)
            return {"proof": self._proofs.of("receiver")}
        if not self._proofs.holds("sender", message.get("proof")):
            raise AuthenticationError("what answered does not know the code: it is not your sender")
        self.sender_name = clean_name(str(message.get("name", "")))
        token, control = message.get("token"), message.get("control")
        self.token = token if isinstance(token, str) and re.fullmatch(r"[\w-]{1,64}", token, re.ASCII) else ""
        self.control = read_port(control)
        return None


def read_random(value: object) -> bytes:
    """32 bytes that the other end chose. Raises AuthenticationError."""
    try:
        nonce = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        nonce = b""
    if len(nonce) != NONCE:
        raise AuthenticationError("no random bytes")
    return nonce


def read_port(value: object) -> int:
    """0 for none."""
    return value if type(value) is int and 0 < value < 65536 else 0


def read_words(value: object) -> set[str]:
    """What the other end says that it can; a few short words of it."""
    return {one for one in value[:16] if isinstance(one, str)} if isinstance(value, list) else set()


def read_us(value: object) -> int:
    """A duration that the other end told; 0 for none."""
    return value if type(value) is int and 0 < value < 60_000_000 else 0


def clean_name(text: str, limit: int = 40) -> str:
    """Names are shown in terminals and pages."""
    return "".join(c for c in text if c.isprintable())[:limit]
