"""Pairings of an end: certificates by fingerprint, in a file that is read again at each access."""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thinair.link.errors import FileError
from thinair.link.security import identity, private_files
from thinair.link.security.identity import fingerprint
from thinair.link.security.pairing import Peer

MOST = 64  # the oldest goes first


@dataclass(frozen=True, slots=True)
class Pairing:
    fingerprint: str
    name: str
    certificate: str  # PEM
    address: str = ""  # last known HOST:PORT of the session server
    token: str = field(default="", repr=False)  # for the sender's control API; at the sender its digest()
    control: int = 0  # the port of that API


class Pairings:
    def __init__(self, home: Path) -> None:
        self.path = home / "pairings.json"

    def all(self) -> list[Pairing]:
        """The newest last. Raises FileError."""
        stored = private_files.read(self.path).get("pairings", [])
        try:
            if not isinstance(stored, list):
                raise TypeError("no list")
            return [Pairing(**item) for item in stored]
        except TypeError as error:
            raise FileError(f"{self.path} is damaged: move it away, and pair again") from error

    def get(self, fingerprint: str) -> Pairing | None:
        return next((one for one in self.all() if one.fingerprint == fingerprint), None)

    def add(self, peer: Peer, address: str = "", token: str = "", control: int = 0) -> Pairing:
        """In place of an older one with the same certificate."""
        new = Pairing(fingerprint(ssl.PEM_cert_to_DER_cert(peer.pem)), peer.name, peer.pem, address, token, control)
        self._write([*(one for one in self.all() if one.fingerprint != new.fingerprint), new][-MOST:])
        return new

    def moved(self, fingerprint: str, address: str, control: int) -> None:
        """The peer has answered at this address."""
        before = self.all()
        after = [
            replace(one, address=address, control=control) if one.fingerprint == fingerprint else one for one in before
        ]
        if after != before:
            self._write(after)

    def forget(self, which: str) -> list[Pairing]:
        """Pairings of this name, or whose fingerprint begins so; returns those removed."""
        gone = [one for one in self.all() if matches(one, which)]
        if gone:
            self._write([one for one in self.all() if one not in gone])
        return gone

    def _write(self, pairings: list[Pairing]) -> None:
        content: dict[str, Any] = {"pairings": [asdict(one) for one in pairings]}
        private_files.write(self.path, content)


def digest(token: str) -> str:
    """What a sender stores of a token: nobody who reads its files can use it."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def introduce(home: Path) -> str:
    """A sender and a receiver of one machine that are paired, for `home` as THINAIR_STATE, which it returns. Raises
    DeviceError, FileError."""
    homes = {end: home / end for end in ("sender", "receiver")}
    for one in homes.values():
        one.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = os.urandom(24).hex()
    for end, one in homes.items():
        (other,) = (name for name in homes if name != end)
        peer = Peer(f"this machine's {other}", identity.load(homes[other]).pem)
        Pairings(one).add(peer, token=digest(token) if end == "sender" else token)
    return str(home)


def matches(pairing: Pairing, which: str) -> bool:
    return pairing.name == which or (len(which) >= 6 and pairing.fingerprint.startswith(which.lower()))
