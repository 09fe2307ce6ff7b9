"""Addresses and ports, as a person writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from thinair.link.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A UDP address; host "" is every address of this machine."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """`HOST:PORT` or `[::1]:5000`. Raises ConfigError."""
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/]+)):(\d{1,5})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"{text!r} is not an address: write HOST:PORT or [IPV6]:PORT")
        return cls(match[1] or match[2], parse_port(match[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Endpoint:
    """`5004` (every address) or `HOST:PORT`."""
    return Endpoint("", parse_port(text)) if re.fullmatch(r"\d+", text, re.ASCII) else Endpoint.parse(text)


def parse_local(text: str) -> Endpoint:
    """`5080` (this machine only) or `HOST:PORT`."""
    return Endpoint("127.0.0.1", parse_port(text)) if re.fullmatch(r"\d+", text, re.ASCII) else Endpoint.parse(text)


def parse_port(text: str) -> int:
    if not 1 <= int(text) <= 65535:
        raise ConfigError(f"port {text} is out of range: give 1 to 65535")
    return int(text)
