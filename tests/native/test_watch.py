"""CodeWatcher against the reader in Python, on codes, damaged codes and noise."""

from __future__ import annotations

import random

import pytest

from thinair.link.native import CodeWatcher, now_us
from thinair.sender.sources.visual_code import BLACK, WHITE, Code, decode, pack

pytestmark = pytest.mark.quick
STEP = 3
PLACES = (0, 150), (300, 450)


def samples(code: Code) -> bytes:
    bits = "".join(f"{byte:08b}" for byte in pack(code.frame_id, code.time_us))
    row = "10" + bits[:32] + "10" + bits[32:]
    return bytes(WHITE if bit == "1" else BLACK for bit in row)


def pixels(top: bytes, bottom: bytes) -> bytearray:
    out = bytearray(600)
    for place, cells in zip(PLACES, (top, bottom), strict=True):
        for row in range(2):
            out[place[row] : place[row] + 34 * STEP : STEP] = cells[34 * row : 34 * row + 34]
    return out


def watcher(buffer: bytearray) -> CodeWatcher:
    return CodeWatcher(buffer, top=PLACES[0], bottom=PLACES[1], step=STEP, sleep_us=10)


def test_what_it_sees_is_what_the_python_reader_reads() -> None:
    random.seed(7)
    for _ in range(500):
        cells = bytearray(samples(Code(random.getrandbits(16), random.getrandbits(32))))
        for _ in range(random.choice((0, 0, 1, 3))):
            cells[random.randrange(68)] = random.randrange(256)
        expected = decode(bytes(cells))
        seen, gaps = watcher(pixels(bytes(cells), bytes(cells))).watch(now_us())
        assert [Code(frame_id, time_us) for frame_id, time_us, _ in seen] == ([expected] if expected else [])
        assert len(gaps) == 4


def test_top_and_bottom_must_agree_and_a_code_counts_once() -> None:
    first, second = samples(Code(1, 10)), samples(Code(2, 20))
    buffer = pixels(second, first)
    eye = watcher(buffer)
    assert eye.watch(now_us())[0] == []
    buffer[:] = pixels(second, second)
    before_us = now_us()
    ((frame_id, time_us, seen_us),) = eye.watch(before_us)[0]
    assert (frame_id, time_us) == (2, 20)
    assert before_us <= seen_us <= now_us()
    assert eye.watch(now_us())[0] == []


def test_places_outside_the_pixels_are_refused_and_a_closed_watcher_says_so() -> None:
    for bottom, step in (((300, 501), STEP), ((-1, 450), STEP), ((300, 450), 2**40), ((300, 450), -1)):
        with pytest.raises(ValueError, match="is outside the pixels"):
            CodeWatcher(bytes(600), top=PLACES[0], bottom=bottom, step=step, sleep_us=10)
    buffer = pixels(bytes(68), bytes(68))
    eye = watcher(buffer)
    eye.close()
    buffer.append(0)  # nothing holds it any more
    with pytest.raises(ValueError, match="closed"):
        eye.watch(now_us())
