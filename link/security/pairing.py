"""Pairing by a code, sans-IO: messages in and out, over a TLS connection that nobody vouches for yet.

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
from typing import TYPE_CHECKING

from thinair.link.errors import ConfigError
from thinair.link.protocol.session_messages import PAIRING_VERSION

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import PairChallenge, PairProof, PairRequest, PairResult

WRONG_TRIES = 10
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
    """For a QR code: where the sender's session server is, and its code. read_scan() reads it."""
    return f"THINAIR://{place}/{code}".upper()


def read_scan(text: str) -> tuple[str | None, str]:
    """(address of the session server or None, code), of what somebody typed, pasted or scanned. Raises ConfigError."""
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

    def holds(self, end: str, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="surrogatepass"), self.of(end).encode())


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
    """One try at the sender. `nonce` is fresh; `der_of` reads a PEM certificate, ValueError for none. `token` and
    `control` are what the paired receiver gets for the control API."""

    def __init__(
        self,
        key: bytes,
        der: bytes,
        name: str,
        nonce: bytes,
        *,
        der_of: Callable[[str], bytes],
        token: str,
        control: int,
    ) -> None:
        self.peer: Peer | None = None  # once it has shown that it knows the code
        self._key, self._der, self._name, self._nonce, self._der_of = key, der, name, nonce, der_of
        self._token, self._control = token, control
        self._proofs: _Proofs | None = None
        self._candidate: Peer | None = None

    def challenge(self, request: PairRequest) -> PairChallenge | None:
        """None: the certificate is none."""
        try:
            receiver_der = self._der_of(request["certificate"])
        except ValueError:
            return None
        nonce = bytes.fromhex(request["nonce"])
        self._proofs = _Proofs(self._key, self._der, receiver_der, self._nonce, nonce)
        self._candidate = Peer(clean_name(request["name"]), request["certificate"])
        return {"version": PAIRING_VERSION, "nonce": self._nonce.hex()}

    def check(self, proof: PairProof) -> PairResult | None:
        """Once, after challenge(). None: a wrong code, to be counted before the answer leaves."""
        proofs, self._proofs = self._proofs, None
        if proofs is None or not proofs.holds("receiver", proof["proof"]):
            return None
        self.peer = self._candidate
        return {"proof": proofs.of("sender"), "name": self._name, "token": self._token, "control": self._control}


class PairingReceiver:
    """`sender_der` is what the connection showed, `key` of the code somebody typed, stretched with it; `nonce` is
    fresh."""

    def __init__(self, key: bytes, sender_der: bytes, own: Own, nonce: bytes) -> None:
        self.sender_name: str | None = None  # once it has shown that it knows the code
        self.token = ""  # and what it gave then: for its control API, at this port
        self.control = 0
        self._key, self._sender_der, self._own, self._nonce = key, sender_der, own, nonce
        self._proofs: _Proofs | None = None

    def request(self) -> PairRequest:
        own = self._own
        return {
            "do": "pair",
            "version": PAIRING_VERSION,
            "name": own.name,
            "certificate": own.pem,
            "nonce": self._nonce.hex(),
        }

    def prove(self, challenge: PairChallenge) -> PairProof:
        nonce = bytes.fromhex(challenge["nonce"])
        self._proofs = _Proofs(self._key, self._sender_der, self._own.der, nonce, self._nonce)
        return {"proof": self._proofs.of("receiver")}

    def accept(self, result: PairResult) -> bool:
        """After prove(). False: what answered does not know the code."""
        if self._proofs is None or not self._proofs.holds("sender", result["proof"]):
            return False
        self.sender_name = clean_name(result["name"])
        token = result["token"]
        self.token = token if re.fullmatch(r"[\w-]{1,64}", token, re.ASCII) else ""
        self.control = result["control"]
        return True


def clean_name(text: str, limit: int = 40) -> str:
    """Names are shown in terminals and pages."""
    return "".join(c for c in text if c.isprintable())[:limit]
