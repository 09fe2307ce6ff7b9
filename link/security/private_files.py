"""What outlives a run and is nobody else's to read: keys, pairings, the pairing code. Files of 0600 in a folder of
0700, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from thinair.link.errors import FileError


def folder(end: str) -> Path:
    """Of the "sender" or the "receiver": below $THINAIR_STATE, what systemd grants ($STATE_DIRECTORY), or the user's
    state (XDG Base Directory Specification). Made where it is not there. Raises FileError."""
    granted = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    given = os.environ.get("THINAIR_STATE") or granted
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "thinair"
    path = (Path(given) if given else home) / end
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot keep keys in {path}: {error.strerror}: set THINAIR_STATE to a folder") from error
    return path


def read(path: Path) -> dict[str, Any]:
    """{} where there is none yet. Raises FileError for what is none of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path} ({error}): move it away to begin anew") from error
    if not isinstance(content, dict):
        raise FileError(f"{path} is not what thinair wrote: move it away to begin anew")
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """In place of the old one, on the disk when this returns. Raises FileError."""
    import tempfile  # loads what most starts do without

    try:
        handle, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
                if os.geteuid() == 0:  # an operator's sudo beside the service
                    owner = path.parent.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            Path(new).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(new).unlink()
            raise
        sync(path.parent)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from error


def sync(path: Path) -> None:
    """A folder's entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
