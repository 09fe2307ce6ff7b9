"""The pages that are made of docs/results/*.json: docs/results.md, and the table of README.md.

The prose of the page is here, beside the tables that it explains. A section whose file is missing is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from thinair.bench.glass.baselines import BROWSER, UNENCRYPTED
from thinair.bench.tables.files import (
    AirTableRow,
    BestRow,
    BrowserRow,
    CostRow,
    GlassRow,
    JoinRow,
    Latency,
    LoopRow,
    PlayersRow,
    Result,
    SensitivityRow,
    SimRow,
    SoakRow,
)
from thinair.link.errors import ConfigError

_WIDTH = 120
README_BEGIN, README_END = "<!-- made by make bench-tables: begin -->", "<!-- made by make bench-tables: end -->"
_LABELS = {
    "thinair": "**thinair**",
    "floor": "floor: the same picture, no codec, no network",
    UNENCRYPTED: "thinair, unencrypted",
    BROWSER: "thinair, its page in Chromium",
    "origin-ffplay": "ffplay, raw stream, common low-delay options",
    "origin-ffplay-joining": "the same, joining a running sender",
    "ffplay": "ffplay, raw stream, tuned",
    "ffplay-rtp": "ffplay, RTP, tuned",
    "mpv": "mpv, low latency, raw H.264 with delimiters",
    "gstreamer": "GStreamer, RTP, no jitter buffer",
    "gstreamer-buffer": "GStreamer, RTP, jitter buffer of 0 ms",
    "gstreamer-rtx-50": "GStreamer, 50 ms buffer, retransmission",
    "webrtc-aiortc": "WebRTC, aiortc to aiortc",
    "webrtc-chromium": "WebRTC, aiortc to Chromium",
    "srt-60": "SRT 60 ms → mpv",
    "srt-120": "SRT 120 ms → mpv",
}
_PLAYERS = {
    "off": "all off",
    "record": "recorder",
    "dashboard": "page without a viewer",
    "reader": "recorder, page with one reading socket, metrics each second",
    "browser": "the same with Chromium on the same cores",
    "ten": "page with ten sockets that read and do not decode",
}

_FAULTS = {
    "link down": "link down for 2 s",
    "source changes": "another picture rate",
    "display gone": "X server gone for 1 s",
    "channel loss": "5 % of loss in bursts",
    "clock steps": "a step of the wall clock",
}

_HEAD = """# Results

Made by `make bench-tables` from [docs/results](results/), one JSON file per table; do not edit.
Each table names its command, date and machine; commands have today's names.
What each figure means: [measuring](measuring.md).

All runs: Debian 12, x264 ultrafast, Xvfb.
No radio, camera, display refresh or Raspberry Pi is in any figure.
[The latency budget](latency-budget.md) says what those add.
Compare rows of one run only: machines are shared, and their speed changes from day to day.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """`tables`: names of results, in order, each with the function that renders its rows, and the text before it."""

    title: str
    text: str
    tables: Sequence[tuple[str, str, Callable[[Result], list[str]]]]


def results_page(results: Mapping[str, Result]) -> str:
    """docs/results.md."""
    sections = [one for one in SECTIONS if any(name in results for name, _, _ in one.tables)]
    out = [_HEAD, "| section | link |", "|---|---|"]
    for section in sections:
        links = dict.fromkeys(results[name]["link"] for name, _, _ in section.tables if name in results)
        anchor = section.title.lower().replace(",", "").replace(" ", "-")
        out.append(f"| [{section.title}](#{anchor}) | {', '.join(links)} |")
    for section in sections:
        out += ["", f"## {section.title}", section.text.strip()]
        for name, text, render in section.tables:
            if name in results:
                out += ["", *([text.strip(), ""] if text else []), *_origin(results[name]), "", *render(results[name])]
                if remarks := results[name]["remarks"]:
                    out += ["", *remarks]
    return "\n".join(out) + "\n"


def readme_with(results: Mapping[str, Result], readme: str) -> str:
    """README.md with the table of the loop between its marks. Raises ConfigError."""
    begin, end = readme.find(README_BEGIN), readme.find(README_END)
    if not 0 <= begin < end:
        raise ConfigError(f"README.md has no place for the table: put {README_BEGIN} and {README_END} there")
    if "loop" not in results:
        raise ConfigError("loop.json is missing: python -m thinair.bench.tables measure docs/results loop")
    return readme[:begin] + README_BEGIN + "\n" + readme_table(results["loop"]) + readme[end:]


