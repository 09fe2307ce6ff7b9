"""How the package is cut: circles, large classes, untyped dictionaries across packages, paths that documents name, long
lines of prose, and what messages tell people to install.

Each check prints what it found. `python -m tests.project.test_structure` prints all, and ends in 1 where one has found
something.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.quick

_FOLDERS = ("link", "edid", "wifi", "sender", "receiver", "bench")
_MOST_METHODS = 25
_PROSE_COLUMNS, _README_LINES = 120, 130


@cache
def _tracked() -> tuple[str, ...]:
    return tuple(subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines())


@cache
def _modules() -> dict[str, ast.Module]:
    """Full name → tree, of the package's modules."""
    found = {}
    for name in _tracked():
        first = name.split("/")[0]
        if name.endswith(".py") and first in {"thinair", *_FOLDERS}:
            dotted = name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            full = dotted if first == "thinair" else f"thinair.{dotted}"
            found[full] = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    return found


# Not true yet: what unmerged branches still have to bring. Each is switched on by taking it out of here.
_LATER = {"circles", "large_classes", "untyped_signatures", "lost_paths", "long_prose", "foreign_installs"}


def circles() -> Iterator[str]:
    """Modules that import each other, wherever the import stands: at the top, in a function, under TYPE_CHECKING."""
    modules = _modules()
    graph = {name: {one for one in _imported(tree, modules) if one != name} for name, tree in modules.items()}
    for group in _strongly_connected(graph):
        if len(group) > 1:
            yield " ↔ ".join(sorted(group))


def _imported(tree: ast.Module, modules: dict[str, ast.Module]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in modules:
                    yield full
                elif node.module in modules:
                    yield node.module


def _strongly_connected(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[list[str]]:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                yield from visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            yield stack[at:]
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            yield from visit(node)


def large_classes() -> Iterator[str]:
    """Classes over 25 methods whose docstring has no line that begins with "Size:" and gives the reason."""
    for name, tree in _modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = sum(isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) for one in node.body)
                if methods > _MOST_METHODS and "Size:" not in (ast.get_docstring(node) or ""):
                    yield f"{name}.{node.name}: {methods} methods"


def untyped_signatures() -> Iterator[str]:
    """Public functions with `dict[str, Any]` in their signatures that another package imports, or whose class or module
    it imports and whose name it uses."""
    uses = [(_package(name), _imported_names(tree), _attributes(tree)) for name, tree in _modules().items()]
    for name, tree in _modules().items():
        for owner, function in _public_functions(tree):
            arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            hints = (*(one.annotation for one in arguments), function.returns)
            if not any(hint is not None and "dict[str, Any]" in ast.unparse(hint) for hint in hints):
                continue
            whole = f"{name}.{owner or function.name}"
            others = {
                package
                for package, imported, attributes in uses
                if package != _package(name)
                and (whole in imported or name in imported)
                and ((not owner and whole in imported) or function.name in attributes)
            }
            if others:
                yield f"{whole}{f'.{function.name}' * bool(owner)}, used by {', '.join(sorted(others))}"


def _package(module: str) -> str:
    """thinair.receiver.stats.report → thinair.receiver.stats, thinair.receiver.player → thinair.receiver."""
    return ".".join(module.split(".")[:3]) if module.count(".") > 2 else ".".join(module.split(".")[:2])


def _imported_names(tree: ast.Module) -> set[str]:
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _attributes(tree: ast.Module) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _public_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(class or "", function)."""
    for node in tree.body:
        owner = node.name if isinstance(node, ast.ClassDef) else ""
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and "_" not in {one.name[0], owner[:1]}:
                yield owner, one


_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*\w/?|\w[\w-]*\.(?:py|md|c|h|toml|sh|txt|ini|json|ts|js|css|html)")
_TEXT_FILES = {".py", ".pyi", ".c", ".h", ".md", ".toml", ".sh", ".js", ".css", ".html", ".build"}
_ROOTS = ("bench", "docs", "edid", "link", "native", "receiver", "sender", "tests", "thinair", "tools", "wifi")
_MADE = ("build/", "dist/", "tests/vm/build/")
_HISTORY = ("CHANGELOG.md", "docs/adr/", "docs/measurements/")  # name what was there


def lost_paths() -> Iterator[str]:
    """Paths of this tree in backticks, in documents and comments, that are gone. Only such that begin with one of the
    tree's folders are paths of this tree."""
    files = set(_tracked())
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for name in _tracked():
        if Path(name).suffix not in _TEXT_FILES or name.startswith(_HISTORY):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            for quoted in re.findall(r"`([^`]+)`", line):
                path = quoted.strip().split("::")[0].split(" ")[0].rstrip("/").removeprefix("./")
                if not _PATH.fullmatch(path) or path.split("/")[0] not in _ROOTS or "/" not in path:
                    continue
                if path not in files and path not in folders and not path.startswith(_MADE):
                    yield f"{name}:{number}: {path}"


def long_prose() -> Iterator[str]:
    """Lines of Markdown over 120 columns that are neither of a table nor of code."""
    for name in _tracked():
        if not name.endswith(".md"):
            continue
        in_code = False
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            in_code ^= line.lstrip().startswith("```")
            table = line.lstrip().startswith("|")
            if len(line) > _PROSE_COLUMNS and not in_code and not table:
                yield f"{name}:{number}: {len(line)} columns"


def long_readme() -> Iterator[str]:
    lines = len((ROOT / "README.md").read_text(encoding="utf-8").splitlines())
    if lines > _README_LINES:
        yield f"README.md: {lines} lines"


def foreign_installs() -> Iterator[str]:
    """Texts that tell people to install our package from an index, where the name is another project's."""
    pattern = re.compile(r"pip3? install (?:-\S+ )*['\"]?thinair\b")
    for name in _tracked():
        if Path(name).suffix in _TEXT_FILES and name != "tests/project/test_structure.py":
            for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
                if pattern.search(line):
                    yield f"{name}:{number}: {line.strip()}"


CHECKS: tuple[Callable[[], Iterator[str]], ...] = (
    circles,
    large_classes,
    untyped_signatures,
    lost_paths,
    long_prose,
    long_readme,
    foreign_installs,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_tree_has_none_of(check: Callable[[], Iterator[str]]) -> None:
    found = sorted(check())
    print("\n".join(found))
    if found and check.__name__ in _LATER:
        pytest.xfail(f"{len(found)} are left")
    assert found == []


if __name__ == "__main__":
    faults = 0
    for check in CHECKS:
        found = sorted(check())
        faults += len(found)
        print(f"{check.__name__}: {len(found)}", *found, sep="\n  ")
    sys.exit(1 if faults else 0)
