"""The control connection: TLS 1.3 between certificates that pairing has pinned. No session resumption: each connection
exchanges fresh keys (forward secrecy), so that no recorded connection can be decrypted later."""

from __future__ import annotations

import socket
import ssl
from asyncio import StreamReader, StreamWriter, sleep, timeout
from collections.abc import Iterable
from typing import TYPE_CHECKING

from thinair.link.protocol.session_messages import MAX_LINE, encode
from thinair.link.security.identity import Identity

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import Message

PORT = 5010  # of the session server
CONTROL_PORT = 5011  # of the sender's control API
# openssl/x509_vfy.h. Boards without a real-time clock do not know the date; a pinned certificate is its own authority.
_NO_CHECK_TIME, _PARTIAL_CHAIN = 0x200000, 0x80000


def listen(port: int) -> socket.socket:
    """On every address of this machine, IPv4 and IPv6, at one port. Raises OSError."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def sender_context(identity: Identity, pinned: Iterable[str]) -> ssl.SSLContext:
    """A client without a certificate may pair; one with a certificate must be pinned."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    for pem in pinned:
        context.load_verify_locations(cadata=pem)
    return context


def page_context(identity: Identity) -> ssl.SSLContext:
    """For HTTPS: the client authenticates by an access token, not by a certificate."""
    return _context(ssl.PROTOCOL_TLS_SERVER, identity)


def receiver_context(identity: Identity | None, pinned: str | None) -> ssl.SSLContext:
    """`identity` and the sender's certificate for a session; neither for pairing, where the code authenticates."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE if pinned is None else ssl.CERT_REQUIRED
    if pinned is not None:
        context.load_verify_locations(cadata=pinned)
    return context


def _context(side: ssl._SSLMethod, identity: Identity | None) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME | _PARTIAL_CHAIN)
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def peer_der(writer: StreamWriter) -> bytes | None:
    """The peer's certificate; None where it has sent none."""
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found


def send(writer: StreamWriter, message: Message) -> None:
    """Does nothing on a closed connection: asyncio's TLS transport would raise AttributeError (Python 3.11)."""
    if not writer.is_closing():
        writer.write(encode(message))


async def receive_line(reader: StreamReader, timeout_s: float | None) -> bytes | None:
    """None where the peer has closed the connection. A line over the reader's limit is given as an empty one, which no
    decoder takes for a message. Raises TimeoutError, OSError."""
    try:
        async with timeout(timeout_s):
            line = await reader.readline()
    except ValueError:
        return b"\n"
    return line if line.endswith(b"\n") else None


async def abort(writer: StreamWriter) -> None:
    """Closes at once: data not yet drained is discarded, and no answer of the peer is awaited."""
    writer.transport.abort()
    await sleep(0)


READER_LIMIT = MAX_LINE
