"""A stream for benches: access units of the test card, and a process that sends them at the picture rate.

python -m thinair.bench.harness.stream MODE BITRATE_BPS SECONDS BIND_PORT PORT SSRC PACE_US
"""

from __future__ import annotations

import sys

from thinair.link.native import Tx, now_us, sleep_until_us
from thinair.link.video_mode import Mode
from thinair.sender.encoders.base import EncoderConfig
from thinair.sender.encoders.x264 import X264
from thinair.sender.picture import Picture
from thinair.sender.sources.testcard import Testcard

_UNITS = 50  # encoded once and sent again and again: nothing decodes them


def access_units(mode: Mode, bitrate_bps: int, count: int) -> list[bytes]:
    """`count` access units of x264 ultrafast, the first one a key frame."""
    source, encoder = Testcard(mode), X264(EncoderConfig(mode, bitrate_bps))
    source.open()
    encoder.open()
    try:
        return [encoder.encode(Picture(source.draw(n, n, n), n, n, n, 0)).data for n in range(count)]
    finally:
        encoder.close()
        source.close()


def send(mode: Mode, bitrate_bps: int, seconds: float, tx: Tx) -> None:
    """Sends frame by frame at the mode's rate, like an encoder."""
    units = access_units(mode, bitrate_bps, _UNITS)
    tx.allow_media(True)
    began_us = now_us() + 100_000
    for frame_id in range(int(seconds * mode.rate)):
        due_us = began_us + int(frame_id * mode.interval_us)
        sleep_until_us(due_us)
        tx.push(units[frame_id % _UNITS], frame_id=frame_id, rtp_time=due_us * 9 // 100 & 0xFFFFFFFF, capture_us=due_us)


def main() -> None:
    mode, bitrate, seconds, bind_port, port, ssrc, pace_us = sys.argv[1:]
    tx = Tx(host="127.0.0.1", port=int(port), bind_port=int(bind_port), ssrc=int(ssrc), pace_us=int(pace_us))
    try:
        send(Mode.parse(mode), int(bitrate), float(seconds), tx)
        sleep_until_us(now_us() + 200_000)  # what pacing holds back
    finally:
        tx.close()


if __name__ == "__main__":
    main()
