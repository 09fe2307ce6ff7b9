"""Runs as files, their page, and verdicts on them: fed with known truth, and with what is no run at all."""

from __future__ import annotations

import json
import re
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinair.bench import compare, gate
from thinair.bench.analysis import recorded_run
from thinair.bench.analysis.recorded_run import Run, summary
from thinair.bench.report.frame_timeline import by_frame, read_pcap, worst
from thinair.bench.report.page import page
from thinair.cli import main
from thinair.link.errors import ConfigError, FileError
from thinair.link.native import Packetizer
from thinair.link.protocol.frame_trace import STAGES
from thinair.link.protocol.rtcp import Pli, Repair, RepairRequest, build
from thinair.receiver.stats.frame_table import COLUMNS
from thinair.receiver.stats.pcap import HEADER

pytestmark = pytest.mark.quick

PARTS_US = dict(zip(STAGES, (4_000, 30, 3_500, 150, 30, 0, 1_000, 40, 1_200), strict=True))
ENDS = ("dequeue_us", "encode_in_us", "encode_out_us", "last_send_us", "last_packet_us", "repaired_us", "decoded_us",
        "present_in_us", "presented_us")  # fmt: skip


def frame(number: int, at_us: int, rng: np.random.Generator, more_us: dict[str, int] | None = None) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"frame_id": number, "outcome": "presented", "capture_us": at_us, "bound_us": 50, "bytes": 40_000}
    row |= {"packets": 30, "key": 0, "gap": 0, "round": 0}
    now = at_us
    for (stage, us), end in zip(PARTS_US.items(), ENDS, strict=True):
        now += us + (more_us or {}).get(stage, 0) + (int(rng.gamma(2, 50)) if us > 100 else 0)
        row[end] = now
    row["capture_to_present_us"] = now - at_us
    return row


def run(more_us: dict[str, int] | None = None, *, seed: int = 1, count: int = 250, starts: int = 6) -> Run:
    rng = np.random.default_rng(seed)
    frames = []
    for start in range(starts):
        began = 1_000_000_000 * (start + 1)
        frames += [frame(n, began + 40_000 * n, rng, more_us) | {"round": start} for n in range(count)]
    report = {"mode": {"width": 1920, "height": 1080, "rate": "25"}, "conditions": {"unfit": []}}
    return Run("loop", report, frames)


def saved(path: Path, one: Run) -> Path:
    path.write_text(json.dumps(one.as_json()))
    return path


# ---- what a run says ----------------------------------------------------------------------------------------------


def test_the_stages_add_up_to_the_whole_and_a_run_where_they_do_not_is_no_evidence() -> None:
    good = run()
    assert good.sum_error_us() == (0, 1500)
    assert good.faults() == []
    broken = run()
    broken.frames[7]["capture_to_present_us"] += 40  # type: ignore[index]  # built by us as a dict
    assert "do not add up" in broken.faults()[0]


def test_an_empty_run_says_so() -> None:
    assert run(count=0).faults() == ["the run is empty: no frame of it was shown"]


def test_a_run_without_the_senders_stamps_says_so() -> None:
    one = run()
    for row in one.frames:
        row["capture_us"] = None  # type: ignore[index]
    assert "no frame has all its stamps" in one.faults()[0]


def test_too_few_samples_for_a_percentile_are_said_instead_of_a_number() -> None:
    found = summary(range(100))
    assert found["p95"] is not None
    assert found["p99"] is None
    assert found["too_few"] == "100 samples: p99 wants 368 samples"


def test_the_glass_ages_while_a_picture_stands() -> None:
    one = run(count=100, starts=1)
    frames = [row for row in one.frames if not 40 <= row["frame_id"] < 60]  # 800 ms without a picture
    ages = [age for _, age in Run("loop", one.report, frames).glass_age()]
    assert max(ages) == pytest.approx(40 * 21 + 10, abs=25)
    assert min(ages) > 9


def test_a_run_comes_back_from_its_file(tmp_path: Path) -> None:
    again = recorded_run.read_run(saved(tmp_path / "a.json", run()))
    assert again.as_json() == run().as_json()


