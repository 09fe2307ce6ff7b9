"""Randomness that a run can repeat: the same by default, so that a red run means a change; other each time where
THINAIR_SEED is `random`, as in `make test-long`; and THINAIR_SEED=NUMBER plays a printed seed again."""

from __future__ import annotations

import os
import random

from hypothesis import settings

_SEED = os.environ.get("THINAIR_SEED", "20261120")
EXPLORING = _SEED == "random"


def seed() -> int:
    """Printed, so that a failure tells it."""
    value = random.SystemRandom().getrandbits(32) if EXPLORING else int(_SEED)
    print("THINAIR_SEED", value)
    return value


def load_profile() -> None:
    """Hypothesis likewise, and without its clock: no test times itself."""
    settings.register_profile("thinair", derandomize=not EXPLORING, deadline=None, print_blob=True)
    settings.load_profile("thinair")
