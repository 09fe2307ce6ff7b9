"""The messages of the control connection (docs/wire-protocol.md, "Session keys" and "Pairing"): a line of JSON each.

One encoder for all, and a decoder for each place in the conversation. Decoders never raise: None is no such message.
The types are for the type checker alone: what a Pi builds at its start, it pays for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

PAIRING_VERSION = 1
SESSION_VERSION = 1
CODEC = "h264"  # RFC 6184; a word of `can`
MAX_LINE = 8192  # bytes
RANDOM_BYTES = 32  # of secrets and nonces, in hexadecimal on the line
_CAN_WORDS = 16
_MAX_DURATION_US = 60_000_000

if TYPE_CHECKING:
    from typing import Literal, TypedDict, final

    # ---- from the receiver

    @final
    class PairRequest(TypedDict):
        do: Literal["pair"]
        version: int
        name: str
        certificate: str  # PEM
        nonce: str

    @final
    class PairProof(TypedDict):
        proof: str

    @final
    class SessionRequest(TypedDict):
        do: Literal["session"]
        version: int
        can: list[str]
        port: int  # UDP
        secret: str
        take_over: bool

    @final
    class ResumeRequest(TypedDict):
        """The session lives, and has lost its connection."""

        do: Literal["resume"]
        version: int
        can: list[str]
        boot_id: int

    @final
    class OtherVersion(TypedDict):
        """Made by the decoder of a first message whose version this end does not know; never on the wire."""

        do: Literal["pair", "session", "resume"]
        other_version: int  # 0: none was given

    @final
    class RenewRequest(TypedDict):
        do: Literal["renew"]
        secret: str

    @final
    class LatencyReport(TypedDict):
        """For the camera operator, once a second; 0 for unknown."""

        do: Literal["figures"]
        latency_us: int
        bound_us: int

    # ---- from the sender

    @final
    class Refusal(TypedDict):
        refusal: str  # for the person at the receiver

    @final
    class PairChallenge(TypedDict):
        version: int
        nonce: str

    @final
    class PairResult(TypedDict):
        proof: str
        name: str
        token: str  # for the control API
        control: int  # port of the control API; 0: there is none

    @final
    class SessionGrant(TypedDict):
        version: int
        can: list[str]
        secret: str
        control: int
        ssrc: int
        boot_id: int

    @final
    class ResumeGrant(TypedDict):
        version: int

    @final
    class KeysRenewed(TypedDict):
        secret: str

    @final
    class SessionOver(TypedDict):
        over: str  # why, for the person at the receiver

    FirstMessage = PairRequest | SessionRequest | ResumeRequest | OtherVersion
    Message = (
        PairRequest | PairProof | SessionRequest | ResumeRequest | RenewRequest | LatencyReport
        | Refusal | PairChallenge | PairResult | SessionGrant | ResumeGrant | KeysRenewed | SessionOver
    )  # fmt: skip


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


# ---- at the sender


def decode_first(line: bytes) -> FirstMessage | None:
    """What a connection begins with."""
    found = _object(line)
    what = found.get("do")
    if what == "pair":
        return _decode_pair_request(found)
    if what == "session" or what == "resume":  # noqa: PLR1714 -- mypy narrows this only
        return _decode_session_request(what, found)
    return None


def _decode_pair_request(found: Mapping[str, object]) -> PairRequest | OtherVersion | None:
    if found.get("version") != PAIRING_VERSION:
        return {"do": "pair", "other_version": _whole(found.get("version"))}
    name, certificate, nonce = found.get("name"), found.get("certificate"), _random(found.get("nonce"))
    if not isinstance(name, str) or not isinstance(certificate, str) or nonce is None:
        return None
    return {"do": "pair", "version": PAIRING_VERSION, "name": name, "certificate": certificate, "nonce": nonce}


def _decode_session_request(
    what: Literal["session", "resume"], found: Mapping[str, object]
) -> SessionRequest | ResumeRequest | OtherVersion | None:
    if found.get("version") != SESSION_VERSION:
        return {"do": what, "other_version": _whole(found.get("version"))}
    can = _can(found.get("can"))
    if what == "resume":
        boot_id = _below(found.get("boot_id"), 1 << 64)
        return None if boot_id is None else {"do": what, "version": SESSION_VERSION, "can": can, "boot_id": boot_id}
    port, secret = _port(found.get("port")), _random(found.get("secret"))
    if not port or secret is None:
        return None
    return {
        "do": what,
        "version": SESSION_VERSION,
        "can": can,
        "port": port,
        "secret": secret,
        "take_over": found.get("take_over") is True,
    }


def decode_proof(line: bytes) -> PairProof | None:
    proof = _object(line).get("proof")
    return {"proof": proof} if isinstance(proof, str) else None


def decode_during(line: bytes) -> RenewRequest | LatencyReport | None:
    """What a receiver sends during a session."""
    found = _object(line)
    if found.get("do") == "figures":
        return {
            "do": "figures",
            "latency_us": _duration_us(found.get("latency_us")),
            "bound_us": _duration_us(found.get("bound_us")),
        }
    secret = _random(found.get("secret"))
    return None if found.get("do") != "renew" or secret is None else {"do": "renew", "secret": secret}


# ---- at the receiver


def decode_challenge(line: bytes) -> PairChallenge | Refusal | None:
    found = _object(line)
    if (refusal := _refusal(found)) is not None:
        return refusal
    nonce = _random(found.get("nonce"))
    return None if nonce is None else {"version": PAIRING_VERSION, "nonce": nonce}


def decode_pair_result(line: bytes) -> PairResult | Refusal | None:
    found = _object(line)
    if (refusal := _refusal(found)) is not None:
        return refusal
    proof = found.get("proof")
    if not isinstance(proof, str):
        return None
    name, token = _text(found.get("name")), _text(found.get("token"))
    return {"proof": proof, "name": name, "token": token, "control": _port(found.get("control"))}


def decode_grant(line: bytes) -> SessionGrant | Refusal | None:
    found = _object(line)
    if (refusal := _refusal(found)) is not None:
        return refusal
    secret = _random(found.get("secret"))
    ssrc, boot_id = _below(found.get("ssrc"), 1 << 32), _below(found.get("boot_id"), 1 << 64)
    if secret is None or ssrc is None or boot_id is None:
        return None
    return {
        "version": SESSION_VERSION,
        "can": _can(found.get("can")),
        "secret": secret,
        "control": _port(found.get("control")),
        "ssrc": ssrc,
        "boot_id": boot_id,
    }


def decode_resume_grant(line: bytes) -> ResumeGrant | Refusal | None:
    found = _object(line)
    if (refusal := _refusal(found)) is not None:
        return refusal
    return {"version": SESSION_VERSION} if found.get("version") == SESSION_VERSION else None


def decode_news(line: bytes) -> KeysRenewed | SessionOver | None:
    """What a sender sends during a session."""
    found = _object(line)
    if isinstance(over := found.get("over"), str):
        return {"over": over}
    secret = _random(found.get("secret"))
    return None if secret is None else {"secret": secret}


# ---- fields


def _object(line: bytes) -> Mapping[str, object]:
    """Empty for what is no JSON object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(found: Mapping[str, object]) -> Refusal | None:
    refusal = found.get("refusal")
    return {"refusal": refusal} if isinstance(refusal, str) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int:
    return value if type(value) is int else 0


def _below(value: object, limit: int) -> int | None:
    return value if type(value) is int and 0 <= value < limit else None


def _port(value: object) -> int:
    """0 for none."""
    return value if type(value) is int and 0 < value < 65536 else 0


def _duration_us(value: object) -> int:
    return value if type(value) is int and 0 < value < _MAX_DURATION_US else 0


def _can(value: object) -> list[str]:
    return [one for one in value[:_CAN_WORDS] if isinstance(one, str)] if isinstance(value, list) else []


def _random(value: object) -> str | None:
    try:
        return value if isinstance(value, str) and len(bytes.fromhex(value)) == RANDOM_BYTES else None
    except ValueError:
        return None
