"""The corpus of tests/fuzz: what was once said by strangers, said again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.strangers import TARGETS, feed
from tests.support.paths import ROOT

pytestmark = pytest.mark.quick
CORPUS = sorted((ROOT / "tests" / "fuzz" / "corpus").iterdir())


def test_each_target_has_something_in_the_corpus() -> None:
    assert {path.read_bytes()[0] % len(TARGETS) for path in CORPUS} == set(range(len(TARGETS)))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_input_from_the_network_raises_nothing(path: Path) -> None:
    feed(path.read_bytes())


@given(st.integers(0, len(TARGETS) - 1), st.binary(max_size=300))
def test_nor_does_any_noise(target: int, noise: bytes) -> None:
    feed(bytes([target]) + noise)
