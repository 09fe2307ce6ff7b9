"""The guest itself: what tests rely on."""

from __future__ import annotations

import socket

import pytest

from tests.support.paths import ROOT
from tests.vm.machine import COMPLAINT, HOST, GuestError, Machine


def test_a_script_of_the_guest_gives_its_output_and_its_exit_code(vm: Machine) -> None:
    script = vm.share / "script.py"
    script.write_text("import sys; print('said', sys.argv[1:]); print('wrong', file=sys.stderr); sys.exit(3)")
    result = vm.run("/share/script.py", "a", "b c", check=False)
    assert (result.exit, result.timed_out) == (3, False)
    assert result.output.splitlines() == ["said ['a', 'b c']", "wrong"]


def test_a_program_that_does_not_end_is_killed_with_its_children(vm: Machine) -> None:
    result = vm.run("sh", "-c", "sleep 1000 & sleep 1000", timeout_s=0.5, check=False)
    assert (result.exit, result.timed_out) == (-9, True)
    assert vm.run("sh", "-c", "for i in $(seq 50); do pgrep -x sleep || exit 0; sleep 0.1; done; exit 1").output == ""


def test_an_exit_code_that_nobody_expects_is_an_error(vm: Machine) -> None:
    with pytest.raises(GuestError, match="exit 1"):
        vm.run("false")


def test_what_the_guest_writes_stays_in_the_guest(vm: Machine) -> None:
    vm.run("sh", "-c", "echo changed > README.md")
    assert vm.run("cat", "README.md").output == "changed\n"
    assert (ROOT / "README.md").read_text(encoding="utf-8") != "changed\n"


def test_what_the_kernel_says_is_heard_and_its_complaints_are_known(vm: Machine) -> None:
    vm.run("sh", "-c", "echo WARNING: CPU: 0 of a test > /dev/kmsg; echo a plain line of a test > /dev/kmsg")
    vm.settle()
    said = [line for line in vm.kernel if line.endswith("of a test")]
    vm.kernel[:] = [line for line in vm.kernel if line not in said]  # these were ours
    vm.mark = min(vm.mark, len(vm.kernel))
    assert [bool(COMPLAINT.search(line)) for line in said] == [True, False]


def test_a_datagram_of_the_guest_arrives_and_its_answer_goes_back(vm: Machine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        here.settimeout(20)
        script = vm.share / "udp.py"
        script.write_text(
            "import socket, sys\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)\n"
            "s.sendto(b'there', (sys.argv[1], int(sys.argv[2]))); print(s.recv(100).decode())"
        )
        process = vm.start("/share/udp.py", HOST, str(here.getsockname()[1]))
        data, back = here.recvfrom(100)
        here.sendto(data + b" and back", back)
        assert process.wait().output == "there and back\n"


def test_a_module_that_is_held_cannot_be_unloaded_in_silence(vm: Machine, vivid: str) -> None:
    with vm.running("sh", "-c", f"exec sleep 100 < {vivid}"), pytest.raises(GuestError, match="in use"):
        vm.unload("vivid")


def test_the_drivers_of_the_camera_side_are_there(vm: Machine, vivid: str, vicodec: str, bridge: str) -> None:
    assert "vivid" in vm.run("v4l2-ctl", "-d", vivid, "--info").output
    assert "stateful-encoder" in vm.run("v4l2-ctl", "-d", vicodec, "--info").output
    assert vm.run("test", "-c", bridge).exit == 0
