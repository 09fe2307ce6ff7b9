"""The raw stream's splitter against one that has the whole stream, wherever datagrams cut it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import annexb
from tests.oracle.annexb_stream import access_units
from thinair.link.native import AnnexbStream

pytestmark = pytest.mark.quick

TAIL = b"\0\0\0\1\x09\xf0"


@st.composite
def nals(draw: st.DrawFn) -> bytes:
    header = draw(st.sampled_from([1, 1, 1, 5, 6, 7, 8, 9, 12, 0x41, 0x65]))
    body = annexb.escape(draw(st.sampled_from([b"\x88", b"\x40", b"\x9a", b"\1"])) + draw(st.binary(max_size=12)))
    return bytes([header]) + body.rstrip(b"\0") + b"\x80"


start_codes = st.sampled_from([b"\0\0\1", b"\0\0\0\1"])
streams = st.lists(st.tuples(start_codes, nals()), min_size=1, max_size=20).map(
    lambda parts: b"".join(code + nal for code, nal in parts)
)


def feed(stream: bytes, cuts: list[int]) -> list[bytes]:
    splitter, got, at = AnnexbStream(quiet_us=0), [], 0
    for when, cut in enumerate([*cuts, len(stream)]):
        splitter.push(stream[at : at + cut], when)
        at += cut
        while (unit := splitter.next(when)) is not None:
            got.append(bytes(unit))
    assert not any(splitter.drops().values())
    return got


@given(streams, st.lists(st.integers(1, 30), max_size=40))
def test_units_are_those_of_the_whole_stream_wherever_it_is_cut(stream: bytes, cuts: list[int]) -> None:
    units = access_units(stream)
    assert [annexb.split(unit) for unit in feed(stream, cuts)] == units[:-1]


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=10), st.integers(1, 30))
def test_a_unit_is_out_with_the_header_byte_of_the_delimiter_behind_it(bodies: list[bytes], size: int) -> None:
    splitter, before = AnnexbStream(quiet_us=0), b""
    for when, body in enumerate(bodies):
        unit = b"\0\0\0\1\x41" + annexb.escape(b"\x9a" + body).rstrip(b"\0") + b"\x80"
        told = unit + TAIL[:5]
        for at in range(0, len(told), size):
            assert splitter.next(when) is None
            splitter.push(told[at : at + size], when)
        got = splitter.next(when)
        assert got is not None
        assert bytes(got) == before + unit
        assert (got.frame_id, got.last_us) == (when, when)
        splitter.push(TAIL[5:], when)
        before = TAIL


@given(st.lists(st.binary(max_size=200), max_size=40), st.integers(0, 3000))
def test_random_bytes_never_raise_and_never_grow(datagrams: list[bytes], quiet_us: int) -> None:
    splitter = AnnexbStream(max_au=500, quiet_us=quiet_us)
    for when, datagram in enumerate(datagrams):
        splitter.push(datagram, when * 1000)
        while (unit := splitter.next(when * 1000)) is not None:
            assert 3 < unit.size <= 500
