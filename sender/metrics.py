"""Prometheus metrics of the sender, served by prometheus_client in a thread; values are read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from thinair.link.endpoint import Endpoint
from thinair.link.errors import ConfigError, NetworkError
from thinair.link.protocol.source_state import SourceCode

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from thinair.sender.status import SenderStatus


def serve(where: Endpoint, status: SenderStatus, log: Callable[[str], None]) -> Callable[[], None]:
    """Until what it returns is called. Raises ConfigError, NetworkError."""
    from thinair.link.missing_package import install_line

    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise ConfigError(f"--metrics needs prometheus_client: {install_line('prometheus_client')}") from error
    registry = CollectorRegistry()
    registry.register(_Collector(status))
    try:
        server, thread = start_http_server(where.port, where.host, registry)
    except OSError as error:
        raise NetworkError(
            f"cannot serve metrics on {where}: {error.strerror}; use --metrics with another port"
        ) from error

    log(f"metrics: http://{replace(where, port=server.server_port)}/metrics")

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Collector:
    def __init__(self, status: SenderStatus) -> None:
        self._status = status

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        def labelled(family: Any, name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
            metric: Metric = family(f"thinair_sender_{name}", text, labels=[label])
            for key, value in values.items():
                metric.add_metric([key], value)  # type: ignore[attr-defined]  # of both families, not of their base
            return metric

        status, counts = self._status, self._status.counts
        frames = {
            "captured": counts.captured,
            "encoded": counts.encoded,
            "sent": counts.sent,
            "skipped": counts.skipped,
        }
        yield labelled(CounterMetricFamily, "frames", "Pictures by the last stage they reached", "stage", frames)
        stats = {key: float(value) for key, value in status.packets.items()}
        yield labelled(CounterMetricFamily, "packets", "Counters of the packet thread", "event", stats)
        yield GaugeMetricFamily(
            "thinair_sender_linked", "1 while a receiver takes the video", value=float(status.linked)
        )
        target = float(status.bitrate_bps)
        yield GaugeMetricFamily(
            "thinair_sender_bitrate_bits_per_second", "Bitrate requested from the encoder", value=target
        )
        code = status.source.code if status.source is not None else SourceCode.LIVE
        states = {one.name.lower(): float(one is code) for one in SourceCode}
        yield labelled(GaugeMetricFamily, "source", "State of the source", "state", states)
