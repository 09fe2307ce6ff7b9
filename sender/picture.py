"""A raw picture, and what comes in place of one: between sources, pipelines and encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinair.link.protocol.source_state import SourceState
from thinair.link.video_mode import Mode

if TYPE_CHECKING:
    import av


@dataclass(frozen=True, slots=True)
class Colour:
    """How Y, U, V of a picture are meant."""

    bt709: bool = True
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """One raw picture. `frame` (yuv420p, of the source's mode) belongs to the source, which will draw into it again:
    encode it before calling next() twice more."""

    frame: av.VideoFrame
    seq: int  # counts the pictures handed out, from 0
    capture_us: int  # CLOCK_MONOTONIC: when the picture's capture, or the drawing of its code, began
    dequeue_us: int  # when it was ready to be encoded
    skipped: int  # pictures left out right before this one because the caller came late


@dataclass(frozen=True, slots=True)
class NewMode:
    """Pictures of another size, rate or colour follow; the source's `mode` and `colour` say the same."""

    mode: Mode
    colour: Colour


@dataclass(frozen=True, slots=True)
class NoPicture:
    """Comes at each change of state, and twice a second while there is no picture."""

    state: SourceState
