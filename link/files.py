"""Files that the user named: an error is one line that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinair.link.errors import FileError


@contextmanager
def writing(path: Path, advice: str = "") -> Iterator[None]:
    """Around all that writes the file. Raises FileError for an OSError; `advice`: what to do about it."""
    try:
        yield
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}{advice and f'; {advice}'}") from error


def check_writable(*paths: Path | None) -> None:
    """Raises FileError at the start of a run for a file that could not be written at its end. Changes no file."""
    for path in paths:
        if path is None:
            continue
        new = not path.exists()
        with writing(path):
            with path.open("ab"):
                pass
            if new:
                path.unlink()


def check_readable(path: str) -> None:
    """Raises FileError at the start of a run for a file that it could not play."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise FileError(f"cannot play {path}: {error.strerror}") from error
