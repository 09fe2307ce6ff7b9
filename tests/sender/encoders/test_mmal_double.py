"""The MMAL encoder against a double of libmmal (tests/double/mmal): the binding, the pixels' way, its errors, and
slates. The double cannot show the hardware's picture and speed; nothing is claimed of them here."""

from __future__ import annotations

import csv
import ctypes
import errno
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.double.mmal.build import load_double
from tests.oracle.slate import read_slate
from tests.sender.encoders.test_hardware import PlayedPipeline
from thinair.link.native import AccessUnit, HardwareEncoder, Rx, Tx
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.link.video_mode import Mode
from thinair.sender.config import SenderConfig
from thinair.sender.hdmi.port import Start, Stop
from thinair.sender.picture import NoPicture
from thinair.sender.pipeline.base import Hooks
from thinair.sender.pipeline.hardware import HdmiPipeline

pytestmark = pytest.mark.quick

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load_double(tmp_path_factory.mktemp("mmal"))


@pytest.fixture(autouse=True)
def no_faults(double: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MMAL_DOUBLE", "")
    yield
    assert double.mmal_double_violations() == 0
    assert double.mmal_double_components() == 0


def encoder(width: int, height: int, **more: Any) -> HardwareEncoder:
    settings = {"fourcc": "UYVY", "rate": (30, 1), "bitrate_bps": 4_000_000, "key_interval": 100, **more}
    return HardwareEncoder(kind="mmal", width=width, height=height, **settings)


def planes(width: int, height: int, seed: int) -> Planes:
    """Random luma and half-size chroma."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    y, u, v = (rng.integers(0, 256, size, np.uint8) for size in [(height, width), *[(height // 2, width // 2)] * 2])
    return y, u, v


def packed(picture: Planes, fourcc: str, gap: int) -> bytes:
    """The raw picture as V4L2 lays it, with `gap` unused bytes behind each line (half as many in I420's chroma)."""
    y, u, v = picture

    def lines(plane: NDArray[np.uint8], gap: int) -> bytes:
        return np.pad(plane, ((0, 0), (0, gap)), constant_values=255).tobytes()

    if fourcc == "NV12":
        return lines(y, gap) + lines(np.stack([u, v], axis=2).reshape(u.shape[0], -1), gap)
    if fourcc == "YU12":
        return lines(y, gap) + lines(u, gap // 2) + lines(v, gap // 2)
    tall_u, tall_v = u.repeat(2, axis=0), v.repeat(2, axis=0)
    order = [tall_u, y[:, ::2], tall_v, y[:, 1::2]] if fourcc == "UYVY" else [y[:, ::2], tall_u, y[:, 1::2], tall_v]
    return lines(np.stack(order, axis=2).reshape(y.shape[0], -1), gap)


def decoded(units: list[bytes], size: tuple[int, int]) -> list[Planes]:
    context: Any = av.CodecContext.create("h264", "r")
    pictures: list[Planes] = []
    for data in [*units, None]:
        for frame in context.decode(av.Packet(data) if data else None):
            assert (frame.width, frame.height) == size
            y, u, v = (
                np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width].copy()
                for plane in frame.planes
            )
            pictures.append((y, u, v))
    return pictures


def same(one: Planes, other: Planes) -> bool:
    """In the upper part, which is all that the double carries: three fifths of the macroblock rows."""
    lines = min(-(-one[0].shape[0] // 16), 3600 * 16 // one[0].shape[1]) * 3 // 5 * 16
    return all(
        np.array_equal(a[:n], b[:n]) for a, b, n in zip(one, other, (lines, lines // 2, lines // 2), strict=True)
    )


@pytest.mark.parametrize("fourcc", ["UYVY", "YUYV", "NV12", "YU12"])
@pytest.mark.parametrize("gap", [0, 48])
def test_each_pixel_arrives_where_it_was(fourcc: str, gap: int) -> None:
    width, height = 104, 72  # neither is a multiple of what the encoder wants
    stride = width * (2 if fourcc in {"UYVY", "YUYV"} else 1) + gap
    given = [planes(width, height, seed) for seed in (1, 2, 3)]
    mmal = encoder(width, height, fourcc=fourcc, stride=stride)
    coded = [mmal.encode(packed(picture, fourcc, gap), 1000 * i, 2_000_000) for i, picture in enumerate(given, 1)]
    mmal.close()
    assert [unit and unit[1] for unit in coded] == [True, False, False]
    shown = decoded([unit[0] for unit in coded if unit], (width, height))
    assert len(shown) == 3
    assert all(same(a, b) for a, b in zip(given, shown, strict=True))


def test_a_picture_of_1080_lines_is_cut_right() -> None:
    given = planes(1920, 1080, 4)
    mmal = encoder(1920, 1080)
    unit = mmal.encode(packed(given, "UYVY", 0), 1, 2_000_000)
    assert unit is not None
    mmal.close()
    (shown,) = decoded([unit[0]], (1920, 1080))
    assert same(given, shown)


def test_the_bitrate_and_a_key_frame_are_asked_for_while_it_runs(double: ctypes.CDLL) -> None:
    raw = packed(planes(64, 48, 5), "UYVY", 0)
    mmal = encoder(64, 48)
    assert [(mmal.encode(raw, i, 2_000_000) or (b"", None))[1] for i in (1, 2)] == [True, False]
    assert mmal.set_bitrate(1_500_000)
    mmal.request_key_frame()
    assert (mmal.encode(raw, 3, 2_000_000) or (b"", None))[1] is True
    assert double.mmal_double_parameter(0x2000E, 0) == 1_500_000
    assert mmal.stats()["bytes_copied"] == 3 * len(raw)
    mmal.close()


def test_without_a_video_processor_opening_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMAL_DOUBLE", "create=7")
    with pytest.raises(OSError, match=r"MMAL status 7") as refused:
        encoder(64, 48)
    assert "\n" not in str(refused.value)


def encode_for_ever(mmal: HardwareEncoder, raw: bytes) -> None:
    for i in range(1, 100):
        mmal.encode(raw, i * 1000, 3_000_000)


@pytest.mark.parametrize(
    ("fault", "low_latency", "sentence"),
    [("stuck=2", False, "nothing for a second"), ("error=2", False, "MMAL status 7"), ("", True, "low-latency mode")],
)
def test_a_failed_encoder_ends_in_an_error_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, fault: str, low_latency: bool, sentence: str
) -> None:
    monkeypatch.setenv("MMAL_DOUBLE", fault)
    raw = packed(planes(64, 48, 6), "UYVY", 0)
    mmal = encoder(64, 48, low_latency=low_latency)
    with pytest.raises(OSError, match=sentence) as failure:
        encode_for_ever(mmal, raw)
    assert failure.value.errno in {errno.EIO, errno.ETIMEDOUT}
    mmal.close()


# ---- slates of the chain's pipeline


class Clock:
    """Virtual; moved by waiting alone."""

    def __init__(self) -> None:
        self.us = 1_000_000_000

    def __call__(self) -> int:
        self.us += 10
        return self.us


class PlayedPort:
    """Each poll plays the next step of the script, and takes the time it was given."""

    def __init__(self, clock: Clock, script: list[list[Start | Stop | NoPicture]]) -> None:
        self.notes: list[str] = []
        self.clock, self.script = clock, iter(script)
        self.stop = threading.Event()

    def open(self) -> None: ...
    def close(self) -> None: ...
    def request_mode(self, mode: Mode) -> None: ...

    def poll(self, timeout_us: int, capture_fd: int = -1, *, wake_fd: int = -1) -> Sequence[Start | Stop | NoPicture]:
        step = next(self.script, None)
        if step is None:
            self.stop.set()
        if not step:
            self.clock.us += timeout_us
        return step or ()

    def picture_seen(self, at_us: int) -> None: ...
    def capture_flows(self, at_us: int) -> None: ...
    def capture_silent(self, last_us: int) -> None: ...
    def failed(self, error: OSError) -> None: ...


class Plain:
    """The pipeline with the MMAL encoder on a plain output, and who listens to it."""

    def __init__(self, double: ctypes.CDLL, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr("thinair.sender.pipeline.slate_encoder.now_us", self.clock)
        monkeypatch.setattr("thinair.sender.encoders.hardware.now_us", self.clock)
        self.double = double
        self.said: list[str] = []
        self.frames, self.sdp = directory / "frames.csv", directory / "a.sdp"
        self.rx = Rx(port=0, host="127.0.0.1", mode="rtp", slots=64)
        self.state = NoPicture(SourceState(SourceCode.NO_CABLE, self.clock.us - 10_400_000))
        self.chains = 0

    def opened(self, **settings: Any) -> PlayedPipeline:
        assert self.double.mmal_double_components() == 0, "a Pi has one encoder"
        self.chains += 1
        chain = PlayedPipeline(**settings)
        chain.said = ("live", "", "")
        return chain

    def play(self, script: list[list[Start | Stop | NoPicture]]) -> tuple[list[AccessUnit], list[dict[str, int]]]:
        """The access units that arrived, and the rows of the frames' log."""
        url = f"rtp://127.0.0.1:{self.rx.local_port}"
        config = SenderConfig(output=url, source="hdmi", encoder="mmal", sdp=self.sdp, frames=self.frames, priority=0)
        hooks = Hooks(mode=lambda _: None, state=lambda _: None, key_frame=lambda _: None, log=self.said.append)
        port = PlayedPort(self.clock, script)
        with closing(Tx(host="127.0.0.1", port=self.rx.local_port, mode="rtp")) as tx, closing(self.rx):
            pipeline = HdmiPipeline(config, tx, hooks, "mmal", port=port, open_native=self.opened)
            pipeline.open()
            pipeline.allow(True)
            pipeline.run(port.stop)
            pipeline.close()
            units: list[AccessUnit] = []
            while len(units) < pipeline.counts.sent and (unit := self.rx.wait(2_000_000)) is not None:
                units.append(unit)
            assert (pipeline.counts.encoded, pipeline.counts.refused) == (len(units), 0)
        with self.frames.open() as file:
            rows = [{name: int(text or -1) for name, text in row.items()} for row in csv.DictReader(file)]
        return units, rows


def start(width: int, height: int) -> Start:
    return Start(Mode(width, height, Fraction(60)), "/dev/video0", "UYVY", "unicam")


def words(unit: AccessUnit, size: tuple[int, int]) -> str:
    ((y, _, _),) = decoded([bytes(unit)], size)
    return " ".join(read_slate(y))


@pytest.fixture
def plain(double: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plain:
    return Plain(double, tmp_path, monkeypatch)


def test_a_plain_output_reads_why_there_is_no_picture(plain: Plain) -> None:
    units, rows = plain.play([[plain.state], *[[]] * 9])
    assert [unit.key for unit in units] == [row["key"] == 1 for row in rows]
    assert [words(unit, (1280, 720)) for unit in units if unit.key][::4] == [
        "no HDMI cable at the camera for 10 s",
        "no HDMI cable at the camera for 13 s",
    ]
    times = [row["capture_us"] for row in rows]
    assert all(200_000 <= after - before <= 500_000 for before, after in itertools.pairwise(times))
    keys = [row["capture_us"] for row in rows if row["key"]]
    assert all(after - before <= 1_000_000 for before, after in itertools.pairwise(keys))
    for row in rows:
        assert row["capture_us"] <= row["dequeue_us"] <= row["encode_in_us"] <= row["encode_out_us"]
    assert "sprop-parameter-sets=" in plain.sdp.read_text()


def test_slate_and_chain_take_turns_and_count_on_in_the_camera_s_mode(plain: Plain) -> None:
    """That the encoder is closed first, opened() looks at."""
    live = NoPicture(SourceState(SourceCode.LIVE, 1))
    units, rows = plain.play(
        [[plain.state], [start(640, 480)], [live], [], [Stop(), plain.state], [], [start(640, 480)], [Stop()], [], []]
    )
    assert plain.chains == 2
    assert [row["frame_id"] for row in rows] == [0, 1, 2], "one before the first chain, two between, none unasked"
    assert [unit.key for unit in units] == [True, True, False]
    assert words(units[0], (1280, 720)).startswith("no HDMI cable at the camera for ")
    assert words(units[1], (640, 480)).startswith("no HDMI cable at the camera for ")


def test_a_camera_s_odd_mode_gets_an_even_slate(plain: Plain) -> None:
    units, _ = plain.play([[start(641, 361)], [Stop(), plain.state]])
    assert words(units[0], (640, 360)).startswith("no HDMI cable at the camera for ")


@pytest.mark.parametrize("fault", ["create=7", "error=2"])
def test_an_encoder_that_fails_at_slates_is_said_once_and_tried_again_at_growing_intervals(
    plain: Plain, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def counted(**settings: Any) -> HardwareEncoder:
        if settings["fourcc"] == "YU12":
            tried.append(plain.clock.us)
        if len(tried) == 4:
            monkeypatch.setenv("MMAL_DOUBLE", "")
        return HardwareEncoder(**settings)

    monkeypatch.setenv("MMAL_DOUBLE", fault)
    monkeypatch.setattr("thinair.sender.encoders.hardware.HardwareEncoder", counted)
    units, _ = plain.play([[plain.state], *[[]] * 40])
    assert len(tried) == 4
    gaps = [after - before for before, after in itertools.pairwise(tried)]
    assert gaps[-1] > 2 * gaps[0] or fault == "error=2"  # which works for a while in between
    assert len(units) > 20
    assert [text for text in plain.said if "MMAL status 7" in text] == plain.said
    assert len(plain.said) == 1
