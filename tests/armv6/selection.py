"""pytest plugin of `make test-armv6`: of the folders it is given, what the sender's processor can run.

A module that imports a PC's packages, the receiver or the benches is left out by itself; so the sender's tests written
from here on are in without being named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_PC = {"av", "numpy", "PIL", "sdl2", "thinair.receiver", "thinair.bench"}
_PC_MODULES = {
    "thinair.sender.sources.visual_code",
    "thinair.sender.sources.testcard",
    "thinair.sender.sources.screen",
    "thinair.sender.encoders.x264",
}
_LEFT_OUT = {
    "test_cli.py": "starts the thinair command of this machine",
    "test_house.py": "reads sources, which are the same everywhere",
    "test_armv6.py": "looks at the emulation from outside",
    "test_clock_sim.py": "hours of virtual time: minutes of emulation",
    "test_session_sim.py": "hours of virtual time: minutes of emulation",
    "test_sps_streams.py": "x264 makes its streams",
    "test_convert.py": "pixels of the receiver",
    "test_mmal_abi.py": "asks this machine's compilers, for ARM too",
    "test_rate.py": "statistics in pure Python",
    "test_feedback.py": "statistics in pure Python",
}
# Single tests: name without parameters, and why not here.
_TOO_MUCH = {
    "test_ten_thousand_random_and_mutated_edids_are_read_or_refused_with_a_sentence": "minutes, in pure Python",
    "test_answers_nobody_asked_for_break_nothing": "minutes, in pure Python",
    "test_messages_come_back_as_they_went": "half a minute, in pure Python",
    "test_auto_takes_x264_where_no_hardware_is_and_says_why": "needs PyAV",
    "test_a_device_that_is_none_is_one_line": "qemu-user passes no V4L2 call on",
    "test_what_is_no_v4l2_device_raises_its_errno_with_the_path": "qemu-user passes no V4L2 call on",
    "test_pacing_spreads_the_packets_of_a_frame": "qemu-user knows no SO_TIMESTAMPNS",
}


def needs_a_pc(source: str) -> bool:
    """Whether a test module imports, at its top, what a Pi has not."""
    for node in ast.parse(source).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        if any(_is_in(name, _PC) or name in _PC_MODULES or name == "tests.conftest" for name in names):
            return True
    return False


def _is_in(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if not (collection_path.name.startswith("test_") and collection_path.suffix == ".py"):
        return None
    return collection_path.name in _LEFT_OUT or needs_a_pc(collection_path.read_text(encoding="utf-8")) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    out = [item for item in items if item.name.partition("[")[0] in _TOO_MUCH]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)


def pytest_configure() -> None:
    from hypothesis import HealthCheck, settings

    # A tenth of the examples: the emulated processor is that much slower, and the same seeds run on the PC.
    settings.register_profile("armv6", max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    settings.load_profile("armv6")
