"""EDIDs and the video timings in them: parse, check, mend, build, explain. Standard library only."""

from edid.build import PRESETS, build, preset
from edid.check import check
from edid.errors import EdidError, ModeError
from edid.fix import fix
from edid.parse import Edid, parse
from edid.text import read

__all__ = ["PRESETS", "Edid", "EdidError", "ModeError", "build", "check", "fix", "parse", "preset", "read"]
