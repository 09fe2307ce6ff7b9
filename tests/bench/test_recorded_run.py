"""Recorded runs: their files, their page, and verdicts on them, from known figures and from damaged files."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinair.bench import compare, gate
from thinair.bench.analysis import run_files
from thinair.bench.analysis.recorded_run import Frame, RecordedRun, Report
from thinair.bench.analysis.summary import Column, intervals
from thinair.bench.report.frame_timeline import by_frame, read_pcap, worst
from thinair.bench.report.page import page
from thinair.cli import main
from thinair.link.errors import ConfigError, FileError
from thinair.link.native import Packetizer
from thinair.link.protocol.frame_trace import STAGES
from thinair.link.protocol.rtcp import Pli, Repair, RepairRequest, build
from thinair.receiver.stats.pcap import HEADER

pytestmark = pytest.mark.quick

PARTS_US = dict(zip(STAGES, (4_000, 30, 3_500, 150, 30, 0, 1_000, 40, 1_200), strict=True))
ENDS = ("dequeue_us", "encode_in_us", "encode_out_us", "last_send_us", "last_packet_us", "repaired_us", "decoded_us",
        "present_in_us", "presented_us")  # fmt: skip


def frame(number: int, at_us: int, rng: np.random.Generator, more_us: dict[str, int] | None = None) -> Frame:
    now, stamps = at_us, dict[str, Any]()
    for (stage, us), end in zip(PARTS_US.items(), ENDS, strict=True):
        now += us + (more_us or {}).get(stage, 0) + (int(rng.gamma(2, 50)) if us > 100 else 0)
        stamps[end] = now
    latency = now - at_us
    one = Frame(number, "presented", capture_us=at_us, capture_to_present_us=latency, bound_us=50, bytes=40_000)
    return replace(one, packets=30, key=0, gap=0, **stamps)


def run(more_us: dict[str, int] | None = None, *, seed: int = 1, count: int = 250, starts: int = 6) -> RecordedRun:
    rng = np.random.default_rng(seed)
    frames = []
    for start in range(starts):
        began = 1_000_000_000 * (start + 1)
        frames += [replace(frame(n, began + 40_000 * n, rng, more_us), round=start) for n in range(count)]
    report: Report = {"mode": {"width": 1920, "height": 1080, "rate": "25"}, "conditions": {"unfit": []}}
    return RecordedRun("loop", report, frames)


def saved(path: Path, one: RecordedRun) -> Path:
    run_files.write_run(path, one)
    return path


def percentile(values: Sequence[float], column: Column) -> float:
    found = intervals(values)[column]
    assert found is not None
    return found


# ---- what a run holds ----------------------------------------------------------------------------------------------


def test_the_stages_add_up_to_the_latency_and_a_run_where_they_do_not_has_a_fault() -> None:
    good = run()
    assert good.sum_error_us() == (0, 1500)
    assert good.faults() == []
    frames = list(good.frames)
    frames[7] = replace(frames[7], capture_to_present_us=(frames[7].capture_to_present_us or 0) + 40)
    broken = replace(good, frames=frames)
    assert "do not add up" in broken.faults()[0]


def test_an_empty_run_says_so() -> None:
    assert run(count=0).faults() == ["the run is empty: no frame was shown"]


def test_a_run_without_the_senders_stamps_says_so() -> None:
    one = run()
    without = replace(one, frames=[replace(frame, capture_us=None) for frame in one.frames])
    assert "no frame has all stamps" in without.faults()[0]


def test_a_percentile_of_too_few_samples_is_named_and_has_no_number() -> None:
    found = intervals(range(100))
    assert found["p95"] is not None
    assert found["p99"] is None
    assert found["too_few"] == "100 samples: p99 needs 368"


def test_the_glass_age_grows_while_a_picture_stays() -> None:
    one = run(count=100, starts=1)
    frames = [frame for frame in one.frames if not 40 <= frame.frame_id < 60]  # 800 ms without a picture
    ages = [age for _, age in replace(one, frames=frames).glass_age()]
    assert max(ages) == pytest.approx(40 * 21 + 10, abs=25)
    assert min(ages) > 9


def test_a_run_is_read_back_from_its_file(tmp_path: Path) -> None:
    assert run_files.read_run(saved(tmp_path / "a.json", run())) == replace(run(), timelines=[])


# ---- the page -----------------------------------------------------------------------------------------------------


def test_the_page_of_a_run_is_self_contained_and_has_the_latency() -> None:
    text = page(run())
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|<script""", text)
    middle = percentile(np.concatenate(run().series("capture_to_present")).tolist(), "p50")
    assert f"{middle:.2f}" in text
    assert "Valid:" in text
    assert all(f">{name}</td>" in text for name in STAGES)


