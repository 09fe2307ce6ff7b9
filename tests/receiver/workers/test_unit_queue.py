"""What a process that is behind, or not there yet, gets of the access units."""

from __future__ import annotations

from typing import Any, cast

import pytest

from thinair.receiver.workers.ipc import MessageReader, Unit
from thinair.receiver.workers.unit_queue import UnitQueue
from thinair.receiver.workers.worker import Worker

pytestmark = pytest.mark.quick


class Process:
    def __init__(self) -> None:
        self.alive = self.takes = True
        self.got: list[Unit] = []

    def offer(self, packed: bytes) -> bool:
        if self.takes:
            self.got += [one for one in MessageReader().read(packed) if isinstance(one, Unit)]
        return self.takes


def unit(number: int, size: int = 100) -> Unit:
    return Unit(1, number, number % 10 == 0, False, 0, True, number, number, number, bytes(size))


def unit_queue() -> tuple[Process, UnitQueue]:
    process = Process()
    return process, UnitQueue(cast(Worker, cast(Any, process)))


def test_after_a_refusal_nothing_goes_before_a_key_frame_which_says_how_many_are_missing() -> None:
    process, out = unit_queue()
    for number in range(3):
        out.send(unit(number))
    process.takes = False
    out.send(unit(3))
    process.takes = True
    for number in range(4, 12):
        out.send(unit(number))
    assert [one.frame_id for one in process.got] == [0, 1, 2, 10, 11]
    assert [(one.gap, one.lost_before) for one in process.got[3:]] == [(True, 7), (False, 0)]
    assert out.left_out == 7


def test_what_comes_before_a_process_is_there_is_kept_for_it_in_order() -> None:
    process, out = unit_queue()
    process.alive = False
    for number in range(5):
        out.send(unit(number))
    process.alive = True
    out.started()
    out.send(unit(5))
    assert [one.frame_id for one in process.got] == [0, 1, 2, 3, 4, 5]


def test_no_more_is_kept_than_there_is_room_for() -> None:
    process, out = unit_queue()
    process.alive = False
    for number in range(40):
        out.send(unit(number, 1 << 20))
    process.alive = True
    out.started()
    assert len(process.got) < 16
    assert len(process.got) + out.left_out == 40


def test_what_was_kept_is_forgotten_with_what_it_was_for() -> None:
    process, out = unit_queue()
    process.alive = False
    out.send(unit(0))
    out.forget()
    process.alive = True
    out.started()
    assert process.got == []
