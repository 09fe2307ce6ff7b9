"""Addresses and ports, as a person writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from thinair.link.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; host "" is every address of this machine, port 0 any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, lowest_port: int = 1) -> Endpoint:
        """`HOST:PORT` or `[::1]:5000`. Raises ConfigError."""
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/]+)):(\d{1,5})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"{text!r} is not an address: write HOST:PORT or [IPV6]:PORT")
        return cls(match[1] or match[2], parse_port(match[3], lowest_port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Endpoint:
    """`5004` (every address) or `HOST:PORT`; port 0: any free port."""
    return Endpoint("", parse_port(text, 0)) if re.fullmatch(r"\d+", text, re.ASCII) else Endpoint.parse(text, 0)


def parse_local(text: str) -> Endpoint:
    """`5080` (this machine only) or `HOST:PORT`; port 0: any free port."""
    if re.fullmatch(r"\d+", text, re.ASCII):
        return Endpoint("127.0.0.1", parse_port(text, 0))
    return Endpoint.parse(text, 0)


def parse_port(text: str, lowest: int = 1) -> int:
    if not lowest <= int(text) <= 65535:
        raise ConfigError(f"port {text} is out of range: give {lowest} to 65535")
    return int(text)
