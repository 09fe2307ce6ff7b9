"""Opening the packet pump for what the user asked for."""

from __future__ import annotations

from thinair.link.endpoint import Endpoint
from thinair.link.errors import NetworkError
from thinair.link.native import Rx
from thinair.receiver.config import ReceiverConfig

_SLOTS = 16
_FRAME_TIMEOUT_US = 60_000  # for a frame, until its interval is known


def open_rx(config: ReceiverConfig, transport: str, endpoint: Endpoint) -> Rx:
    """`transport`: thinair, rtp or annexb. Raises NetworkError."""
    try:
        return Rx(
            port=endpoint.port,
            host=endpoint.host,
            mode=transport,
            payload_type=96 if transport == "thinair" else 0,
            reorder_us=config.reorder_us,
            quiet_us=config.quiet_us,
            slots=_SLOTS,
            repair_timeout_us=_FRAME_TIMEOUT_US if transport == "thinair" else 0,
            priority=config.priority,
            encrypted=config.encryption and transport == "thinair",
            log_packets=config.packets is not None,
        )
    except ValueError as error:
        raise NetworkError(f"cannot listen on {endpoint}: this machine has no such address") from error
    except OSError as error:
        raise NetworkError(
            f"cannot listen on port {endpoint.port}: {error.strerror}; choose another with --listen"
        ) from error
