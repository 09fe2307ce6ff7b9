"""Media keys of a session, from a secret of each end: HKDF (RFC 5869) with SHA-256."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from thinair.link.protocol.session_messages import RANDOM_BYTES

SECRET = RANDOM_BYTES  # bytes that each end gives, inside the TLS connection
_KEYS = 88  # of a direction: RTP key and salt, RTCP key and salt (thinair/seal.h)


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    key, block, out = hmac.digest(salt or bytes(32), secret, "sha256"), b"", b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        out += block
    return out[:size]


@dataclass(frozen=True, slots=True)
class MediaKeys:
    down: bytes = field(repr=False)  # sender to receiver
    up: bytes = field(repr=False)


def media_keys(sender_secret: bytes, receiver_secret: bytes, sender: str, receiver: str) -> MediaKeys:
    """`sender` and `receiver` are fingerprints. Other secrets of either end make other keys: nothing of an earlier
    session opens in this one."""
    info = b"thinair 1 media\0" + bytes.fromhex(sender) + bytes.fromhex(receiver)
    made = hkdf(sender_secret + receiver_secret, b"", info, 2 * _KEYS)
    return MediaKeys(made[:_KEYS], made[_KEYS:])
