"""The MMAL encoder against a double of libmmal (tests/double/mmal): the binding, the pixels' way, its errors. The
double cannot show the hardware's picture and speed; nothing is claimed of them here."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from link.native import HardwareEncoder
from tests.double.mmal.build import load_double

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
