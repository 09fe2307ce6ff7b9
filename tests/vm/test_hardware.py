"""The hardware encoder's interface and the chain on it, with the kernel's own capture and encoder drivers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm.conftest import hdmi_input, stateful_encoder
from tests.vm.machine import HOST, Machine
from tests.vm.sink import Sink

AUD = 6  # bytes after each unit of a raw stream
MAGIC = b"OOOO"  # an FWHT unit begins so


@pytest.fixture(scope="module")
def vivid(machine: Machine) -> Iterator[str]:
    """One input for all: a fresh one costs a second, and no test here needs it."""
    with hdmi_input(machine) as node:
        yield node


@pytest.fixture(scope="module")
def vicodec(machine: Machine) -> Iterator[str]:
    with stateful_encoder(machine) as node:
        yield node


def chain(vm: Machine, vivid: str, sink: Sink, experiment: str) -> Any:
    vm.run("v4l2-ctl", "-d", vivid, "--set-dv-bt-timings", "index=0")  # 640x480p60
    return json.loads(vm.run("chain.py", vivid, HOST, sink.port, experiment, timeout_s=90).output.splitlines()[-1])


def test_the_encoder_answers_each_picture_with_its_unit_and_says_what_it_lacks(vm: Machine, vicodec: str) -> None:
    result = json.loads(vm.run("encode.py", vicodec, "FWHT").output)
    # a key interval of four, and one that was asked for after six
    assert result["keys"] == [True, False, False, False, True, False, True, False]
    assert set(result["begin"]) == {(MAGIC + b"\xff\xff\xff\xff").hex()}
    assert result["stats"] == {"bytes_copied": 8 * 640 * 480 * 2, "undecodable": 0, "late": 0}
    assert result["bitrate"] is False
    assert any("no control for" in note and "bitrate" in note for note in result["notes"])
    assert any("no key frame request" in note for note in result["notes"])
    assert "smaller than the encoder's format" in result["short"]
    words = ("does not encode", "cannot be opened", "does not encode", "not from JPEG", "642x480", "no V4L2 encoder")
    for word, why in zip(words, result["refusals"], strict=True):
        assert word in why


def test_the_camera_s_pictures_reach_the_encoder_without_a_copy_and_never_two_wait(
    vm: Machine, vivid: str, vicodec: str, sink: Sink
) -> None:
    result = chain(vm, vivid, sink, "dmabuf")
    sink.close()
    stats, records = result["stats"], result["records"]
    assert result["idle"]["encoded"] == 0
    assert result["idle"]["captured"] > 0
    assert (stats["bytes_copied"], stats["most_waiting"], stats["most_in_encoder"]) == (0, 1, 1)
    assert stats["sent"] == stats["encoded"] == len(records) >= 20
    assert (stats["refused"], stats["late"], stats["undecodable"], stats["records_lost"]) == (0, 0, 0, 0)
    assert [record[0] for record in records] == list(range(100, 100 + len(records)))
    assert records[0][9], "begins with a key frame"
    assert sum(record[9] for record in records) == stats["keys"] >= 3
    for record in records:
        assert record[2] <= record[3] <= record[4] <= record[5], "capture, dequeue, encode in, encode out"
    assert result["ended"]
    payload = b"".join(sink.datagrams)
    assert len(payload) == sum(record[6] for record in records) + AUD * len(records)
    assert sum(datagram.startswith(MAGIC) for datagram in sink.datagrams) == len(records)
    assert len(sink.datagrams) == sum(record[7] for record in records)


def test_without_dmabufs_each_picture_is_copied_once_and_counted(
    vm: Machine, vivid: str, vicodec: str, sink: Sink
) -> None:
    result = chain(vm, vivid, sink, "copy")
    stats = result["stats"]
    pictures = stats["bytes_copied"] // result["picture_bytes"]
    assert stats["bytes_copied"] == pictures * result["picture_bytes"]
    assert stats["encoded"] <= pictures <= stats["encoded"] + 1  # the last may have been in the encoder
    assert stats["most_waiting"] == 1


@pytest.mark.parametrize("fault", ["disconnect", "fatal"])
def test_a_device_that_breaks_down_ends_the_chain_with_words(
    vm: Machine, vivid: str, vicodec: str, sink: Sink, fault: str
) -> None:
    result = chain(vm, vivid, sink, fault)
    state, reason, part = result["state"]
    assert (state, part, result["ended"]) == ("failed", "capture", True)
    assert reason


def test_what_is_missing_or_busy_is_refused_with_a_sentence(vm: Machine, vivid: str, vicodec: str, sink: Sink) -> None:
    result = chain(vm, vivid, sink, "refused")
    assert {key: (why[2], bool(why[1])) for key, why in result.items()} == {
        "no device": ("capture", True),
        "no encoder": ("encoder", True),
        "no such encoder": ("encoder", True),
        "a decoder": ("encoder", True),
        "busy": ("capture", True),
    }
    assert result["busy"][0] == "EBUSY"


def test_chains_one_after_another_leave_nothing_open(vm: Machine, vivid: str, vicodec: str, sink: Sink) -> None:
    result = chain(vm, vivid, sink, "repeated")
    assert min(result["sent"]) >= 2
    assert result["descriptors"] == 0


def test_the_pipeline_follows_the_camera_s_mode_and_signal_and_answers_for_key_frames(
    vm: Machine, vivid: str, vicodec: str, sink: Sink
) -> None:
    vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings_signal_mode=4,dv_timings=0")
    with vm.running("pipeline.py", vivid, HOST, sink.port, "FWHT", timeout_s=200) as process:
        process.until(r'"state": "LIVE"', 60)
        process.until(r'(?s)"mode": "640x480@.*"key"')
        before = process.output.count('"key"')
        process.send_signal(signal.SIGUSR1)
        process.until(rf'(?s)("key".*){{{before + 1}}}')
        vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings=2")
        process.until(r'(?s)"mode": "720x480.*"key"', 60)
        vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings_signal_mode=1")
        process.until(r'(?s)"state": "NO_CABLE".*"key"', 60)  # vivid takes +5 V away first; the key frame is a slate's
        before = process.output.count('"mode"')
        vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings_signal_mode=4")
        process.until(rf'(?s)("mode".*){{{before + 1}}}"key"', 60)
        process.send_signal(signal.SIGTERM)
        process.until(r'"counts"')
        counts = json.loads(process.output.splitlines()[-1])["counts"]
    assert counts["captured"] > 0
    assert counts["encoded"] == counts["sent"] > 0, "slates are among them"
    assert counts["refused"] == 0
    assert '"say"' not in process.output


def test_an_encoder_that_is_missing_is_a_state_that_is_tried_again(
    vm: Machine, vivid: str, vicodec: str, sink: Sink
) -> None:
    vm.run("v4l2-ctl", "-d", vivid, "-c", "dv_timings_signal_mode=4,dv_timings=0")
    with vm.running("pipeline.py", vivid, HOST, sink.port, "H264", timeout_s=100) as process:
        said = process.until(r'"state": "STALLED", "detail": "(.*)"', 60)
        process.until(r"(?s)(retrying.*){2}", 60)
        process.send_signal(signal.SIGTERM)
        process.until(r'"counts"')
    assert said[1].startswith("encoder: there is no V4L2 encoder for H264")
