"""The SPS rewriter against one that writes the fields anew, bit by bit."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.sps import HIGH_PROFILES, Sps, Vui, build
from thinair.link.native import parse_sps, rewrite_sps

pytestmark = pytest.mark.quick

INFERRED = (1, 2, 1, 15, 15)  # E.2.1: what holds where the restriction is absent

small, u8, u32 = st.integers(0, 20), st.integers(0, 255), st.integers(0, 2**32 - 1)
hrds = st.none() | st.lists(st.integers(0, 2**20), min_size=1, max_size=32).map(tuple)
vuis = st.builds(
    Vui,
    aspect=st.none() | st.tuples(st.sampled_from([0, 1, 255]), st.integers(0, 65535), st.integers(0, 65535)),
    overscan=st.none() | st.integers(0, 1),
    video=st.none() | st.tuples(st.integers(0, 7), st.integers(0, 1), st.none() | st.tuples(u8, u8, u8)),
    chroma=st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5)),
    timing=st.none() | st.tuples(u32, u32, st.integers(0, 1)),
    nal_hrd=hrds,
    vcl_hrd=hrds,
    pic_struct=st.integers(0, 1),
    restriction=st.none() | st.tuples(st.integers(0, 1), small, small, small, small, small, small),
)
# A scaling list of one delta: -8 leads to 0, which means "use the default" and ends the list.
scalings = st.lists(st.sampled_from([None, (-8,), (0,) * 15 + (-8,)]), min_size=8, max_size=8).map(tuple)
order_counts = st.one_of(
    st.integers(0, 12).map(lambda n: (0, n)),
    st.lists(st.integers(-(2**30), 2**30), min_size=2, max_size=20).map(lambda x: (1, 1, *x)),
    st.just((2,)),
)


@st.composite
def parameter_sets(draw: st.DrawFn) -> Sps:
    chroma_format = draw(st.integers(0, 2))
    sps = Sps(
        profile=draw(st.sampled_from([66, 77, 88, *HIGH_PROFILES])),
        constraints=draw(u8),
        level=draw(u8),
        sps_id=draw(st.integers(0, 31)),
        depth=draw(st.tuples(st.integers(8, 14), st.integers(8, 14))),
        scaling=draw(st.none() | scalings),
        log2_max_frame_num=draw(st.integers(4, 16)),
        order_count=draw(order_counts),
        ref_frames=draw(st.integers(0, 16)),
        mbs=draw(st.tuples(st.integers(2, 256), st.integers(2, 256))),
        frame_mbs_only=draw(st.integers(0, 1)),
        crop=draw(st.none() | st.tuples(*[st.integers(0, 7)] * 4)),
        vui=draw(st.none() | vuis),
    )
    return replace(sps, chroma_format=chroma_format if sps.profile in HIGH_PROFILES else 1)


@given(parameter_sets())
def test_the_rewritten_sps_is_the_one_written_anew(sps: Sps) -> None:
    vui = sps.vui or Vui()
    kept = vui.restriction[:5] if vui.restriction else INFERRED
    expected = replace(sps, vui=replace(vui, restriction=(*kept, 0, sps.ref_frames)))
    assert rewrite_sps(build(sps)) == build(expected)


@given(parameter_sets())
def test_a_rewritten_sps_stays_as_it_is(sps: Sps) -> None:
    once = rewrite_sps(build(sps))
    assert rewrite_sps(once) == once


@given(parameter_sets())
def test_every_field_is_read(sps: Sps) -> None:
    fields = parse_sps(build(sps))
    high, vui = sps.profile in HIGH_PROFILES, sps.vui or Vui()
    rows = 2 - sps.frame_mbs_only
    left, right, top, bottom = sps.crop or (0, 0, 0, 0)
    unit_x = 2 if sps.chroma_format in (1, 2) else 1
    unit_y = (2 if sps.chroma_format == 1 else 1) * rows
    video = vui.video or (5, 0, None)
    expected = {
        "profile_idc": sps.profile,
        "constraint_flags": sps.constraints,
        "level_idc": sps.level,
        "sps_id": sps.sps_id,
        "chroma_format_idc": sps.chroma_format,
        "bit_depth_luma": sps.depth[0] if high else 8,
        "bit_depth_chroma": sps.depth[1] if high else 8,
        "width": 16 * sps.mbs[0] - unit_x * (left + right),
        "height": 16 * sps.mbs[1] * rows - unit_y * (top + bottom),
        "num_ref_frames": sps.ref_frames,
        "frame_mbs_only": sps.frame_mbs_only,
        "vui_present": sps.vui is not None,
        "video_full_range": video[1],
        "colour_primaries": (video[2] or (2, 2, 2))[0],
        "transfer": (video[2] or (2, 2, 2))[1],
        "matrix": (video[2] or (2, 2, 2))[2],
        "num_units_in_tick": vui.timing[0] if vui.timing else 0,
        "time_scale": vui.timing[1] if vui.timing else 0,
        "bitstream_restriction": vui.restriction is not None,
        "max_num_reorder_frames": vui.restriction[5] if vui.restriction else 0,
        "max_dec_frame_buffering": vui.restriction[6] if vui.restriction else 0,
    }
    assert fields == expected
