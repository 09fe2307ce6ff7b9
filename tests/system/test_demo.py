"""The demo to its end, and the report it leaves: every key documented, every frame accounted for."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Glass
from tests.support.paths import ROOT
from tests.support.processes import HANG_S, LISTENING, PLAY, THINAIR, call, running
from thinair.receiver.stats.frame_table import COLUMNS
from thinair.sender.pipeline.frame_log import COLUMNS as SENDER_COLUMNS

DOC = ROOT / "docs" / "report.md"
DEMO = (*THINAIR, "demo", "--dashboard", "off")
MODE = ("--mode", "640x360@30", "--bitrate", "2M")
STAGES = ("capture", "wait", "encode", "pace", "network", "repair", "decode", "hold", "present")


def documented(role: str) -> set[str]:
    rows = re.findall(r"^\| `([\w.*]+)` \| ([pds ]+) \|", DOC.read_text(), re.MULTILINE)
    return {key for key, roles in rows if role in roles.split()}


def keys(content: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def check_keys(report: dict[str, Any], role: str) -> None:
    patterns, found = documented(role), set(keys(report))
    assert patterns, "the table of docs/report.md cannot be read"
    unknown = {key for key in found if not any(fnmatchcase(key, one) or f"{key}.*" == one for one in patterns)}
    assert not unknown, "not in docs/report.md"
    missing = {
        one
        for one in patterns
        if not one.endswith(".*") and not any(key == one or one.startswith(f"{key}.") for key in found)
    }
    assert not missing, "in docs/report.md, and not here"


def check_frames(report: dict[str, Any]) -> None:
    frames = report["frames"]
    order = ("captured", "encoded", "sent", "completed", "decoded")
    counts = [frames[name] for name in order]
    assert counts == sorted(counts, reverse=True)
    assert frames["decoded"] == frames["presented"] + frames["superseded"]
    assert frames["completed"] == frames["decoded"] + frames["skipped"]
    assert frames["presented"] > 10
    assert frames["lost"] == 0
    drops = report["drops"]
    again = drops.get("duplicate", 0) + drops.get("late", 0)
    assert report["recovery"]["restored"] <= again, "on loopback what was restored came by itself as well, only later"


def commands() -> Iterator[bytes]:
    """Of every process there is."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield entry.read_bytes()


def demo(tmp_path: Path, *words: str) -> dict[str, Any]:
    report = tmp_path / "report.json"
    with running([*DEMO, "--headless", "--report", str(report), *words]) as one:
        one.wait_for_pictures(40)
        assert one.stop() == 0, one.text()
    content: dict[str, Any] = json.loads(report.read_text())
    check_frames(content)
    return content


def test_the_demo_ends_by_itself_with_a_report_in_which_everything_adds_up(tmp_path: Path) -> None:
    table = tmp_path / "frames.csv"
    summary = tmp_path / "report.json"
    done = call("demo", "--dashboard", "off", "--headless", "--seconds", "10", *MODE,
                "--frames", str(table), "--report", str(summary))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "latency " in done.stdout
    report = json.loads(summary.read_text())
    check_frames(report)
    check_keys(report, "d")
    assert report["schema"] == "thinair.report/1"
    assert report["mode"] == {"width": 640, "height": 360, "rate": "30"}
    assert report["presenter"]["name"] == "null"
    assert set(report["latency_ms"]) == {"capture_to_present", *STAGES, "receive"}
    whole = report["latency_ms"]["capture_to_present"]
    assert set(whole) == {"p50", "p95", "p99", "max", "n"}
    assert 0 < whole["p50"] <= whole["p95"] <= whole["p99"] <= whole["max"]
    assert abs(report["clock"]["offset_us"]) <= report["clock"]["bound_us"], "one machine, one clock"
    assert isinstance(report["conditions"]["unfit"], list)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert sum(row["outcome"] == "presented" for row in rows) == report["frames"]["presented"]
    assert whole["n"] == sum(row["capture_to_present_us"] != "" for row in rows)


def test_a_demo_that_is_stopped_leaves_its_report_and_no_process(tmp_path: Path) -> None:
    report, mark = tmp_path / "report.json", f"thinair-{tmp_path.name}"
    with running([*DEMO, "--headless", "--name", mark, "--report", str(report), *MODE]) as one:
        one.wait_for_pictures(11)
        assert one.stop() == 0, one.text()
    check_frames(json.loads(report.read_text()))
    assert not [command for command in commands() if mark.encode() in command]


def test_a_clip_goes_through_the_demo(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=1", "-c:v", "libx264"]
    subprocess.run([*make, "-pix_fmt", "yuv420p", str(clip)], check=True)
    report = demo(tmp_path, "--bitrate", "2M", "--source", f"file:{clip}")
    assert report["mode"] == {"width": 640, "height": 360, "rate": "30"}, "the clip's own"
    assert report["sender"]["source"] == f"file:{clip}"
    assert report["frames"]["presented"] > 35, "the clip of 30 pictures is shown again and again"


@pytest.mark.display
def test_a_live_screen_goes_through_the_demo(tmp_path: Path, glass: Glass) -> None:
    report = demo(tmp_path, *MODE, "--source", f"screen:{glass.name}")
    assert report["sender"]["source"] == f"screen:{glass.name}"


@pytest.mark.display
def test_the_demo_opens_a_window_where_there_is_a_display(tmp_path: Path, glass: Glass) -> None:
    report_file = tmp_path / "report.json"
    with running([*DEMO, "--report", str(report_file), *MODE]) as one:
        one.wait_for_pictures(11)
        colours = len(set(map(bytes, glass.pixels().reshape(-1, 3)[::97])))
        assert one.stop() == 0, one.text()
    report = json.loads(report_file.read_text())
    check_frames(report)
    assert report["presenter"]["name"] != "null"
    assert report["conditions"]["display"] == glass.name
    assert colours > 100, "an empty screen has one"


def test_the_reports_of_sender_and_player_have_the_keys_of_the_document(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("play.json", "send.json", "send.csv")}
    with running([*PLAY, "--headless", "--listen", "0", "--report", str(files["play.json"])]) as play:
        words = ["--to", f"127.0.0.1:{play.port(LISTENING)}", *MODE]
        words += ["--report", str(files["send.json"]), "--frames", str(files["send.csv"])]
        with running([*THINAIR, "send", *words]) as send:
            play.wait_for_pictures(10)
            assert send.stop() == 0, send.text()
        play.wait_for("the sender has stopped")
        assert play.stop() == 0
    sent = json.loads(files["send.json"].read_text())
    check_keys(sent, "s")
    check_keys(json.loads(files["play.json"].read_text()), "p")
    with files["send.csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == SENDER_COLUMNS
    assert len(rows) == sent["frames"]["encoded"]
    for columns in (COLUMNS, SENDER_COLUMNS):
        assert all(f"`{name}`" in DOC.read_text() for name in columns)


def test_the_demo_opens_window_and_page_together_and_prints_the_address(glass: Glass) -> None:
    with running([*THINAIR, "demo", "--dashboard", "0", *MODE]) as one:
        page = one.port("dashboard: http://127.0.0.1:")
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/", timeout=HANG_S) as answer:
            assert b"<title>thinair</title>" in answer.read()
        one.wait_for_pictures(1)
        assert len(set(map(bytes, glass.pixels().reshape(-1, 3)[::97]))) > 20
        assert one.stop() == 0, one.text()
