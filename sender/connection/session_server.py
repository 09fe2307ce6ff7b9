"""Where receivers come in: a TLS server for pairing, and for the session whose media keys it hands out.

A connection says one thing first: `pair`, without a certificate, or `session`, with a pinned one. Whoever comes before
that is known gets little: few connections at once, little time, short lines, and each refusal counts its reason.
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
from typing import Any, TypedDict

from thinair.link.errors import AuthenticationError, FileError, NetworkError
from thinair.link.security import tls
from thinair.link.security.identity import Identity, fingerprint
from thinair.link.security.media_keys import CODEC, SECRET, VERSION, MediaKeys, media_keys
from thinair.link.security.pairing import NONCE, PairingSender, clean_name, read_random, read_us, read_words, stretch
from thinair.link.security.pairing_store import Pairing, Pairings, digest
from thinair.sender.connection.pairing_code import Code

_MOST = 16  # connections at once of whom is not known yet, of which from one address; the oldest give way
_MOST_OF_ONE = 4
_HANDSHAKE_S = 5.0
_PATIENCE_S = 10.0  # for a message of somebody who has begun
_TOKEN = 24  # bytes
_CLOSED = "too many wrong codes, or it was renewed: make a new one at the sender with thinair pairings renew"
_LOOK_S = 1.0  # for pairings that were forgotten by another program


@dataclass(frozen=True, slots=True)
class Client:
    """A paired receiver that wants the picture."""

    fingerprint: str
    name: str
    host: str
    port: int  # UDP
    keys: MediaKeys = field(repr=False)


class RefusedError(Exception):
    """A session that is not given; the text is for the person at the receiver."""


class Latency(TypedDict):
    """As the receiver measures it, in µs; 0 for unknown."""

    latency_us: int
    bound_us: int


class Grant(TypedDict):
    """A session, as its client is told of it."""

    ssrc: int
    boot_id: int


@dataclass(frozen=True, slots=True)
class SessionHandler:
    """What the server calls. `open` may raise RefusedError."""

    open: Callable[[Client, bool], Grant]  # True: take over from another client
    renew: Callable[[MediaKeys], None]
    latency: Callable[[Latency], None]
    control_port: Callable[[], int]  # of the control API; 0: there is none
    ended: Callable[[str], None]  # the session, and why
    log: Callable[[str], None]


class SessionServer:
    def __init__(self, home: Path, identity: Identity, name: str, handler: SessionHandler) -> None:
        self.pairings = Pairings(home)
        self.code = Code(home)
        self.refused: Counter[str] = Counter()
        self.port = 0
        self._identity, self._name, self._handler = identity, name, handler
        self._context = tls.sender_context(identity, (one.certificate for one in self.pairings.all()))
        self._key: tuple[str, bytes] | None = None  # of this code, stretched
        self._stretching = asyncio.Lock()  # takes a second and 16 MB on a Pi
        self._strangers: dict[asyncio.Task[None], str] = {}  # their addresses, the oldest first
        self._client: Client | None = None
        self._boot_id = 0  # of its session
        self._line: asyncio.StreamWriter | None = None  # its connection, which it may lose
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Raises NetworkError."""
        try:
            listening = tls.listen(port)
            self._server = await asyncio.start_server(self._come_in, sock=listening, limit=tls.READER_LIMIT)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise NetworkError(f"cannot listen on TCP port {port}: {why}; use --door with another") from error
        self.port = listening.getsockname()[1]

    async def watch(self) -> None:
        """Ends the session of a receiver that is no longer paired."""
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(FileError):
                if self._client is not None and self.pairings.get(self._client.fingerprint) is None:
                    self._turn_out("forgotten", "this sender has forgotten the pairing")

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- one connection --------------------------------------------------------------------------------------------

    async def _come_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        host = str(writer.get_extra_info("peername")[0]).removeprefix("::ffff:")
        self._make_room(host)
        self._strangers[task] = host
        try:
            await self._serve(reader, writer, host)
        except ssl.SSLError:
            self.refused["tls"] += 1
        except AuthenticationError:
            self.refused["malformed"] += 1
        except TimeoutError:
            self.refused["slow"] += 1
        except FileError as error:
            self.refused["state"] += 1
            self._handler.log(str(error))
        except OSError:
            self.refused["gone"] += 1
        except asyncio.CancelledError:  # by us: room was needed, or the door closes; asyncio would print it
            pass
        finally:
            self._tasks.discard(task)
            self._strangers.pop(task, None)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def _make_room(self, host: str) -> None:
        same = [task for task, other in self._strangers.items() if other == host]
        oldest = same if len(same) >= _MOST_OF_ONE else list(self._strangers) if len(self._strangers) >= _MOST else []
        for task in oldest[:1]:
            self.refused["too_many"] += 1
            del self._strangers[task]
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        # Nothing is awaited before this: bytes that came already would be taken from the handshake.
        await writer.start_tls(self._context, ssl_handshake_timeout=_HANDSHAKE_S)
        der = tls.peer_der(writer)
        message = await tls.hear(reader, _PATIENCE_S)
        if message is None:
            self.refused["gone"] += 1
        elif message.get("do") == "pair" and der is None:
            await self._pair(reader, writer, message)
        elif message.get("do") in {"session", "resume"} and der is not None:
            await self._receive(reader, writer, message, host, fingerprint(der))
        else:
            raise AuthenticationError("neither pairing nor session")

    async def _refuse(self, writer: asyncio.StreamWriter, reason: str, words: str) -> None:
        self.refused[reason] += 1
        tls.say(writer, {"refusal": words})
        await asyncio.wait_for(writer.drain(), _PATIENCE_S)

    # ---- pairing ---------------------------------------------------------------------------------------------------

    async def _pair(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        code = self.code.current()
        if code is None:
            await self._refuse(writer, "closed", _CLOSED)
            return
        key = await self._stretched(code)
        token = os.urandom(_TOKEN).hex()
        own, nonce = self._identity.der, os.urandom(NONCE)
        given = {"token": token, "control": self._handler.control_port()}
        one = PairingSender(key, own, self._name, nonce, der_of=ssl.PEM_cert_to_DER_cert, given=given)
        answer = one.hear(message)
        tls.say(writer, answer)
        if "nonce" not in answer:
            self.refused["version"] += 1
            return
        proof = await tls.hear(reader, _PATIENCE_S)
        if proof is None:
            return
        # Others may be trying at the same time: from here on nothing is awaited until this try is counted.
        if self.code.current() != code:
            await self._refuse(writer, "closed", _CLOSED)
            return
        answer = one.hear(proof)
        if one.wrong:
            left = self.code.wrong()
            self._handler.log(f"a wrong pairing code was tried; {left} tries are left")
            await self._refuse(writer, "wrong_code", f"wrong code; {left} tries are left")
            return
        if one.peer is None:
            return
        self.code.right()
        self._context.load_verify_locations(cadata=one.peer.pem)
        pairing = self.pairings.add(one.peer, token=digest(token))
        self._handler.log(f"paired with {pairing.name} ({pairing.fingerprint[:12]})")
        tls.say(writer, answer)
        await asyncio.wait_for(writer.drain(), _PATIENCE_S)

    async def _stretched(self, code: str) -> bytes:
        async with self._stretching:
            if self._key is None or self._key[0] != code:
                self._key = code, await asyncio.to_thread(stretch, code, self._identity.der)
            return self._key[1]

    # ---- session ---------------------------------------------------------------------------------------------------

    async def _receive(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        message: dict[str, Any],
        host: str,
        print_: str,
    ) -> None:
        pairing = self.pairings.get(print_)
        if pairing is not None and (task := asyncio.current_task()) is not None:
            self._strangers.pop(task, None)
        if pairing is None:
            await self._refuse(writer, "unpaired", "this sender does not know you any more: pair again")
        elif message.get("version") != VERSION:
            words = f"this sender speaks version {VERSION}, the receiver {message.get('version')!r:.20}: update one"
            await self._refuse(writer, "version", words)
        elif CODEC not in read_words(message.get("can")):
            await self._refuse(
                writer, "version", f"this sender sends {CODEC}, which the receiver cannot show: update it"
            )
        elif message["do"] == "session":
            await self._begin(reader, writer, message, host, pairing)
        elif self._client is None or (print_, message.get("boot_id")) != (self._client.fingerprint, self._boot_id):
            await self._refuse(writer, "no_session", "there is no such session any more")
        else:
            self._hang_up("")
            self._line = writer
            tls.say(writer, {"version": VERSION})
            await self._listen(reader, writer, print_)

    async def _begin(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        message: dict[str, Any],
        host: str,
        pairing: Pairing,
    ) -> None:
        port, print_ = message.get("port"), pairing.fingerprint
        if type(port) is not int or not 0 < port < 65536:
            raise AuthenticationError("no port")
        own, keys = self._keys(message, print_)
        client = Client(print_, clean_name(pairing.name), host, port, keys)
        try:
            answer = self._handler.open(client, message.get("take_over") is True)
        except RefusedError as error:
            await self._refuse(writer, "taken", str(error))
            return
        other = self._client is not None and self._client.fingerprint != print_
        self._hang_up(f"{client.name} has taken over" if other else "")
        self._client, self._boot_id, self._line = client, answer["boot_id"], writer
        tls.say(
            writer,
            {
                "version": VERSION,
                "can": [CODEC],
                "secret": own.hex(),
                "control": self._handler.control_port(),
                **answer,
            },
        )
        await self._listen(reader, writer, print_)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, print_: str) -> None:
        """The session's own connection: new keys, until it is closed. The media does not hang on it."""
        try:
            await self._hear_wishes(reader, writer, print_)
        finally:
            if self._line is writer:
                self._line = None

    async def _hear_wishes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, print_: str) -> None:
        while (message := await tls.hear(reader, None)) is not None and self._line is writer:
            if message.get("do") == "figures":
                self._handler.latency(
                    {"latency_us": read_us(message.get("latency_us")), "bound_us": read_us(message.get("bound_us"))}
                )
                continue
            if message.get("do") != "renew":
                raise AuthenticationError("nothing that is known")
            own, keys = self._keys(message, print_)
            self._handler.renew(keys)
            tls.say(writer, {"secret": own.hex()})
            await asyncio.wait_for(writer.drain(), _PATIENCE_S)

    def _hang_up(self, why: str) -> None:
        """The present connection; `why` for the person at its other end."""
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(OSError, RuntimeError):
                if why:
                    tls.say(line, {"over": why})
                line.close()

    def _keys(self, message: dict[str, Any], print_: str) -> tuple[bytes, MediaKeys]:
        own = os.urandom(SECRET)
        return own, media_keys(own, read_random(message.get("secret")), self._identity.fingerprint, print_)

    def _turn_out(self, reason: str, words: str) -> None:
        self._client = None
        self.refused[reason] += 1
        self._hang_up(words)
        self._handler.ended(words)
