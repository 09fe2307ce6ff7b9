"""The camera's pipeline in the guest, vivid through vicodec, until SIGTERM. argv: VIVID HOST PORT CODED [MODE]; prints
states, modes and key frames as they come, counters at the end. SIGUSR1 asks for a key frame, SIGUSR2 for what the chain
has done and how often Python was awake."""

import dataclasses
import json
import signal
import sys
import threading
from typing import Any

from thinair.link.native import Tx, now_us
from thinair.link.video_mode import Mode
from thinair.sender.config import SenderConfig
from thinair.sender.hdmi.port import HdmiPort
from thinair.sender.pipeline.base import Hooks
from thinair.sender.pipeline.hardware import FOURCCS, HdmiPipeline

node, host, port, coded, *wanted = sys.argv[1:]


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


config = SenderConfig(output=f"annexb://{host}:{port}", source=f"hdmi:{node}", edid="keep", priority=0)
tx = Tx(host=host, port=int(port), mode="annexb")
hooks = Hooks(
    mode=lambda mode: tell(mode=str(mode)),
    state=lambda state: tell(state=state.code.name, detail=state.detail),
    key_frame=lambda at_us: tell(key=at_us),
    log=lambda text: tell(log=text),
)


class Watched(HdmiPort):
    """Counts how often Python was awake, and why it had to be."""

    polls = silences = 0

    def poll(self, timeout_us: int, capture_fd: int = -1, *, wake_fd: int = -1) -> Any:
        self.polls += 1
        return super().poll(timeout_us, capture_fd, wake_fd=wake_fd)

    def capture_silent(self, last_us: int) -> None:
        self.silences += 1
        super().capture_silent(last_us)


watched = Watched(node, fourccs=FOURCCS, wanted=Mode.parse(wanted[0]) if wanted else None)
pipeline = HdmiPipeline(config, tx, hooks, "v4l2m2m", port=watched, coded=coded)
pipeline.open()
pipeline.allow(True)
stop = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: pipeline.request_key_frame())
signal.signal(
    signal.SIGUSR2,
    lambda *_: tell(at_us=now_us(), polls=watched.polls, silences=watched.silences, pictures=pipeline.counts.captured),
)
signal.signal(signal.SIGTERM, lambda *_: stop.set())
thread = threading.Thread(target=pipeline.run, args=(stop,))
thread.start()
while thread.is_alive():
    thread.join(0.1)
tell(counts=dataclasses.asdict(pipeline.counts), describe=pipeline.describe())
pipeline.close()
tx.close()
