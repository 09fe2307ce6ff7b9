"""The guest, and the devices in it that tests ask for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.vm.machine import COMPLAINT, Machine
from tests.vm.sink import Sink

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.vm)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    machine = getattr(item, "funcargs", {}).get("vm")
    if isinstance(machine, Machine) and report.failed:
        report.sections.append((f"guest's kernel ({machine.console})", "\n".join(machine.kernel[machine.mark :])))
    return report


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("vm"))
    yield machine
    machine.halt()


@pytest.fixture
def vm(machine: Machine) -> Iterator[Machine]:
    """The guest, booted once for all tests. What a test starts ends with it; what it makes the kernel complain of
    fails it."""
    if not machine.alive:
        machine.boot()
    machine.mark = len(machine.kernel)
    yield machine
    machine.settle()
    said = machine.kernel[machine.mark :]
    if any(COMPLAINT.search(line) for line in said):
        machine.halt()  # a kernel that has complained proves nothing more
        pytest.fail("the guest's kernel complains:\n" + "\n".join(said))


@contextmanager
def device(machine: Machine, module: str, name: str, **parameters: int) -> Iterator[str]:
    """A fresh one: its node."""
    machine.load(module, **parameters)
    yield machine.device(name)
    if machine.alive:
        machine.settle()
        machine.unload(module)


def hdmi_input(machine: Machine) -> AbstractContextManager[str]:
    parameters = {"n_devs": 1, "num_inputs": 1, "input_types": 3, "node_types": 1, "no_error_inj": 0}
    return device(machine, "vivid", "vivid-000-vid-cap", **parameters)


def stateful_encoder(machine: Machine) -> AbstractContextManager[str]:
    return device(machine, "vicodec", "stateful-encoder", multiplanar=1)


@pytest.fixture
def vivid(vm: Machine) -> Iterator[str]:
    """A fresh HDMI input of the kernel's vivid driver: its node. Vivid starts at 1280x720p60."""
    with hdmi_input(vm) as node:
        yield node


@pytest.fixture
def vicodec(vm: Machine) -> Iterator[str]:
    """A fresh stateful encoder, multi-planar as the Pi's: its node. It codes FWHT, not H.264."""
    with stateful_encoder(vm) as node:
        yield node


@pytest.fixture
def bridge(vm: Machine) -> Iterator[str]:
    """The genuine tc358743 driver over a pretended chip, with nothing plugged in: its sub-device node."""
    vm.load("pretended_tc358743")
    yield "/dev/v4l-subdev0"
    if vm.alive:
        vm.settle()
        vm.unload("pretended_tc358743")


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()
