"""The latency benches over the end-to-end path: real programs on a screen whose pixels are read."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import THINAIR, call, environment, running
from thinair.bench.analysis.run_files import SCHEMA, read_run
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.xvfb_screen import xvfb
from thinair.bench.report.frame_timeline import by_frame, read_pcap
from thinair.link.protocol.frame_trace import STAGES

pytestmark = pytest.mark.display

SMALL = ("--mode", "1280x720@25", "--bitrate", "3M")


@pytest.mark.timeout(120)
def test_a_code_loops_through_the_end_to_end_path_and_the_three_ways_to_time_it_agree(tmp_path: Path) -> None:
    files = {name: tmp_path / f"run.{name}" for name in ("json", "html", "csv", "pcap")}
    words = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    done = call("bench", "loop", *SMALL, "--seconds", "6", "--rounds", "2", *words, timeout_s=110)
    found = json.loads(files["json"].read_text())
    assert found["schema"] == SCHEMA
    loop = found["loop"]
    assert loop["n"] > 100, done.stdout
    assert set(loop["pairs"]) == {"loop_in_band", "loop_screen", "screen_in_band"}
    assert done.returncode == int(bool(loop["faults"])), done.stdout
    parts = ("grab_ms", "half_step_ms", "clock_bound_ms", "sampling_gap_ms")  # measured in the same run
    bound_ms = sum(loop[part] for part in parts)
    assert all(abs(pair["mean_ms"]) <= bound_ms for pair in loop["pairs"].values()), done.stdout
    run = read_run(files["json"])
    assert run.faults() == []
    assert {frame.round for frame in run.frames} == {0, 1}
    with files["csv"].open() as opened:
        assert len(list(csv.DictReader(opened))) == len(run.frames)
    events = by_frame(read_pcap(files["pcap"]))
    last = [frame for frame in run.shown if frame.round == 1]
    assert all(len([e for e in events[one.frame_id] if e.kind == "media"]) == one.packets for one in last[:50])
    page = files["html"].read_text()
    assert all(f">{stage}</td>" in page for stage in STAGES)


@pytest.mark.timeout(120)
def test_a_regression_of_five_milliseconds_in_the_encoder_is_found_by_name(tmp_path: Path) -> None:
    """What a short run on a busy machine resolves; docs/measuring.md has the run that resolves one millisecond."""
    for name, more in (("a", []), ("b", ["--slow", "encode=5000"])):
        words = ("bench", "loop", *SMALL, "--seconds", "5", "--rounds", "2", "--json", str(tmp_path / name), *more)
        assert call(*words, timeout_s=100).returncode in {0, 1}
    done = call("bench", "compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert done.returncode == 1, done.stdout
    assert "encode" in done.stdout.splitlines()[-1]


@pytest.mark.timeout(120)
def test_over_the_lossy_relay_every_frame_is_repaired_and_its_timeline_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    words = ("--mode", "1920x1080@25", "--seconds", "4", "--wire-us", "2000", "--lossy", "--json", str(file))
    done = call("bench", "loop", *words, timeout_s=100)
    run = read_run(file)
    repairs = [
        frame.repaired_us - frame.last_packet_us
        for frame in run.shown
        if frame.repaired_us is not None and frame.last_packet_us is not None
    ]
    assert len(repairs) > 50, done.stdout
    assert sorted(repairs)[len(repairs) // 2] > 3_000, "a round trip over the relay at least"
    assert any("not received" in one["summary"] and "on demand" in one["summary"] for one in run.timelines)


@pytest.mark.timeout(120)
def test_report_frames_and_packets_of_a_demo_become_a_run(tmp_path: Path) -> None:
    report, frames, packets = (tmp_path / name for name in ("r.json", "f.csv", "p.pcap"))
    files = ("--report", str(report), "--frames", str(frames), "--packets", str(packets))
    words = ("--dashboard", "off", "--headless", "--seconds", "4", "--mode", "640x360@30", "--bitrate", "1M")
    assert call("demo", *words, *files).returncode == 0
    out = tmp_path / "run.json"
    done = call("bench", "report", str(report), "--frames", str(frames), "--packets", str(packets), "--json", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sum of the stages: equals the latency in" in done.stdout
    run = read_run(out)
    assert len(run.timelines) == 10
    assert all(any(kind == "media" for _, kind, _ in one["events"]) for one in run.timelines)
    if shutil.which("tshark"):
        said = subprocess.run(["tshark", "-r", str(packets), "-c", "5"], capture_output=True, text=True, check=True)
        assert said.stdout.count("\n") == 5


@pytest.mark.timeout(120)
def test_a_short_soak_recovers_from_a_broken_link_and_a_killed_player(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    words = ("--hours", "0.0085", "--every", "10", "--faults", "player killed,link down", "--mode", "1280x720@25")
    done = call("bench", "soak", *words, "--json", str(file), timeout_s=110)
    found = json.loads(file.read_text())
    assert {kind: one["n"] for kind, one in found["faults"].items()} == {"player killed": 1, "link down": 1}, (
        done.stdout
    )
    assert all(one["recovered"] == one["n"] for one in found["faults"].values()), done.stdout
    assert found["stale"] == 0
    assert done.returncode == int(bool(found["failed"]))


@pytest.mark.timeout(120)
def test_a_piece_of_the_suite_is_timed_and_counted_and_can_be_compared(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    words = ["-m", "pytest", "thinair/bench/suite", "-k", "scan", "-p", "no:cacheprovider", f"--benchmark-json={file}"]
    argv = [sys.executable, *words, "--benchmark-save-data", "--benchmark-storage", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (one,) = json.loads(file.read_text())["benchmarks"]
    info = one["extra_info"]
    assert info["p50_us"] <= info["p95_us"]
    assert info["instructions"] > 10_000
    assert info["kept_bytes"] < 1_000
    assert info["mb_per_s"] > 0
    assert call("bench", "compare", str(file), str(file)).returncode == 0


@pytest.mark.peer
@pytest.mark.timeout(180)
def test_webrtc_shows_the_pictures_of_thinairs_encoder_through_the_relay(tmp_path: Path) -> None:
    file, baselines = tmp_path / "air.json", ("webrtc-aiortc", "webrtc-chromium")
    words = ("--suite", "clean", "--baselines", ",".join(baselines), "--seconds", "3", "--mode", "1280x720@25")
    done = call("bench", "air", *words, "--bitrate", "2M", "--json", str(file), timeout_s=170)
    rows = json.loads(file.read_text())["rows"]
    assert [row["name"] for row in rows] == ["thinair", *baselines]
    for row in rows[1:]:
        if "no address but loopback" in row["note"]:
            pytest.skip(row["note"])
        assert row["pictures"] is not None, row["note"]
        assert row["pictures"]["intact"] > 20, row
        assert row["pictures"]["screen_ms"]["p50"] > 3, "the relay's delay at least"
        assert "its key frame requests do not reach the encoder" in done.stdout


@pytest.mark.timeout(120)
def test_a_separate_sender_is_timed_from_one_monitor_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that grabs a monitor takes the place of a board cabled to it."""
    port, file = free_port(), tmp_path / "board.json"
    with xvfb(2560, 720) as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        for name, x, output in (("LEFT", 0, "screen"), ("RIGHT", 1280, "none")):
            place = f"1280/320x720/180+{x}+0"
            subprocess.run(["xrandr", "--setmonitor", name, place, output], check=True)
        sender = [*THINAIR, "send", "--to", f"127.0.0.1:{port}", "--source", f"screen:{screen.display}+0,0"]
        with running([*sender, "--mode", "1280x720@25", "--bitrate", "3M"]) as one:
            words = ("--board", "0,1", "--listen", f"127.0.0.1:{port}", "--seconds", "4", "--json", str(file))
            done = call("bench", "loop", *words, timeout_s=90)
            one.stop()
    found = json.loads(file.read_text())["loop"]
    assert found["n"] > 60, done.stdout + done.stderr
    assert set(found["pairs"]) == {"loop_in_band"}
    assert done.returncode == int(bool(found["faults"])), done.stdout
    assert abs(found["pairs"]["loop_in_band"]["mean_ms"]) < 20, done.stdout


def test_a_missing_monitor_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with xvfb(1280, 720) as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        done = call("bench", "loop", "--board", "0,7")
    assert done.returncode == 3
    assert "monitor 7 does not exist" in done.stderr
    assert done.stderr.count("\n") == 1
