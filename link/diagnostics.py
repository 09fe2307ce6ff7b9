"""Diagnostics of `thinair doctor`, of either end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    BAD = "bad"
    UNKNOWN = "unknown"  # not visible from here; the text says why
    UNSUPPORTED = "unsupported"  # this machine does not report it


@dataclass(frozen=True, slots=True)
class Diagnostic:
    name: str
    verdict: Verdict
    text: str
    fix: str = ""  # one line for a shell, or for config.txt
    apply: Callable[[], None] | None = None  # what --fix does: lost at the next start, or harmless


def lines(diagnostics: Iterable[Diagnostic]) -> Iterable[str]:
    """For people: one line for each, as it comes, and below a fault its fix."""
    for one in diagnostics:
        yield f"{one.verdict:12}{one.name:16}{one.text}"
        if one.fix and one.verdict is not Verdict.OK:
            yield f"{'':28}{one.fix}"
