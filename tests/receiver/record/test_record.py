"""The recorder: what stands in its files, and what it does when the disk does not do its part.

A little over 500 lines: every case needs the same streams and the same readers of files."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support import seeds
from tests.support.pictures import unit
from thinair.receiver.file_names import default_folder, stem
from thinair.receiver.record import disk as disk_module
from thinair.receiver.record import recorder as recorder_module
from thinair.receiver.record.recorder import RETRY_US, Recorder, Settings
from thinair.receiver.record.recover import is_whole, recover
from thinair.receiver.stats.frame_table import COLUMNS
from thinair.receiver.video.decoder import refusal
from thinair.receiver.workers.ipc import Unit

STEP_US = 33_333
WHEN = datetime(2026, 5, 1, 14, 3, 22)


class Rig:
    """A recorder and what it noted."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.noted: list[str] = []
        self.recorder = Recorder(Settings(folder, **settings), self.noted.append, lambda: WHEN)
        self.recorder.camera = "A-CAM"
        self.now_us = 0

    def feed(self, units: list[Unit]) -> None:
        for one in units:
            self.now_us = max(self.now_us, one.arrival_us)
            self.recorder.unit(one, self.now_us)
            self.recorder.tick(self.now_us)

    def settle(self) -> str:
        """The state once the disk has done what it was asked."""
        recording = self.recorder._now
        deadline = time.monotonic() + 10
        while recording is not None and not recording.disk.idle and time.monotonic() < deadline:
            time.sleep(0.001)
        self.recorder.tick(self.now_us)
        return self.recorder.status().state

    def close(self) -> None:
        for recording in self.recorder.close(self.now_us):
            assert recording.disk.wait(20)


def units(count: int, first: int = 0, **more: Any) -> list[Unit]:
    return [unit(first + index, at_us=1_000_000 + (first + index) * STEP_US, **more) for index in range(count)]


