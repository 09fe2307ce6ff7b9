"""Connects to a paired sender's session server until it gives a session, and again when that has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from thinair.link.errors import FileError
from thinair.link.mdns import Announcement
from thinair.link.protocol.rtcp import Hello, Invite, parse
from thinair.link.protocol.session_messages import (
    CODEC,
    RANDOM_BYTES,
    SESSION_VERSION,
    decode_grant,
    decode_news,
    decode_resume_grant,
)
from thinair.link.security import tls
from thinair.link.security.identity import Identity, fingerprint
from thinair.link.security.media_keys import MediaKeys, media_keys
from thinair.link.security.pairing import clean_name
from thinair.link.security.pairing_store import Pairing, Pairings, matches

_CONNECT_S = 1.5
_ANSWER_S = 3.0
_AGAIN_S = 0.2
_REFUSED_S = 2.0  # a sender that said no is not own again sooner
_INVITE_S = 2.0  # an address that an invite came from is tried for so long
_POLL_S = 0.25
_FIGURES_S = 1.0
_LAST_WORDS_S = 0.4
_GRACE_S = 1.5  # from a session's begin until its first packet must have come
_RESUME_S = 2.0
_RENEW_PACKETS = 1 << 29  # a quarter of what a key may seal
_MAX_REPORTED = 16  # senders, each once

BOTH_ENDS = "start both with --no-encryption, or neither"


@dataclass(frozen=True, slots=True)
class Session:
    """What a sender gave."""

    pairing: Pairing
    ssrc: int
    boot_id: int
    keys: MediaKeys = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hooks:
    alive: Callable[[], bool]  # whether the present session's packets come
    begin: Callable[[Session], None]
    renew: Callable[[Session], None]  # the same session, new keys
    packets_sealed: Callable[[], int]  # packets with the present keys, either way
    figures: Callable[[], dict[str, int]]  # latency, for the camera operator; {}: unknown
    waiting: Callable[[str], None]  # why there is no picture
    note: Callable[[str], None]  # an event


class SessionClient:
    """`which` is a name or the beginning of a fingerprint; "": the only one paired, or the first that invites."""

    def __init__(
        self,
        identity: Identity,
        pairings: Pairings,
        port: int,
        hooks: Hooks,
        *,
        which: str = "",
        take_over: bool = False,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._identity, self._pairings, self._port, self._hooks = identity, pairings, port, hooks
        self._which, self._take_over = which, take_over
        self._news = asyncio.Event()
        self._invites: dict[str, tuple[str, float]] = {}  # fingerprint → its session server, and when it invited
        self._seen: dict[str, str] = {}  # fingerprint → its session server, as announced
        self._session: Session | None = None
        self._place = ""  # of the present session's server
        self._resume_at = 0.0
        self._reported: set[str] = set()
        self._not_before: dict[str, float] = {}

    def receive(self, datagram: bytes, host: str) -> None:
        """An unencrypted invite: a hint only."""
        for message in parse(datagram, self.refused):
            if isinstance(message, Hello):
                self.refused["unsealed"] += 1
                who = message.name or "a sender"
                self._report_once(host, f"{who} at {host} uses an unencrypted link, this player does not: {BOTH_ENDS}")
                continue
            if not isinstance(message, Invite):
                self.refused["call"] += 1
                continue
            fingerprint_hex = message.fingerprint.hex()
            if not self._is_paired(fingerprint_hex):
                self._report_unpaired(fingerprint_hex, message.name, f"{host}:{message.port}")
                continue
            place = f"[{host}]:{message.port}" if ":" in host else f"{host}:{message.port}"
            self._invites[fingerprint_hex] = place, _now()
            if self._session is None or self._session.boot_id != message.boot_id:
                self._news.set()

    def see(self, found: Announcement) -> None:
        """A sender's announcement: a hint too."""
        if not self._is_paired(found.fingerprint):
            self._report_unpaired(found.fingerprint, found.name, found.place)
        else:
            self._seen[found.fingerprint] = found.place
            if not self._hooks.alive():
                self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._news.clear()
            if self._session is not None and self._hooks.alive():
                if _now() >= self._resume_at:
                    await self._connect(self._session.pairing, self._place, resume=self._session)
                    self._resume_at = _now() + _RESUME_S
            else:
                for pairing, place in self._candidates():
                    if await self._connect(pairing, place):
                        break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await self._news.wait()

    # ---- whom to connect to

    def _candidates(self) -> list[tuple[Pairing, str]]:
        """Those that sent an invite lately first; then the last address met; multicast's hint last."""
        try:
            paired = [one for one in self._pairings.all() if not self._which or matches(one, self._which)]
        except FileError as error:
            self._hooks.waiting(str(error))
            return []
        now = _now()
        if not paired:
            self._hooks.waiting(
                f"no paired sender is called {self._which}: run thinair pair ADDRESS" if self._which
                else "no sender is paired yet: run thinair pair"
            )  # fmt: skip
            return []
        found = []
        for one in paired:
            place, invited_at = self._invites.get(one.fingerprint, ("", 0.0))
            if place and now - invited_at < _INVITE_S:
                found.append((one, place))
        if self._which or len(paired) == 1:
            for one in paired:
                places = (one.address, self._seen.get(one.fingerprint, ""))
                found += [(one, place) for place in places if place and (one, place) not in found]
        return [(one, place) for one, place in found if now >= self._not_before.get(one.fingerprint, 0.0)]

    def _is_paired(self, fingerprint_hex: str) -> bool:
        with contextlib.suppress(FileError):  # run() says what is wrong with the file
            return self._pairings.get(fingerprint_hex) is not None
        return False

    def _report_unpaired(self, fingerprint_hex: str, name: str, place: str) -> None:
        self.refused["unpaired"] += 1
        self._report_once(fingerprint_hex, f"{name or 'a sender'} at {place} is not paired: run thinair pair {place}")

    def _report_once(self, who: str, text: str) -> None:
        if who not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(who)
            self._hooks.note(text)

    # ---- one connection

    async def _connect(self, pairing: Pairing, place: str, resume: Session | None = None) -> bool:
        """Whether it gave a session; returns when the connection has ended. `resume`: the session lives and lost only
        its connection."""
        host, _, port = place.rpartition(":")
        context = tls.receiver_context(self._identity, pairing.certificate)
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    host.strip("[]"), int(port), ssl=context, limit=tls.READER_LIMIT
                )
        except (OSError, ValueError, TimeoutError) as error:
            self.refused["tls" if isinstance(error, ssl.SSLError) else "unreachable"] += 1
            return False
        try:
            der = tls.peer_der(writer)
            if der is None or fingerprint(der) != pairing.fingerprint:
                self.refused["fingerprint"] += 1
                return False
            session = resume
            if resume is None:
                session = await self._ask(pairing, place, reader, writer)
            elif not await self._attach(resume, reader, writer):
                return False
            if session is not None:
                await self._hold(session, reader, writer)
            return session is not None
        except (TimeoutError, OSError) as error:
            # A sender that does not know this receiver answers with a TLS alert.
            self.refused["tls" if isinstance(error, ssl.SSLError) else "malformed"] += 1
            if isinstance(error, ssl.SSLError):
                self._wait(pairing, f"{pairing.name} does not know this player: run thinair pair {place}")
            return False
        finally:
            await tls.abort(writer)

    async def _attach(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        tls.send(writer, {"do": "resume", "version": SESSION_VERSION, "can": [CODEC], "boot_id": session.boot_id})
        line = await tls.receive_line(reader, _ANSWER_S)
        answer = decode_resume_grant(line) if line is not None else None
        return answer is not None and "refusal" not in answer

    async def _ask(
        self, pairing: Pairing, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Session | None:
        own = os.urandom(RANDOM_BYTES)
        tls.send(
            writer,
            {
                "do": "session",
                "version": SESSION_VERSION,
                "can": [CODEC],
                "port": self._port,
                "secret": own.hex(),
                "take_over": self._take_over,
            },
        )
        line = await tls.receive_line(reader, _ANSWER_S)
        answer = decode_grant(line) if line is not None else None
        if answer is None:
            self.refused["malformed"] += 1
            return None
        if "refusal" in answer:
            self.refused["refused"] += 1
            self._wait(pairing, f"{pairing.name}: {clean_name(answer['refusal'], 120)}")
            return None
        if CODEC not in answer["can"]:
            self.refused["version"] += 1
            self._wait(pairing, f"{pairing.name} sends a codec that this player lacks: update thinair at both ends")
            return None
        keys = self._keys(pairing, own, answer["secret"])
        self._session = Session(pairing, answer["ssrc"], answer["boot_id"], keys)
        self._place = place
        self._hooks.begin(self._session)
        self._take_over = False  # once: two that both insist would take turns for ever
        with contextlib.suppress(FileError):
            self._pairings.moved(pairing.fingerprint, place, answer["control"])
        return self._session

    async def _hold(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Renews keys ahead of their end; learns why the session is over; ends with the session's packets."""
        own: bytes | None = None
        gone_at: float | None = None  # since when its packets do not come; why it is over may still be said here
        figures_at = _now() + _FIGURES_S
        grace_until = _now() + _GRACE_S
        while not self._news.is_set():
            try:
                line = await tls.receive_line(reader, _POLL_S)
            except TimeoutError:
                if self._hooks.alive() or _now() <= grace_until:
                    gone_at = None
                elif gone_at is None:
                    gone_at = _now()
                elif _now() - gone_at >= _LAST_WORDS_S:
                    return
                if own is None and self._hooks.packets_sealed() >= _RENEW_PACKETS:
                    own = os.urandom(RANDOM_BYTES)
                    tls.send(writer, {"do": "renew", "secret": own.hex()})
                if _now() >= figures_at and (figures := self._hooks.figures()):
                    figures_at = _now() + _FIGURES_S
                    tls.send(
                        writer, {"do": "figures", "latency_us": figures["latency_us"], "bound_us": figures["bound_us"]}
                    )
                continue
            except OSError:
                return
            if line is None:
                return
            message = decode_news(line)
            if message is not None and "over" in message:
                self._not_before[session.pairing.fingerprint] = _now() + _REFUSED_S
                self._hooks.note(f"{session.pairing.name}: {clean_name(message['over'], 120)}")
                return
            if message is None or own is None:
                self.refused["malformed"] += 1
                return
            keys = self._keys(session.pairing, own, message["secret"])
            own = None
            self._hooks.renew(Session(session.pairing, session.ssrc, session.boot_id, keys))

    def _keys(self, pairing: Pairing, own: bytes, secret: str) -> MediaKeys:
        return media_keys(bytes.fromhex(secret), own, pairing.fingerprint, self._identity.fingerprint)

    def _wait(self, pairing: Pairing, text: str) -> None:
        self._not_before[pairing.fingerprint] = _now() + _REFUSED_S
        self._hooks.waiting(text)


def _now() -> float:
    return asyncio.get_running_loop().time()
