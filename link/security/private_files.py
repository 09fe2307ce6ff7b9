"""Secrets on disk: keys, pairings, the pairing code. Files of mode 0600 in a folder of 0700, replaced atomically."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from thinair.link.errors import FileError
from thinair.link.files import writing


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
        raise FileError(
            f"cannot keep keys in {path} ({error.strerror}): set THINAIR_STATE to another folder"
        ) from error
    return path


def read(path: Path) -> dict[str, object]:
    """{} where there is no file yet. Raises FileError for an unreadable or damaged one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path} ({error}): move it away, and pair again") from error
    if not isinstance(content, dict):
        raise FileError(f"{path} is damaged: move it away, and pair again")
    return content


def write(path: Path, content: Mapping[str, object]) -> None:
    """Replaces the file; on disk when this returns. Raises FileError."""
    import tempfile  # loads what most starts do without

    with writing(path):
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


def sync(path: Path) -> None:
    """Flushes the entries of a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
