"""Encoders, chosen by a word."""

from __future__ import annotations

from link.errors import DeviceError
from sender.encoders.base import AccessUnitOut, Encoder, EncoderConfig

__all__ = ["AccessUnitOut", "Encoder", "EncoderConfig", "open_encoder"]


def open_encoder(config: EncoderConfig, *, preset: str = "ultrafast", threads: int = 2) -> Encoder:
    """An opened encoder. Raises DeviceError where it is missing or refuses the mode."""
    try:
        from sender.encoders.x264 import X264

        encoder = X264(config, preset=preset, threads=threads)
        encoder.open()
    except ImportError as error:
        raise DeviceError("the x264 encoder needs PyAV: pip install 'thinair[pc]'") from error
    return encoder
