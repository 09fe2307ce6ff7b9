"""Seeded models of a radio link, for virtual time (thinair.bench.sim) and real time (thinair.bench.air,
thinair.bench.soak)."""

from thinair.bench.network.link import Direction, Link
from thinair.bench.network.models import MODELS, Fades, Jitter, Loss, Model, Rate, Stalls, read_trace

__all__ = ["MODELS", "Direction", "Fades", "Jitter", "Link", "Loss", "Model", "Rate", "Stalls", "read_trace"]
