"""SECURITY.md names tests: each is there."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.quick


def test_what_the_security_page_claims_is_shown_by_tests_that_are_there() -> None:
    claimed = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text()))
    there = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert len(claimed) > 25
    assert claimed <= there, claimed - there


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "SECURITY.md").read_text())
    assert links
    assert all((ROOT / link).exists() for link in links), links