def readme_table(loop: Result) -> str:
    rows = cast("list[LoopRow]", loop["rows"])
    modes = " | ".join(row["mode"] for row in rows)
    stamped = " | ".join(f"{row['screen']:.1f}" for row in rows)
    looped = " | ".join(f"{row['loop']:.1f}" for row in rows)
    lines = [
        f"| {loop['link']} link, loopback, no radio | {modes} |",
        f"|---{'|---' * len(rows)}|",
        f"| latency from screen grab to screen, mean, ms | {stamped} |",
        f"| the same, timed on one clock without stamps of thinair | {looped} |",
        "",
        *_origin(loop),
    ]
    return "\n".join(lines) + "\n"


# ---- parts of a table ---------------------------------------------------------------------------------------------


def _origin(result: Result) -> list[str]:
    """Command, date, link and machine."""
    commands = result["commands"]
    if len(commands) > 1 and (merged := _merged(commands)):
        commands = [merged]
    link = "simulated" if result["link"] == "simulated" else f"**{result['link']} link**"
    facts = f"{result['date']}, {link}, {result['machine']}."
    lines = [f"`{command}`," for command in commands]
    if len(lines[-1]) + 1 + len(facts) <= _WIDTH:
        return [*lines[:-1], f"{lines[-1]} {facts}"]
    return [*lines, facts]


def _merged(commands: Sequence[str]) -> str:
    """One command with MODE for several that differ in their video mode; "" where they differ in more."""
    words = [command.split() for command in commands]
    if len({len(one) for one in words}) != 1:
        return ""
    columns = [set(column) for column in zip(*words, strict=True)]
    differing = [index for index, column in enumerate(columns) if len(column) > 1]
    if len(differing) != 1 or words[0][differing[0] - 1] != "--mode":
        return ""
    merged = [*words[0]]
    merged[differing[0]] = "MODE"
    return " ".join(merged)


