"""The session server: TLS for pairing, and for sessions, whose media keys it hands out.

A connection begins with one message: `pair`, without a certificate, or `session` or `resume`, with a pinned one. Until
then it gets little: few connections at once, little time, short lines. Each refusal is counted by its reason, and
nothing from the network raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from thinair.link.errors import FileError, NetworkError
from thinair.link.protocol.session_messages import (
    CODEC,
    PAIRING_VERSION,
    RANDOM_BYTES,
    SESSION_VERSION,
    decode_during,
    decode_first,
    decode_proof,
)
from thinair.link.security import tls
from thinair.link.security.identity import Identity, fingerprint
from thinair.link.security.media_keys import MediaKeys, media_keys
from thinair.link.security.pairing import PairingSender, clean_name, stretch
from thinair.link.security.pairing_store import Pairing, Pairings, digest
from thinair.sender.connection.pairing_code import PairingCode

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import (
        LatencyReport,
        Message,
        OtherVersion,
        PairProof,
        PairRequest,
        ResumeRequest,
        SessionRequest,
    )

_MAX_UNKNOWN = 16  # connections at once without a known peer, of which from one address; the oldest give way
_MAX_UNKNOWN_OF_ONE = 4
_HANDSHAKE_S = 5.0
_MESSAGE_S = 10.0  # for the next message of a conversation, and to send ours
_TOKEN_BYTES = 24
_CLOSED = "pairing is closed after too many wrong codes: run thinair pairings renew at the sender for a new code"
_CHECK_S = 1.0  # for pairings that another program has removed


@dataclass(frozen=True, slots=True)
class Client:
    """A paired receiver that requests the session."""

    fingerprint: str
    name: str
    host: str
    port: int  # UDP
    keys: MediaKeys = field(repr=False)


class RefusedError(Exception):
    """A session that is not given; the text is for the person at the receiver."""


class Grant(TypedDict):
    """A session, as its client is told of it."""

    ssrc: int
    boot_id: int


@dataclass(frozen=True, slots=True)
class SessionHandler:
    """What the server calls. `open` may raise RefusedError."""

    open: Callable[[Client, bool], Grant]  # True: take over from another client
    renew: Callable[[MediaKeys], None]
    latency: Callable[[LatencyReport], None]
    control_port: Callable[[], int]  # of the control API; 0: there is none
    ended: Callable[[str], None]  # the session, and why
    log: Callable[[str], None]


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader, self.writer, self.host = reader, writer, host

    async def receive(self, timeout_s: float | None) -> bytes | None:
        """See tls.receive_line."""
        return await tls.receive_line(self.reader, timeout_s)

    async def send(self, message: Message) -> None:
        """Raises TimeoutError, OSError."""
        tls.send(self.writer, message)
        await asyncio.wait_for(self.writer.drain(), _MESSAGE_S)

    async def refuse(self, reason: str, text: str) -> str:
        """Sends `text`, for the person at the receiver; gives `reason` back."""
        await self.send({"refusal": text})
        return reason


class SessionServer:
    """Belongs to the loop."""

    def __init__(self, home: Path, identity: Identity, name: str, handler: SessionHandler) -> None:
        self.pairings = Pairings(home)
        self.code = PairingCode(home)
        self.refused: Counter[str] = Counter()
        self.port = 0
        self._identity, self._name, self._handler = identity, name, handler
        self._context = tls.sender_context(identity, (one.certificate for one in self.pairings.all()))
        self._key: tuple[str, bytes] | None = None  # of this code, stretched
        self._stretching = asyncio.Lock()  # takes a second and 16 MB on a Pi
        self._unknown: dict[asyncio.Task[None], str] = {}  # connections without a known peer → address, oldest first
        self._client: Client | None = None
        self._boot_id = 0  # of its session
        self._control: _Connection | None = None  # the client's; the session outlives it
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Raises NetworkError."""
        try:
            listening = tls.listen(port)
            self._server = await asyncio.start_server(self._accept, sock=listening, limit=tls.READER_LIMIT)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise NetworkError(
                f"cannot listen on TCP port {port}: {why}; use --session-port with another port"
            ) from error
        self.port = listening.getsockname()[1]

    async def watch(self) -> None:
        """Ends the session of a receiver that is no longer paired. Until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_S)
            with contextlib.suppress(FileError):
                if self._client is not None and self.pairings.get(self._client.fingerprint) is None:
                    self._end_session("forgotten", "this sender has removed the pairing")

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- one connection --------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        host = str(writer.get_extra_info("peername")[0]).removeprefix("::ffff:")
        self._make_room(host)
        self._unknown[task] = host
        try:
            if reason := await self._serve(_Connection(reader, writer, host)):
                self.refused[reason] += 1
        except ssl.SSLError:
            self.refused["tls"] += 1
        except TimeoutError:
            self.refused["slow"] += 1
        except FileError as error:
            self.refused["state"] += 1
            self._handler.log(str(error))
        except OSError:
            self.refused["gone"] += 1
        except asyncio.CancelledError:  # by _make_room() or close(); asyncio would print it
            pass
        finally:
            self._tasks.discard(task)
            self._unknown.pop(task, None)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def _make_room(self, host: str) -> None:
        same = [task for task, other in self._unknown.items() if other == host]
        full = len(self._unknown) >= _MAX_UNKNOWN
        oldest = same if len(same) >= _MAX_UNKNOWN_OF_ONE else list(self._unknown) if full else []
        for task in oldest[:1]:
            self.refused["too_many"] += 1
            del self._unknown[task]
            task.cancel()

    async def _serve(self, connection: _Connection) -> str:
        """Why the connection was refused; empty where it was not."""
        # Nothing is awaited before this: the handshake would lack bytes that have already arrived.
        await connection.writer.start_tls(self._context, ssl_handshake_timeout=_HANDSHAKE_S)
        der = tls.peer_der(connection.writer)
        line = await connection.receive(_MESSAGE_S)
        if line is None:
            return "gone"
        message = decode_first(line)
        if message is None or (message["do"] == "pair") is not (der is None):
            return "malformed"
        if message["do"] == "pair":
            if "other_version" not in message:
                return await self._pair(connection, message)
            text = f"this sender pairs by version {PAIRING_VERSION}: update one of the two"
            return await connection.refuse("version", text)
        assert der is not None
        return await self._open(connection, message, fingerprint(der))

    # ---- pairing ---------------------------------------------------------------------------------------------------

    async def _pair(self, connection: _Connection, request: PairRequest) -> str:
        code = self.code.current()
        if code is None:
            return await connection.refuse("closed", _CLOSED)
        key = await self._stretched(code)
        pairing = PairingSender(
            key,
            self._identity.der,
            self._name,
            os.urandom(RANDOM_BYTES),
            der_of=ssl.PEM_cert_to_DER_cert,
            token=os.urandom(_TOKEN_BYTES).hex(),
            control=self._handler.control_port(),
        )
        challenge = pairing.challenge(request)
        if challenge is None:
            return "malformed"
        await connection.send(challenge)
        line = await connection.receive(_MESSAGE_S)
        if line is None:
            return ""
        proof = decode_proof(line)
        return "malformed" if proof is None else await self._finish_pairing(connection, pairing, proof, code)

    async def _finish_pairing(
        self, connection: _Connection, pairing: PairingSender, proof: PairProof, code: str
    ) -> str:
        # Others may be trying at the same time: nothing is awaited until this try is counted.
        if self.code.current() != code:
            return await connection.refuse("closed", _CLOSED)
        result = pairing.check(proof)
        if result is None or pairing.peer is None:
            left = self.code.wrong()
            self._handler.log(f"wrong pairing code; {left} tries left")
            return await connection.refuse("wrong_code", f"wrong code; {left} tries left")
        self.code.right()
        self._context.load_verify_locations(cadata=pairing.peer.pem)
        stored = self.pairings.add(pairing.peer, token=digest(result["token"]))
        self._handler.log(f"paired with {stored.name} ({stored.fingerprint[:12]})")
        await connection.send(result)
        return ""

    async def _stretched(self, code: str) -> bytes:
        async with self._stretching:
            if self._key is None or self._key[0] != code:
                self._key = code, await asyncio.to_thread(stretch, code, self._identity.der)
            return self._key[1]

    # ---- session ---------------------------------------------------------------------------------------------------

    async def _open(
        self, connection: _Connection, request: SessionRequest | ResumeRequest | OtherVersion, client: str
    ) -> str:
        """`client`: the fingerprint. Why it was refused; empty once a session's connection is over."""
        pairing = self.pairings.get(client)
        if pairing is None:
            return await connection.refuse("unpaired", "this sender has no pairing with this receiver: pair again")
        if (task := asyncio.current_task()) is not None:
            self._unknown.pop(task, None)
        if "other_version" in request:
            theirs = f"{request['other_version']}"[:20]
            text = f"this sender has version {SESSION_VERSION}, the receiver {theirs}: update one of the two"
            return await connection.refuse("version", text)
        if CODEC not in request["can"]:
            await connection.send(
                {"refusal": f"this sender sends {CODEC}, which the receiver cannot decode: update it"}
            )
            return "version"
        if request["do"] == "session":
            return await self._begin(connection, request, pairing)
        if self._client is None or (client, request["boot_id"]) != (self._client.fingerprint, self._boot_id):
            return await connection.refuse("no_session", "there is no such session any more")
        self._close_control("")
        self._control = connection
        await connection.send({"version": SESSION_VERSION})
        return await self._serve_client(connection, client)

    async def _begin(self, connection: _Connection, request: SessionRequest, pairing: Pairing) -> str:
        own, keys = self._keys(request["secret"], pairing.fingerprint)
        client = Client(pairing.fingerprint, clean_name(pairing.name), connection.host, request["port"], keys)
        try:
            grant = self._handler.open(client, request["take_over"])
        except RefusedError as error:
            return await connection.refuse("taken", str(error))
        other = self._client is not None and self._client.fingerprint != client.fingerprint
        self._close_control(f"{client.name} has taken over" if other else "")
        self._client, self._boot_id, self._control = client, grant["boot_id"], connection
        tls.send(
            connection.writer,
            {
                "version": SESSION_VERSION,
                "can": [CODEC],
                "secret": own.hex(),
                "control": self._handler.control_port(),
                "ssrc": grant["ssrc"],
                "boot_id": grant["boot_id"],
            },
        )
        return await self._serve_client(connection, client.fingerprint)

    async def _serve_client(self, connection: _Connection, client: str) -> str:
        """New keys and latency reports, until the connection is over. The session may go on without it."""
        try:
            while (line := await connection.receive(None)) is not None and self._control is connection:
                message = decode_during(line)
                if message is None:
                    return "malformed"
                if message["do"] == "figures":
                    self._handler.latency(message)
                    continue
                own, keys = self._keys(message["secret"], client)
                self._handler.renew(keys)
                await connection.send({"secret": own.hex()})
        finally:
            if self._control is connection:
                self._control = None
        return ""

    def _close_control(self, why: str) -> None:
        """`why`: for the person at the other end."""
        connection, self._control = self._control, None
        if connection is not None:
            with contextlib.suppress(OSError, RuntimeError):
                if why:
                    tls.send(connection.writer, {"over": why})
                connection.writer.close()

    def _keys(self, secret: str, client: str) -> tuple[bytes, MediaKeys]:
        """Our secret, and the keys made of both. `client`: the fingerprint."""
        own = os.urandom(RANDOM_BYTES)
        return own, media_keys(own, bytes.fromhex(secret), self._identity.fingerprint, client)

    def _end_session(self, reason: str, why: str) -> None:
        self._client = None
        self.refused[reason] += 1
        self._close_control(why)
        self._handler.ended(why)
