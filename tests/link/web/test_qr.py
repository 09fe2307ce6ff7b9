"""thinair.link.web.qr, read back by a program that knows nothing of it."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.seeds import seed
from thinair.link.web import qr

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def picture(matrix: qr.Matrix) -> Image.Image:
    white = np.pad(~np.array(matrix), 4, constant_values=True)
    return Image.fromarray(np.kron(white, np.ones((6, 6), bool)).astype(np.uint8) * 255)


def read(matrix: qr.Matrix, path: Path) -> str:
    picture(matrix).save(path)
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path], capture_output=True, check=True
    )
    return done.stdout.decode().removesuffix("\n")


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("zbarimg") is None, reason="zbarimg is not installed")
@pytest.mark.parametrize("length", [1, 2, 19, 20, 21, 38, 39, 61, 62, 89, 90])
def test_a_reader_reads_what_was_written(length: int, tmp_path: Path) -> None:
    text = "".join(random.Random(seed() + length).choices(LETTERS.replace(" ", ""), k=length))
    assert read(qr.encode(text), tmp_path / "code.png") == text


def test_sizes_are_those_of_the_versions_and_a_terminal_shows_two_rows_in_a_line() -> None:
    assert [len(qr.encode("A" * length)) for length in (20, 38, 61, 90)] == [21, 25, 29, 33]
    shown = qr.lines(qr.encode("THINAIR"))
    assert len(shown) == (21 + 8 + 1) // 2
    assert {len(line) for line in shown} == {21 + 8 + len("\x1b[97;40m\x1b[0m")}


@pytest.mark.parametrize("text", ["a", "é", "A" * 91, "A\n"])
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"only|too many"):
        qr.encode(text)
