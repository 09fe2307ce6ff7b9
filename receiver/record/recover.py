"""`thinair recover`: what a crash left of a recording becomes an ordinary file beside it. The original stays."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thinair.link.errors import Exit, FileError
from thinair.receiver.file_names import default_folder
from thinair.receiver.record.movie import FORMATS

_MARK = ".recovered"
_PROGRESS_EVERY = 1000  # pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="recordings, or folders of recordings")


def run(arguments: argparse.Namespace) -> int:
    """One line per recording. 1 where one could not be recovered. Raises FileError."""
    paths = arguments.paths or [default_folder()]
    failed = False
    found = list(_recordings(paths))
    for path in found:
        try:
            print(f"{path}: {recover(path)}", flush=True)
        except ValueError as error:
            failed = True
            print(f"{path}: cannot be recovered: {error}", file=sys.stderr)
    if not found:
        print(f"no interrupted recordings in {', '.join(map(str, paths))}")
    return int(Exit.FAULTS if failed else Exit.OK)


def recover(path: Path) -> str:
    """What was done, as a sentence. Raises ValueError where there is nothing to save, FileError."""
    import av

    if is_whole(path):
        return "is complete"
    target = path.with_name(f"{path.stem}{_MARK}{path.suffix}")
    if target.exists():
        return f"was already recovered: {target.name}"
    part = target.with_name(f".{target.name}.part")
    try:
        pictures, seconds = _copy(path, part)
        if pictures:
            part.rename(target)
    except (av.FFmpegError, OSError) as error:
        raise ValueError(getattr(error, "strerror", None) or str(error)) from error
    finally:
        part.unlink(missing_ok=True)
    if not pictures:
        raise ValueError("it contains no picture")
    return f"{pictures} pictures, {seconds:.1f} s, saved as {target.name}"


def is_whole(path: Path) -> bool:
    """Whether the recorder came to its end: an MP4 without a fragment at its top level, a Matroska file with a
    duration. Raises FileError, ValueError."""
    import av

    try:
        if path.suffix == ".mp4":
            kinds = set(_boxes(path))
            return "moof" not in kinds and "moov" in kinds
        with av.open(str(path)) as container:
            return container.duration is not None
    except av.FFmpegError:
        return False
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error


def _boxes(path: Path) -> Iterator[str]:
    """Kinds of the boxes at the top level (ISO/IEC 14496-12, 4.2)."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            yield head[4:8].decode("latin-1")
            if size < 8:
                return
            at += size


def _copy(path: Path, part: Path) -> tuple[int, float]:
    """Every whole picture with its time. (pictures, seconds)."""
    import av

    pictures, first, last = 0, None, 0.0
    muxer = "mp4" if path.suffix == ".mp4" else "matroska"
    with av.open(str(path)) as source, av.open(str(part), "w", format=muxer) as target:
        stream: Any = source.streams.video[0]
        copy: Any = target.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        for packet in source.demux(stream):
            if packet.dts is None or packet.is_corrupt or packet.pts is None:
                continue
            time_base = packet.time_base
            assert time_base is not None
            last = float(packet.pts * time_base)
            first = last if first is None else first
            packet.stream = copy
            target.mux(packet)
            pictures += 1
            if sys.stdout.isatty() and pictures % _PROGRESS_EVERY == 0:
                print(f"\r{path.name}: {pictures} pictures", end="\r", flush=True)
    return pictures, last - (first or 0.0)


def _recordings(paths: list[Path]) -> Iterator[Path]:
    """Files as named; of folders those that are not whole."""
    for path in paths:
        if not path.exists():
            raise FileError(f"cannot read {path}: no such file or folder")
        if path.is_file():
            yield path
            continue
        for kind in FORMATS:
            found = (one for one in sorted(path.glob(f"*.{kind}")) if not one.stem.endswith(_MARK))
            yield from (one for one in found if not is_whole(one))
