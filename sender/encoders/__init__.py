"""Encoders."""

from sender.encoders.base import AccessUnitOut, Encoder, EncoderConfig

__all__ = ["AccessUnitOut", "Encoder", "EncoderConfig"]
