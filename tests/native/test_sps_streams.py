"""SPS of real streams: what x264 writes is read right; after rewriting the pictures are the same, none held back."""

import hashlib
from collections.abc import Iterator
from fractions import Fraction

import pytest

from tests.oracle import annexb
from tests.oracle.sps import without_vui
from thinair.link.native import BitstreamError, parse_pps, parse_sps, rewrite_au, rewrite_sps, slice_first_mb

WIDTH, HEIGHT, FRAMES = 176, 152, 12

SETTINGS = {
    "baseline": {"profile": "baseline"},
    "main": {"profile": "main", "x264-params": "bframes=0"},
    "high": {"profile": "high", "x264-params": "bframes=0:8x8dct=1:cqm=jvt"},
    "refs": {"profile": "high", "x264-params": "bframes=0:ref=5"},
    "zerolatency": {"preset": "ultrafast", "tune": "zerolatency", "profile": "high"},
    "slices": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "sliced-threads=0:slices=4"},
    "interlaced": {"profile": "high", "x264-params": "bframes=0:interlaced=1"},
    "hrd": {"profile": "high", "x264-params": "bframes=0:nal-hrd=cbr:vbv-maxrate=500:vbv-bufsize=100"},
    "colours": {"x264-params": "bframes=0:colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=on"},
    "intra": {"x264-params": "keyint=1:bframes=0"},
}


