"""The tables: what is kept of a bench's output, from benches that run for seconds, and how it is rendered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thinair.bench.tables import measure as measuring
from thinair.bench.tables.__main__ import main
from thinair.bench.tables.files import Result, read_all
from thinair.bench.tables.measure import MEASUREMENTS, Measurement, measure
from thinair.bench.tables.pages import README_BEGIN, README_END, SECTIONS, results_page

README = f"before\n{README_BEGIN}\n{README_END}\nafter\n"
SHORT = {
    "loop": ["bench loop --mode 640x360@25 --bitrate 1M --seconds 2"],
    "glass-720p60": ["bench glass --mode 640x360@25 --bitrate 1M --seconds 1 --rounds 1 --baselines none"],
    "air": ["bench air --mode 640x360@25 --bitrate 1.5M --suite A --seconds 2 --baselines none"],
    "sim": ["bench sim --suite burst5 --strategy thinair,none,moonlight --frames 120 --seeds 2 --jobs 1"],
    "sim-sockets": ["bench sim --suite A --rate 25 --strategy thinair --seeds 1 --frames 120 --jobs 1"],
}


def measured(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Result]:
    """A table from a short run of its own benches."""
    one = MEASUREMENTS[name]
    short = Measurement(SHORT[name], one.tables, one.minutes, one.link, one.usual)
    monkeypatch.setitem(measuring.MEASUREMENTS, name, short)
    measure(folder, [name])
    return read_all(folder)


@pytest.mark.slow
@pytest.mark.quick
@pytest.mark.parametrize("name", ["sim", "sim-sockets"])
def test_a_simulation_becomes_tables(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = measured(name, tmp_path, monkeypatch)
    assert results[name]["link"] == "simulated"
    page = results_page(results)
    assert f"`thinair {SHORT[name][0]}`" in page
    if name == "sim":
        assert "| burst5 | **thinair** |" in page
        assert "|  | moonlight |" in page
        assert "fewer failed frames |" in page or "no failed frame |" in page


@pytest.mark.display
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "row"), [("loop", "| 640x360@25 |"), ("glass-720p60", "| **thinair** |"), ("air", "| **thinair** |")]
)
def test_a_short_run_of_a_bench_becomes_a_table(
    name: str, row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = measured(name, tmp_path / "results", monkeypatch)
    assert results[name]["link"] == "encrypted"
    (line,) = [line for line in results_page(results).splitlines() if line.startswith(row)][:1]
    assert any(character.isdigit() for character in line.removeprefix(row)), line
    if name == "loop":
        readme = tmp_path / "README.md"
        readme.write_text(README)
        assert main(["write", str(tmp_path / "results"), str(tmp_path / "results.md"), str(readme)]) == 0
        assert "| latency from screen grab to screen, mean, ms |" in readme.read_text()


@pytest.mark.quick
def test_every_table_that_is_measured_has_a_place_on_the_page() -> None:
    shown = {name for section in SECTIONS for name, _, _ in section.tables}
    assert {table for one in MEASUREMENTS.values() for table in one.tables} <= shown


@pytest.mark.quick
def test_the_usual_tables_take_at_most_35_minutes_together() -> None:
    assert sum(one.minutes for one in MEASUREMENTS.values() if one.usual) <= 35


@pytest.mark.quick
@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"schema": "other"})])
def test_a_damaged_file_of_results_is_named_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop.json").write_text(text)
    assert main(["write", str(tmp_path), str(tmp_path / "page.md"), str(tmp_path / "README.md")]) == 2
    error = capsys.readouterr().err
    assert "loop.json is not" in error
    assert error.count("\n") == 1


@pytest.mark.quick
def test_an_unknown_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(tmp_path), "moon"]) == 2
    assert "table 'moon' is not known" in capsys.readouterr().err
