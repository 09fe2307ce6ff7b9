"""The page of a run in a real browser: complete, legible, self-contained, in light and dark mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.bench.test_recorded_run import run
from tests.browser.conftest import SHOTS
from thinair.bench.analysis.recorded_run import FrameTimeline, RecordedRun
from thinair.bench.report.page import page

pytestmark = pytest.mark.browser

TIMELINE: FrameTimeline = {
    "frame_id": 12,
    "round": 0,
    "outcome": "presented",
    "latency_ms": 61.2,
    "bytes": 40_000,
    "packets": 30,
    "key": False,
    "stages_ms": {},
    "lost": [3],
    "events": [
        (20.1, "media", "packet 1 of 30"),
        (24.0, "repair_request", "requested 1 of block 0"),
        (31.5, "symbol", "repair symbol 3 of block 0, on demand"),
    ],
    "summary": "packet 4 not received",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 480])
def test_the_page_of_a_run_is_complete_and_requests_nothing(
    scheme: str, width: int, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "run.html"
    one = run()
    file.write_text(page(RecordedRun(one.kind, one.report, one.frames, [TIMELINE])))
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)  # type: ignore[arg-type]  # a literal
    messages: list[str] = []
    requests: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(file.as_uri())
    assert requests == [file.as_uri()]
    assert messages == []
    assert "Valid:" in opened.inner_text("main")
    plots = opened.locator("svg").all()
    assert len(plots) == 4  # waterfall, histogram, glass age, the packets of a timeline
    assert all((box := plot.bounding_box()) is not None and box["width"] > 300 for plot in plots[:3])
    assert opened.evaluate("document.documentElement.scrollWidth") <= width, "nothing hangs over the edge"
    opened.locator("summary").click()
    assert "requested 1 of block 0" in opened.inner_text("pre")
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"run-{scheme}-{width}.png", full_page=True)
    context.close()
