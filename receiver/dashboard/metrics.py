"""`/metrics` of the receiver, made from the player's newest state at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from thinair.receiver.stats.counters import FrameCounts
from thinair.receiver.stats.live_state import LiveState

_RECORDING = ("off", "waiting", "on", "failed")


class ReceiverMetrics:
    """A collector. `viewers` gives (open, dropped), `refused` counts by reason."""

    def __init__(self) -> None:
        self.state: LiveState | None = None
        self.viewers = (0, 0)
        self.refused: Mapping[str, int] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield _gauge("viewers", "Browsers with the page open", self.viewers[0])
        yield _counter("viewers_dropped", "Browsers disconnected because they did not read", self.viewers[1])
        yield _labelled("requests_refused", "Requests of the page refused", "reason", self.refused)
        state = self.state
        if state is None:
            return
        yield _labelled("frames", "Frames by what became of them", "outcome", _counts(state.frames))
        yield _labelled("packets_dropped", "Packets dropped", "reason", state.drops)
        yield _labelled("repair", "Repair symbols and requests", "event", state.recovery)
        yield _labelled("decoder", "Access units that gave no good picture", "reason", state.decoder)
        yield _counter("received_bytes", "Bytes of media received", state.bytes)
        yield _counter("received_packets", "Packets of media received", state.packets)
        latency = GaugeMetricFamily(
            "thinair_latency_seconds", "Capture to present, newest 250 frames", labels=["quantile"]
        )
        shown = state.latency_ms
        for value, quantile in ((shown["p50"], "0.5"), (shown["p95"], "0.95"), (shown["p99"], "0.99")):
            if value is not None:
                latency.add_metric([quantile], value / 1000)
        yield latency
        for name, text, value, scale in (
            ("glass_age_seconds", "Age of the picture on the screen", state.glass_age_us, 1e-6),
            ("clock_bound_seconds", "Largest error of the latencies given here", state.clock_bound_us, 1e-6),
            ("round_trip_seconds", "Shortest round trip of the last minute", state.rtt_us, 1e-6),
            ("shown_pictures_per_second", "Pictures shown", state.fps, 1),
            ("bitrate_bits_per_second", "Media received", state.bitrate_bps, 1),
            ("target_bitrate_bits_per_second", "Bitrate requested from the sender", state.target_bps, 1),
            ("available_bits_per_second", "Capacity of the network path, where known", state.capacity_bps, 1),
            ("repair_ratio", "Proactive repair symbols per media packet", state.repair_ratio, 1),
        ):
            if value is not None:
                yield _gauge(name, text, value * scale)
        yield _gauge("picture_live", "1 while a live picture is shown", float(not state.trouble))
        recording = state.recording
        states = {one: float(recording.state == one) for one in _RECORDING}
        yield _labelled("recording", "State of the recorder", "state", states, GaugeMetricFamily)
        if recording.free_bytes is not None:
            yield _gauge("recording_free_bytes", "Room on the recording's disk", recording.free_bytes)
            yield _gauge("recording_pending_bytes", "Recorded, not yet taken by the disk", recording.pending_bytes)
        dropped = recording.dropped + recording.left_out
        yield _counter("recording_dropped", "Access units that disk or recorder were too slow for", dropped)


def _counts(frames: FrameCounts) -> dict[str, int | None]:
    return {name: count for name, count in frames.items() if isinstance(count, int)}


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"thinair_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"thinair_{name}", text, value=value)


def _labelled(
    name: str, text: str, label: str, values: Mapping[str, float | None], family: Any = CounterMetricFamily
) -> Metric:
    metric: Metric = family(f"thinair_{name}", text, labels=[label])
    for key, value in values.items():
        if value is not None:
            metric.add_metric([key], value)  # type: ignore[attr-defined]  # of both families, not of their base
    return metric
