"""Files that the user named, checked before a run starts."""

from pathlib import Path

from thinair.link.errors import FileError


def check_writable(*paths: Path | None) -> None:
    """Raises FileError at the start of a run for a file that could not be written at its end. Changes no file."""
    for path in paths:
        if path is None:
            continue
        new = not path.exists()
        try:
            with path.open("ab"):
                pass
            if new:
                path.unlink()
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror}") from error


def check_readable(path: str) -> None:
    """Raises FileError at the start of a run for a file that it could not play."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise FileError(f"cannot play {path}: {error.strerror}") from error
