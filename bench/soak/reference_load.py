"""The speed of this machine throughout a soak: `python -m thinair.bench.soak.reference_load MODE BITRATE_BPS`.

Encodes and decodes the same pictures again and again, as sender and player do, in a process that no fault touches.
Writes a line per picture: start and duration, both in µs of CLOCK_MONOTONIC."""

from __future__ import annotations

import os
import random
import sys
import time

import av

from thinair.link.native import now_us
from thinair.link.video_mode import Mode
from thinair.receiver.video.decoder import THREADS, open_context
from thinair.sender.encoders.base import EncoderConfig
from thinair.sender.encoders.x264 import X264
from thinair.sender.picture import Picture
from thinair.sender.sources.testcard import Testcard

_PICTURES = 12
_PAUSE_S = (0.05, 0.13)  # random, so that it has no phase relation to the pictures of the soak


def main() -> None:
    mode = Mode.parse(sys.argv[1])
    card = Testcard(mode)
    card.open()
    pictures = [
        av.VideoFrame.from_ndarray(card.draw(index, index, 0).to_ndarray(), "yuv420p") for index in range(_PICTURES)
    ]
    card.close()
    encoder, decoder, rng = X264(EncoderConfig(mode, int(sys.argv[2]))), open_context(THREADS), random.Random(1)
    encoder.open()
    number = 0
    while True:
        began_us = now_us()
        unit = encoder.encode(Picture(pictures[number % _PICTURES], number, began_us, began_us, 0))
        decoder.decode(av.Packet(unit.data))
        os.write(1, f"{began_us} {now_us() - began_us}\n".encode())
        number += 1
        time.sleep(rng.uniform(*_PAUSE_S))


if __name__ == "__main__":
    main()
