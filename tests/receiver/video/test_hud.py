"""Text over the picture: what it says, when it is drawn, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.receiver.video.hud import HELP, Hud, HudFigures, figure_line, figure_rows, render, text_size
from thinair.receiver.video.presenter import NullPresenter, Overlay

pytestmark = pytest.mark.quick
FIGURES = HudFigures(
    name="camera 1", mode="1920x1080@25", fps=25.0, latency_ms=(11.24, 15.31, 21.7), bound_ms=0.42, glass_age_ms=43.2,
    lost=3, repaired=17, bitrate_bps=7.98e6, presenter="x11", stamp_quality="swap_done",
)  # fmt: skip


class Recorder(NullPresenter):
    size = (1280, 720)

    def __init__(self) -> None:
        super().__init__()
        self.overlays: list[Overlay | None] = []  # the panel's
        self.slots: dict[int, Overlay | None] = {}

    def overlay(self, overlay: Overlay | None, slot: int = 0) -> None:
        self.slots[slot] = overlay
        if slot == 0:
            self.overlays.append(overlay)


def pixels(overlay: Overlay | None) -> NDArray[np.uint8]:
    assert overlay is not None
    return np.frombuffer(overlay.mask, np.uint8).reshape(overlay.height, overlay.width)


def test_the_figures_name_every_number_with_its_unit() -> None:
    assert figure_rows(FIGURES) == (
        ("", "camera 1 · 1920x1080@25"),
        ("rate", "25.0 fps, 8.0 Mbit/s"),
        ("latency", "11.2 / 15.3 / 21.7 ms"),
        (" ", "p50 / p95 / p99, ± 0.4 ms"),
        ("glass age", "43 ms"),
        ("lost", "3, repaired 17"),
        ("screen", "x11, swap done, lowest"),
        ("audio", "none"),
    )


def test_a_link_that_is_not_encrypted_says_so_in_either_size() -> None:
    assert "not encrypted" not in figure_rows(FIGURES)[0][1] + figure_line(FIGURES)
    unencrypted = replace(FIGURES, encrypted=False)
    assert figure_rows(unencrypted)[0][1].endswith(" · not encrypted")
    assert figure_line(unencrypted).endswith(" · not encrypted")


def test_a_latency_without_a_clock_is_unknown_and_never_a_number() -> None:
    rows = dict(figure_rows(replace(FIGURES, bound_ms=None, glass_age_ms=None, fps=None)))
    assert rows["latency"] == rows["glass age"] == "unknown"
    assert rows[" "] == "clock not locked yet"


def test_help_names_the_keys_and_says_that_there_is_no_audio() -> None:
    assert {key for label, _ in HELP for key in label.split(", ")} >= {"q", "f", "h", "?", "m", "l", "r", "s", "d"}
    assert any("no audio" in text for _, text in HELP)


def test_nothing_lies_over_the_picture_until_asked_and_every_key_works_both_ways() -> None:
    hud, screen = Hud(), Recorder()
    hud.figures = FIGURES
    keys = (lambda: None, hud.next_size, hud.next_size, hud.toggle_help, hud.toggle_help, hud.next_size)
    for now_us, act in enumerate(keys):
        act()
        hud.update(screen, now_us)
    empty = [overlay is None for overlay in screen.overlays]
    assert empty == [True, False, False, False, False, True]
    line, full, helped, again = screen.overlays[1:5]
    assert line is not None
    assert full is not None
    assert line.height < full.height / 4
    assert full != helped
    assert full == again


def test_a_notice_shows_at_once_without_the_hud_and_goes_at_once() -> None:
    hud, screen = Hud(), Recorder()
    hud.update(screen, 0)
    hud.notice = "no new picture for 0.3 s"
    assert hud.update(screen, 1)
    assert pixels(screen.overlays[-1]).max() == 255
    hud.notice = ""
    assert hud.update(screen, 2)
    assert screen.overlays[-1] is None


def test_glass_age_is_drawn_ten_times_a_second_and_the_rest_four_times() -> None:
    hud, screen = Hud("full"), Recorder()
    ages = 0
    for now_us in range(0, 1_000_000, 5_000):
        hud.figures = replace(FIGURES, glass_age_ms=float(now_us // 5_000))
        ages += hud.update(screen, now_us)
    assert ages == 10
    drawn = 0
    for now_us in range(2_000_000, 3_000_000, 5_000):
        hud.figures = replace(FIGURES, lost=now_us)
        drawn += hud.update(screen, now_us)
    assert 4 <= drawn <= 5


def test_what_has_not_changed_is_not_drawn_again() -> None:
    hud, screen = Hud("full"), Recorder()
    for now_us in range(0, 5_000_000, 20_000):
        hud.figures = replace(FIGURES)
        hud.update(screen, now_us)
    assert len(screen.overlays) == 1


def test_a_resized_window_gets_text_of_its_size() -> None:
    hud, screen = Hud("full"), Recorder()
    hud.update(screen, 0)
    screen.size = (3840, 2160)
    assert hud.update(screen, 200_000)
    assert pixels(screen.overlays[1]).shape > pixels(screen.overlays[0]).shape
    assert [text_size(size) for size in ((320, 240), (1280, 720), (1280, 1024), (7680, 4320))] == [12, 17, 17, 48]


def test_text_stays_inside_its_ground_and_labels_are_fainter() -> None:
    panel = pixels(render(figure_rows(FIGURES), 24))
    assert not panel[:, [0, -1]].any()
    assert not panel[[0, -1]].any()
    assert panel[:, 24:100][60:].max() < 200  # labels, below the title
    assert panel.max() == 255


def test_the_panel_keeps_its_width_while_figures_change() -> None:
    widths = {render(figure_rows(replace(FIGURES, lost=lost)), 20).width for lost in (0, 9, 999)}
    assert len(widths) == 1


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (360, 640)])
def test_a_long_notice_is_broken_into_lines_that_fit_the_window(size: tuple[int, int]) -> None:
    detail = "1920x1080@50 needs three lanes at 594 Mb/s each, wired are two"
    state = SourceState(SourceCode.UNSUPPORTED, 0, detail)
    presenter, hud = Recorder(), Hud()
    presenter.size = size
    hud.notice = state.words(12_000_000)
    assert hud.update(presenter, 1)
    (overlay,) = presenter.overlays
    assert overlay is not None
    assert overlay.x + overlay.width <= size[0]
    assert pixels(overlay).max() > 200
