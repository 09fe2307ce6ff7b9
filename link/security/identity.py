"""An end's identity: a P-256 key and a self-signed certificate that pairing pins (browsers support P-256, not Ed25519).
The `openssl` command creates it, once."""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from thinair.link.errors import DeviceError, FileError
from thinair.link.security import private_files

_DAYS = 36_500  # boards without a real-time clock cannot check its age; a pairing ends by thinair pairings forget


@dataclass(frozen=True, slots=True)
class Identity:
    key: Path  # PEM
    certificate: Path
    pem: str  # of the certificate
    der: bytes

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.der)


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, hexadecimal: an end's name among machines."""
    return hashlib.sha256(der).hexdigest()


def load(home: Path) -> Identity:
    """The identity in this folder, created where there is none. Raises FileError, DeviceError."""
    place = home / "identity"
    if not place.is_dir():
        _make(place)
    try:
        pem = (place / "cert.pem").read_text(encoding="ascii")
        der = ssl.PEM_cert_to_DER_cert(pem)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {place}/cert.pem ({error}): move {place} away, and pair again") from error
    return Identity(place / "key.pem", place / "cert.pem", pem, der)


def _make(place: Path) -> None:
    """Two processes that start at the same time end with the same identity."""
    import tempfile  # only needed once

    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".identity-") as made:  # of 0700
        key, certificate = Path(made) / "key.pem", Path(made) / "cert.pem"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", str(key), "-out", str(certificate), "-days", str(_DAYS),
                 "-subj", f"/CN=thinair-{os.urandom(8).hex()}"]  # fmt: skip
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, umask=0o077)
        except FileNotFoundError as error:
            raise DeviceError("openssl is missing, which creates the key: sudo apt install openssl") from error
        if done.returncode != 0:
            raise DeviceError(f"openssl could not create a key: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        ready = Path(made) / "identity"
        ready.mkdir(mode=0o700)
        key.rename(ready / "key.pem")
        certificate.rename(ready / "cert.pem")
        try:
            ready.rename(place)
        except OSError:
            if not place.is_dir():
                raise
    private_files.sync(place.parent)
