"""What a sender says of itself by multicast DNS, read strictly: anybody may say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinair.link.mdns import SERVICE, Announcement, properties, read_announcement
from thinair.receiver.commands.ls import table

pytestmark = pytest.mark.quick

PRINT = "ab" * 32
ONE = Announcement("A-CAM", "192.0.2.7:5010", PRINT, "Raspberry Pi Zero W", "sending", "1920x1080@25", "-61 dBm")
TOLD = properties(ONE, 5010)


def test_what_a_sender_says_is_read_back() -> None:
    assert read_announcement(f"A-CAM.{SERVICE}", "192.0.2.7", TOLD) == ONE
    six = read_announcement(f"A-CAM.{SERVICE}", "fe80::1", TOLD)
    assert six is not None
    assert six.place == "[fe80::1]:5010"


@pytest.mark.parametrize(
    "changed",
    [
        {"v": "2"}, {"v": None}, {"fp": "ab"}, {"fp": "zz" * 32}, {"fp": None}, {"door": "0"}, {"door": "65536"},
        {"door": "x"}, {"door": None}, {"door": "-1"}, {"door": "٣"},
    ],
)  # fmt: skip
def test_what_no_sender_says_is_none(changed: dict[str, str | None]) -> None:
    assert read_announcement(f"A-CAM.{SERVICE}", "192.0.2.7", {**TOLD, **changed}) is None


@given(st.text(), st.dictionaries(st.sampled_from(sorted(TOLD)), st.none() | st.text()))
def test_whatever_is_said_what_is_shown_is_printable_and_short(name: str, txt: dict[str, str | None]) -> None:
    found = read_announcement(name, "192.0.2.7", {**TOLD, "model": "\x1b[31m" * 50, **txt})
    if found is not None:
        assert all(word.isprintable() and len(word) <= 80 for word in (found.name, found.model, found.state))


def test_the_table_says_who_is_paired() -> None:
    one = Announcement("A-CAM", "192.0.2.7:5010", PRINT, state="sending")
    other = Announcement("B", "192.0.2.8:5010", "cd" * 32)
    lines = table([one, other], {PRINT})
    assert lines[0].split() == ["NAME", "ADDRESS", "PAIRED", "STATE", "MODE", "SIGNAL", "MODEL"]
    assert lines[1].split() == ["A-CAM", "192.0.2.7:5010", "yes", "sending"]
    assert lines[2].split() == ["B", "192.0.2.8:5010", "no"]
