"""`thinair doctor`: checks of the sender on a Raspberry Pi, of the player elsewhere, of the network on both."""

from __future__ import annotations

from collections.abc import Iterator

from thinair.link.diagnostics import Finding, Verdict, lines
from thinair.link.errors import Exit
from thinair.sender.board.doctor import Board, examine, fix


def run(board: Board, *, mend: bool) -> int:
    """Prints every finding, and with `mend` applies what is safe first. 1 where something stays bad."""
    if mend:
        for finding, why in fix(board):
            print(f"{finding.name}: {f'not mended: {why}' if why else 'mended'}")
    if board.model:
        print(board.model)
    findings: list[Finding] = []

    def noted() -> Iterator[Finding]:
        for finding in _checks(board):
            findings.append(finding)
            yield finding

    for line in lines(noted()):
        print(line, flush=True)
    bad = sum(finding.verdict is Verdict.BAD for finding in findings)
    print(f"{bad} to mend, by the lines below them" if bad else "nothing to mend")
    return int(Exit.FAULTS if bad else Exit.OK)


def _checks(board: Board) -> Iterator[Finding]:
    if not board.is_pi:
        from thinair.receiver.commands import doctor

        yield from doctor.examine()
    yield from examine(board)
