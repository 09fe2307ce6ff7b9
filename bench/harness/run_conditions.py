"""Machine, versions and load of a bench run."""

from __future__ import annotations

from typing import TypedDict, cast

from thinair.receiver.stats.run_conditions import ConditionsWatch, collect


class Conditions(TypedDict, total=False):
    """docs/report.md, `conditions.*`, and what a bench adds to it. Shares are of all processor time, 0 to 1."""

    kernel: str
    machine: str
    cpu: str | None
    cores: int | None
    governor: str | None
    load_average: list[float]
    radio: dict[str, float] | None
    display: str | None
    refresh_hz: float | None
    versions: dict[str, str | None]
    seconds: float
    steal_share: float
    own_share: float
    foreign_share: float
    unfit: list[str]
    mode: str
    bitrate_bps: int
    encoder: str
    scheduling: str


class RunConditions:
    """Reads the machine at the start of a run, and what else used the processor until its end. `tools`: the versions of
    the baselines too, for which each of them is started once."""

    def __init__(self, added: Conditions | None = None, *, tools: bool = False) -> None:
        self.machine = cast("Conditions", {**collect(tools=tools), **(added or {})})
        self._watch = ConditionsWatch()
        self._watch.start()

    def finish(self) -> Conditions:
        return cast("Conditions", {**self.machine, **self._watch.stop()})


def scheduling(refused: str | None, priority: int) -> str:
    """`refused`: why the system did not grant real-time priority."""
    return f"ordinary ({refused})" if refused else f"SCHED_RR {priority} for all processes of the bench"
