"""`thinair` with one stage delayed on purpose: `python -m thinair.bench.loop.inject_delay STAGE US send|play ...`.

Shows that `thinair bench compare` finds a regression. `network` and `repair` are delayed by the relay between the ends
(thinair.bench.loop.delay_relay), all others here, by work between the stage's own stamps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from thinair.link.native import now_us


def delay(stage: str, us: int) -> None:
    """Delays the stage in this process."""
    owner, name = _place(stage)
    inner: Callable[..., Any] = getattr(owner, name)

    @wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        until = now_us() + us
        while now_us() < until:
            pass
        return inner(*args, **kwargs)

    setattr(owner, name, outer)


def _place(stage: str) -> tuple[Any, str]:
    if stage == "capture":
        from thinair.sender.sources.scale import Fitter

        return Fitter, "fit"
    if stage in {"wait", "encode"}:
        from thinair.sender.encoders.x264 import X264

        return X264, "encode" if stage == "wait" else "_one_packet"
    if stage == "pace":
        from thinair.sender.pipeline.software import SoftwarePipeline

        return SoftwarePipeline, "_push"
    if stage == "decode":
        from thinair.receiver.video.decoder import Decoder

        return Decoder, "decode"
    from thinair.receiver.video.display_thread import DisplayThread
    from thinair.receiver.video.presenter_x11 import X11WindowPresenter

    return (DisplayThread, "offer") if stage == "hold" else (X11WindowPresenter, "present")


def main() -> int:
    stage, us, *arguments = sys.argv[1:]
    delay(stage, int(us))
    from thinair.cli import main as thinair

    return thinair(arguments)


if __name__ == "__main__":
    sys.exit(main())
