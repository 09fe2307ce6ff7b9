"""Who may import whom (docs/architecture: the house). Walks every import of every module."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
HOUSE = ("thinair", "link", "edid", "wifi", "sender", "receiver", "bench", "tests")
MAY_IMPORT = {
    "thinair": {"sender", "receiver", "bench", "edid", "wifi", "link"},
    "sender": {"edid", "link"},
    "receiver": {"link"},
    "link": set(),
    "edid": set(),
    "wifi": {"link"},
    "bench": set(HOUSE),
    "tests": set(HOUSE),
}
THIRD_PARTY = {"thinair", "sender", "receiver", "bench", "tests"}  # may use other people's packages
THIRD_PARTY_AT_TOP = {"receiver", "bench", "tests"}  # at the top of any module
# The sender's modules that need other people's packages. The others import these inside functions only, so that a
# sender with a hardware encoder runs with the standard library alone.
PC_MODULES = {
    "sender.control.server",
    "sender.encoders.x264",
    "sender.sources.card",
    "sender.sources.file",
    "sender.sources.fit",
    "sender.sources.hdmi",
    "sender.sources.screen",
    "sender.sources.testcard",
    "sender.visualcode",
}
EXTENSION_DOOR = "link.native"
# What both ends share but is not sans-IO; the other modules of link/ may not use it.
LINK_EDGES = {EXTENSION_DOOR, "link.files", "link.log", "link.network"}
LINK_EDGES |= {
    "link.entropy",
    "link.guard",
    "link.identity",
    "link.pairings",
    "link.patience",
    "link.state",
    "link.tls",
}


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


def imported_by(path: Path, *, top_only: bool = False) -> set[str]:
    return set(imports(ast.parse(path.read_text(encoding="utf-8"), str(path)), top_only=top_only))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def found_in(package: str, *, top_only: bool = False) -> list[tuple[str, str]]:
    """(module, top-level name of what it imports)."""
    return [
        (module_name(path), name)
        for path in modules(package)
        for name in sorted({name.split(".")[0] for name in imported_by(path, top_only=top_only)})
    ]


def is_third_party(name: str) -> bool:
    return name not in HOUSE and name not in sys.stdlib_module_names and name not in {"_thinair", "__future__"}


@pytest.mark.parametrize("package", HOUSE)
def test_a_package_imports_only_the_packages_it_may(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [(path, name) for path, name in found_in(package) if name in HOUSE and name not in allowed]
    assert wrong == []


@pytest.mark.parametrize("package", ["thinair", "sender", "receiver", "link", "edid"])
def test_the_extension_is_imported_through_one_door(package: str) -> None:
    wrong = [path for path, name in found_in(package) if name == "_thinair" and path != EXTENSION_DOOR]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(set(HOUSE) - THIRD_PARTY))
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


def test_the_sans_io_modules_of_link_neither_read_clocks_nor_open_anything() -> None:
    forbidden = {
        "time",
        "socket",
        "asyncio",
        "threading",
        "select",
        "subprocess",
        "os",
        "_thinair",
        "random",
        "secrets",
    }
    for path in modules("link"):
        if module_name(path) not in LINK_EDGES:
            assert imported_by(path) & (forbidden | LINK_EDGES) == set(), path


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
