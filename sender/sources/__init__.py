"""Sources of pictures, chosen by a word: testcard, screen::0, file:CLIP, hdmi, hdmi:/dev/video0."""

from __future__ import annotations

from thinair.link.errors import ConfigError
from thinair.link.video_mode import Mode
from thinair.sender.picture import Colour, Picture
from thinair.sender.sources.base import Source

__all__ = ["DEFAULT_MODE", "Colour", "Mode", "Picture", "Source", "open_source"]

DEFAULT_MODE = Mode.parse("1920x1080@25")


def open_source(spec: str, mode: Mode | None = None, *, visual_code: bool = True, edid: str = "keep") -> Source:
    """An opened source. `mode` is what the pictures shall have; where it is None, the test card takes DEFAULT_MODE, the
    screen its size, and a file its own; a camera always does. `visual_code` is the test card's, `edid` the HDMI input's
    (SenderConfig.edid). Raises ConfigError for an unknown word, DeviceError or FileError for what is missing."""
    kind, _, rest = spec.partition(":")
    source: Source
    if kind == "testcard" and rest in {"", "witness"}:
        from thinair.sender.sources.testcard import Testcard  # loads numpy, av and PIL

        source = Testcard(mode or DEFAULT_MODE, visual_code=visual_code, witness=rest == "witness")
    elif kind == "screen":
        from thinair.sender.sources.screen import Screen

        source = Screen(rest, mode)
    elif kind == "file" and rest:
        from thinair.sender.sources.file import File

        source = File(rest, mode)
    elif kind == "hdmi":
        from thinair.sender.hdmi.port import HdmiPort, read_edid
        from thinair.sender.sources.hdmi import Hdmi

        source = Hdmi(HdmiPort(rest or None, read_edid(edid), wanted=mode), mode or DEFAULT_MODE)
    else:
        raise ConfigError(f"source {spec!r} is unknown: use testcard, screen::0, file:CLIP, hdmi or hdmi:/dev/video0")
    source.open()
    return source
