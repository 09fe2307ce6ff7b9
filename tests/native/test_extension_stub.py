"""The extension's stub: it documents every public name, and names what the extension has."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.quick
STUB = ROOT / "thinair" / "_native.pyi"
Definition = ast.ClassDef | ast.FunctionDef


def module() -> ModuleType:
    return importlib.import_module("thinair._native")


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """(dotted name, definition) of the public classes, methods and functions."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{prefix}{node.name}.")


def stub() -> ast.Module:
    return ast.parse(STUB.read_text(encoding="utf-8"))


def annotated(body: list[ast.stmt]) -> set[str]:
    """Names of constants and attributes."""
    return {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}


def test_every_public_class_method_and_function_of_the_extension_has_a_docstring() -> None:
    documented = {name: ast.get_docstring(node) for name, node in definitions(stub().body)}
    assert {"Rx", "Rx.wait", "parse_sps"} <= documented.keys()
    assert [name for name, text in documented.items() if not text] == []


def test_the_stub_names_exactly_what_the_extension_module_has() -> None:
    types_only = {"CaptureFormat"}  # a TypedDict
    tree = stub()
    names = {name for name, _ in definitions(tree.body) if "." not in name} | annotated(tree.body)
    assert names - types_only == {name for name in dir(module()) if not name.startswith("_")}


def test_the_stub_names_exactly_what_the_extension_types_have() -> None:
    for name, node in definitions(stub().body):
        found = getattr(module(), name, None) if "." not in name else None
        if not isinstance(node, ast.ClassDef) or not inspect.isclass(found) or issubclass(found, tuple | Exception):
            continue
        methods = {inner.name for inner in node.body if isinstance(inner, ast.FunctionDef)}
        stated = {item for item in methods | annotated(node.body) if not item.startswith("_")}
        assert stated == {item for item in vars(found) if not item.startswith("_")}, name


def test_the_stub_names_the_fields_of_a_frame_report_in_order() -> None:
    node = next(node for name, node in definitions(stub().body) if name == "FrameReport")
    fields = [
        part.target.id for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    ]
    reported = module().FrameReport
    assert fields == [name for name, value in vars(reported).items() if inspect.ismemberdescriptor(value)]
    assert len(fields) == reported.n_fields