def test_the_page_of_a_run_with_faults_warns() -> None:
    assert "Do not use these figures" in page(run(count=0))


def test_text_in_a_report_cannot_become_markup() -> None:
    one = run(count=40)
    report: Report = {**one.report, "conditions": {"cpu": "<script>alert(1)</script>", "unfit": ["<b>x</b>"]}}
    text = page(RecordedRun("loop<i>", report, one.frames))
    assert "<script" not in text
    assert "<b>x" not in text
    assert "<i>" not in text.replace("<i style", "")


# ---- timelines ------------------------------------------------------------------------------------------------------


def pcap(records: list[tuple[int, bool, bytes]]) -> bytes:
    out = [HEADER]
    for at_us, is_out, data in records:
        ip = bytearray(28)
        ip[0], ip[9] = 0x45, 17
        ip[16 if is_out else 12] = 127
        kept = data[:192]
        head = struct.pack("<4I", at_us // 1_000_000, at_us % 1_000_000, 28 + len(kept), 28 + len(data))
        out.append(head + bytes(ip) + kept)
    return b"".join(out)


def test_a_timeline_has_the_packets_received_the_requests_and_the_repair_symbols(tmp_path: Path) -> None:
    packets = Packetizer(ssrc=7, elements=True).packetize(
        b"\0\0\0\1\x41" + bytes(range(1, 255)) * 20, frame_id=12, rtp_time=9, capture_us=5
    )
    symbol = b"\x80\x61" + bytes(10) + struct.pack(">IHHBBBB", 12, 0, len(packets), 0, 3, 0, 0) + bytes(40)
    request = build(Repair(1, 2, (RepairRequest(12, 0, 1, 1),)))
    records = [(1_000 + n * 10, False, packet) for n, packet in enumerate(packets) if n != 1]
    records += [(1_200, True, request), (3_000, False, symbol), (3_100, True, build(Pli(1, 7)))]
    file = tmp_path / "a.pcap"
    file.write_bytes(pcap(records) + b"\1\2")  # truncated in the middle of a record
    events = by_frame(read_pcap(file))
    row = frame(12, 900, np.random.default_rng(1))
    (timeline,) = worst([row], events)
    assert timeline["lost"] == [1]
    assert timeline["packets"] == len(packets)
    kinds = [*["media"] * (len(packets) - 1), "repair_request", "symbol", "key_frame_request"]
    assert [kind for _, kind, _ in timeline["events"]] == kinds
    assert timeline["events"][0][0] == pytest.approx(0.1)
    assert "packet 2 not received" in timeline["summary"]
    assert "1 repair symbol received, 1 of them on demand; 1 repair request;" in timeline["summary"]
    assert "packet 2 not received" in page(RecordedRun("loop", run().report, [row], [timeline]))


def test_lost_frames_have_timelines() -> None:
    rows = [frame(n, 40_000 * n, np.random.default_rng(n)) for n in range(1, 30)]
    rows[10] = Frame(11, "lost")
    timelines = worst(rows, {})
    assert timelines[0]["outcome"] == "lost"
    assert timelines[0]["summary"] == "abandoned"
    assert len(timelines) == 10


@pytest.mark.parametrize("content", [b"", b"abc", bytes(60), HEADER[:20] + bytes(4)])
def test_a_file_that_is_not_a_packet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="not a packet file"):
        read_pcap(file)


def test_noise_after_the_header_of_a_packet_file_raises_nothing(tmp_path: Path) -> None:
    print("seed 5")
    rng = np.random.default_rng(5)
    for _ in range(200):
        file = tmp_path / "x.pcap"
        noise = [
            (int(rng.integers(1 << 40)), bool(rng.integers(2)), rng.bytes(int(rng.integers(0, 250)))) for _ in range(9)
        ]
        file.write_bytes(pcap(noise) + rng.bytes(50))
        by_frame(read_pcap(file))


# ---- compare ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_millisecond_more_in_any_stage_is_found_there_and_in_the_latency(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = saved(tmp_path / "a.json", run()), saved(tmp_path / "b.json", run({stage: 1_000}, seed=2))
    assert main(["bench", "compare", str(before), str(after)]) == 1
    assert f"B is slower in capture_to_present, {stage}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_ten_runs_without_a_change_give_no_false_alarm(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{n}.json", run(seed=n)) for n in range(10)]
    for one, other in pairwise(files):
        assert main(["bench", "compare", str(one), str(other)]) == 0


