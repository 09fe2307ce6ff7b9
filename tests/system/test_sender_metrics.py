"""`thinair send --metrics`: what Prometheus reads there."""

from __future__ import annotations

import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.player_with_dashboard import eventually
from tests.support.processes import HANG_S, PLAY, THINAIR, call, running

pytestmark = pytest.mark.net

MEDIA = 5004  # the sender starts first; the tests' network is their own
MODE = ("--mode", "640x360@30", "--bitrate", "2M")


def scraped(port: int) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=HANG_S) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_sender_tells_link_frames_packets_and_source() -> None:
    with running([*THINAIR, "send", "--to", f"127.0.0.1:{MEDIA}", "--metrics", "0", *MODE]) as send:
        port = send.port("metrics: http://127.0.0.1:")
        assert scraped(port)["thinair_sender_linked",] == 0
        with running([*PLAY, "--headless", "--listen", str(MEDIA)]):
            eventually(lambda: scraped(port)["thinair_sender_linked",] == 1)
            sent = "thinair_sender_frames_total", "sent"
            before = scraped(port)[sent]
            eventually(lambda: scraped(port)[sent] > before + 20)
        found = scraped(port)
        assert found["thinair_sender_bitrate_bits_per_second",] == 2_000_000
        assert found["thinair_sender_source", "live"] == 1
        assert found["thinair_sender_packets_total", "packets"] > 50
        assert send.stop() == 0


def test_a_metrics_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = call("send", "--to", "127.0.0.1:9", "--metrics", str(port), *MODE)
    assert done.returncode == 5
    assert f"cannot serve metrics on 127.0.0.1:{port}" in done.stderr.splitlines()[-1]
