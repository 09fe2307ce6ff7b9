"""Plain RTP as ffmpeg and GStreamer send it: every picture comes out, whole, with its last packet."""

import socket
import subprocess

import pytest

from thinair.link.native import Reassembler, split_nals

pytestmark = pytest.mark.peer

FRAMES = 30
FFMPEG = (
    "ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=50 -frames:v {frames} -pix_fmt yuv420p -c:v libx264 "
    "-preset ultrafast -tune zerolatency -g 10 -x264-params {params} {options} -f rtp rtp://127.0.0.1:{port}?pkt_size=1200"
)
GSTREAMER = (
    "gst-launch-1.0 -q videotestsrc num-buffers={frames} ! video/x-raw,width=320,height=180,framerate=50/1 ! "
    "x264enc speed-preset=ultrafast tune=zerolatency key-int-max=10 {params} ! "
    "rtph264pay mtu=1200 pt=107 {options} ! udpsink host=127.0.0.1 port={port}"
)

SENDERS = {
    "ffmpeg": (FFMPEG, "repeat-headers=1", "-payload_type 102"),
    "ffmpeg_one_slice": (FFMPEG, "repeat-headers=1:sliced-threads=0", ""),
    "ffmpeg_mode_0": (FFMPEG, "repeat-headers=1:slice-max-size=1000", "-rtpflags h264_mode0"),
    "ffmpeg_with_delimiters": (FFMPEG, "repeat-headers=1:aud=1", ""),
    "gstreamer": (GSTREAMER, "", "config-interval=-1"),
    "gstreamer_stap": (GSTREAMER, "", "config-interval=-1 aggregate-mode=zero-latency"),
    "gstreamer_config_each_second": (GSTREAMER, "", "config-interval=1"),
    "gstreamer_without_delimiters": (GSTREAMER, "aud=false", "config-interval=-1"),
}


def record(name: str) -> list[bytes]:
    command, params, options = SENDERS[name]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sink.bind(("127.0.0.1", 0))
        port = sink.getsockname()[1]
        line = command.format(frames=FRAMES, params=params, options=options, port=port)
        sender = subprocess.Popen(line.split(), stdout=subprocess.DEVNULL)
        sink.settimeout(0.5)
        datagrams = []
        while True:
            try:
                datagrams.append(sink.recv(65536))
            except TimeoutError:
                if sender.poll() is not None:
                    break
        assert sender.wait() == 0
    return datagrams


def replay(datagrams: list[bytes]) -> tuple[list[list[int]], dict[str, int]]:
    """NAL unit types of each access unit, and what was dropped."""
    reassembler = Reassembler(payload_type=0, elements=False)
    units = []
    for when, datagram in enumerate(datagrams):
        reassembler.push(datagram, when)
        while (unit := reassembler.next(when)) is not None:
            data = bytes(unit)
            units.append([data[offset] & 31 for offset, _ in split_nals(data)])
            assert unit.last_us == when
            assert unit.key == (5 in units[-1])
            assert not unit.gap
    return units, {reason: n for reason, n in reassembler.drops().items() if n}


@pytest.mark.parametrize("name", SENDERS)
def test_every_picture_of_a_plain_sender_comes_out_whole(name: str) -> None:
    datagrams = [d for d in record(name) if not 192 <= d[1] <= 223]  # without RTCP
    units, drops = replay(datagrams)
    assert drops == {}
    assert len(units) == FRAMES
    for number, types in enumerate(units):
        slices = {types[-1]}  # a unit ends with a slice, and all its slices are of one kind
        assert slices == {5 if number % 10 == 0 else 1}
        assert {1, 5} & set(types) == slices
        assert 9 not in types[1:]
    assert all(7 in types for types in units if 5 in types)


def test_loss_on_a_plain_stream_costs_at_most_two_pictures() -> None:
    datagrams = [d for d in record("ffmpeg") if not 192 <= d[1] <= 223]
    whole, _ = replay(datagrams)
    for lost in range(1, len(datagrams), 9):
        reassembler = Reassembler(payload_type=0, elements=False)
        got = []
        for when, datagram in enumerate(datagrams):
            if when == lost:
                continue
            reassembler.push(datagram, when * 10_000)
            while (unit := reassembler.next(when * 10_000)) is not None:
                got.append([bytes(unit)[offset] & 31 for offset, _ in split_nals(unit)])
        assert len(got) >= len(whole) - 2
        assert all(types in whole for types in got)
