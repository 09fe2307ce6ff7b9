"""What makes the commands easy: examples, completion, a configuration made from the parser, logs for machines."""

from __future__ import annotations

import json
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support import catalogue
from tests.support.processes import call
from thinair.cli import main
from thinair.commands import config_reference
from thinair.link.errors import Exit
from thinair.link.options import load, options
from thinair.receiver.config import ReceiverConfig
from thinair.sender.config import SenderConfig


@pytest.mark.quick
@pytest.mark.parametrize("file", catalogue.SNAPSHOTS, ids=lambda file: file.name)
def test_help_messages_and_configuration_page_are_as_reviewed(file: Path) -> None:
    """After a change of a text, `make snapshots` writes the files, and the change is seen in review."""
    assert file.read_text(encoding="utf-8").splitlines() == catalogue.snapshot(catalogue.SNAPSHOTS[file]).splitlines()


@pytest.mark.quick
def test_the_message_catalogue_has_errors_log_lines_and_tables_but_neither_help_nor_docstrings() -> None:
    source = '''"""A module of some words."""
_WORDS = {1: "no cable at camera"}
def f(log, name):
    """Says what it does."""
    log.write(f"receiver {name} connected from {host()}", "kind")
    assert log, "never seen by users"
    re.compile("a pattern of words")
    raise ConfigError("no such file: " "give another" if name else "no file was given")
'''
    assert catalogue.templates(source) == [
        "no cable at camera",
        "no file was given",
        "no such file: give another",
        "receiver {name} connected from {host()}",
    ]


def test_the_configuration_file_is_toml_and_with_every_key_set_still_the_defaults(tmp_path: Path) -> None:
    text = config_reference.toml()
    assert load(SenderConfig, {}, written(tmp_path, text)) == SenderConfig()
    lines = [line.removeprefix("# ") if " = " in line and '= "' not in line else line for line in text.splitlines()]
    chosen = written(tmp_path, "\n".join(lines))
    assert tomllib.loads(chosen.read_text())["send"]["max_packet"] == 1400
    assert '# bitrate = "8M"' in text
    assert load(SenderConfig, {}, chosen) == SenderConfig()
    assert load(ReceiverConfig, {}, chosen) == ReceiverConfig()
    for kind in (SenderConfig, ReceiverConfig):
        assert all(f"# {key} = " in text for key in options(kind))


def written(folder: Path, text: str) -> Path:
    path = folder / "thinair.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", ["demo", "send", "play", "completion"])
def test_help_ends_with_examples_that_the_parser_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    _, _, text = capsys.readouterr().out.partition("examples:\n")
    examples = [line.split()[1:] for line in text.splitlines() if line.startswith("  thinair ")]
    assert len(examples) >= 2
    for words in examples:
        before = words[: words.index(">")] if ">" in words else words
        with pytest.raises(SystemExit) as ended:
            main([*before, "--help"])  # --help comes last: all before it was understood
        assert ended.value.code == 0


def completed(words: list[str]) -> list[str]:
    """What bash offers for the last of these words."""
    script = call("completion", "bash").stdout
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _shtab_thinair; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_values() -> None:
    assert {"send", "play", "recover"} <= set(completed(["thinair", ""]))
    assert completed(["thinair", "play", "--lat"]) == ["--latency"]
    assert completed(["thinair", "play", "--latency", ""]) == ["lowest", "smooth"]
    assert completed(["thinair", "bench", "pla"]) == ["players"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == Exit.OK
    assert "thinair" in capsys.readouterr().out


def test_a_log_for_machines_is_one_object_a_line_errors_too() -> None:
    words = (
        "play",
        "--dashboard",
        "off",
        "--headless",
        "--listen",
        "0",
        "--log-format",
        "json",
        "--seconds",
        "0.2",
    )
    done = call(*words)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["kind"] for line in lines] == ["start", "error"]
    assert all({"time", "command", "kind", "text"} <= set(line) for line in lines)
    assert all(line["command"] == "play" for line in lines)
    assert lines[1]["exit_code"] == done.returncode == Exit.NO_PEER
    assert abs((datetime.now(UTC) - datetime.fromisoformat(lines[0]["time"])).total_seconds()) < 60
    assert done.stdout == ""


@pytest.mark.parametrize(("old", "new"), [("desk", "players"), ("sealed", "encryption")])
def test_a_bench_by_its_old_name_runs_and_logs_the_new_one(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", old, "--help"])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"usage: thinair bench {new}")
    assert printed.err == f"thinair bench: bench {old} was renamed to bench {new}; {old} still works in this release\n"