def _ms(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _pair(latency: Latency | None) -> str:
    return "- / -" if latency is None else f"{_ms(latency['p50'])} / {_ms(latency['p95'])}"


def _three(latency: Latency) -> str:
    return f"{_ms(latency['p50'])} / {_ms(latency['p95'])} / {_ms(latency.get('p99'))}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


# ---- tables -------------------------------------------------------------------------------------------------------


def _glass(result: Result) -> list[str]:
    rows = cast("list[GlassRow]", result["rows"])
    out = ["| | screen latency, ms | minus the encode call, ms | shown |", "|---|---|---|---|"]
    out += [
        f"| {_LABELS[row['name']]} | {_pair(row['screen_ms'])} | {_pair(row['receive_ms'])} "
        f"| {row['shown']} of {row['sent']} |"
        for row in rows
    ]
    ours = rows[0]
    lines = []
    if (ratios := ours.get("against_best")) and len(ratios) == 4:
        screen, receive = (
            [ratios[f"{part}_{column}"] for column in ("p50", "p95")] for part in ("screen_latency", "receive")
        )
        lines.append(
            f"Relative to the fastest baseline: {screen[0]:.2f} / {screen[1]:.2f}; "
            f"without the encode call {receive[0]:.2f} / {receive[1]:.2f}."
        )
    if difference := ours.get("in_band_vs_screen_ms"):
        lines.append(f"Screen latency minus the player's own latency: {_pair(difference)} ms.")
    return [*out, "", *lines] if lines else out


def _loop(result: Result) -> list[str]:
    out = ["| | loop | grab to pixels | in-band | loop minus in-band |", "|---|---|---|---|---|"]
    for row in cast("list[LoopRow]", result["rows"]):
        values = (row["loop"], row["screen"], row["in_band"])
        out.append(f"| {row['mode']} | {' | '.join(_ms(value, 2) for value in values)} | {row['loop_in_band']:+.2f} |")
    return out


def _cost(result: Result) -> list[str]:
    (row,) = cast("list[CostRow]", result["rows"])
    error = f"standard error {row['standard_error_ms']:.2f} ms, {row['rounds']} pairs"
    return [f"The bench itself adds {row['added_ms']:.2f} ms at p50 ({error})."]


def _soak(result: Result) -> list[str]:
    (row,) = cast("list[SoakRow]", result["rows"])
    stops = [one for one in row["recovery"] if one["stops"]]
    passes = [_FAULTS.get(one["fault"], one["fault"]) for one in row["recovery"] if not one["stops"]]
    out = ["| fault | recovery time p50, ms | max, ms |", "|---|---|---|"]
    out += [
        f"| {_FAULTS.get(one['fault'], one['fault'])} | {_ms(one['p50_ms'], 0)} | {_ms(one['max_ms'], 0)} |"
        for one in stops
    ]
    if passes:
        out += ["", f"Faults that did not stop the picture: {', '.join(passes)}."]
    memory = ", ".join(f"{name} {grown:+.1f} MB" for name, grown in row["memory_growth_mb"].items())
    low, high = row["drift_interval_ms"]
    return [
        *out,
        "",
        f"- {row['minutes']:.0f} minutes, {row['faults']} faults.",
        f"- Stale pictures: {row['stale']}.",
        f"- Pictures lost between faults: {row['lost']} of {row['pictures']:,}.",
        "  The count leaves out gaps longer than 1 s, so it does not exclude a long freeze.",
        f"- Memory growth: {memory}; additional descriptors: {row['descriptor_growth']}.",
        f"- p50 of the last five minutes against the first: {row['difference_ms']:+.2f} ms.",
        f"  Without the machine's own change: {row['drift_ms']:+.2f} ms (95 % interval {low:+.2f} to {high:+.2f}; "
        "limit 0.3).",
        "  [Measuring](measuring.md#hours-bench-soak) says what a run of this length can resolve.",
    ]


def _air(result: Result) -> list[str]:
    rows = cast("list[AirTableRow]", result["rows"])
    models = list(dict.fromkeys(row["model"] for row in rows))
    cells = {(row["name"], row["model"]): row for row in rows}
    out = [f"| | {' | '.join(models)} |", f"|---{'|---' * len(models)}|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        values = (_air_cell(cells.get((name, model))) for model in models)
        out.append(f"| {_LABELS[name]} | {' | '.join(values)} |")
    return out


def _air_cell(row: AirTableRow | None) -> str:
    if row is None or row["intact_share"] is None:
        return "-"
    screen = f"{_ms(row['screen_ms']['p50'], 0)}/{_ms(row['screen_ms'].get('p99'), 0)}"
    return f"{screen} · {100 * row['intact_share']:.1f} · {_ms(row['age_p99_ms'], 0)}"


def _air_baselines(result: Result) -> list[str]:
    rows = cast("list[AirTableRow]", result["rows"])
    cells = {(row["name"], row["model"]): row for row in rows}
    out = ["| | clean: screen ms p50/p95 · intact | B: screen ms p50/p95 · intact · age p99 | limits on B |"]
    out.append("|---|---|---|---|")
    for name in dict.fromkeys(row["name"] for row in rows):
        clean, bursts = (_baseline_cell(cells.get((name, model))) for model in ("clean", "B"))
        row = cells.get((name, "B"))
        age = "" if row is None or row["age_p99_ms"] is None else f" · {_ms(row['age_p99_ms'], 0)}"
        out.append(f"| {_LABELS[name]} | {clean} | {bursts}{age} | {'' if row is None else row['limits']} |")
    return out


def _baseline_cell(row: AirTableRow | None) -> str:
    if row is None or row["intact_share"] is None:
        return "-"
    screen = row["screen_ms"]
    return f"{_ms(screen['p50'])}/{_ms(screen['p95'])} · {_percent(row['intact_share'])}"


def _sim(result: Result) -> list[str]:
    out = ["| model | strategy | failed | overhead | latency p50 / p95 / p99, ms | age p99, ms | freezes "
           "| longest / unforced, ms | used | key frames |", f"|{'---|' * 10}"]  # fmt: skip
    before = ""
    for row in cast("list[SimRow]", result["rows"]):
        strategy = "**thinair**" if row["strategy"] == "thinair" else row["strategy"]
        freeze = f"{row['longest_freeze_ms']:.0f} / {row['longest_unforced_ms']:.0f}"
        model = "" if row["model"] == before else row["model"]
        before = row["model"]
        out.append(
            f"| {model} | {strategy} | {_percent(row['failed_share'], 3)} | {_percent(row['overhead_share'])} "
            f"| {_three(row['latency_ms'])} | {row['age_p99_ms']:.0f} | {row['freezes']:.1f} | {freeze} "
            f"| {row['used_share']:.2f} | {row['key_frames']:.1f} |"
        )
    return out


def _best(result: Result) -> list[str]:
    out = ["| model | baseline with no more overhead | thinair |", "|---|---|---|"]
    for row in cast("list[BestRow]", result["rows"]):
        spent = f"{_percent(row['failed_share'], 3)} failed at {_percent(row['overhead_share'])}"
        ours = "no failed frame" if row["ratio"] is None else f"{row['ratio']:.1f} × fewer failed frames"
        out.append(f"| {row['model']} | {row['baseline']}, {spent} | {ours} |")
    return out


def _traces(result: Result) -> list[str]:
    out = ["| trace | p50 / p95 / p99, ms | age p99, ms | freezes | longest / unforced, ms | used | key frames |",
           f"|{'---|' * 7}"]  # fmt: skip
    for row in cast("list[SimRow]", result["rows"]):
        freeze = f"{row['longest_freeze_ms']:.0f} / {row['longest_unforced_ms']:.0f}"
        out.append(
            f"| {row['model']} | {_three(row['latency_ms'])} | {row['age_p99_ms']:.0f} | {row['freezes']:.0f} "
            f"| {freeze} | {row['used_share']:.2f} | {row['key_frames']:.0f} |"
        )
    return out


def _sim_latencies(result: Result) -> list[str]:
    out = ["| model | p50 / p95 / p99, ms |", "|---|---|"]
    return out + [f"| {row['model']} | {_three(row['latency_ms'])} |" for row in cast("list[SimRow]", result["rows"])]


def _link_latencies(result: Result) -> list[str]:
    """Of thinair's rows over real sockets."""
    out = ["| model | p50 / p95 / p99, ms |", "|---|---|"]
    for row in cast("list[AirTableRow]", result["rows"]):
        if row["name"] == "thinair" and (link_ms := row.get("link_ms")):
            out.append(f"| {row['model']} | {_three(link_ms)} |")
    return out


def _players(result: Result) -> list[str]:
    out = ["| | p50 / p99, ms | difference to off, p50 / p99, ms | recorder, of a core | page, of a core | shown |",
           f"|{'---|' * 6}"]  # fmt: skip
    for row in cast("list[PlayersRow]", result["rows"]):
        screen, against = row["screen_ms"], row["against_off_ms"]
        difference = "" if against is None else f"{against[0]:+.1f} / {against[1]:+.1f}"
        shares = (row["recorder_share"], row["dashboard_share"])
        cores = " | ".join("" if share is None else _percent(share) for share in shares)
        out.append(
            f"| {_PLAYERS[row['name']]} | {_ms(screen['p50'])} / {_ms(screen.get('p99'))} | {difference} | {cores} "
            f"| {row['shown']} of {row['sent']} |"
        )
    return out


def _joins(result: Result) -> list[str]:
    out = ["| | p50, ms | max, ms | n |", "|---|---|---|---|"]
    for row in cast("list[JoinRow]", result["rows"]):
        what = "join of a browser" if row["what"] == "browser" else f"return of the {row['what']}"
        out.append(f"| {what} | {row['p50_ms']:.0f} | {row['max_ms']:.0f} | {row['n']} |")
    return out


def _browser(result: Result) -> list[str]:
    out = ["| | browser | player's window, same run |", "|---|---|---|"]
    for row in cast("list[BrowserRow]", result["rows"]):
        remark = f" ({row['remark']})" if row["remark"] else ""
        out.append(f"| {row['mode']}{remark} | {_three(row['browser_ms'])} | {_three(row['window_ms'])} |")
    return out


def _sensitivity(result: Result) -> list[str]:
    out = ["| stage | difference in that stage, ms | difference of the latency, ms |", "|---|---|---|"]
    for row in cast("list[SensitivityRow]", result["rows"]):
        stage = f"{row['stage']} (`{row['options']}`)" if row["options"] else row["stage"]
        stage_ms, total_ms = (f"{low:+.2f} to {high:+.2f}" for low, high in (row["stage_ms"], row["total_ms"]))
        verdict = ": too wide for a verdict" if row["verdict"] == "unknown" else ""
        out.append(f"| {stage} | {stage_ms} | {total_ms}{verdict} |")
    return out


SECTIONS = (
    Section(
        "Screen latency",
        """
From the picture's time, carried in its visual code,
to the complete picture in the X server's framebuffer, read 4,000 times a second.
All rows get the same pictures from the same x264 at 8 Mbit/s, over loopback.
p50 / p95 in ms.
""",
        [("glass-1080p25", "", _glass), ("glass-720p60", "", _glass)],
    ),
    Section(
        "End-to-end loop",
        """
A visual code goes from a screen through grab, encoder, link, decoder and window back to the same screen.
One clock times it, without any stamp of thinair.
Beside it, the time from the grab to the pixels, and the player's own figure.
Means in ms.
The loop is shorter by the part of a grab before its first lines are read.

Percentiles against a known truth: with injected delays, offsets, skews, jitter and asymmetry,
they lie within the stated bound in at least 99 % of 500 seeded runs
(`tests/receiver/stats/test_latency_truth_sim.py`).
""",
        [("loop", "", _loop), ("loop-cost", "What the bench itself costs:", _cost)],
    ),
    Section(
        "Soak",
        """
Half an hour with a fault every 20 s: `make bench-soak`.
Recovery time is from the end of the fault, process starts included, to a current picture on the screen.
""",
        [("soak", "", _soak)],
    ),
    Section(
        "Lossy channels, real sockets",
        """
Real programs over a relay with a channel model, 3 ms each way: A 1 % loss in bursts of 4, B 5 % in bursts of 4,
C 10 % in bursts of 5, GE 7.4 % Gilbert-Elliott, D a stall of 200 ms every 5 s, E a rate of 20 → 5 Mbit/s.
1920x1080@25.
Definitions: [transport](transport.md#real-sockets).
""",
        [
            (
                "air",
                """
Screen latency p50/p99 in ms · pictures shown intact, % · age of the newest intact picture, p99 in ms.
"-" was not run.
""",
                _air,
            ),
            ("air-baselines", "All baselines in one run, each at its best settings, on the clean channel and on B.",
             _air_baselines),
        ],
    ),
    Section(
        "Lossy channels, simulation",
        """
thinair's own core, sessions and congestion control at both ends of a modelled link,
in virtual time, beside the strategies of other designs.
Means of the seeds, latencies of the worst seed; 8 Mbit/s.
Models, strategies and definitions: [transport](transport.md#simulation).
""",
        [
            ("sim", "", _sim),
            ("sim-best", "Against the best baseline that spends no more:", _best),
            ("traces", "Office WiFi traces, 290 s each, sender at 12 Mbit/s:", _traces),
        ],
    ),
    Section(
        "Simulation against sockets",
        """
From a frame's first packet to the moment it could be decoded, by the same definition in both benches.
""",
        [
            ("link", "Sockets:", _link_latencies),
            ("air", "Sockets:", _link_latencies),
            ("sim-sockets", "Simulation:", _sim_latencies),
        ],
    ),
    Section(
        "Workers and browser",
        """
What recorder, page and browsers cost the picture: screen latency at 1080p30,
8 Mbit/s, on two cores that also encode and run the X server; five rounds of 15 s.
Differences are medians over the rounds; those below half a millisecond are noise.
""",
        [
            ("players", "", _players),
            ("joins", "From a browser's navigation to its first picture, from a return to a current one:", _joins),
            (
                "browser",
                """
Latency in the browser, from drawn code to the pixels of Chromium's window under Xvfb; p50 / p95 / p99 in ms:
""",
                _browser,
            ),
        ],
    ),
    Section(
        "Sensitivity of bench compare",
        """
One stage made 1 ms slower on purpose, two runs of 60 s at 1080p25;
the 99 % interval of the difference that `bench compare` finds.
network and repair are delayed by a relay, over an unencrypted link.
""",
        [("sensitivity", "", _sensitivity)],
    ),
)  # fmt: skip
