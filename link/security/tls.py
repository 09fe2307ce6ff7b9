"""The control connection: TLS 1.3 between certificates that pairing has pinned. Nothing is resumed: each connection has
a fresh exchange of keys (forward secrecy), and nothing recorded of one opens another."""

from __future__ import annotations

import json
import socket
import ssl
from asyncio import StreamReader, StreamWriter, sleep, timeout
from collections.abc import Iterable
from typing import Any

from thinair.link.errors import AuthenticationError
from thinair.link.security.identity import Identity
from thinair.link.security.pairing import MAX_MESSAGE

PORT = 5010  # of the sender's door
CONTROL_PORT = 5011  # of its control API
# openssl/x509_vfy.h. Boards without a clock do not know what day it is; a pinned certificate is its own authority.
_NO_CHECK_TIME, _PARTIAL_CHAIN = 0x200000, 0x80000


def listen(port: int) -> socket.socket:
    """On every address of this machine, IPv4 and IPv6, at one port. Raises OSError."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def sender_context(identity: Identity, pinned: Iterable[str]) -> ssl.SSLContext:
    """A client without a certificate is let in to pair; one with a certificate must be pinned."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    for pem in pinned:
        context.load_verify_locations(cadata=pem)
    return context


def page_context(identity: Identity) -> ssl.SSLContext:
    """For HTTPS: whoever comes shows a token, not a certificate."""
    return _context(ssl.PROTOCOL_TLS_SERVER, identity)


def receiver_context(identity: Identity | None, pinned: str | None) -> ssl.SSLContext:
    """`identity` and the sender's certificate for a session; neither for pairing, where the code vouches."""
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
    """What the other end of an open connection showed; None: nothing."""
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found


def say(writer: StreamWriter, message: dict[str, Any]) -> None:
    """Nothing where the connection is over: asyncio's TLS transport raises AttributeError then (Python 3.11)."""
    if not writer.is_closing():
        writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


async def hear(reader: StreamReader, patience_s: float | None) -> dict[str, Any] | None:
    """One line; None: the other end is gone. Raises AuthenticationError for what is no message, TimeoutError,
    OSError."""
    try:
        async with timeout(patience_s):
            line = await reader.readline()
    except ValueError as error:  # over the reader's limit
        raise AuthenticationError("too long a message") from error
    if not line.endswith(b"\n"):
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AuthenticationError("no message") from error
    if not isinstance(message, dict):
        raise AuthenticationError("no message")
    return message


async def hang_up(writer: StreamWriter) -> None:
    """At once: nothing that was not drained leaves, and no word of the other end is waited for."""
    writer.transport.abort()
    await sleep(0)


READER_LIMIT = MAX_MESSAGE