def encode(options: dict[str, str]) -> list[bytes]:
    """Access units of a small moving picture, parameter sets with the key frames."""
    import av
    import numpy as np

    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.time_base, codec.bit_rate, codec.options = Fraction(1, 25), 500_000, options
    units = []
    rows, columns = np.mgrid[0 : HEIGHT * 3 // 2, 0:WIDTH]
    for i in range(FRAMES):
        picture = ((rows * 3 + columns * (1 + i % 3) + 40 * i) % 220 + 16).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = i
        units += [bytes(packet) for packet in codec.encode(frame)]
    return units + [bytes(packet) for packet in codec.encode(None)]


def decode(units: list[bytes]) -> Iterator[int]:
    """How many pictures each unit gave, then their digest as a number. Strict: holds back what the SPS allows."""
    import av

    codec = av.CodecContext.create("h264", "r")
    codec.thread_count = 1
    codec.options = {"strict": "1"}
    digest = hashlib.md5(usedforsecurity=False)
    for unit in [*units, None]:
        frames = codec.decode(av.Packet(unit) if unit is not None else None)
        for frame in frames:
            digest.update(frame.to_ndarray().tobytes())
        yield len(frames)
    yield int(digest.hexdigest(), 16)


def sps_of(unit: bytes) -> bytes:
    return next(nal for nal in annexb.split(unit) if nal[0] & 31 == 7)


def stripped(unit: bytes) -> bytes:
    """As from an encoder that writes no VUI."""
    return annexb.join([without_vui(nal) if nal[0] & 31 == 7 else nal for nal in annexb.split(unit)])


@pytest.fixture(scope="module")
def streams() -> dict[str, list[bytes]]:
    return {name: encode(options) for name, options in SETTINGS.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_fields_are_those_the_encoder_was_told(streams: dict[str, list[bytes]], name: str) -> None:
    sps = parse_sps(sps_of(streams[name][0]))
    assert (sps["width"], sps["height"], sps["chroma_format_idc"], sps["bit_depth_luma"]) == (WIDTH, HEIGHT, 1, 8)
    assert (
        sps["profile_idc"] == {"baseline": 66, "main": 77, "slices": 66, "zerolatency": 66}.get(name, 100)
        or name == "colours"
    )
    assert sps["frame_mbs_only"] == (name != "interlaced")
    assert Fraction(sps["time_scale"], sps["num_units_in_tick"]) == 50
    assert sps["video_full_range"] == (name == "colours")
    assert (sps["matrix"] == 1) == (name == "colours")
    assert sps["bitstream_restriction"] == (name != "intra")
    pps = parse_pps(next(nal for nal in annexb.split(streams[name][0]) if nal[0] & 31 == 8))
    assert pps == {"pps_id": 0, "sps_id": 0, "cabac": name not in ("baseline", "zerolatency", "slices")}


@pytest.mark.parametrize("vui", [True, False])
@pytest.mark.parametrize("name", SETTINGS)
def test_rewriting_changes_no_picture_and_holds_none_back(
    streams: dict[str, list[bytes]], name: str, vui: bool
) -> None:
    before = streams[name] if vui else [stripped(unit) for unit in streams[name]]
    after = [bytes(rewrite_au(unit)) for unit in before]
    *counts_before, digest_before = decode(before)
    *counts_after, digest_after = decode(after)
    assert sum(counts_before) == FRAMES
    assert vui or counts_before[0] == 0
    assert digest_after == digest_before
    assert counts_after == [1] * FRAMES + [0]
    sps = parse_sps(sps_of(after[0]))
    assert (sps["max_num_reorder_frames"], sps["max_dec_frame_buffering"]) == (0, sps["num_ref_frames"])


def test_a_unit_without_anything_to_change_comes_back_as_the_same_object(streams: dict[str, list[bytes]]) -> None:
    unit = streams["refs"][1]
    assert rewrite_au(unit) is unit
    once = rewrite_au(stripped(streams["refs"][0]))
    assert rewrite_au(once) is once


def test_start_codes_and_other_nal_units_stay_when_a_unit_is_rewritten(streams: dict[str, list[bytes]]) -> None:
    unit = b"\0\0\0\1\x09\x10" + stripped(streams["main"][0]) + b"\0\0"
    nals = [rewrite_sps(nal) if nal[0] & 31 == 7 else nal for nal in annexb.split(unit)]
    assert annexb.split(bytes(rewrite_au(unit))) == nals
    assert bytes(rewrite_au(unit)).endswith(unit[-10:])


def test_slices_tell_where_they_begin(streams: dict[str, list[bytes]]) -> None:
    rows = (HEIGHT + 15) // 16
    for unit in streams["slices"][1:]:
        firsts = [slice_first_mb(nal) for nal in annexb.split(unit) if nal[0] & 31 in (1, 5)]
        assert firsts[0] == 0
        assert len(firsts) == 4
        assert all(first % (WIDTH // 16) == 0 and first < rows * WIDTH // 16 for first in firsts)
        assert firsts == sorted(set(firsts))


@pytest.mark.parametrize(
    "nal", [b"", b"\x67", b"\x67\x42\0\x1e", b"\x68\xce", b"\x67" + b"\0" * 200, b"\xe7\x42\0\x1e\xff"]
)
def test_a_broken_sps_is_refused(nal: bytes) -> None:
    with pytest.raises(BitstreamError, match="SPS"):
        parse_sps(nal)
    with pytest.raises(BitstreamError, match="SPS"):
        rewrite_sps(nal)


def test_every_truncation_of_an_sps_is_refused_or_read_without_its_tail(streams: dict[str, list[bytes]]) -> None:
    sps = sps_of(streams["hrd"][0])
    refused = 0
    for cut in range(len(sps) - 1):
        try:
            parse_sps(sps[:cut])
        except BitstreamError:
            refused += 1
    assert refused >= len(sps) - 3


def test_absurd_sizes_are_refused() -> None:
    from tests.oracle.sps import Sps, build

    assert parse_sps(build(Sps(mbs=(512, 512))))["width"] == 8192
    for wrong in (Sps(mbs=(513, 10)), Sps(mbs=(10, 2**31)), Sps(mbs=(2, 2), crop=(8, 8, 0, 0)), Sps(ref_frames=17)):
        with pytest.raises(BitstreamError):
            parse_sps(build(wrong))