# ---- the page -----------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_else_and_says_the_number() -> None:
    text = page(run())
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|<script""", text)
    middle = summary(np.concatenate(run().series("capture_to_present")))["p50"]
    assert f"{middle:.2f}" in text
    assert "Sound:" in text
    assert all(f">{name}</td>" in text for name in STAGES)


def test_the_page_of_a_run_that_is_no_evidence_says_so_first() -> None:
    assert "Not to be believed" in page(run(count=0))


def test_what_a_report_says_cannot_become_markup() -> None:
    one = run(count=40)
    report = {**one.report, "conditions": {"cpu": "<script>alert(1)</script>", "unfit": ["<b>x</b>"]}}
    text = page(Run("loop<i>", report, one.frames))
    assert "<script" not in text
    assert "<b>x" not in text
    assert "<i>" not in text.replace("<i style", "")


# ---- stories ------------------------------------------------------------------------------------------------------


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


def test_a_story_tells_which_packets_came_what_was_asked_and_what_was_repaired(tmp_path: Path) -> None:
    packets = Packetizer(ssrc=7, elements=True).packetize(
        b"\0\0\0\1\x41" + bytes(range(1, 255)) * 20, frame_id=12, rtp_time=9, capture_us=5
    )
    symbol = b"\x80\x61" + bytes(10) + struct.pack(">IHHBBBB", 12, 0, len(packets), 0, 3, 0, 0) + bytes(40)
    request = build(Repair(1, 2, (RepairRequest(12, 0, 1, 1),)))
    records = [(1_000 + n * 10, False, packet) for n, packet in enumerate(packets) if n != 1]
    records += [(1_200, True, request), (3_000, False, symbol), (3_100, True, build(Pli(1, 7)))]
    file = tmp_path / "a.pcap"
    file.write_bytes(pcap(records) + b"\1\2")  # cut in the middle of a record
    events = by_frame(read_pcap(file))
    row = frame(12, 900, np.random.default_rng(1))
    (story,) = worst([row], events)
    assert story["lost"] == [1]
    assert story["packets"] == len(packets)
    assert [kind for _, kind, _ in story["events"]] == [*["media"] * (len(packets) - 1), "asked", "symbol", "key_asked"]
    assert story["events"][0][0] == pytest.approx(0.1)
    assert "packet 2 did not come" in story["words"]
    assert "1 symbols came, 1 of them asked for; 1 requests" in story["words"]
    assert "packet 2 did not come" in page(Run("loop", run().report, [row], [story]))


def test_frames_that_were_never_shown_have_stories_too() -> None:
    rows = [frame(n, 40_000 * n, np.random.default_rng(n)) for n in range(1, 30)]
    rows[10] = dict.fromkeys(COLUMNS) | {"frame_id": 11, "outcome": "lost", "round": 0}
    stories = worst(rows, {})
    assert stories[0]["outcome"] == "lost"
    assert "given up" in stories[0]["words"]
    assert len(stories) == 10


@pytest.mark.parametrize("content", [b"", b"abc", bytes(60), HEADER[:20] + bytes(4)])
def test_what_is_no_packet_file_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
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


@pytest.mark.parametrize("stage", STAGES)
def test_a_millisecond_more_in_any_stage_is_found_there_and_in_the_whole(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = saved(tmp_path / "a.json", run()), saved(tmp_path / "b.json", run({stage: 1_000}, seed=2))
    assert main(["bench", "compare", str(before), str(after)]) == 1
    said = capsys.readouterr().out
    assert f"B is slower in capture_to_present, {stage}\n" in said


def test_ten_runs_without_a_change_give_no_false_alarm(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{n}.json", run(seed=n)) for n in range(10)]
    for one, other in pairwise(files):
        assert main(["bench", "compare", str(one), str(other)]) == 0


def test_runs_of_two_modes_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run()
    report = {**other.report, "mode": {"width": 1280, "height": 720, "rate": "60"}}
    files = saved(tmp_path / "a.json", run()), saved(tmp_path / "b.json", Run("loop", report, other.frames))
    assert main(["bench", "compare", *map(str, files)]) == 2
    assert "compare runs of one mode" in capsys.readouterr().err


def benchmark(name: str, middle_us: float, rng: np.random.Generator, instructions: int | None = None) -> dict[str, Any]:
    data = (middle_us + rng.gamma(2, middle_us / 50, 200)) / 1e6
    extra = {} if instructions is None else {"instructions": instructions}
    return {"name": name, "stats": {"data": data.tolist()}, "extra_info": extra}


def suite(*benchmarks: dict[str, Any], cpu: str = "one") -> dict[str, Any]:
    return {"benchmarks": list(benchmarks), "machine_info": {"cpu": {"brand_raw": cpu}, "machine": "x86_64"}}


def test_suites_are_compared_by_times_on_one_machine_and_by_instructions_on_two() -> None:
    rng = np.random.default_rng(1)
    a = suite(benchmark("scan", 50, rng, 1000), benchmark("seal", 90, rng, 5000))
    b = suite(benchmark("test_piece[scan]", 80, rng, 1000), benchmark("seal", 90, rng, 5200))
    verdicts = {one.name: one.verdict for one in compare.compare_suites(a, b)[0]}
    assert verdicts == {"scan": "slower", "scan (counted)": "same", "seal": "same", "seal (counted)": "slower"}
    verdicts_of_two, notes = compare.compare_suites(a, {**b, "machine_info": {}})
    assert [one.name for one in verdicts_of_two] == ["scan (counted)", "seal (counted)"]
    assert "two machines" in notes[0]


def test_a_benchmark_that_only_one_has_is_told() -> None:
    rng = np.random.default_rng(1)
    _, notes = compare.compare_suites(
        suite(benchmark("scan", 50, rng), benchmark("x", 9, rng)), suite(benchmark("scan", 50, rng))
    )
    assert notes == ["x is only in A"]


# ---- gate ---------------------------------------------------------------------------------------------------------

BUDGET = """
[stages."1920x1080@25"]
encode = { p50 = 4.5, p95 = 5.0 }
present = { p50 = 2.0 }
"""


def test_the_gate_names_the_stage_that_broke_its_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = tmp_path / "b.toml"
    budget.write_text(BUDGET)
    good, bad = saved(tmp_path / "g.json", run()), saved(tmp_path / "b.json", run({"encode": 1_500}))
    assert main(["bench", "gate", "--budget", str(budget), str(good)]) == 0
    assert main(["bench", "gate", "--budget", str(budget), str(bad)]) == 1
    assert capsys.readouterr().out.endswith("broken: encode p50, encode p95\n")


def test_a_promise_for_which_there_are_too_few_samples_is_not_kept() -> None:
    limits = {"1920x1080@25": {"encode": {"p99": 99.0}}}
    (promise,) = gate.stages(run(count=20, starts=1), limits)
    assert not promise.kept
    assert "p99 wants 368" in promise.words()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "promises nothing"),
        ("[x]", "[x] is not known"),
        ("=", "is no TOML"),
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


# ---- what is no run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no JSON"),
        ("[1, 2]", "not a report of thinair"),
        ('{"a": 1}', "not a report of thinair"),
        ('{"schema": "elsewhere/3"}', "is a elsewhere/3, not a run"),
        ('{"schema": "thinair.run/1"}', "is damaged"),
        ('{"schema": "thinair.run/1", "columns": ["a"], "frames": [[1, 2]]}', "is damaged"),
        ('{"schema": "thinair.report/1"}', "add --frames FILE.csv"),
        ('{"benchmarks": []}', "pytest-benchmark, not a run"),
    ],
)
def test_a_file_that_is_no_run_is_refused_in_one_line(
    content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    assert main(["bench", "report", str(file)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read"):
        recorded_run.read_run(tmp_path / "none.json")
    with pytest.raises(FileError, match="cannot read"):
        recorded_run.read_frames(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="not the frame log of a player"):
        recorded_run.read_frames(tmp_path / "other.csv")
