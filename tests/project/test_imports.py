"""Who may import whom (docs/architecture.md). Walks every import of every module."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.quick

# Folders at the top of the source tree; all but the first and the last are imported as thinair.NAME.
PACKAGES = ("thinair", "link", "edid", "wifi", "sender", "receiver", "bench", "tests")
MAY_IMPORT = {
    "thinair": {"sender", "receiver", "bench", "edid", "wifi", "link"},
    "sender": {"edid", "link"},
    "receiver": {"link"},
    "link": set(),
    "edid": set(),
    "wifi": {"link"},
    "bench": set(PACKAGES),
    "tests": set(PACKAGES),
}
THIRD_PARTY = {"thinair", "sender", "receiver", "bench", "tests"}  # may use other people's packages
THIRD_PARTY_AT_TOP = {"receiver", "bench", "tests"}  # at the top of any module
# The sender's modules that need other people's packages. The others import these inside functions only, so that a
# sender with a hardware encoder runs with the standard library alone.
PC_MODULES = {
    "thinair.sender.control.server",
    "thinair.sender.encoders.x264",
    "thinair.sender.sources.testcard_layers",
    "thinair.sender.sources.file",
    "thinair.sender.sources.scale",
    "thinair.sender.sources.hdmi",
    "thinair.sender.sources.screen",
    "thinair.sender.sources.testcard",
    "thinair.sender.sources.visual_code",
}
EXTENSION = "thinair._native"
EXTENSION_MODULE = "thinair.link.native"
# Where clocks, chance, files, processes and sockets come from.
EDGES = {"asyncio", "os", "pathlib", "random", "secrets", "select", "selectors", "socket", "ssl"}
EDGES |= {"subprocess", "threading", "time"}


def modules(package: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / package).rglob("*.py")) if "__pycache__" not in path.parts)


def imports(tree: ast.AST, *, top_only: bool = False) -> Iterator[str]:
    """Full names of what is imported, both `a.b` and `a.b.c` for `from a.b import c`. What stands under
    `if TYPE_CHECKING` is no import at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(ast.Module(node.orelse, []), top_only=top_only)
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from imports(node, top_only=top_only)


@cache
def imported_by(path: Path, *, top_only: bool = False) -> frozenset[str]:
    return frozenset(imports(ast.parse(path.read_text(encoding="utf-8"), str(path)), top_only=top_only))


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return name if name.split(".")[0] in {"thinair", "tests"} else f"thinair.{name}"


def part_of(name: str) -> str:
    """The folder that a module belongs to, or the other package that it is of."""
    if name.startswith(EXTENSION):
        return EXTENSION
    first, _, rest = name.partition(".")
    second = rest.partition(".")[0]
    return second if first == "thinair" and second in PACKAGES else first


def found_in(package: str, *, top_only: bool = False) -> list[tuple[str, str]]:
    """(module, folder or other package of what it imports)."""
    return [
        (module_name(path), name)
        for path in modules(package)
        for name in sorted({part_of(name) for name in imported_by(path, top_only=top_only)})
    ]


def is_third_party(name: str) -> bool:
    return name not in {*PACKAGES, EXTENSION, "__future__"} and name not in sys.stdlib_module_names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_packages_it_may(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [(path, name) for path, name in found_in(package) if name in PACKAGES and name not in allowed]
    assert wrong == []


@pytest.mark.parametrize("package", ["thinair", "sender", "receiver", "link", "edid"])
def test_the_extension_is_imported_by_link_native_alone(package: str) -> None:
    wrong = [path for path in modules(package) if EXTENSION in imported_by(path)]
    assert [module_name(path) for path in wrong if module_name(path) != EXTENSION_MODULE] == []


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - THIRD_PARTY))
def test_link_and_edid_stand_on_the_standard_library_alone(package: str) -> None:
    assert [(path, name) for path, name in found_in(package) if is_third_party(name)] == []


@pytest.mark.parametrize("package", sorted(THIRD_PARTY - THIRD_PARTY_AT_TOP))
def test_the_front_door_and_the_sender_import_other_packages_only_in_named_modules(package: str) -> None:
    found = found_in(package, top_only=True)
    assert [(name, other) for name, other in found if is_third_party(other) and name not in PC_MODULES] == []


@pytest.mark.parametrize("package", ["thinair", "sender", "link", "edid"])
def test_a_module_that_needs_a_pc_is_imported_inside_functions_only(package: str) -> None:
    wrong = [
        (module_name(path), name)
        for path in modules(package)
        if module_name(path) not in PC_MODULES
        for name in imported_by(path, top_only=True) & PC_MODULES
    ]
    assert wrong == []


def test_the_modules_named_here_exist() -> None:
    assert {module_name(path) for path in modules("sender")} >= PC_MODULES


def test_link_protocol_neither_reads_clocks_nor_chance_nor_opens_anything() -> None:
    """Sans-IO: the sessions take `now_us` and random numbers from their caller, and return what to send."""
    for path in modules("link/protocol"):
        names = imported_by(path)
        assert names & EDGES == set(), path
        assert {name for name in names if name.startswith("thinair.")} <= {
            name for name in names if name.startswith("thinair.link.protocol.")
        }, path


def test_the_walk_sees_nested_imports_and_passes_over_those_for_types_only() -> None:
    source = """
import a
def f():
    from b.c import d
if TYPE_CHECKING:
    import e
else:
    import g
try:
    import h
except ImportError:
    pass
"""
    tree = ast.parse(source)
    assert set(imports(tree)) == {"a", "b.c", "b.c.d", "g", "h"}
    assert set(imports(tree, top_only=True)) == {"a", "g", "h"}


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"thinair", "tests"}))
def test_a_folder_of_the_package_cannot_be_imported_under_a_second_name(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"import thinair.{package}" in done.stderr.splitlines()[-1]


def test_each_folder_of_the_package_is_linked_into_it() -> None:
    links = {path.name: path.resolve() for path in (ROOT / "thinair").iterdir() if path.is_dir() and path.is_symlink()}
    assert links == {package: ROOT / package for package in set(PACKAGES) - {"thinair", "tests"}}


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"tests"}))
def test_the_interpreter_is_named_where_child_processes_are_made_and_nowhere_else(package: str) -> None:
    wrong = [module_name(path) for path in modules(package) if "sys.executable" in path.read_text(encoding="utf-8")]
    assert wrong == (["thinair.link.child_process"] if package == "link" else [])
