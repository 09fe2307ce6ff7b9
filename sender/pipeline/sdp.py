"""The SDP of a plain H.264 stream (RFC 8866, RFC 6184 section 8.2)."""

from __future__ import annotations

from base64 import b64encode

from thinair.link.endpoint import Endpoint
from thinair.link.native import split_nals

_SPS, _PPS = 7, 8


def describe_stream(to: Endpoint, key_unit: bytes, name: str, payload_type: int = 96) -> str:
    """`key_unit` is an access unit with its parameter sets (Annex B)."""
    sets = [key_unit[at : at + size] for at, size in split_nals(key_unit) if key_unit[at] & 0x1F in {_SPS, _PPS}]
    profile = next((nal[1:4].hex() for nal in sets if nal[0] & 0x1F == _SPS), "42e01f")
    family = "IP6" if ":" in to.host else "IP4"
    lines = [
        "v=0",
        f"o=- 0 0 IN {family} {to.host}",
        f"s={name}",
        f"c=IN {family} {to.host}",
        "t=0 0",
        f"m=video {to.port} RTP/AVP {payload_type}",
        f"a=rtpmap:{payload_type} H264/90000",
        f"a=fmtp:{payload_type} packetization-mode=1;profile-level-id={profile};"
        f"sprop-parameter-sets={','.join(b64encode(nal).decode() for nal in sets)}",
        "a=recvonly",
    ]
    return "\r\n".join(lines) + "\r\n"