def test_runs_of_two_modes_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run()
    report: Report = {**other.report, "mode": {"width": 1280, "height": 720, "rate": "60"}}
    files = saved(tmp_path / "a.json", run()), saved(tmp_path / "b.json", replace(other, report=report))
    assert main(["bench", "compare", *map(str, files)]) == 2
    assert "compare runs of one video mode" in capsys.readouterr().err


def benchmark(name: str, middle_us: float, rng: np.random.Generator, instructions: int | None = None) -> dict[str, Any]:
    data = (middle_us + rng.gamma(2, middle_us / 50, 200)) / 1e6
    extra = {} if instructions is None else {"instructions": instructions}
    return {"name": name, "stats": {"data": data.tolist()}, "extra_info": extra}


def suite(*benchmarks: dict[str, Any], cpu: str = "one") -> dict[str, Any]:
    return {"benchmarks": list(benchmarks), "machine_info": {"cpu": {"brand_raw": cpu}, "machine": "x86_64"}}


def compared(a: dict[str, Any], b: dict[str, Any]) -> tuple[list[compare.Verdict], list[str]]:
    return compare.compare_suites(compare.read_suite(a), compare.read_suite(b))


def test_suites_are_compared_by_times_on_one_machine_and_by_instructions_on_two() -> None:
    rng = np.random.default_rng(1)
    a = suite(benchmark("scan", 50, rng, 1000), benchmark("seal", 90, rng, 5000))
    b = suite(benchmark("test_piece[scan]", 80, rng, 1000), benchmark("seal", 90, rng, 5200))
    verdicts = {one.name: one.verdict for one in compared(a, b)[0]}
    assert verdicts == {"scan": "slower", "scan (counted)": "same", "seal": "same", "seal (counted)": "slower"}
    verdicts_of_two, notes = compared(a, {**b, "machine_info": {}})
    assert [one.name for one in verdicts_of_two] == ["scan (counted)", "seal (counted)"]
    assert "two machines" in notes[0]


def test_a_benchmark_of_only_one_suite_is_noted() -> None:
    rng = np.random.default_rng(1)
    _, notes = compared(suite(benchmark("scan", 50, rng), benchmark("x", 9, rng)), suite(benchmark("scan", 50, rng)))
    assert notes == ["x is only in A"]


# ---- gate ---------------------------------------------------------------------------------------------------------

BUDGET = """
[stages."1920x1080@25"]
encode = { p50 = 4.5, p95 = 5.0 }
present = { p50 = 2.0 }
"""


def test_the_gate_names_the_stage_that_exceeds_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = tmp_path / "b.toml"
    budget.write_text(BUDGET)
    good, bad = saved(tmp_path / "g.json", run()), saved(tmp_path / "b.json", run({"encode": 1_500}))
    assert main(["bench", "gate", "--budget", str(budget), str(good)]) == 0
    assert main(["bench", "gate", "--budget", str(budget), str(bad)]) == 1
    assert capsys.readouterr().out.endswith("exceeded: encode p50, encode p95\n")


