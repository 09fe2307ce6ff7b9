"""`/metrics` of the sender, by prometheus_client's own server in a thread; the figures are read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from link.config import Endpoint
from link.errors import ConfigError, NetworkError
from link.source import SourceCode

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from sender.pipeline import Pipeline
    from sender.service import Service


def serve(where: Endpoint, service: Service, pipeline: Pipeline) -> Callable[[], None]:
    """Until what it returns is called. Raises ConfigError, NetworkError."""
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise ConfigError("--metrics needs prometheus_client: pip install prometheus_client") from error
    registry = CollectorRegistry()
    registry.register(_Collector(service, pipeline))
    try:
        server, thread = start_http_server(where.port, where.host, registry)
    except OSError as error:
        raise NetworkError(f"cannot serve metrics on {where}: {error.strerror}; use --metrics with another") from error

    service.say(f"metrics: http://{replace(where, port=server.server_port)}/metrics")

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Collector:
    def __init__(self, service: Service, pipeline: Pipeline) -> None:
        self._service, self._pipeline = service, pipeline

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        def labelled(family: Any, name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
            metric: Metric = family(f"thinair_sender_{name}", text, labels=[label])
            for key, value in values.items():
                metric.add_metric([key], value)  # type: ignore[attr-defined]  # of both families, not of their base
            return metric

        service, counts = self._service, self._pipeline.counts
        frames = {
            "captured": counts.captured,
            "encoded": counts.encoded,
            "sent": counts.sent,
            "skipped": counts.skipped,
        }
        yield labelled(CounterMetricFamily, "frames", "Pictures by how far they came", "stage", frames)
        stats = {key: float(value) for key, value in service.tx.stats().items()}
        yield labelled(CounterMetricFamily, "packets", "What the packet thread counts", "event", stats)
        yield GaugeMetricFamily("thinair_sender_linked", "1 while a receiver is there", value=float(service.linked))
        target = float(service.bitrate_bps)
        yield GaugeMetricFamily("thinair_sender_bitrate_bits_per_second", "What the encoder is asked for", value=target)
        code = service.source.code if service.source is not None else SourceCode.LIVE
        states = {one.name.lower(): float(one is code) for one in SourceCode}
        yield labelled(GaugeMetricFamily, "source", "State of the source", "state", states)
