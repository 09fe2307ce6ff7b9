"""What pip installs: by which name, on which machine, with what beside it, and that nothing else is in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, TypedDict

import pytest
from packaging.requirements import Requirement

from tests.support.namespace import outside
from tests.support.paths import ROOT
from tests.support.processes import running
from thinair import DISTRIBUTION, __version__
from thinair.link.missing_package import REQUIREMENTS, install_line

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OUR_FOLDERS = ("bench", "edid", "link", "receiver", "sender", "wifi")
HEADLESS_DEMO = ("demo", "--headless")
JUNK = 'raise SystemExit(f"{__file__} was imported")\n'


@pytest.mark.quick
def test_the_name_of_the_distribution_is_written_once_in_the_code_and_equals_the_projects() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert PROJECT["version"] == __version__
    files = [path for folder in ("thinair", *OUR_FOLDERS) for path in (ROOT / folder).rglob("*.py")]
    named = [path for path in files if DISTRIBUTION in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT) for path in named] == [Path("thinair/__init__.py")]


@pytest.mark.quick
def test_the_requirements_of_missing_packages_are_those_of_the_project() -> None:
    groups = [PROJECT["dependencies"], PROJECT["optional-dependencies"]["bench"]]
    project = {text.partition(";")[0] for group in groups for text in group}
    table = {requirement for requirements in REQUIREMENTS.values() for requirement in requirements}
    assert table <= project
    assert project - table == {"pytest-benchmark>=5"}, "imported by pytest alone"


@pytest.mark.quick
@pytest.mark.parametrize(("machine", "all_of_them"), [("x86_64", True), ("aarch64", True), ("armv6l", False)])
def test_a_pc_gets_every_package_and_a_pi_zero_none(machine: str, all_of_them: bool) -> None:
    requirements = [Requirement(text) for text in PROJECT["dependencies"]]
    environment = {"platform_machine": machine}
    wanted = [one for one in requirements if one.marker is None or one.marker.evaluate(environment)]
    assert wanted == (requirements if all_of_them else [])


@pytest.mark.quick
def test_the_install_line_names_distribution_and_version_and_the_pip_that_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert install_line("PIL.Image") == "pip install 'pillow>=11'"
    assert install_line("sdl2") == "pip install 'pysdl2>=0.9.17' 'pysdl2-dll>=2.30'"
    monkeypatch.setattr(sys, "prefix", "/opt/thinair")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert install_line("av") == "/opt/thinair/bin/pip install 'av>=18,<19'"
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/thinair")
    assert install_line("av") == "pip install 'av>=18,<19'"


def program(folder: Path) -> Path:
    """What pip writes into bin/: no folder but its own goes before the installed packages."""
    script = folder / "bin/thinair"
    script.parent.mkdir()
    script.write_text("import sys\nfrom thinair.cli import main\nsys.exit(main())\n")
    return script


def installed_package(folder: Path) -> Path:
    """A folder with the package as a wheel has it, beside foreign packages with the names of our folders."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "thinair", folder / "thinair", ignore=ignore)
    for name in OUR_FOLDERS:
        foreign = folder / name / "__init__.py"
        foreign.parent.mkdir()
        foreign.write_text(JUNK)
    return folder


def junk_folder(folder: Path) -> Path:
    """A folder to work in, whose modules end whoever imports them."""
    (folder / "sender").mkdir(parents=True)
    for name in ("link.py", "token.py", "secrets.py", "av.py", "thinair.py", "sender/__init__.py"):
        (folder / name).write_text(JUNK)
    return folder


class Installed(TypedDict):
    """Where an installation runs."""

    env: dict[str, str]
    cwd: Path


def installed(folder: Path) -> tuple[list[str], Installed]:
    """The command of an installation, and where to run it: amid modules that end whoever imports them."""
    env = os.environ | {"PYTHONPATH": str(installed_package(folder / "site"))}
    return [sys.executable, str(program(folder))], {"env": env, "cwd": junk_folder(folder / "work")}


def test_the_demo_imports_nothing_from_the_current_folder_or_foreign_packages(tmp_path: Path) -> None:
    words, places = installed(tmp_path)
    with running([*words, *HEADLESS_DEMO, "--dashboard", "off", "--control", "off"], **places) as demo:
        demo.wait_for_pictures(1)
        assert demo.stop() == 0, demo.text()
    assert "was imported" not in demo.text()


def test_doctor_imports_nothing_from_the_current_folder_or_foreign_packages(tmp_path: Path) -> None:
    words, places = installed(tmp_path)
    with running([*words, "doctor"], **places) as doctor:
        assert doctor.end() in {0, 1}, doctor.text()
    assert "was imported" not in doctor.text()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_wheel_installs_into_an_empty_environment_and_runs_the_demo(tmp_path: Path) -> None:
    """Needs the network: pip fetches what the project depends on."""
    wheels, environment = tmp_path / "dist", tmp_path / "env"
    pip = [*outside(), sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), "."]
    subprocess.run(pip, cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*outside(), str(environment / "bin/pip"), "install", "--quiet", str(wheel)], check=True)
    (site,) = environment.glob("lib/python3*/site-packages")
    assert not [name for name in OUR_FOLDERS if (site / name).exists()]
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    with running(
        [str(environment / "bin/thinair"), *HEADLESS_DEMO], env=clean, cwd=junk_folder(tmp_path / "work")
    ) as demo:
        demo.wait_for_pictures(1)
        assert demo.stop() == 0, demo.text()
