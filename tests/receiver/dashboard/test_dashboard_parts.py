"""Parts of the dashboard without its server: wishes, guard, history, metrics, words."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from thinair.link.web.request_guard import RequestGuard, same
from thinair.receiver.dashboard.commands import WishError, read_wish
from thinair.receiver.dashboard.history import KEPT_S, History
from thinair.receiver.dashboard.metrics import ReceiverMetrics
from thinair.receiver.stats.report import COLUMNS

pytestmark = pytest.mark.quick

GOOD: list[dict[str, Any]] = [
    {"do": "ping", "t": 12.5},
    {"do": "watch", "as": "h264"},
    {"do": "watch", "as": ""},
    {"do": "record", "on": True},
    {"do": "limits", "min_bps": None, "max_bps": 2_000_000},
    {"do": "limits", "min_bps": 1_000_000, "max_bps": 1_000_000},
    {"do": "latency", "mode": "smooth"},
    {"do": "mode", "mode": "1280x720@59.94"},
]
BAD = [
    "", "{", "[]", "1", '"record"', "{}", '{"do": 1}', '{"do": "fly"}', '{"do": ["record"]}', '{"do": "record"}',
    '{"do": "record", "on": 1}', '{"do": "record", "on": true, "too": 1}', '{"do": "ping", "t": NaN}',
    '{"do": "ping", "t": Infinity}', '{"do": "ping", "t": "1"}', '{"do": "ping", "t": true}',
    '{"do": "watch", "as": "raw"}', '{"do": "watch", "as": ["h264"]}', '{"do": "key", "why": "no reason"}',
    '{"do": "limits", "min_bps": -1, "max_bps": null}', '{"do": "limits", "min_bps": 1e6, "max_bps": null}',
    '{"do": "limits", "min_bps": 3000000, "max_bps": 2000000}', '{"do": "limits", "min_bps": true, "max_bps": null}',
    '{"do": "mode", "mode": "4k"}', '{"do": "mode", "mode": null}', '{"do": "mode", "mode": "1281x720@50"}', "[" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("wish", GOOD, ids=str)
def test_a_wish_that_is_known_is_read(wish: dict[str, Any]) -> None:
    assert read_wish(json.dumps(wish)) == wish


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_a_mistake_with_words(text: str) -> None:
    with pytest.raises(WishError, match=r"."):
        read_wish(text)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_text_raises_anything_but_a_mistake(text: str) -> None:
    with pytest.raises(WishError):
        read_wish(text)


def refusal(guard: RequestGuard, path: str = "/ws", **headers: str) -> str | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return guard.refusal(make_mocked_request("GET", path, headers=named))


LOCAL, OPEN = RequestGuard("127.0.0.1", None), RequestGuard("0.0.0.0", partial(same, "secret-token"))  # noqa: S104


@pytest.mark.parametrize(
    ("guard", "headers", "reason"),
    [
        (LOCAL, {"Host": "127.0.0.1:5080"}, None),
        (LOCAL, {"Host": "localhost:9000"}, None),  # through a tunnel
        (LOCAL, {"Host": "[::1]:5080"}, None),
        (LOCAL, {"Host": "evil.example"}, "host"),
        (LOCAL, {"Host": "192.168.1.5:5080"}, "host"),
        (LOCAL, {"Host": ""}, "host"),
        (LOCAL, {"Host": "[::1"}, "host"),
        (LOCAL, {"Host": "localhost:5080", "Origin": "http://localhost:5080"}, None),
        (LOCAL, {"Host": "localhost:5080", "Origin": "http://localhost:5081"}, "origin"),
        (LOCAL, {"Host": "localhost:5080", "Origin": "http://evil.example"}, "origin"),
        (LOCAL, {"Host": "localhost:5080", "Origin": "null"}, "origin"),
        (LOCAL, {"Host": "localhost:5080", "Origin": "http://[::1"}, "origin"),
        (LOCAL, {"Host": "localhost:5080", "Sec_Fetch_Site": "cross-site"}, "origin"),
        (OPEN, {"Host": "192.168.1.5:5080"}, "token"),
        (OPEN, {"Host": "192.168.1.5:5080", "Cookie": "thinair=secret-token"}, None),
        (OPEN, {"Host": "192.168.1.5:5080", "Cookie": "thinair=secret-tokem"}, "token"),
        (OPEN, {"Host": "192.168.1.5:5080", "Authorization": "Bearer secret-token"}, None),
        (OPEN, {"Host": "192.168.1.5:5080", "Authorization": "Bearer "}, "token"),
        (OPEN, {"Host": "evil.example", "Cookie": "thinair=secret-token"}, "host"),
    ],
)
def test_who_may_come_in(guard: RequestGuard, headers: dict[str, str], reason: str | None) -> None:
    assert refusal(guard, **headers) == reason


def test_the_token_in_the_address_opens_and_a_wrong_one_does_not() -> None:
    assert refusal(OPEN, "/?token=secret-token", Host="10.0.0.2:5080") is None
    assert refusal(OPEN, "/?token=wrong", Host="10.0.0.2:5080") == "token"


STATE: dict[str, Any] = {
    "now_us": 0, "age_us": 25_000, "bitrate_bps": 5e6, "target_bps": 8_000_000, "capacity_bps": None,
    "repair_share": 0.1, "rtt_us": 3000, "bound_us": 400, "packets": 0, "bytes": 0, "fps": 25.0, "trouble": "",
    "frames": dict.fromkeys(("lost", "repaired", "skipped", "superseded"), 0) | {"captured": None},
    "recovery": {"restored": 0}, "drops": {"late": 3}, "decoder": {"error": 0},
    "latency": {"p50": 40.0, "p95": 50.0, "p99": None},
    "recording": {"state": "on", "free_bytes": 10, "pending_bytes": 1},
}  # fmt: skip


def row(frame_id: int, late_us: int) -> list[Any]:
    stamps = dict.fromkeys(COLUMNS, "") | {"frame_id": frame_id, "outcome": "presented"}
    captured = frame_id * 40_000
    names = [name for name in COLUMNS if name.endswith("_us") and name not in {"capture_to_present_us", "bound_us"}]
    for index, name in enumerate(names):
        stamps[name] = captured + late_us * index // (len(names) - 1)
    return list((stamps | {"capture_to_present_us": late_us}).values())


def test_a_second_tells_percentiles_stages_and_what_has_grown() -> None:
    history = History()
    assert history.state(STATE) is None
    history.rows([row(number, 10_000 + 100 * number) for number in range(50)])
    grown = STATE | {"now_us": 2_000_000, "frames": STATE["frames"] | {"lost": 4}, "packets": 600}
    second = history.state(grown)
    assert second is not None
    assert second["late_ms"] == [12.4, 14.7, 14.9]
    assert (second["shown"], second["lost"], second["packets"]) == (25.0, 2.0, 300.0)
    assert all(value is not None for value in second["stages_ms"].values())
    assert second["age_ms"] == pytest.approx(40 + 14.9, abs=0.2)


def test_within_a_second_nothing_is_told_and_a_player_that_began_anew_is_no_second() -> None:
    history = History()
    history.state(STATE | {"now_us": 5_000_000})
    assert history.state(STATE | {"now_us": 5_900_000}) is None
    assert history.state(STATE | {"now_us": 100}) is None
    assert history.state(STATE | {"now_us": 1_100_000}) is not None


def test_an_unknown_stays_unknown() -> None:
    history = History()
    unknown = dict.fromkeys(("age_us", "target_bps", "rtt_us", "bound_us", "repair_share", "capacity_bps"))
    history.state(STATE | unknown)
    second = history.state(STATE | unknown | {"now_us": 1_000_000})
    assert second is not None
    assert second["late_ms"] == [None, None, None]
    assert {second[name] for name in ("age_ms", "rtt_ms", "bound_ms", "target_bps")} == {None}


def test_no_more_is_kept_than_the_page_shows() -> None:
    history = History()
    for number in range(KEPT_S + 50):
        history.state(STATE | {"now_us": number * 1_000_000})
    assert len(history.seconds) == KEPT_S


def test_metrics_are_what_prometheus_reads_and_unknowns_are_left_out() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    metrics = ReceiverMetrics()
    assert b"thinair_viewers 0.0" in metrics.text()
    metrics.state, metrics.viewers, metrics.refused = STATE, (2, 1), {"token": 3}
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }
    assert found["thinair_requests_refused_total", "token"] == 3
    assert found["thinair_packets_dropped_total", "late"] == 3
    assert found["thinair_latency_seconds", "0.5"] == pytest.approx(0.04)
    assert ("thinair_latency_seconds", "0.99") not in found
    assert found["thinair_recording", "on"] == 1
    assert ("thinair_available_bits_per_second",) not in found
    assert found["thinair_viewers_dropped_total",] == 1
