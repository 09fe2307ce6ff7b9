"""`thinair pair`: this receiver and a sender come to know each other by the sender's code."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from thinair.link.endpoint import Endpoint
from thinair.link.errors import AuthenticationError, ConfigError, NetworkError
from thinair.link.mdns import Announcement
from thinair.link.protocol.session_messages import RANDOM_BYTES, decode_challenge, decode_pair_result
from thinair.link.security import identity, private_files, tls
from thinair.link.security.identity import Identity
from thinair.link.security.pairing import Own, PairingReceiver, Peer, clean_name, read_scan, stretch
from thinair.link.security.pairing_store import Pairing, Pairings
from thinair.receiver.connection.mdns_browser import look

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import Message, PairChallenge, PairResult, Refusal

Answer = TypeVar("Answer", "PairChallenge", "PairResult")
_LOOK_S = 3.0
_CONNECT_S, _ANSWER_S = 5.0, 15.0  # a Pi takes two seconds for its first scrypt


def run(place: Endpoint | None, code: str | None) -> int:
    """Raises ConfigError, NetworkError, AuthenticationError, FileError, DeviceError."""
    home = private_files.folder("receiver")
    own, pairings = identity.load(home), Pairings(home)
    if place is None and code is None and not sys.stdin.isatty():
        code = _ask()
    scanned, plain = read_scan(code) if code is not None else (None, None)
    if place is None:
        place = Endpoint.parse(scanned) if scanned else _only_stranger(asyncio.run(look(_LOOK_S)), pairings)
    code = plain or read_scan(_ask())[1]
    pairing = asyncio.run(pair(place, code, own, pairings))
    print(f"paired with {pairing.name} ({pairing.fingerprint[:12]}): thinair play '{pairing.name}'")
    return 0


def _only_stranger(found: list[Announcement], pairings: Pairings) -> Endpoint:
    paired = {one.fingerprint for one in pairings.all()}
    strangers = [one for one in found if one.fingerprint not in paired]
    if len(strangers) != 1:
        names = ", ".join(f"{one.name} at {one.place}" for one in strangers) or "none that is not paired already"
        raise ConfigError(f"which sender? found: {names}; say thinair pair ADDRESS")
    print(f"{strangers[0].name} at {strangers[0].place}", file=sys.stderr)
    return Endpoint.parse(strangers[0].place)


def _ask() -> str:
    if sys.stdin.isatty():
        print("the code that the sender shows: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


async def pair(place: Endpoint, code: str, own: Identity, pairings: Pairings) -> Pairing:
    context = tls.receiver_context(None, None)
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(place.host, place.port, ssl=context, limit=tls.READER_LIMIT)
    except ssl.SSLError as error:
        raise NetworkError(f"what answers at {place} is no sender of thinair") from error
    except TimeoutError as error:
        raise NetworkError(f"no answer at {place}: is the sender on, and on this network?") from error
    except OSError as error:
        raise NetworkError(f"cannot reach {place}: {error.strerror or error}: is the sender on?") from error
    try:
        sender_der = tls.peer_der(writer)
        assert sender_der is not None  # a server always shows one
        key = await asyncio.to_thread(stretch, code, sender_der)
        one = PairingReceiver(key, sender_der, Own(socket.gethostname(), own.pem, own.der), os.urandom(RANDOM_BYTES))
        challenge = await _ask_sender(reader, writer, one.request(), decode_challenge)
        result = await _ask_sender(reader, writer, one.prove(challenge), decode_pair_result)
        if not one.accept(result):
            raise AuthenticationError("what answered does not know the code: it is not your sender")
    except (OSError, TimeoutError) as error:
        raise NetworkError(f"the sender at {place} does not answer any more") from error
    finally:
        await tls.abort(writer)
    peer = Peer(one.sender_name or "sender", ssl.DER_cert_to_PEM_cert(sender_der))
    return pairings.add(peer, str(place), one.token, one.control)


async def _ask_sender(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    message: Message,
    decode: Callable[[bytes], Answer | Refusal | None],
) -> Answer:
    """The answer to `message`. Raises AuthenticationError for any other, TimeoutError, OSError."""
    tls.send(writer, message)
    line = await tls.receive_line(reader, _ANSWER_S)
    if line is None:
        raise AuthenticationError("the sender hung up")
    answer = decode(line)
    if answer is None:
        raise AuthenticationError("what answered is no sender of thinair, or another version: update both")
    if "refusal" in answer:
        raise AuthenticationError(clean_name(answer["refusal"], 200))
    return answer
