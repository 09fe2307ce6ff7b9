"""What `thinair doctor` finds, at either end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    BAD = "bad"
    UNKNOWN = "unknown"  # cannot be seen from here; the text says why
    UNSUPPORTED = "unsupported"  # this machine cannot tell


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    verdict: Verdict
    text: str
    mend: str = ""  # one line for a shell, or for config.txt
    fix: Callable[[], None] | None = None  # what --fix does: undone by the next start, or harmless


def lines(findings: Iterable[Finding]) -> Iterable[str]:
    """For people, as they come: below what is not well the line that mends it."""
    for finding in findings:
        yield f"{finding.verdict:12}{finding.name:16}{finding.text}"
        if finding.mend and finding.verdict is not Verdict.OK:
            yield f"{'':28}{finding.mend}"
