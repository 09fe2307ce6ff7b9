"""Names of recordings and snapshots: the camera and the time, `A-CAM_2026-05-01_14-03-22.mp4`."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path


def default_folder() -> Path:
    """`thinair` in the desktop's folder for videos (user-dirs.dirs of xdg-user-dirs), else in ~/Videos."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "user-dirs.dirs"
    try:
        found = re.search(r'^XDG_VIDEOS_DIR="(.+)"$', config.read_text(), re.MULTILINE)
    except OSError:
        found = None
    videos = Path(found[1].replace("$HOME", str(Path.home()))) if found else Path.home() / "Videos"
    return videos / "thinair"


def stem(camera: str, when: datetime) -> str:
    """Letters, digits, dot and dash of the camera's name; local time."""
    name = re.sub(r"[^\w.-]+", "-", camera).strip("-._") or "camera"
    return f"{name}_{when:%Y-%m-%d_%H-%M-%S}"


def numbered(base: str, number: int) -> str:
    """The first, second, third file of a name that is taken: base, base-2, base-3."""
    return base if number <= 1 else f"{base}-{number}"
