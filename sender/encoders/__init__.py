"""Encoders, chosen by a word."""

from __future__ import annotations

from collections.abc import Callable

from thinair.link.errors import DeviceError
from thinair.sender.encoders.base import AccessUnitOut, Encoder, EncoderConfig

__all__ = ["AccessUnitOut", "Encoder", "EncoderConfig", "open_encoder"]


def open_encoder(
    config: EncoderConfig,
    *,
    choice: str = "x264",
    preset: str = "ultrafast",
    threads: int = 2,
    log: Callable[[str], None] = lambda text: None,
) -> Encoder:
    """An opened encoder. `choice`: x264, v4l2m2m, mmal, or auto: the first of v4l2m2m, mmal, x264 that opens, and `log`
    gets the reasons. Raises DeviceError where it is missing or refuses the mode."""
    if choice == "x264":
        return _open_x264(config, preset, threads)
    from thinair.sender.encoders.hardware import KINDS, Hardware

    reasons = []
    for name in KINDS if choice == "auto" else (choice,):
        hardware = Hardware(name, config)
        try:
            hardware.open()
        except DeviceError as error:
            if choice != "auto":
                raise
            reasons.append(str(error))
        else:
            if choice == "auto":
                log("; ".join([f"encoder {name}", *reasons]))
            return hardware
    encoder = _open_x264(config, preset, threads)
    log("; ".join(["encoder x264", *reasons]))
    return encoder


def _open_x264(config: EncoderConfig, preset: str, threads: int) -> Encoder:
    try:
        from thinair.sender.encoders.x264 import X264

        encoder = X264(config, preset=preset, threads=threads)
        encoder.open()
    except ImportError as error:
        from thinair.link.missing_package import install_line

        raise DeviceError(f"encoder x264 needs PyAV: {install_line('av')}") from error
    return encoder