def test_a_limit_on_too_few_samples_is_not_kept() -> None:
    budget = gate.Budget(stages={"1920x1080@25": {"encode": {"p99": 99.0}}})
    (limit,) = gate.stages(run(count=20, starts=1), budget)
    assert not limit.kept
    assert "p99 needs 368" in limit.text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no limits"),
        ("[x]", "[x] is not known"),
        ("x = 1", "[x] is not known"),
        ('stages = { "1920x1080@25" = 3 }', "a table is missing"),
        ('[instructions]\nscan = "few"', "each with a number"),
        ("=", "is not TOML"),
        ("[instructions]\nfly = 1", "fly is not known"),
        ("[sim.moon]\nfailed_share = 0", "[sim.moon] is not known"),
        ("[sim.clean]\nspeed = 0", "speed is not known"),
        ('[stages."1920x1080@25"]\nlunch = {p50 = 1}', "lunch: use stages"),
    ],
)
def test_a_budget_that_is_wrong_is_refused_in_one_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = tmp_path / "b.toml"
    budget.write_text(text)
    assert main(["bench", "gate", "--budget", str(budget)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


# ---- damaged files -----------------------------------------------------------------------------------------------


def run_with(**parts: object) -> str:
    """A run whose other parts are well formed."""
    empty = {"schema": "thinair.run/1", "kind": "loop", "report": {}, "columns": ["frame_id", "outcome"], "frames": []}
    return json.dumps({**empty, "timelines": [], "loop": None, **parts})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not JSON"),
        ("[1, 2]", "not a file of thinair"),
        ('{"a": 1}', "not a file of thinair"),
        ('{"schema": "elsewhere/3"}', "is elsewhere/3, not a run"),
        ('{"schema": "thinair.run/1"}', "is damaged"),
        ('{"schema": "thinair.run/1", "columns": ["a"], "frames": [[1, 2]]}', "is damaged"),
        (run_with(frames=[["1", "presented"]]), "is damaged: '1' stands where int is expected"),
        (run_with(frames=[[1]]), "is damaged"),
        (run_with(columns=["outcome"], frames=[["lost"]]), "is damaged"),
        (run_with(report={"mode": {"width": "wide"}}), "is damaged"),
        (run_with(report={"mode": {"width": 1, "height": 1, "rate": "0"}}), "is damaged"),
        (run_with(report={"conditions": {"unfit": "busy"}}), "is damaged"),
        (run_with(timelines=[{"frame_id": 1}]), "is damaged"),
        (run_with(loop={"n": 3}), "is damaged"),
        ('{"schema": "thinair.report/1"}', "add --frames FILE.csv"),
        ('{"benchmarks": []}', "pytest-benchmark, not a run"),
    ],
)
def test_a_file_that_is_not_a_run_is_refused_in_one_line(
    content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    assert main(["bench", "report", str(file)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read"):
        run_files.read_run(tmp_path / "none.json")
    with pytest.raises(FileError, match="cannot read"):
        run_files.read_frames(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="not the frame log of a player"):
        run_files.read_frames(tmp_path / "other.csv")


# ---- files of 0.1.0 -----------------------------------------------------------------------------------------------

# Of bench loop --lossy, and of a demo, written by the program before its keys were renamed.
OLD = Path(__file__).with_name("old")


def test_a_run_with_old_keys_is_reported_with_todays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / name) for name in ("run.json", "run.html")]
    assert main(["bench", "report", str(OLD / "run.json"), "--json", files[0], "--html", files[1]]) == 0
    assert re.search(r"\nnetwork +\d", capsys.readouterr().out)
    written = json.loads(Path(files[0]).read_text())
    assert not {"stories", "sealed"} & {*written, *written["report"]}
    assert written["report"]["encrypted"] is False
    assert written["report"]["latency_ms"]["network"]["p50"] > 1.9, "the relay's delay"
    assert "air" not in written["report"]["latency_ms"]
    assert written["report"]["target"]["repair_ratio"] is not None
    assert written["report"]["recovery"].keys() >= {"on_demand", "on_demand_received", "reorder_window_us"}
    assert written["report"]["receive"].keys() >= {"address_changes", "packets_sealed", "packets_not_logged"}
    assert "negative_network" in written["report"]["clock"]
    kinds = {kind for timeline in written["timelines"] for _, kind, _ in timeline["events"]}
    assert kinds == {"media", "symbol", "repair_request"}
    assert all("network" in timeline["stages_ms"] for timeline in written["timelines"])
    assert "sampling_gap_ms" in written["loop"]
    assert ">repair request<" in Path(files[1]).read_text()


def test_a_run_with_old_keys_is_compared_with_a_run_of_today(tmp_path: Path) -> None:
    again = saved(tmp_path / "again.json", run_files.read_run(OLD / "run.json"))
    assert main(["bench", "compare", str(OLD / "run.json"), str(again)]) == 0


def test_a_report_with_old_keys_and_its_frames_become_a_run() -> None:
    found = run_files.read_run(OLD / "report.json", OLD / "frames.csv")
    assert found.faults() == []
    assert found.report["encrypted"] is True
    assert found.report["latency_ms"]["network"]["n"] > 0


def test_gate_and_soak_files_with_old_keys_have_todays(tmp_path: Path) -> None:
    gate_file, soak_file = tmp_path / "gate.json", tmp_path / "soak.json"
    gate_file.write_text('{"schema": "thinair.gate/1", "promises": [{"what": "scan"}]}')
    soak_file.write_text('{"schema": "thinair.soak/1", "yardstick_p50_ms_by_minute": [6.1]}')
    assert run_files.read_json(gate_file)["limits"] == [{"what": "scan"}]
    assert run_files.read_json(soak_file)["reference_load_p50_ms_by_minute"] == [6.1]
