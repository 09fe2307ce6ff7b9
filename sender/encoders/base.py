"""What every encoder offers, in software or in hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, Picture


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    mode: Mode
    bitrate_bps: int = 8_000_000
    key_interval_us: int = 5_000_000  # a key frame at least this often
    colour: Colour = Colour()  # noqa: RUF009 -- frozen


@dataclass(frozen=True, slots=True)
class AccessUnitOut:
    data: bytes  # Annex B, parameter sets before each key frame; empty: the rate control left the picture out
    key: bool
    encode_in_us: int
    encode_out_us: int


class Encoder(Protocol):
    """open(), then one access unit out for each picture in. encode() belongs to one thread; set_bitrate() and
    request_key_frame() may be called from any."""

    config: EncoderConfig
    delay_frames: int  # pictures held back; 0

    def open(self) -> None:
        """Raises DeviceError where the encoder is missing, holds pictures back or refuses the mode."""

    def encode(self, picture: Picture) -> AccessUnitOut: ...

    def set_bitrate(self, bitrate_bps: int) -> None:
        """Holds from the next picture on."""

    def request_key_frame(self) -> None:
        """The next access unit is a key frame."""

    def settle(self) -> None:
        """Does put-off work, such as opening anew for another bitrate. To be called in the gap after a picture has
        been sent; where nobody does, encode() does it first."""

    def describe(self) -> str:
        """Name and settings, one line for people and reports."""

    def close(self) -> None: ...
