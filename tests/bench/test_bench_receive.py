"""The receive and payload benches, at a size that takes a second."""

from __future__ import annotations

import pytest

from thinair.bench import payload, receive
from thinair.bench.harness.stream import access_units
from thinair.link.video_mode import Mode

MODE = Mode.parse("640x360@25")


def test_every_frame_of_a_short_run_reaches_the_decoder() -> None:
    found = receive.latency(MODE, 2_000_000, 1.0, 500)
    assert found["last_packet_to_decoder_ms"]["n"] == found["sent"] == 25, found["drops"]
    assert (found["last_packet_to_decoder_ms"]["p50"] or 0) > 0


def test_larger_packets_mean_fewer_of_them_and_less_overhead() -> None:
    units = access_units(MODE, 4_000_000, 10)
    small, large = payload.measure(units, 600, 20), payload.measure(units, 1400, 20)
    assert small["received"] == large["received"] == 20
    assert small["packets_per_frame"] > large["packets_per_frame"]
    assert small["overhead_share"] > large["overhead_share"] > 0


def test_throughput_counts_only_whole_access_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    found = receive.throughput(MODE, 2_000_000, frames=60)
    assert found.pop("gstreamer rtph264depay") == "not installed; make bench-setup"
    assert len(found) == 3
    assert all(isinstance(speed, float) and speed > 0 for speed in found.values())
    packets = receive.packetize(access_units(MODE, 2_000_000, 10), 10, elements=True)
    with pytest.raises(RuntimeError, match="9 of 10"):
        receive._push_all(packets[:-1], 10, True)


@pytest.mark.peer
def test_gstreamer_gets_the_same_packets() -> None:
    assert receive.gstreamer(receive.packetize(access_units(MODE, 2_000_000, 10), 400, elements=False)) > 0