def packets(path: Path) -> list[dict[str, Any]]:
    """As ffprobe reads them; a word of warning from it is a failure."""
    words = ["ffprobe", "-v", "warning", "-show_entries", "packet=pts_time,duration_time,flags,size", "-of", "json"]
    done = subprocess.run([*words, str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    found: list[dict[str, Any]] = json.loads(done.stdout)["packets"]
    return found


def times_ms(path: Path) -> list[float]:
    return [float(packet["pts_time"]) * 1000 for packet in packets(path)]


def movies(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in {".mp4", ".mkv"})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_every_unit_stands_in_the_file_at_its_capture(tmp_path: Path, kind: str) -> None:
    chance = random.Random(seeds.seed())
    rig = Rig(tmp_path, kind=kind)
    rig.recorder.start()
    captured = [5_000_000 + index * STEP_US + chance.randrange(-3000, 3000) for index in range(200)]
    rig.feed([unit(index, at_us=at_us) for index, at_us in enumerate(captured)])
    rig.close()
    (path,) = movies(tmp_path)
    assert path.name == f"A-CAM_2026-05-01_14-03-22.{kind}"
    found = times_ms(path)
    assert len(found) == 200
    wrong = [abs(at - (us - captured[0]) / 1000) for at, us in zip(found, captured, strict=True)]
    assert max(wrong) <= 1.0
    assert is_whole(path)


def test_the_pictures_of_the_file_are_those_that_were_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    sent = units(90)
    rig.feed(sent)
    rig.close()
    raw = tmp_path / "sent.h264"
    raw.write_bytes(b"".join(one.data for one in sent))

    def sums(path: Path) -> list[str]:
        words = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "framemd5", "-"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        assert done.stderr == ""
        return [line.split(",")[-1] for line in done.stdout.splitlines() if not line.startswith("#")]

    assert sums(movies(tmp_path)[0]) == sums(raw)


def test_a_gap_is_as_long_in_the_file_as_it_was(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed([*units(30), *units(30, 60, lost_before=0)])
    late = unit(90, at_us=1_000_000 + 150 * STEP_US, lost_before=60)
    rig.feed([late])
    rig.close()
    found = times_ms(movies(tmp_path)[0])
    steps = [b - a for a, b in pairwise(found)]
    assert steps[29] == pytest.approx(31 * STEP_US / 1000, abs=0.1)
    assert steps[59] == pytest.approx(61 * STEP_US / 1000, abs=0.1)
    events = rows(next(tmp_path.glob("*.events.csv")))
    assert [event["text"] for event in events if event["kind"] == "gap"] == ["60 frames missing before this one"]


def test_nothing_is_recorded_before_a_key_frame(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(45, 10))
    rig.close()
    assert len(packets(movies(tmp_path)[0])) == 25
    assert packets(movies(tmp_path)[0])[0]["flags"].startswith("K")


def test_a_ring_gives_the_seconds_before_the_request(tmp_path: Path) -> None:
    rig = Rig(tmp_path, pre_record_s=2.0)
    rig.feed(units(200))
    assert 2.0 <= rig.recorder.status().pre_record_s <= 3.1
    assert movies(tmp_path) == []
    rig.recorder.start()
    rig.feed(units(10, 200))
    rig.close()
    found = packets(movies(tmp_path)[0])
    assert 2.0 <= (len(found) - 10) * STEP_US / 1e6 <= 3.1
    assert found[0]["flags"].startswith("K")


def test_another_sender_goes_on_in_the_same_file_after_the_time_that_passed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(30))
    anew = [
        unit(
            index,
            at_us=77 + index * STEP_US,
            stream=2,
            arrival_us=1_000_000 + 29 * STEP_US + 2_005_000 + index * STEP_US,
        )
        for index in range(30)
    ]
    rig.feed(anew)
    rig.close()
    (path,) = movies(tmp_path)
    found = times_ms(path)
    assert len(found) == 60
    assert found[30] - found[29] == pytest.approx(2000, abs=1)


def test_another_picture_size_begins_another_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(30))
    rig.feed(units(30, 30, width=480, height=272))
    rig.close()
    first, second = sorted(movies(tmp_path), key=lambda path: path.stat().st_mtime_ns)
    assert {first.stem, second.stem} == {"A-CAM_2026-05-01_14-03-22", "A-CAM_2026-05-01_14-03-22-2"}
    assert len(packets(first)) == len(packets(second)) == 30


def test_two_recorders_of_one_name_write_two_files(tmp_path: Path) -> None:
    rigs = [Rig(tmp_path), Rig(tmp_path)]
    for rig in rigs:
        rig.recorder.start()
    for one in units(40):
        for rig in rigs:
            rig.feed([one])
    for rig in rigs:
        rig.close()
    assert [len(packets(path)) for path in movies(tmp_path)] == [40, 40]
    assert len(list(tmp_path.glob("*.frames.csv"))) == 2


def test_rows_of_the_frames_in_the_file_stand_beside_it_with_their_place(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(5))  # 0 to 4
    blank = dict.fromkeys(COLUMNS, "")
    rig.recorder.rows([list((blank | {"frame_id": number, "outcome": "presented"}).values()) for number in (3, 4, 99)])
    rig.close()
    found = rows(next(tmp_path.glob("*.frames.csv")))
    assert [(row["file_us"], row["frame_id"]) for row in found] == [(str(3 * STEP_US), "3"), (str(4 * STEP_US), "4")]


def test_rows_that_come_after_the_end_are_waited_for(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(5))
    rig.recorder.stop(rig.now_us)
    blank = dict.fromkeys(COLUMNS, "")
    rig.recorder.rows([list((blank | {"frame_id": 4}).values())])
    rig.recorder.tick(rig.now_us)
    rig.close()
    assert [row["frame_id"] for row in rows(next(tmp_path.glob("*.frames.csv")))] == ["4"]


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Writes wait while the event is clear."""
    free = threading.Event()
    free.set()
    write = os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        free.wait()
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    yield free
    free.set()


def test_a_disk_that_stalls_keeps_nobody_waiting_and_loses_nothing(tmp_path: Path, slow_disk: threading.Event) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(60))
    slow_disk.clear()
    began = time.monotonic()
    rig.feed(units(150, 60))  # five seconds of pictures
    assert time.monotonic() - began < 1.0
    assert rig.recorder.status().pending_bytes > 0
    slow_disk.set()
    rig.close()
    assert len(packets(movies(tmp_path)[0])) == 210
    assert rig.recorder.dropped == 0


def test_what_the_disk_never_takes_is_left_out_up_to_a_key_frame_and_counted(
    tmp_path: Path, slow_disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_MAX_PENDING", 400_000)
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(30))
    slow_disk.clear()
    rig.feed(units(100, 30))
    slow_disk.set()
    deadline = time.monotonic() + 10
    while rig.recorder.status().pending_bytes and time.monotonic() < deadline:
        time.sleep(0.01)
    rig.feed(units(60, 130))
    rig.close()
    assert rig.recorder.dropped > 0
    assert "the disk is too slow: the recording misses pictures" in rig.noted
    (path,) = movies(tmp_path)
    found = packets(path)
    assert len(found) == 190 - rig.recorder.dropped
    steps = [float(b["pts_time"]) - float(a["pts_time"]) for a, b in pairwise(found)]
    after = steps.index(max(steps)) + 1
    assert max(steps) > 0.5
    assert found[after]["flags"].startswith("K")


class PowerCut:
    """A disk with a cache: what was written is on it only after fdatasync or fsync."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[str, int, bytes, int]] = []
        write = os.pwrite

        def pwrite(fd: int, data: bytes, offset: int) -> int:
            self.log.append(("write", fd, bytes(data), offset))
            return write(fd, data, offset)

        def sync(fd: int) -> None:
            self.log.append(("sync", fd, b"", 0))

        monkeypatch.setattr(os, "pwrite", pwrite)
        monkeypatch.setattr(os, "fdatasync", sync)
        monkeypatch.setattr(os, "fsync", sync)

    def left(self, fd: int) -> bytes:
        """Of this file, were the power cut now."""
        synced = max((index for index, one in enumerate(self.log) if one[:2] == ("sync", fd)), default=-1)
        out = bytearray()
        for kind, number, data, at in self.log[: synced + 1]:
            if (kind, number) == ("write", fd):
                out += bytes(max(0, at + len(data) - len(out)))
                out[at : at + len(data)] = data
        return bytes(out)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_power_cut_costs_at_most_the_last_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    power = PowerCut(monkeypatch)
    rig = Rig(tmp_path, kind=kind)
    rig.recorder.start()
    chance = random.Random(seeds.seed())
    cuts = sorted(chance.sample(range(35, 220), 6))
    for number, one in enumerate(units(220)):
        rig.feed([one])
        if number in cuts:
            rig.settle()
            recording = rig.recorder._now
            assert recording is not None
            left = tmp_path / "cut" / f"{number}.{kind}"
            left.parent.mkdir(exist_ok=True)
            left.write_bytes(power.left(recording._movie.file._fd))
            assert len(packets(left)) >= number + 1 - 30, number
    rig.close()


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_recover_makes_an_ordinary_file_of_what_is_left(tmp_path: Path, kind: str) -> None:
    rig = Rig(tmp_path, kind=kind)
    rig.recorder.start()
    rig.feed(units(100))
    rig.settle()
    recording = rig.recorder._now
    assert recording is not None
    crashed = tmp_path / f"crashed.{kind}"
    shutil.copy(recording.path, crashed)
    rig.close()
    with crashed.open("r+b") as file:  # in the middle of a fragment
        file.truncate(crashed.stat().st_size - 5000)
    assert not is_whole(crashed)
    before = crashed.read_bytes()
    assert "pictures" in recover(crashed)
    saved = tmp_path / f"crashed.recovered.{kind}"
    assert is_whole(saved)
    assert len(packets(saved)) >= 60
    times = times_ms(saved)
    assert all(b - a == pytest.approx(STEP_US / 1000, abs=1.0) for a, b in pairwise(times))
    assert crashed.read_bytes() == before
    assert recover(crashed).startswith("was already recovered")
    assert recover(saved) == "is complete"


def test_a_file_with_nothing_in_it_is_said_to_hold_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    with pytest.raises(ValueError, match=r"."):
        recover(empty)
    assert list(tmp_path.iterdir()) == [empty]


def failing(code: int) -> Callable[..., int]:
    def pwrite(fd: int, data: bytes, offset: int) -> int:
        raise OSError(code, os.strerror(code))

    return pwrite


@pytest.mark.parametrize(
    ("code", "noted"),
    [(errno.ENOSPC, "the disk is full"), (errno.EIO, "disk read or write error"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_fails_is_told_once_and_tried_again_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, noted: str
) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(40))
    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", failing(code))
        for one in units(300, 40):
            rig.feed([one])
            rig.settle()
    assert rig.recorder.status().state == "failed"
    assert noted in rig.recorder.failure
    assert len([line for line in rig.noted if noted in line]) == 1
    rig.now_us += RETRY_US
    rig.feed(units(40, 360))
    assert rig.settle() == "on"
    rig.close()
    assert len(packets(max(movies(tmp_path), key=lambda path: path.stat().st_mtime_ns))) >= 10


def test_a_folder_that_cannot_be_made_is_told_and_heals(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "day 1"
    (tmp_path / "set").write_text("a file where the folder should be")
    rig = Rig(folder)
    rig.recorder.start()
    rig.feed(units(40))
    assert rig.recorder.status().state == "failed"
    (tmp_path / "set").unlink()
    rig.now_us += RETRY_US
    rig.feed(units(40, 60))
    assert rig.settle() == "on"
    rig.close()
    assert len(movies(folder)) == 1


def test_a_file_that_vanishes_is_noticed_and_another_begun(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    rig = Rig(folder)
    rig.recorder.start()
    rig.feed(units(40))
    shutil.rmtree(folder)
    deadline = time.monotonic() + 10
    while rig.settle() == "on" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "removed" in rig.recorder.failure
    rig.now_us += RETRY_US
    rig.feed(units(40, 60))
    rig.close()
    assert len(packets(movies(folder)[0])) >= 10


def test_a_recording_that_leaves_nothing_takes_nobody_else_s_file_of_its_name(tmp_path: Path) -> None:
    first = disk_module.Disk(tmp_path)
    file = first.open("A.mp4")
    file.path.unlink()
    second = disk_module.Disk(tmp_path)
    second.open("A.mp4").write(b"x")
    first.close(keep=lambda: False)
    second.close()
    assert first.wait(10)
    assert second.wait(10)
    assert (tmp_path / "A.mp4").read_bytes() == b"x"


def test_room_is_warned_of_ahead_and_the_end_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [10_000_000_000]
    found = os.statvfs(tmp_path)

    def statvfs(path: Path) -> Any:
        class Space:
            f_bavail, f_frsize = room[0] // found.f_frsize, found.f_frsize

        return Space

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(disk_module, "_SPACE_INTERVAL_S", 0.0)
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(60))
    assert not any("nearly full" in line for line in rig.noted)
    room[0] = 60_000_000
    feed_until(rig, 60, lambda: any("nearly full" in line for line in rig.noted))
    room[0] = 1_000_000
    feed_until(rig, 600, lambda: rig.recorder.status().state != "on")
    assert "the disk is full" in rig.recorder.failure
    rig.close()
    assert is_whole(movies(tmp_path)[0])


def feed_until(rig: Rig, first: int, done: Callable[[], bool]) -> None:
    for index in range(first, first + 500):
        rig.feed(units(1, index))
        rig.settle()
        time.sleep(0.001)
        if done():
            return
    raise AssertionError(rig.noted)


def test_a_recording_whose_second_file_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, real = [], disk_module.Disk.open

    def open_one(disk: disk_module.Disk, name: str) -> disk_module.DiskFile:
        opened.append(name)
        if name.endswith(".csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(disk, name)

    monkeypatch.setattr(disk_module.Disk, "open", open_one)
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed(units(40))
    rig.close()
    assert "the disk is full" in rig.recorder._noted
    deadline = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []
    assert opened


def test_a_picture_too_large_for_anybody_is_not_given_to_a_decoder(tmp_path: Path) -> None:
    """A bit error in an SPS may say anything; here 16384 macroblocks a line (H.264, 7.3.2.1.1: after level, ue(v)s)."""
    first = units(1)[0]
    at = first.data.index(b"\0\0\1\x67") + 7
    vast = b"\xf8\x00\x02\x00\x02\x00\x02\x00"
    broken = replace(first, data=first.data[:at] + vast + first.data[at + len(vast) :])
    assert refusal(broken.data) is not None
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.feed([broken])
    assert rig.recorder.failure
    rig.feed(units(90))
    rig.now_us += RETRY_US
    rig.feed(units(60, 90))
    assert rig.settle() == "on"
    rig.close()


def test_a_ring_holds_one_picture_size_only(tmp_path: Path) -> None:
    rig = Rig(tmp_path, pre_record_s=10.0)
    rig.feed(units(60))
    rig.feed(units(60, 60, width=480, height=272))
    rig.recorder.start()
    rig.feed(units(10, 120, width=480, height=272))
    rig.close()
    (path,) = movies(tmp_path)
    assert len(packets(path)) == 70


def test_names_are_safe_for_every_file_system() -> None:
    assert stem("A CAM/../\\:*?", WHEN) == "A-CAM_2026-05-01_14-03-22"
    assert stem("", WHEN) == "camera_2026-05-01_14-03-22"
    assert stem("Außen 2", WHEN) == "Außen-2_2026-05-01_14-03-22"


def test_recordings_go_where_the_desktop_keeps_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/p")
    assert default_folder() == Path("/home/p/Videos/thinair")
    (tmp_path / "user-dirs.dirs").write_text('XDG_MUSIC_DIR="$HOME/Musik"\nXDG_VIDEOS_DIR="$HOME/Filme"\n')
    assert default_folder() == Path("/home/p/Filme/thinair")
