"""The floor: the test card drawn, converted and shown by one process, without codec or network.

python -m thinair.bench.glass.floor WIDTHxHEIGHT@RATE DISPLAY FRAMES.csv
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from thinair.link.native import X11Presenter
from thinair.sender.sources import Mode
from thinair.sender.sources.testcard import Testcard


def main() -> None:
    mode, display, log = Mode.parse(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    source = Testcard(mode)
    source.open()
    window = X11Presenter(display=display, width=mode.width, height=mode.height, fullscreen=True)
    rows = ["frame_id,capture_us,presented_us"]
    while not stopped and (picture := source.next()) is not None:
        y, u, v = picture.frame.planes
        presented_us = window.present(
            *(y, u, v, y.line_size, u.line_size, v.line_size, mode.width, mode.height),
            bt709=source.colour.bt709, full_range=source.colour.full_range,
        )  # fmt: skip
        rows.append(f"{picture.seq},{picture.capture_us},{presented_us}")
    log.write_text("\n".join(rows) + "\n")
    window.close()
    source.close()


if __name__ == "__main__":
    main()
