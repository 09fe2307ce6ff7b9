"""Generated texts that reviews read: all of `--help`, every message, the configuration page. `make snapshots` writes
them (`python -m tests.support.catalogue`)."""

from __future__ import annotations

import argparse
import ast
import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from tests.support.paths import ROOT

_FOLDERS = ("thinair", "link", "edid", "wifi", "sender", "receiver", "bench")
# Calls whose texts are no messages: patterns, code, lookups, and what `--help` has already.
_OTHER_CALLS = {
    "compile",
    "search",
    "match",
    "fullmatch",
    "finditer",
    "findall",
    "split",
    "startswith",
    "endswith",
    "get",
}
_OTHER_CALLS |= {
    "startswith",
    "endswith",
    "Option",
    "whole",
    "switch",
    "choice",
    "add_argument",
    "add_parser",
    "_examples",
    "_add_actions",
}
_HELP_TABLES = {"_BENCHES", "_SERVICE_ACTIONS", "_PAIRING_ACTIONS", "_REMOTE_ACTIONS", "_WIFI_ACTIONS"}
_HELP_TABLES |= {"_EDID_ACTIONS"}
_OTHER_CALLS |= {"python_code", "send_str", "evaluate", "wait_for_function", "Struct", "AssertionError", "TypeVar"}


def help_text() -> str:
    """`--help` of every command, action and bench, at 100 columns."""
    from thinair import cli

    out = []
    with _environment(COLUMNS="100", XDG_CONFIG_HOME="/nonexistent"):
        for words in _commands(cli):
            printed = io.StringIO()
            with redirect_stdout(printed), redirect_stderr(printed), suppress(SystemExit):
                cli.main([*words, "--help"])
            out += [f"$ {' '.join(['thinair', *words])} --help", printed.getvalue()]
    return "\n".join(out)


def _commands(cli: object) -> Iterator[list[str]]:
    parser: argparse.ArgumentParser = cli._parser()  # type: ignore[attr-defined]  # the one place that has all commands
    yield []
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for name, command in action.choices.items():
            yield [name]
            for one in command._actions:
                if one.dest in {"action", "bench"} and one.choices is not None:
                    yield from ([name, choice] for choice in one.choices)


class _environment:  # noqa: N801 -- used like a function
    def __init__(self, **values: str) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)


def messages() -> str:
    """Every text of the package that a user may read, one a line, below its file; what is computed is in braces. Help
    and documentation of the code are left out."""
    out = []
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found = templates(path.read_text(encoding="utf-8"))
            if found:
                out += ["", str(path.relative_to(ROOT)), *(f"  {text}" for text in found)]
    return "\n".join(out[1:]) + "\n"


def templates(source: str) -> list[str]:
    return sorted(set(filter(_is_message, _texts(ast.parse(source)))))


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield _on_one_line(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield _on_one_line("".join(map(_part, node.values)))
    elif isinstance(node, ast.Call):
        if _name(node.func) not in _OTHER_CALLS:
            for child in (*node.args, *(keyword.value for keyword in node.keywords)):
                yield from _texts(child)
        yield from _texts(node.func)
    elif not isinstance(node, ast.Assert | ast.Compare):
        # A text that stands alone is a docstring; what cli.py has in its tables is in its help.
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        table = isinstance(node, ast.Assign) and any(_name(target) in _HELP_TABLES for target in node.targets)
        for part in () if alone or table else ast.iter_child_nodes(node):
            yield from _texts(part)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return "{" + ast.unparse(part.value) + "}"
    assert isinstance(part, ast.Constant)
    return str(part.value)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _on_one_line(text: str) -> str:
    return text.strip("\n").replace("\n", "\\n")


def _is_message(text: str) -> bool:
    """Three words and more that are neither markup nor code."""
    words = [word for word in text.split() if any(c.isalpha() for c in word)]
    return len(words) >= 3 and not any(sign in text for sign in ("<", "=>", "();", "\\n\\n")) and len(text) < 400


def configuration() -> str:
    from thinair.commands.config_reference import markdown

    return markdown()


SNAPSHOTS: dict[Path, Callable[[], str]] = {
    ROOT / "tests/commands/help.txt": help_text,
    ROOT / "tests/project/messages.txt": messages,
    ROOT / "docs/configuration.md": configuration,
}


def snapshot(make: Callable[[], str]) -> str:
    return "\n".join(line.rstrip() for line in make().splitlines()) + "\n"


if __name__ == "__main__":
    for file, make in SNAPSHOTS.items():
        text = snapshot(make)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(file.relative_to(ROOT))
