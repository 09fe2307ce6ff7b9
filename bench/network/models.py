"""Channel models: what a link does to packets. MODELS has those that the benches know by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from thinair.link.errors import ConfigError, FileError


@dataclass(frozen=True, slots=True)
class Loss:
    """Gilbert-Elliott: the channel is good or bad, and a packet is lost with the probability of that state. The state
    may change with each packet."""

    to_bad: float
    to_good: float
    in_good: float
    in_bad: float

    @classmethod
    def bursts(cls, share: float, length: float) -> Loss:
        """`share` of all packets lost, in bursts of `length` packets on average."""
        to_good = 1 / length
        return cls(share * to_good / (1 - share), to_good, 0.0, 1.0)

    @property
    def share(self) -> float:
        bad = self.to_bad / (self.to_bad + self.to_good)
        return bad * self.in_bad + (1 - bad) * self.in_good


@dataclass(frozen=True, slots=True)
class Fades:
    """Bad periods, exponential in length and distance: what pacing helps against."""

    per_second: float
    length_us: float
    loss: float


@dataclass(frozen=True, slots=True)
class Jitter:
    """Additional delay, log-normal and slowly changing (autoregressive in its logarithm); packets keep their order."""

    median_us: float
    sigma: float
    coherence_us: float = 20_000.0


@dataclass(frozen=True, slots=True)
class Stalls:
    """Every `every_us` the link stops for a time drawn evenly from `length_us`: a WiFi scan."""

    every_us: float
    length_us: tuple[float, float]
    first_us: float = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Mbit/s over time: (seconds from the start, rate). At the time of the last entry it starts again."""

    steps: tuple[tuple[float, float], ...]

    @classmethod
    def constant(cls, mbps: float) -> Rate:
        return cls(((0.0, mbps), (1e9, mbps)))

    def scaled(self, factor: float) -> Rate:
        return Rate(tuple((at, rate * factor) for at, rate in self.steps))

    @property
    def seconds(self) -> float:
        return self.steps[-1][0]

    def lowest(self, begin_s: float, end_s: float) -> float:
        """The lowest rate between two times, Mbit/s."""
        repeats = range(int(begin_s // self.seconds), int(end_s // self.seconds) + 1)
        spans = ((repeat * self.seconds + at, repeat * self.seconds + end, rate) for repeat in repeats
                 for (at, rate), (end, _) in pairwise(self.steps))  # fmt: skip
        return min(rate for at, end, rate in spans if at <= end_s and end > begin_s)

    def usable_bits(self, seconds: float, cap_mbps: float) -> float:
        """Bits that min(rate, cap) carries in the first `seconds`."""
        whole, rest = divmod(seconds, self.seconds)
        return 1e6 * (whole * self._area(self.seconds, cap_mbps) + self._area(rest, cap_mbps))

    def _area(self, until: float, cap: float) -> float:
        return sum(
            min(rate, cap) * (min(end, until) - at) for (at, rate), (end, _) in pairwise(self.steps) if at < until
        )


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    rate: Rate = Rate.constant(30.0)  # noqa: RUF009 -- frozen
    queue_us: float = 200_000.0  # a packet that would wait longer is dropped at the tail
    delay_us: float = 3_000.0  # each way
    loss: Loss | None = None  # each direction by itself
    fades: Fades | None = None  # both directions
    jitter: Jitter | None = None  # sender to receiver
    jitter_reverse: Jitter | None = None
    stalls: Stalls | None = None  # both ways
    reorder: tuple[float, float] = (0.0, 0.0)  # share of packets, their additional delay in µs
    duplicates: float = 0.0
    wake_us: float = 0.0  # feedback arrives at multiples of this only: WiFi power save
    airtime_us: float = (
        0.0  # half duplex: both directions share the channel, and each packet occupies it for this besides its bytes
    )
    max_bps: int = 8_000_000  # bitrate that the sender is set to

    def as_traced(self, name: str, rate: Rate) -> Model:
        return dataclasses.replace(self, name=name, rate=rate)


def read_trace(path: Path) -> Rate:
    """A capacity trace: two columns, seconds and Mbit/s; the first time counts as 0. Raises FileError, ConfigError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not text'}") from error
    steps: list[tuple[float, float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            at, rate = (float(word) for word in words)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: write two numbers, seconds and Mbit/s") from error
        if not (math.isfinite(at) and math.isfinite(rate)) or rate < 0 or (steps and at <= steps[-1][0]):
            raise ConfigError(f"{path}, line {number}: times must increase, and rates be 0 or more")
        steps.append((at, rate))
    if len(steps) < 2 or not any(rate for _, rate in steps[:-1]):
        raise ConfigError(f"{path}: a trace needs at least two lines, and a rate above 0")
    return Rate(tuple((at - steps[0][0], rate) for at, rate in steps))


def _cycle(*parts: tuple[float, float]) -> Rate:
    """(seconds, Mbit/s), one after the other."""
    at, steps = 0.0, []
    for seconds, rate in parts:
        steps.append((at, rate))
        at += seconds
    return Rate((*steps, (at, parts[0][1])))


GE = Loss(0.068, 0.852, 0.04, 0.5)  # Tambur, NSDI'23
# A Pi Zero W behind an access point: round trips of 12 ms at p50 and 40 ms at p99. Most of it is in the feedback
# direction, which has to wait for the video.
_FAR_FORWARD, _FAR_REVERSE = Jitter(median_us=600.0, sigma=0.6), Jitter(median_us=3_300.0, sigma=0.95)
_LOSSES = {
    "clean": None,
    "ge": GE,
    "burst1": Loss.bursts(0.01, 4),
    "burst5": Loss.bursts(0.05, 4),
    "burst10": Loss.bursts(0.10, 5),
}
_ROOM = Rate.constant(100.0)  # for thinair.bench.air: models of loss, without a queue


def _named(models: Sequence[Model]) -> dict[str, Model]:
    return {model.name: model for model in models}


MODELS: dict[str, Model] = _named(
    [
        *(Model(name, loss=loss) for name, loss in _LOSSES.items()),
        *(
            Model(f"{name}-far", loss=loss, delay_us=4_000, jitter=_FAR_FORWARD, jitter_reverse=_FAR_REVERSE)
            for name, loss in _LOSSES.items()
        ),
        Model("steps", rate=_cycle((10, 30), (10, 3), (10, 30)), max_bps=12_000_000),
        Model("scan", stalls=Stalls(10_000_000, (200_000, 200_000))),
        Model("scans", stalls=Stalls(5_000_000, (50_000, 400_000))),
        Model("powersave", wake_us=102_400),
        Model("halfduplex", rate=Rate.constant(30.0), airtime_us=120, loss=Loss.bursts(0.02, 3)),
        Model("fades", fades=Fades(2.0, 6_000, 0.9)),
        Model("reorder", reorder=(0.02, 2_500), duplicates=0.01, loss=Loss.bursts(0.01, 2)),
        Model("A", rate=_ROOM, loss=Loss.bursts(0.01, 4)),
        Model("B", rate=_ROOM, loss=Loss.bursts(0.05, 4)),
        Model("C", rate=_ROOM, loss=Loss.bursts(0.10, 5)),
        Model("GE", rate=_ROOM, loss=GE),
        Model("D", rate=_ROOM, queue_us=1_000_000, stalls=Stalls(5_000_000, (200_000, 200_000))),
        Model("E", rate=_cycle((3, 20), (3, 5)), queue_us=100_000),
    ]
)
