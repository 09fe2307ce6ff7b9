"""From a source to packets: what the service starts, watches and asks. In software picture by picture, or in hardware
as one C thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from thinair.link.protocol.source_state import SourceState
from thinair.link.video_mode import Mode

if TYPE_CHECKING:
    from thinair.sender.pipeline.preview import Thumbnail


@dataclass(slots=True)
class Counts:
    captured: int = 0
    skipped: int = 0  # pictures the source left out because encoding came late
    encoded: int = 0
    sent: int = 0
    refused: int = 0  # access units that could not be sent; each forces a key frame


@dataclass(frozen=True, slots=True)
class Hooks:
    """Called from the pipeline's thread; each must return at once."""

    mode: Callable[[Mode], None]  # pictures of this mode follow, with a key frame first
    state: Callable[[SourceState], None]  # at each change, and twice a second while there is no picture
    key_frame: Callable[[int], None]  # µs at which the encoder gave one
    log: Callable[[str], None]  # a line for the operator


class Pipeline(Protocol):
    """open(), run() by a thread of its own until `stop` is set or the source ends, then close(). The other methods may
    be called from any thread."""

    counts: Counts
    notes: list[str]

    def open(self) -> None:
        """Raises DeviceError or ConfigError for what cannot work at all. A camera that is not there yet is no error."""

    def run(self, stop: threading.Event) -> None: ...

    def allow(self, allowed: bool) -> None:
        """Whether a receiver is there. While none is, nothing is encoded."""

    def set_bitrate(self, bitrate_bps: int) -> None: ...

    def request_key_frame(self) -> None: ...

    def preview(self) -> Thumbnail | None:
        """A small picture, once, of those since the call before; requests another."""

    def request_mode(self, mode: Mode) -> None:
        """A mode that the source does not have is logged, and nothing changes."""

    def describe(self) -> str: ...

    def close(self) -> None: ...
