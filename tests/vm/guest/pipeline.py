"""The camera's pipeline in the guest, vivid through vicodec, until SIGTERM. argv: VIVID HOST PORT CODED; prints states,
modes and key frames as they come, counters at the end. SIGUSR1 asks for a key frame."""

import dataclasses
import json
import signal
import sys
import threading
from typing import Any

from link.config import SenderConfig
from link.native import Tx
from sender.chain import FOURCCS, ChainPipeline
from sender.hdmi_port import port_of
from sender.pipeline import Hooks

node, host, port, coded = sys.argv[1:]


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


config = SenderConfig(plain=f"annexb://{host}:{port}", source=f"hdmi:{node}", edid="keep", priority=0)
tx = Tx(host=host, port=int(port), mode="annexb")
hooks = Hooks(
    mode=lambda mode: tell(mode=str(mode)),
    state=lambda state: tell(state=state.code.name, detail=state.detail),
    key_frame=lambda at_us: tell(key=at_us),
    say=lambda text: tell(say=text),
)
pipeline = ChainPipeline(config, tx, hooks, "v4l2m2m", port=port_of(config, fourccs=FOURCCS), coded=coded)
pipeline.open()
pipeline.allow(True)
stop = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: pipeline.request_key_frame())
signal.signal(signal.SIGTERM, lambda *_: stop.set())
thread = threading.Thread(target=pipeline.run, args=(stop,))
thread.start()
while thread.is_alive():
    thread.join(0.1)
tell(counts=dataclasses.asdict(pipeline.counts), describe=pipeline.describe())
pipeline.close()
tx.close()
