"""A model of a radio link, seeded, for virtual time (thinair.bench.sim) and for real time (thinair.bench.air,
thinair.bench.soak)."""

from thinair.bench.network.link import Link, Way
from thinair.bench.network.models import MODELS, Fades, Jitter, Loss, Model, Rate, Stalls, read_trace

__all__ = ["MODELS", "Fades", "Jitter", "Link", "Loss", "Model", "Rate", "Stalls", "Way", "read_trace"]
