"""A model of a radio link, seeded, for virtual time (bench.sim) and for real time (bench.air, bench.soak)."""

from bench.network.link import Link, Way
from bench.network.models import MODELS, Fades, Jitter, Loss, Model, Rate, Stalls, read_trace

__all__ = ["MODELS", "Fades", "Jitter", "Link", "Loss", "Model", "Rate", "Stalls", "Way", "read_trace"]
