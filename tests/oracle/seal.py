"""RFC 7714's way of sealing with ChaCha20-Poly1305 and a 64-bit index, from the documents, over another library."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


@dataclass(frozen=True)
class Direction:
    """88 bytes: RTP key and salt, RTCP key and salt."""

    keys: bytes

    def rtp(self, packet: bytes, index: int) -> bytes:
        head = rtp_header(packet)
        nonce = _nonce(self.keys[32:44], packet[8:12], index)
        return packet[:head] + ChaCha20Poly1305(self.keys[:32]).encrypt(nonce, packet[head:], packet[:head])

    def rtcp(self, packet: bytes, index: int) -> bytes:
        trailer = struct.pack("!I", 1 << 31 | index)
        nonce = _nonce(self.keys[76:88], packet[4:8], index)
        sealed = ChaCha20Poly1305(self.keys[44:76]).encrypt(nonce, packet[8:], packet[:8] + trailer)
        return packet[:8] + sealed + trailer


def rtp_header(packet: bytes) -> int:
    at = 12 + 4 * (packet[0] & 15)
    return at + 4 + 4 * struct.unpack_from("!H", packet, at + 2)[0] if packet[0] & 0x10 else at


def _nonce(salt: bytes, ssrc: bytes, index: int) -> bytes:
    return bytes(a ^ b for a, b in zip(salt, ssrc + struct.pack("!Q", index), strict=True))
