"""What strangers can say to either end before they have shown who they are; the first byte chooses whom it is said
to."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

from aiohttp.test_utils import make_mocked_request

from thinair.link.endpoint import Endpoint
from thinair.link.errors import ConfigError
from thinair.link.mdns import SERVICE, read_announcement
from thinair.link.options import parse_bitrate
from thinair.link.protocol.receiver_session import ReceiverSession
from thinair.link.protocol.rtcp import parse
from thinair.link.protocol.sender_session import MediaDescription, SenderSession
from thinair.link.protocol.session_messages import (
    decode_challenge,
    decode_during,
    decode_first,
    decode_grant,
    decode_news,
    decode_pair_result,
    decode_proof,
    decode_resume_grant,
)
from thinair.link.security import tls
from thinair.link.security.pairing import Own, PairingReceiver, PairingSender, clean_name, read_scan, stretch
from thinair.link.video_mode import Mode
from thinair.link.web.request_guard import RequestGuard

_DER = b"a certificate"
_KEY = stretch("7K2M-9QXD-41TV", _DER)
_LOOP = asyncio.new_event_loop()
_GUARDS = RequestGuard("127.0.0.1", None), RequestGuard("0.0.0.0", lambda token: token == "secret")  # noqa: S104, S105


def _control(data: bytes) -> None:
    parse(data, Counter())


def _sender_session(data: bytes) -> None:
    session = SenderSession(1, 2, 3, MediaDescription(640, 360, Fraction(30), 1_000_000, name="A"))
    session.receive_datagram(data, 1_000_000)
    said = 0
    while (out := session.next_datagram(1_000_000)) is not None:
        said += len(out)
    assert said <= 200, "HELLO only: a stranger brings out nothing"


def _receiver_session(data: bytes) -> None:
    for encrypted in (False, True):
        session = ReceiverSession(5, encrypted=encrypted)
        session.receive_datagram(data, 1_000_000, "192.0.2.1", 5004)
        while session.next_event() is not None:
            pass
        said = 0
        while (out := session.next_datagram(1_000_000)) is not None:
            said += len(out[0])
        assert said <= 72 * (len(data) // 68), "an open link answers a HELLO by a WELCOME and a PROBE"


def _announcement(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\n")
    keys = ("fp", "door", "model", "state", "mode", "signal")
    txt: dict[str, str | None] = {"v": "1", **dict(zip(keys, words[1:], strict=False))}
    found = read_announcement(f"{words[0]}.{SERVICE}", "192.0.2.1", txt)
    if found is not None:
        Endpoint.parse(found.place)
        assert all(c.isprintable() for c in found.name + found.model + found.state + found.mode)


def _typed(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for read in (read_scan, Mode.parse, parse_bitrate, Endpoint.parse):
        with contextlib.suppress(ConfigError):
            read(text)
    assert clean_name(text).isprintable()


def _session_server(data: bytes) -> None:
    """Lines at the sender's session server, through the pairing."""
    reader = asyncio.StreamReader(limit=tls.READER_LIMIT, loop=_LOOP)
    reader.feed_data(data)
    reader.feed_eof()
    one = PairingSender(_KEY, _DER, "A-CAM", bytes(32), der_of=str.encode, token="", control=0)
    while (line := _LOOP.run_until_complete(tls.receive_line(reader, None))) is not None:
        first, proof = decode_first(line), decode_proof(line)
        if first is not None and first["do"] == "pair" and "other_version" not in first:
            one.challenge(first)
        if proof is not None:
            one.check(proof)
        decode_during(line)
    assert one.peer is None, "nobody guesses the code"


def _impostor(data: bytes) -> None:
    """Lines that one who is no sender says to a receiver that pairs."""
    one = PairingReceiver(_KEY, _DER, Own("desk", "pem", b"der"), bytes(32))
    one.request()
    for line in data.split(b"\n"):
        challenge, result = decode_challenge(line), decode_pair_result(line)
        if challenge is not None and "refusal" not in challenge:
            one.prove(challenge)
        if result is not None and "refusal" not in result:
            one.accept(result)
        for decode in (decode_grant, decode_resume_grant, decode_news):
            decode(line)
    assert one.sender_name is None


def _headers(data: bytes) -> None:
    host, origin, site, cookie, path = (*data.decode("latin-1").split("\n"), "", "", "", "", "")[:5]
    named = {"Host": host, "Origin": origin, "Sec-Fetch-Site": site, "Cookie": cookie}
    plain = "".join(c for c in path if "!" <= c <= "~").lstrip("/")  # aiohttp's own parser makes it so
    request = make_mocked_request("GET", f"/{plain}", headers={k: v for k, v in named.items() if v})
    for guard in _GUARDS:
        guard.refusal(request)


TARGETS: tuple[Callable[[bytes], None], ...] = (
    _control, _sender_session, _receiver_session, _announcement, _typed, _session_server, _impostor, _headers,
)  # fmt: skip


def feed(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])
