"""`thinair doctor`: checks of the sender on a Raspberry Pi, of the player elsewhere, of the network on both."""

from __future__ import annotations

from collections.abc import Iterator

from thinair.link.diagnostics import Diagnostic, Verdict, lines
from thinair.link.errors import Exit
from thinair.sender.board.doctor import Board, examine, fix


def run(board: Board, *, apply_fixes: bool) -> int:
    """Prints every diagnostic; with `apply_fixes`, safe fixes are applied first. 1 where a fault is left."""
    if apply_fixes:
        for diagnostic, why in fix(board):
            print(f"{diagnostic.name}: {f'not fixed: {why}' if why else 'fixed'}")
    if board.model:
        print(board.model)
    faults = 0

    def counted() -> Iterator[Diagnostic]:
        nonlocal faults
        for diagnostic in _checks(board):
            faults += diagnostic.verdict is Verdict.BAD
            yield diagnostic

    for line in lines(counted()):
        print(line, flush=True)
    print(f"faults: {faults}; the fix is below each" if faults else "no faults")
    return int(Exit.FAULTS if faults else Exit.OK)


def _checks(board: Board) -> Iterator[Diagnostic]:
    if not board.is_pi:
        from thinair.receiver.commands import doctor

        yield from doctor.examine()
    yield from examine(board)
