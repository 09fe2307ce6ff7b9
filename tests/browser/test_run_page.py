"""The page of a run in a real browser: whole, legible, without a word to anybody, in light and in dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.bench.test_recorded_run import run
from tests.browser.conftest import SHOTS
from thinair.bench.analysis.recorded_run import Run
from thinair.bench.report.page import page

pytestmark = pytest.mark.browser

STORY = {
    "frame_id": 12,
    "round": 0,
    "outcome": "presented",
    "late_ms": 61.2,
    "bytes": 40_000,
    "packets": 30,
    "key": False,
    "stages_ms": {},
    "lost": [3],
    "events": [
        [20.1, "media", "packet 1 of 30"],
        [24.0, "asked", "asked for 1"],
        [31.5, "symbol", "symbol 3, asked for"],
    ],
    "words": "packet 4 did not come",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 480])
def test_the_page_of_a_run_is_whole_and_asks_nobody_for_anything(
    scheme: str, width: int, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "run.html"
    one = run()
    file.write_text(page(Run(one.kind, one.report, one.frames, [STORY])))
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)  # type: ignore[arg-type]  # a literal
    said: list[str] = []
    asked: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert said == []
    assert "Sound:" in opened.inner_text("main")
    plots = opened.locator("svg").all()
    assert len(plots) == 4  # waterfall, histogram, glass age, the story's packets
    assert all((box := plot.bounding_box()) is not None and box["width"] > 300 for plot in plots[:3])
    assert opened.evaluate("document.documentElement.scrollWidth") <= width, "nothing hangs over the edge"
    opened.locator("summary").click()
    assert "asked for 1" in opened.inner_text("pre")
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"run-{scheme}-{width}.png", full_page=True)
    context.close()
