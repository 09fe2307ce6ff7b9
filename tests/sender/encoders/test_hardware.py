"""Choosing encoders, and the chain's pipeline over a port and a chain that are played."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from thinair.link.errors import DeviceError
from thinair.link.native import Tx
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.config import SenderConfig
from thinair.sender.encoders import EncoderConfig, open_encoder
from thinair.sender.encoders.hardware import clamp_bitrate, key_interval_pictures
from thinair.sender.hdmi.port import Start, Stop
from thinair.sender.picture import NoPicture
from thinair.sender.pipeline.base import Hooks
from thinair.sender.pipeline.hardware import HdmiPipeline, choose_hardware, limit

pytestmark = pytest.mark.quick

P720 = Mode(1280, 720, Fraction(60))
KEYS = ("captured", "skipped", "encoded", "sent", "refused", "keys", "last_picture_us", "next_frame_id")


def test_auto_takes_x264_where_no_hardware_is_and_says_why() -> None:
    said: list[str] = []
    encoder = open_encoder(EncoderConfig(Mode(64, 64, Fraction(25))), choice="auto", log=said.append)
    encoder.close()
    assert encoder.describe().startswith("x264")
    (line,) = said
    assert line.startswith("encoder x264; no v4l2m2m encoder for 64x64@25: ")
    assert "no mmal encoder" in line


@pytest.mark.parametrize("name", ["v4l2m2m", "mmal"])
def test_an_encoder_that_was_asked_for_and_is_missing_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match=f"no {name} encoder for 1280x720@60: "):
        open_encoder(EncoderConfig(P720), choice=name)
    with pytest.raises(DeviceError, match=f"no {name} "):
        choose_hardware(name, print)


def test_a_camera_without_hardware_encoder_goes_to_software_and_it_is_said_why() -> None:
    said: list[str] = []
    assert choose_hardware("auto", said.append) == ""
    assert said[0].startswith("encoder x264: no v4l2m2m (")


def test_modes_beyond_the_pi_s_encoder_are_refused_with_their_rate() -> None:
    assert limit(P720) == ""
    assert limit(Mode(1920, 1080, Fraction(30))) == ""
    assert "408000" in limit(Mode(1920, 1080, Fraction(50)))
    assert limit(Mode(2048, 1088, Fraction(5))) != ""


def test_numbers_are_brought_into_the_encoder_s_range() -> None:
    assert [clamp_bitrate(bps) for bps in (1, 8_000_000, 10**9)] == [100_000, 8_000_000, 25_000_000]
    assert key_interval_pictures(1_000_000, Fraction(60000, 1001)) == 60
    assert key_interval_pictures(1, Fraction(25)) == 1


class PlayedPipeline:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.eventfd = 77
        self.notes = ["a note"]
        self.said = ("starting", "", "")
        self.counters = dict.fromkeys(KEYS, 0) | {"next_frame_id": settings["first_frame_id"]}
        self.waiting: list[Any] = []
        self.calls: list[tuple[str, Any]] = []

    def allow(self, allowed: bool, /) -> None:
        self.calls.append(("allow", allowed))

    def request_key_frame(self) -> None:
        self.calls.append(("key", None))

    def set_bitrate(self, bitrate_bps: int, /) -> None:
        self.calls.append(("bitrate", bitrate_bps))

    def state(self) -> tuple[str, str, str]:
        return self.said

    def stats(self) -> dict[str, int]:
        return dict(self.counters)

    def records(self) -> list[Any]:
        out, self.waiting = self.waiting, []
        return out

    def parameter_sets(self) -> bytes:
        return b""

    def thumbnail(self) -> tuple[int, int, bytes] | None:
        return None

    def stop(self) -> bool:
        self.calls.append(("stop", None))
        return True

    def sends(self, count: int) -> None:
        self.said = ("live", "", "")
        first = self.counters["next_frame_id"]
        for i in range(first, first + count):
            self.waiting.append((i, i, 1000 * i, 1000 * i + 1, 1000 * i + 2, 1000 * i + 3, 10, 1, 0, i == first, None))
        for key in ("captured", "encoded", "sent", "next_frame_id"):
            self.counters[key] += count
        self.counters["keys"] += 1
        self.counters["last_picture_us"] = 1000 * self.counters["next_frame_id"]


class PlayedPort:
    """Each poll plays the next step of the script."""

    def __init__(self, stop: threading.Event) -> None:
        self.notes: list[str] = ["the EDID was written"]
        self.script: list[Any] = []
        self.told: list[tuple[str, int]] = []
        self.waits: list[tuple[int, int]] = []
        self.failures: list[OSError] = []
        self.stop = stop

    def open(self) -> None: ...
    def close(self) -> None: ...
    def request_mode(self, mode: Mode) -> None: ...

    def poll(self, timeout_us: int, capture_fd: int = -1, *, wake_fd: int = -1) -> Sequence[Start | Stop | NoPicture]:
        assert capture_fd == -1, "no descriptor of the chain is readable at each picture"
        self.waits.append((timeout_us, wake_fd))
        if not self.script:
            self.stop.set()
            return ()
        step = self.script.pop(0)
        return step() or () if callable(step) else step

    def picture_seen(self, at_us: int) -> None:
        self.told.append(("picture", at_us))

    def capture_flows(self, at_us: int) -> None:
        self.told.append(("flows", at_us))

    def capture_silent(self, last_us: int) -> None:
        self.told.append(("silent", last_us))

    def failed(self, error: OSError) -> None:
        self.failures.append(error)


class Stage:
    def __init__(self, *, failing: int = 0) -> None:
        self.stop = threading.Event()
        self.port = PlayedPort(self.stop)
        self.chains: list[PlayedPipeline] = []
        self.heard: list[Any] = []
        self.failing = failing
        self.tx = Tx(host="127.0.0.1", port=9)
        hooks = Hooks(
            *[lambda what, kind=kind: self.heard.append((kind, what)) for kind in ("mode", "state", "key", "say")]
        )
        config = SenderConfig(source="hdmi", encoder="v4l2m2m", bitrate_bps=6_000_000)
        self.pipeline = HdmiPipeline(config, self.tx, hooks, "v4l2m2m", port=self.port, open_native=self.opened)

    def opened(self, **settings: Any) -> PlayedPipeline:
        if self.failing:
            self.failing -= 1
            raise OSError(errno.ENODEV, "there is none", "encoder")
        self.chains.append(PlayedPipeline(**settings))
        return self.chains[-1]

    def play(self, *script: Any) -> None:
        self.port.script = list(script)
        self.pipeline.open()
        self.pipeline.run(self.stop)
        self.pipeline.close()
        self.tx.close()


def start(mode: Mode) -> list[Start]:
    return [Start(mode, "/dev/video0", "UYVY", "unicam")]


def test_a_new_mode_gets_a_new_chain_whose_frames_count_on() -> None:
    stage = Stage()
    stage.pipeline.allow(True)
    small = Mode(640, 480, Fraction(60))
    stage.play(
        start(P720), lambda: stage.chains[0].sends(3), [], [Stop(), *start(small)], lambda: stage.chains[1].sends(2)
    )
    first, second = stage.chains
    assert (first.settings["width"], second.settings["width"], second.settings["first_frame_id"]) == (1280, 640, 3)
    assert first.calls == [("bitrate", 6_000_000), ("allow", True), ("stop", None)]
    assert stage.heard == [("mode", P720), ("key", 3), ("mode", small), ("key", 3003)]
    counts = stage.pipeline.counts
    assert (counts.captured, counts.encoded, counts.sent, counts.refused) == (5, 5, 5, 0)
    assert stage.pipeline.notes == ["the EDID was written", "a note"]
    assert stage.port.told == [("flows", 3000), ("flows", 5000)]


@pytest.mark.parametrize("rate", [24, 60, 240])
def test_python_sleeps_until_the_chain_wakes_it_or_half_a_second_whatever_the_rate(rate: int) -> None:
    stage = Stage()
    stage.play(start(Mode(640, 480, Fraction(rate))), lambda: stage.chains[0].sends(1), [])
    assert stage.port.waits == [(500_000, -1)] + [(500_000, 77)] * 3


def test_the_port_is_told_when_pictures_begin_and_cease_and_not_of_each() -> None:
    stage = Stage()

    def says(state: str, pictures: int) -> None:
        stage.chains[0].sends(pictures)
        stage.chains[0].said = (state, "", "")

    stage.play(
        start(P720),
        lambda: says("live", 1),
        lambda: says("live", 30),
        lambda: says("stalled", 0),
        lambda: says("stalled", 0),
        lambda: says("live", 1),
    )
    assert stage.port.told == [("flows", 1000), ("silent", 31_000), ("flows", 32_000)]


def test_what_the_port_notes_after_its_opening_is_noted_once() -> None:
    stage = Stage()

    def opens_the_device() -> None:
        stage.port.notes = ["the EDID was written", "no events"]

    stage.port.notes = []
    stage.play([], opens_the_device, [], [])
    assert stage.pipeline.notes == ["the EDID was written", "no events"]


def test_states_of_the_port_are_handed_on_and_mode_requests_reach_the_pipeline() -> None:
    stage = Stage()
    state = SourceState(SourceCode.NO_CABLE, 5)

    def request() -> None:
        stage.pipeline.request_key_frame()
        stage.pipeline.set_bitrate(1)

    stage.play([NoPicture(state)], start(P720), request)
    assert stage.heard[0] == ("state", state)
    assert stage.chains[0].calls[2:4] == [("key", None), ("bitrate", 100_000)]


def test_an_encoder_that_cannot_be_opened_is_told_to_the_port_which_tries_again() -> None:
    stage = Stage(failing=1)
    stage.play(start(P720), start(P720))
    assert [error.strerror for error in stage.port.failures] == ["encoder: there is none"]
    assert ("say", "encoder: there is none; retrying") in stage.heard
    assert len(stage.chains) == 1


@pytest.mark.parametrize(("part", "words"), [("capture", "it is gone"), ("encoder", "encoder: it is gone")])
def test_a_chain_that_fails_is_let_go_and_told(part: str, words: str) -> None:
    stage = Stage()

    def breaks() -> None:
        stage.chains[0].sends(1)
        stage.chains[0].said = ("failed", "it is gone", part)

    stage.play(start(P720), breaks, [], start(P720))
    assert [error.strerror for error in stage.port.failures] == [words]
    assert ("stop", None) in stage.chains[0].calls
    assert stage.chains[1].settings["first_frame_id"] == 1
