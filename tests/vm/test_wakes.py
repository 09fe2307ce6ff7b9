"""How often Python is awake beside the chain in C."""

from __future__ import annotations

import json
import signal

from tests.vm.machine import HOST, Machine
from tests.vm.sink import Sink


def test_python_is_not_woken_by_pictures(vm: Machine, vicodec: str, sink: Sink) -> None:
    vm.load("vivid", n_devs=1, num_inputs=1, input_types=0, node_types=1)  # a webcam can be slow, as the guest is
    for rate in (5, 15):
        wanted = f"640x360@{rate}"
        node = vm.device("vivid-000-vid-cap")
        with vm.running("pipeline.py", node, HOST, sink.port, "FWHT", wanted, timeout_s=100) as process:
            told: list[dict[str, int]] = []
            for keys in (2, 5):  # one a second
                process.until(rf'(?s)("key".*){{{keys}}}', 60)
                process.send_signal(signal.SIGUSR2)
                process.until(rf'(?s)("polls".*){{{len(told) + 1}}}')
                lines = [json.loads(line) for line in process.output.splitlines() if '"polls"' in line]
                told.append(lines[-1])
            process.send_signal(signal.SIGTERM)
            process.until(r'"counts"')
        spent = {key: told[1][key] - told[0][key] for key in told[0]}
        print(rate, spent)
        seconds = spent["at_us"] / 1e6
        # every half second; at a key frame; where the guest lagged, silence and its end; and the states' words
        assert spent["polls"] <= 2 * seconds + 3 + 3 * spent["silences"] + 3, rate
    assert spent["pictures"] > 2 * spent["polls"]
    vm.settle()
    vm.unload("vivid")
