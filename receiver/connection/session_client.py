"""Calls a paired sender at its door until it gives a session, and again when that is over."""

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
_REFUSED_S = 2.0  # a sender that said no is not asked again sooner
_CALL_S = 2.0  # an address that somebody called from is tried for so long
_LOOK_S = 0.25
_TELL_S = 1.0
_LAST_WORDS_S = 0.4
_GRACE_S = 1.5  # from a session's begin until its first packet must have come
_RESUME_S = 2.0
_RENEW_PACKETS = 1 << 29  # a quarter of what a key may seal
_STRANGERS = 16  # of whom is told, each once


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
    spent: Callable[[], int]  # packets with the present keys, either way
    figures: Callable[[], dict[str, int]]  # how late the picture is, for the camera's operator; {}: not known
    waiting: Callable[[str], None]  # why there is no picture, in words
    say: Callable[[str], None]


class Caller:
    """`which` is a name or the beginning of a fingerprint; "" for the only one paired, or the first that calls."""

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
        self._heard = asyncio.Event()
        self._calls: dict[str, tuple[str, float]] = {}  # fingerprint → where its door is, and when it called
        self._seen: dict[str, str] = {}  # fingerprint → where it said that its door is
        self._session: Session | None = None
        self._place = ""  # of the present session's door
        self._resume_at = 0.0
        self._strangers: set[str] = set()
        self._not_before: dict[str, float] = {}

    def hear(self, datagram: bytes, host: str) -> None:
        """A call in the clear: a hint only."""
        for message in parse(datagram, self.refused):
            if isinstance(message, Hello):
                self.refused["unsealed"] += 1
                who = message.name or "a sender"
                self._meet(host, f"{who} at {host} sends unsealed: --no-encryption at both ends, or neither")
                continue
            if not isinstance(message, Invite):
                self.refused["call"] += 1
                continue
            print_ = message.fingerprint.hex()
            if not self._is_paired(print_):
                self._meet_stranger(print_, message.name, f"{host}:{message.port}")
                continue
            place = f"[{host}]:{message.port}" if ":" in host else f"{host}:{message.port}"
            self._calls[print_] = place, _now()
            if self._session is None or self._session.boot_id != message.boot_id:
                self._heard.set()

    def see(self, found: Announcement) -> None:
        """A sender said by multicast that it is there: a hint too."""
        if not self._is_paired(found.fingerprint):
            self._meet_stranger(found.fingerprint, found.name, found.place)
        else:
            self._seen[found.fingerprint] = found.place
            if not self._hooks.alive():
                self._heard.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._heard.clear()
            if self._session is not None and self._hooks.alive():
                if _now() >= self._resume_at:
                    await self._call(self._session.pairing, self._place, resume=self._session)
                    self._resume_at = _now() + _RESUME_S
            else:
                for pairing, place in self._candidates():
                    if await self._call(pairing, place):
                        break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await self._heard.wait()

    # ---- whom to call ----------------------------------------------------------------------------------------------

    def _candidates(self) -> list[tuple[Pairing, str]]:
        """Those that called lately first."""
        try:
            paired = [one for one in self._pairings.all() if not self._which or matches(one, self._which)]
        except FileError as error:
            self._hooks.waiting(str(error))
            return []
        now = _now()
        if not paired:
            self._hooks.waiting(
                f"no sender {self._which} is paired: thinair pair ADDRESS" if self._which
                else "no sender is paired yet: thinair pair"
            )  # fmt: skip
            return []
        found = []
        for one in paired:
            place, called = self._calls.get(one.fingerprint, ("", 0.0))
            if place and now - called < _CALL_S:
                found.append((one, place))
        if self._which or len(paired) == 1:
            for one in paired:
                places = (self._seen.get(one.fingerprint, ""), one.address)
                found += [(one, place) for place in places if place and (one, place) not in found]
        return [(one, place) for one, place in found if now >= self._not_before.get(one.fingerprint, 0.0)]

    def _is_paired(self, print_: str) -> bool:
        with contextlib.suppress(FileError):  # run() says what is wrong with the file
            return self._pairings.get(print_) is not None
        return False

    def _meet_stranger(self, print_: str, name: str, place: str) -> None:
        self.refused["unpaired"] += 1
        self._meet(print_, f"{name or 'a sender'} at {place} is not paired: thinair pair {place}")

    def _meet(self, who: str, words: str) -> None:
        """Once."""
        if who not in self._strangers and len(self._strangers) < _STRANGERS:
            self._strangers.add(who)
            self._hooks.say(words)

    # ---- one call --------------------------------------------------------------------------------------------------

    async def _call(self, pairing: Pairing, place: str, resume: Session | None = None) -> bool:
        """Whether a session came of it; returns when its connection is over. `resume`: it lives, and lacks its
        connection only."""
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
            # The sender's word that it does not know us comes as an alert of TLS.
            self.refused["tls" if isinstance(error, ssl.SSLError) else "malformed"] += 1
            if isinstance(error, ssl.SSLError):
                self._wait(pairing, f"{pairing.name} does not know this receiver: thinair pair {place}")
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
            self._wait(pairing, f"{pairing.name} sends what this player cannot show: update it")
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
        """Renews keys ahead of their end; hears why the session is over; ends with the session's packets."""
        asked: bytes | None = None
        gone_at: float | None = None  # since when its packets do not come; why it is over may still be said here
        tell_at = _now() + _TELL_S
        grace_until = _now() + _GRACE_S
        while not self._heard.is_set():
            try:
                line = await tls.receive_line(reader, _LOOK_S)
            except TimeoutError:
                if self._hooks.alive() or _now() <= grace_until:
                    gone_at = None
                elif gone_at is None:
                    gone_at = _now()
                elif _now() - gone_at >= _LAST_WORDS_S:
                    return
                if asked is None and self._hooks.spent() >= _RENEW_PACKETS:
                    asked = os.urandom(RANDOM_BYTES)
                    tls.send(writer, {"do": "renew", "secret": asked.hex()})
                if _now() >= tell_at and (figures := self._hooks.figures()):
                    tell_at = _now() + _TELL_S
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
                self._hooks.say(f"{session.pairing.name}: {clean_name(message['over'], 120)}")
                return
            if message is None or asked is None:
                self.refused["malformed"] += 1
                return
            keys = self._keys(session.pairing, asked, message["secret"])
            asked = None
            self._hooks.renew(Session(session.pairing, session.ssrc, session.boot_id, keys))

    def _keys(self, pairing: Pairing, own: bytes, secret: str) -> MediaKeys:
        return media_keys(bytes.fromhex(secret), own, pairing.fingerprint, self._identity.fingerprint)

    def _wait(self, pairing: Pairing, words: str) -> None:
        self._not_before[pairing.fingerprint] = _now() + _REFUSED_S
        self._hooks.waiting(words)


def _now() -> float:
    return asyncio.get_running_loop().time()
