"""What a run stood on, read from a /proc written by the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinair.receiver.stats.run_conditions import ConditionsWatch, collect, parse_stat, tree_ticks, unfit

pytestmark = pytest.mark.quick


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def process(root: Path, pid: int, parent: int, ticks: tuple[int, int, int, int], name: str = "a b) c") -> None:
    head = f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 "
    write(root, f"proc/{pid}/stat", head + " ".join(map(str, ticks)) + " 20 0 1 0\n")


def processor(root: Path, user: int, idle: int, steal: int) -> None:
    write(root, "proc/stat", f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3 4\n")


def test_shares_are_told_apart_into_ours_stolen_and_foreign(tmp_path: Path) -> None:
    processor(tmp_path, 1000, 5000, 10)
    process(tmp_path, 7, 1, (100, 0, 0, 0))
    watch = ConditionsWatch(pid=7, root=tmp_path)
    watch.start()
    processor(tmp_path, 1400, 5550, 60)  # 1000 ticks later
    process(tmp_path, 7, 1, (200, 50, 50, 0))  # 100 of its own and 50 in the kernel, 50 of a child that ended
    process(tmp_path, 8, 7, (40, 0, 0, 0))  # a child that runs
    process(tmp_path, 9, 1, (999, 0, 0, 0))  # nobody of ours
    shares = watch.stop()
    assert (shares["steal_share"], shares["own_share"], shares["foreign_share"]) == (0.05, 0.24, 0.16)
    assert [reason.split()[0] for reason in shares["unfit"]] == ["steal", "other"]


def test_a_quiet_machine_is_fit() -> None:
    assert unfit(steal_share=0.02, foreign_share=0.10) == []


def test_own_time_counts_descendants_of_any_depth(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, (1, 1, 1, 1))
    process(tmp_path, 5, 10, (10, 0, 0, 0))
    process(tmp_path, 20, 5, (100, 0, 0, 0))
    process(tmp_path, 30, 1, (1000, 0, 0, 0))
    assert tree_ticks(10, tmp_path) == 114


def test_an_old_kernel_without_steal_time_is_read_too() -> None:
    assert parse_stat("cpu  1 2 3 4\n") == (10, 6, 0)
    assert parse_stat("") == (0, 0, 0)


def test_what_the_machine_does_not_tell_is_none(tmp_path: Path) -> None:
    found = collect(root=tmp_path)
    assert (found["governor"], found["cpu"], found["radio"]) == (None, None, None)


def test_governor_processor_and_radio_are_read(tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nmodel name\t: ARMv6-compatible\n")
    write(tmp_path, "proc/net/wireless", "Inter-| sta\n face | tus\n wlan0: 0000   60.  -50.  -256  0 0 0 0 0 0\n")
    write(tmp_path, "proc/loadavg", "0.10 0.20 0.30 1/100 999\n")
    found = collect(root=tmp_path)
    assert found["governor"] == "performance"
    assert found["cpu"] == "ARMv6-compatible"
    assert found["radio"] == {"wlan0": -50.0}
    assert found["load_average"] == [0.1, 0.2, 0.3]


def test_stopping_a_watch_that_never_began_is_a_mistake() -> None:
    with pytest.raises(RuntimeError):
        ConditionsWatch().stop()
