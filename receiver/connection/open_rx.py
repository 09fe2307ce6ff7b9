"""Opening the packet pump for what the user asked for, and how long this machine has slept meanwhile."""

from __future__ import annotations

import time

from thinair.link.endpoint import Endpoint
from thinair.link.errors import NetworkError
from thinair.link.native import Rx
from thinair.receiver.config import ReceiverConfig

_SLOTS = 16
_PATIENCE_US = 60_000  # for a frame, until its interval is known


def open_rx(config: ReceiverConfig, mode: str, endpoint: Endpoint) -> Rx:
    """`mode`: thinair, rtp or annexb. Raises NetworkError."""
    try:
        return Rx(
            port=endpoint.port,
            host=endpoint.host,
            mode=mode,
            payload_type=96 if mode == "thinair" else 0,
            reorder_us=config.reorder_us,
            quiet_us=config.quiet_us,
            slots=_SLOTS,
            repair_timeout_us=_PATIENCE_US if mode == "thinair" else 0,
            priority=config.priority,
            sealed=config.sealed and mode == "thinair",
            log_packets=config.packets is not None,
        )
    except ValueError as error:
        raise NetworkError(f"cannot listen on {endpoint}: no such address here") from error
    except OSError as error:
        raise NetworkError(
            f"cannot listen on port {endpoint.port}: {error.strerror}; use --listen with another"
        ) from error


def suspended_us() -> int:
    """How long this machine has been suspended since its start (clock_gettime(2))."""
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)) // 1000
