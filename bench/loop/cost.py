"""What the bench itself costs: the same end-to-end path with it and without it, in turn.

`all`: codes are drawn into the pictures and read from the screen, frames and packets are logged. `code`: only the codes
are drawn, more work for the encoder. `off`: a test card without codes, and a player that writes its report at the end,
as any may. The latency of all three is that of the player's report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, stdev

from thinair.bench.analysis.recorded_run import LATENCY
from thinair.bench.analysis.run_files import read_report, write_json
from thinair.bench.harness.free_ports import free_port
from thinair.bench.harness.processes import process, wait_for_port
from thinair.bench.harness.run_conditions import RunConditions
from thinair.bench.harness.xvfb_screen import ScreenError, ScreenSampler, xvfb
from thinair.bench.loop.rig import Setting
from thinair.link.errors import DeviceError, Exit

SCHEMA = "thinair.bench-cost/1"
LIMIT_MS = 0.2
_VARIANTS = ("off", "code", "all")
_LEAST_ROUNDS = 4
_WARM_UP_S = 3.0


def cost(setting: Setting, rounds: int, json_path: Path | None) -> int:
    """0 where the p50 with the bench is no more than LIMIT_MS above the one without. Raises DeviceError, FileError."""
    rounds = max(_LEAST_ROUNDS, rounds)
    found: dict[str, list[float]] = {name: [] for name in _VARIANTS}
    conditions = RunConditions()
    for number in range(rounds):
        for name in _VARIANTS if number % 2 else reversed(_VARIANTS):
            try:
                found[name].append(_round_p50_ms(setting, name))
            except ScreenError as error:
                raise DeviceError(str(error)) from error
    for name, values in found.items():
        print(f"{name:6}p50 of the latency, ms: {' '.join(f'{value:.2f}' for value in values)}")
    added, spread = _added(found["all"], found["off"])
    code, code_spread = _added(found["code"], found["off"])
    print(f"added by the bench: {added:+.2f} ms (standard error {spread:.2f}, {rounds} pairs), limit {LIMIT_MS}")
    print(f"of that, encoding the codes: {code:+.2f} ms (standard error {code_spread:.2f})")
    finished = conditions.finish()
    for why in finished["unfit"]:
        print(f"unfit: {why}")
    content = {"schema": SCHEMA, "conditions": finished, "p50_ms": found, "added_ms": added}
    write_json(json_path, content | {"standard_error_ms": spread, "code_ms": code, "limit_ms": LIMIT_MS})
    return int(Exit.OK if added <= LIMIT_MS else Exit.FAULTS)


def _added(with_it: Sequence[float], without: Sequence[float]) -> tuple[float, float]:
    """Mean of the rounds' differences and its standard error, ms."""
    differences = [a - b for a, b in zip(with_it, without, strict=True)]
    return fmean(differences), stdev(differences) / len(differences) ** 0.5


def _round_p50_ms(setting: Setting, variant: str) -> float:
    mode, measured = setting.mode, variant == "all"
    with ExitStack() as stack:
        screen = stack.enter_context(xvfb(mode.width, mode.height))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thinair-cost-")))
        port, program, report = free_port(), setting.injected.program(()), home / "player.json"
        logs = ["--frames", str(home / "player.csv"), "--packets", str(home / "player.pcap")] if measured else []
        player = [
            *(*program, "play", "--listen", f"127.0.0.1:{port}", "--presenter", "x11", "--display", screen.display),
            *("--fullscreen", "--dashboard", "off", "--priority", "0", "--report", str(report), *logs),
        ]
        sender = [
            *(*program, "send", "--to", f"127.0.0.1:{port}", "--source", "testcard", "--mode", str(mode)),
            *("--bitrate", str(setting.bitrate_bps), "--pace", "off", "--priority", "0"),
            *(["--frames", str(home / "sender.csv")] if measured else []),
            *(["--no-visual-code"] if variant == "off" else []),
        ]
        with ExitStack() as processes:
            running = processes.enter_context(process(player, home / "player.log", {"DISPLAY": screen.display}))
            wait_for_port(port, running)
            processes.enter_context(process(sender, home / "sender.log", {}))
            if measured:
                _sample(ScreenSampler(screen.file, mode.width, mode.height), setting.seconds)
            else:
                time.sleep(_WARM_UP_S + setting.seconds)
        p50 = read_report(report)["latency_ms"][LATENCY]["p50"]
        if p50 is None:
            raise DeviceError(f"no picture was shown{running.last_line()}")
        return p50


def _sample(sampler: ScreenSampler, seconds: float) -> None:
    until = time.monotonic() + _WARM_UP_S + seconds
    try:
        sampler.run(lambda _now: time.monotonic() > until)
    finally:
        sampler.close()
