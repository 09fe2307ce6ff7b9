"""Keys of reports and runs up to 0.1.0, translated to today's: the one place that knows the old names.

The pairs are those of docs/glossary.md, "Names that changed". Whoever reads a file that thinair wrote passes it through
`translated`; all other code knows today's keys only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

_REPORT = {"sealed": "encrypted", "air": "target"}
_SECTIONS = {
    "latency_ms": {"air": "network"},
    "clock": {"negative_air": "negative_network"},
    "target": {"repair_share": "repair_ratio"},
    "recovery": {"asked": "on_demand", "asked_came": "on_demand_received", "guard_us": "reorder_window_us"},
    "receive": {"moved": "address_changes", "spent": "packets_sealed", "packets_unnoted": "packets_not_logged"},
    "send": {
        "spent": "packets_sealed",
        "repair_unasked": "repair_proactive",
        "repair_asked": "repair_on_demand",
        "held": "pre_encode_drops",
    },
}
_TIMELINE = {"late_ms": "latency_ms", "words": "summary"}
_EVENT_KINDS = {"asked": "repair_request", "given_up": "abandoned", "key_asked": "key_frame_request"}
_LOOP = {"eye_gap_ms": "sampling_gap_ms"}
_SOAK = {"yardstick_p50_ms_by_minute": "reference_load_p50_ms_by_minute"}


def translated(content: Mapping[str, object]) -> dict[str, object]:
    """The same file with today's keys; what has them already, or is of no known schema, is unchanged."""
    known: dict[object, Callable[[Mapping[str, object]], dict[str, object]]] = {
        "thinair.report/1": _report,
        "thinair.run/1": _run,
        "thinair.gate/1": lambda gate: _renamed(gate, {"promises": "limits"}),
        "thinair.soak/1": lambda soak: _renamed(soak, _SOAK),
    }
    schema = content.get("schema")
    return known[schema](content) if isinstance(schema, str) and schema in known else dict(content)


def _report(report: Mapping[str, object]) -> dict[str, object]:
    out = _renamed(report, _REPORT)
    for section, names in _SECTIONS.items():
        if isinstance(found := out.get(section), Mapping):
            out[section] = _renamed(found, names)
    return out


def _run(run: Mapping[str, object]) -> dict[str, object]:
    out = _renamed(run, {"stories": "timelines"})
    if isinstance(report := out.get("report"), Mapping):
        out["report"] = _report(report)
    if isinstance(loop := out.get("loop"), Mapping):
        out["loop"] = _renamed(loop, _LOOP)
    if isinstance(timelines := out.get("timelines"), list):
        out["timelines"] = [_timeline(one) if isinstance(one, Mapping) else one for one in timelines]
    return out


def _timeline(timeline: Mapping[str, object]) -> dict[str, object]:
    out = _renamed(timeline, _TIMELINE)
    if isinstance(stages := out.get("stages_ms"), Mapping):
        out["stages_ms"] = _renamed(stages, _SECTIONS["latency_ms"])
    if isinstance(events := out.get("events"), list):
        out["events"] = [_event(event) for event in events]
    return out


def _event(event: object) -> object:
    if not isinstance(event, list) or len(event) != 3 or not isinstance(event[1], str):
        return event
    return [event[0], _EVENT_KINDS.get(event[1], event[1]), event[2]]


def _renamed(content: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """A key that is there under both names keeps today's value."""
    return {names.get(key, key): value for key, value in content.items() if names.get(key, key) not in content
            or key not in names}  # fmt: skip
