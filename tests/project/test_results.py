"""docs/results.md and README.md hold exactly what docs/results/*.json hold."""

from __future__ import annotations

import pytest

from tests.support.paths import ROOT
from thinair.bench.tables.files import Result, read_all
from thinair.bench.tables.pages import README_BEGIN, README_END, readme_with, results_page
from thinair.link.errors import ConfigError

pytestmark = pytest.mark.quick

AGAIN = "run: python -m thinair.bench.tables write docs/results docs/results.md README.md"


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return read_all(ROOT / "docs" / "results")


def test_the_results_page_is_exactly_what_its_json_files_make(results: dict[str, Result]) -> None:
    assert (ROOT / "docs" / "results.md").read_text() == results_page(results), AGAIN


def test_the_table_of_the_readme_is_exactly_what_its_json_file_makes(results: dict[str, Result]) -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme == readme_with(results, readme), AGAIN


def test_the_table_of_the_readme_is_of_the_encrypted_link(results: dict[str, Result]) -> None:
    assert results["loop"]["link"] == "encrypted"


def test_another_number_in_a_json_file_is_another_number_on_both_pages(results: dict[str, Result]) -> None:
    loop = results["loop"]
    changed: Result = {**loop, "rows": [{**row, "screen": 77.7} for row in loop["rows"]]}
    readme = readme_with({**results, "loop": changed}, (ROOT / "README.md").read_text())
    assert readme.count("77.7") == len(loop["rows"])
    assert results_page({**results, "loop": changed}).count("77.70") == len(loop["rows"])


def test_a_readme_without_a_place_for_its_table_is_refused(results: dict[str, Result]) -> None:
    for text in ("", README_BEGIN, f"{README_END}\n{README_BEGIN}"):
        with pytest.raises(ConfigError, match="no place for the table"):
            readme_with(results, text)


def test_every_result_names_its_command_date_and_machine(results: dict[str, Result]) -> None:
    for name, result in results.items():
        assert result["commands"], name
        assert all(command.startswith("thinair bench ") for command in result["commands"]), name
        assert result["date"].count("-") == 2, name
        assert result["machine"], name
        assert result["link"] in {"encrypted", "unencrypted", "simulated"}, name
        assert result["rows"], name
