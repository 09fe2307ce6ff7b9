"""The `thinair` command: parses, imports what the subcommand needs, and ends in a documented exit code."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from thinair import __version__
from thinair.link.endpoint import Endpoint
from thinair.link.errors import EXIT_HELP, ConfigError, Exit, LinkError
from thinair.link.log import Log
from thinair.link.missing_package import REQUIREMENTS, install_line
from thinair.link.options import add_arguments, load

_FILES, _FOLDERS = ("FILE", "FILE.json", "FILE.csv", "PATH"), ("FOLDER",)
_EPILOG = "exit codes: " + "; ".join(f"{code.value} {text}" for code, text in EXIT_HELP.items())


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return int(run(arguments))
    except LinkError as error:
        command = getattr(arguments, "command", "")
        Log(getattr(arguments, "log_format", "text"), command).write(
            str(error), "error", exit_code=int(error.exit_code)
        )
        return int(error.exit_code)
    except BrokenPipeError:
        return int(Exit.OK)
    except KeyboardInterrupt:
        return 130  # as a shell says it
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (name := str(error.name).partition(".")[0]) in REQUIREMENTS:
            print(f"thinair: Python package {name} is missing: {install_line(name)}", file=sys.stderr)
            return int(Exit.DEVICE)
        traceback.print_exc()
        print("thinair: this is a defect of thinair; please report it with the lines above", file=sys.stderr)
        return int(Exit.INTERNAL)


def _examples(parser: argparse.ArgumentParser, *examples: tuple[str, str]) -> None:
    """At the end of --help: what to type, and what it is for."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "examples:\n" + "\n".join(f"  thinair {line}\n      {what}" for line, what in examples)


class _Parser(argparse.ArgumentParser):
    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def filled(self) -> argparse.ArgumentParser:
        """With the arguments of every command, as completion wants it."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    assert isinstance(command, _Parser)
                    command.filled()
        return self

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def] # argparse overloads it
        """A command's arguments are added once it is the one asked for: all of them take a Pi 30 ms at each start."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """One line; --help has the rest."""
        self.exit(int(Exit.USAGE), f"{self.prog}: {message}; see {self.prog} --help\n")


def _add_actions(
    commands: Any,
    name: str,
    what: str,
    actions: dict[str, str],
    run: Callable[[argparse.Namespace], int],
    *,
    note: str = "",
) -> None:
    """A command that has actions with arguments of their own."""
    command = commands.add_parser(
        name,
        help=what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"{what[0].upper()}{what[1:]}. Actions:\n{_table(actions)}",
        epilog=f"Options of one: thinair {name} ACTION --help. {note}".rstrip(),
    )
    command.add_argument("action", choices=actions, metavar="ACTION", help="one of the above")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="its options")
    command.set_defaults(run=run)


def _action_parser(command: str, action: str, actions: dict[str, str]) -> _Parser:
    text = actions[action]
    return _Parser(prog=f"thinair {command} {action}", description=f"{text[0].upper()}{text[1:]}.")


def _parser() -> _Parser:
    parser = _Parser(
        prog="thinair",
        description="A camera's picture on a producer's screen, with measured latency for every frame.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"thinair {__version__}", help="version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="sender and player on this machine",
        description="Sender and player on this machine, with a live table of latencies.",
    )
    demo.fill = _add_demo_arguments
    _examples(
        demo,
        ("demo", "window, page and table of latencies"),
        ("demo --headless --seconds 60 --report run.json", "no window, a report of one minute"),
    )
    demo.set_defaults(run=_demo)

    send = commands.add_parser(
        "send",
        help="sender: test card, screen, file or HDMI camera to a player",
        description="Sends a source to a player, or as a plain stream to any other program. A player pairs once, with "
        "thinair pair.",
    )
    send.fill = _add_send_arguments
    _examples(
        send,
        ("send", "the test card, to the paired player that asks for it"),
        ("send --to 192.168.1.20:5004 --source hdmi", "a camera on the HDMI input"),
        ("send --to 192.168.1.20:5004 --source screen::0", "this screen"),
        ("send --output rtp://192.168.1.20:5004 --sdp s.sdp", "a plain stream for GStreamer, ffmpeg, VLC or OBS"),
    )
    send.set_defaults(run=_send)

    play = commands.add_parser(
        "play",
        help="player: window, page and recordings of one sender",
        description="Shows a sender's pictures (no audio). Keys in the window: q quit, f full screen, h HUD, ? all "
        "keys.",
    )
    play.fill = _add_play_arguments
    _examples(
        play,
        ("play", "window on port 5004, page at http://127.0.0.1:5080/"),
        ("play --fullscreen --hud line --record", "on set"),
        ("play --latency smooth --monitor 1", "even cadence, on the second monitor"),
        ("play --dashboard 0.0.0.0:5080", "page for other machines too, behind an access token"),
    )
    play.set_defaults(run=_play)

    pair = commands.add_parser(
        "pair",
        help="pairing with a sender, by its pairing code",
        description="Pairs this player with a sender. The sender shows its pairing code at its start; thinair pairings "
        "code prints it again. Then start thinair play.",
    )
    pair.add_argument(
        "place",
        type=_place,
        nargs="?",
        metavar="ADDRESS",
        help="the sender's HOST or HOST:PORT (default: the sender found on this network)",
    )
    pair.add_argument("code", nargs="?", metavar="CODE", help="pairing code XXXX-XXXX-XXXX (default: prompt)")
    pair.set_defaults(run=_pair)

    ls = commands.add_parser(
        "ls",
        help="senders on this network",
        description="Lists the senders that announce themselves on this network by mDNS.",
    )
    ls.add_argument(
        "--seconds", type=float, default=2.0, metavar="SECONDS", help="time to listen (default %(default)g)"
    )
    ls.set_defaults(run=_ls)

    _add_actions(commands, "remote", "control of a paired sender", _REMOTE_ACTIONS, _remote)
    _add_actions(commands, "pairings", "pairings of this machine, and its pairing code", _PAIRING_ACTIONS, _pairings)

    bench = commands.add_parser(
        "bench",
        help="measurements",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measurements:\n" + _table(_BENCHES),
        epilog="Options of one: thinair bench NAME --help",
    )
    bench.add_argument("bench", type=_bench_name, choices=_BENCHES, metavar="NAME", help="one of the above")
    bench.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="its options")
    bench.set_defaults(run=_bench)

    recover = commands.add_parser(
        "recover",
        help="salvage of interrupted recordings",
        description="Salvages the complete part of interrupted recordings into new files beside them; the originals "
        "stay. Exit code 1 where a recording holds nothing to salvage.",
    )
    recover.fill = _add_recover_arguments
    recover.set_defaults(run=_recover)

    config = commands.add_parser(
        "config",
        help="configuration file with every option",
        description="Prints a TOML file with every option of send and play and its default: edit it, and give it as "
        "--config FILE.",
    )
    config.set_defaults(run=_config)

    completion = commands.add_parser(
        "completion",
        help="completion script for a shell",
        description="Prints a completion script.",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="shell that reads the script")
    completion.set_defaults(run=_completion)
    _examples(
        completion,
        ("completion bash > ~/.local/share/bash-completion/completions/thinair", "bash"),
        ("completion zsh > ~/.zfunc/_thinair", "zsh, with ~/.zfunc in fpath"),
    )

    doctor = commands.add_parser(
        "doctor",
        help="checks of this machine, with a fix for each fault",
        description="Checks a Raspberry Pi that sends or a PC that plays (display, decoder, network, disk) and prints "
        "the fix below each fault. Exit code 1 where a fault is left.",
    )
    doctor.add_argument("--fix", action="store_true", help="safe fixes applied first; needs sudo")
    doctor.set_defaults(run=_doctor)

    _add_actions(commands, "service", "the sender as a systemd service", _SERVICE_ACTIONS, _service)
    what = "access point of the sender, joining it, state of the radio"
    _add_actions(commands, "wifi", what, _WIFI_ACTIONS, _wifi)
    what = "EDIDs, which tell a camera which modes it may send"
    _add_actions(commands, "edid", what, _EDID_ACTIONS, _edid, note="FILE may be - for standard input.")
    return parser


_BENCHES = {
    "glass": "screen latency read from the screen's pixels, beside baselines",
    "loop": "a visual code through the end-to-end path, timed by one clock",
    "air": "channel models over real sockets, measured from the screen, beside baselines",
    "sim": "channel models in virtual time, beside the strategies of baselines",
    "soak": "hours of operation with a fault every few seconds",
    "report": "page, JSON and CSV of one recorded run: stages, glass age, timelines of the worst frames",
    "compare": "verdict on two runs: is B slower than A, with confidence intervals",
    "gate": "the limits of docs/latency-budget.toml, and which are exceeded",
    "receive": "last packet to decoder, and throughput of the reassembler beside GStreamer",
    "encode": "x264, paced and back to back",
    "present": "decoded picture to screen",
    "encryption": "time to the first picture of a paired receiver, and the cost of encryption",
    "players": "cost of recorder, dashboard and browsers to the picture",
    "payload": "cost of the packet size",
    "repair": "repair symbols beside XOR parity, and zfec where installed",
    "armv6": "instructions on the Pi Zero W's processor, counted under emulation",
    "memory": "memory growth of sender and player",
}
_RENAMED_BENCHES = {"desk": "players", "sealed": "encryption"}

_SERVICE_ACTIONS = {
    "install": "systemd units and a first configuration, enabled; needs sudo",
    "edid": "EDID to the HDMI input, as thinair-edid.service sets it",
    "prepare": "board set up and status LED handed over, as root, before the service starts",
    "release": "status LED handed back, as root, after the service has ended",
}

_PAIRING_ACTIONS = {
    "list": "peers that this machine is paired with",
    "forget": "end of one pairing and of its session",
    "code": "pairing code of this sender",
    "renew": "new pairing code; also ends the lock after too many wrong codes",
}

_REMOTE_ACTIONS = {
    "status": "state, video mode, radio signal, latency",
    "mode": "request for another video mode",
    "bitrate": "limit of the bitrate",
    "key": "request for a key frame",
    "logs": "the sender's latest log lines",
    "preview": "JPEG of what the camera shows",
    "page": "page link of the sender for a phone, with QR code, valid for 12 hours",
    "restart": "restart of the sender's service",
}

_WIFI_ACTIONS = {
    "ap": "this machine as access point, on the least busy channel; needs root",
    "join": "this machine in a sender's network; needs root",
    "status": "state of the radio, and what limits it",
}

_EDID_ACTIONS = {
    "show": "contents of FILE",
    "check": "faults of FILE; exit code 1 where there are any",
    "fix": "FILE with its faults corrected, by as few changes as possible",
    "explain": "cost of each mode of FILE, and whether it is supported",
    "build": "EDID that offers supported modes only",
}


def _bench_name(name: str) -> str:
    """An old name gives the new one, with one line that tells it."""
    new = _RENAMED_BENCHES.get(name)
    if new is not None:
        Log("text", "bench").write(f"bench {name} was renamed to bench {new}; {name} still works in this release")
    return new or name


def _table(lines: dict[str, str]) -> str:
    width = max(map(len, lines)) + 2
    return "\n".join(f"  {name:{width}}{text}" for name, text in lines.items())


def _add_send_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.sender.config import SenderConfig

    add_arguments(parser, SenderConfig)


def _add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.receiver.config import ReceiverConfig
    from thinair.sender.config import SenderConfig

    own = {"to", "plain", "output", "input", "sdp", "listen", "report", "frames", "seconds", "priority"}
    own |= {"log_format", "session_port", "sealed", "encryption", "sender", "take_over"}
    add_arguments(parser, SenderConfig, skip=frozenset(own))
    add_arguments(
        parser,
        ReceiverConfig,
        skip=frozenset(own - {"report", "frames", "seconds", "priority", "log_format", "sealed", "encryption"}),
    )


def _add_play_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.receiver.config import ReceiverConfig

    name = "name of a paired sender; needed where there are several"
    parser.add_argument("sender", nargs="?", metavar="NAME", default=argparse.SUPPRESS, help=name)
    add_arguments(parser, ReceiverConfig)


def _demo(arguments: argparse.Namespace) -> int:
    from thinair.commands.demo import run

    return run(arguments)


def _send(arguments: argparse.Namespace) -> int:
    from thinair.sender.config import SenderConfig
    from thinair.sender.service import run

    return run(load(SenderConfig, arguments))


def _play(arguments: argparse.Namespace) -> int:
    from thinair.receiver.config import ReceiverConfig
    from thinair.receiver.player import run
    from thinair.receiver.stats.run_conditions import ConditionsWatch, collect

    config = load(ReceiverConfig, arguments)
    watch = ConditionsWatch()
    watch.start()
    return run(config, lambda: collect() | watch.stop())


def _place(text: str) -> Endpoint:
    from thinair.link.security.tls import PORT

    try:
        return Endpoint.parse(text if re.search(r":\d+$", text) else f"{text}:{PORT}")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pair(arguments: argparse.Namespace) -> int:
    from thinair.receiver.commands.pair import run

    return run(arguments.place, arguments.code)


def _ls(arguments: argparse.Namespace) -> int:
    from thinair.receiver.commands.ls import run

    return run(arguments.seconds)


def _pairings(arguments: argparse.Namespace) -> int:
    from thinair.commands import pairings

    parser = _action_parser("pairings", arguments.action, _PAIRING_ACTIONS)
    pairings.add_arguments(parser, arguments.action)
    return pairings.run(arguments.action, parser.parse_args(arguments.rest))


def _remote(arguments: argparse.Namespace) -> int:
    from thinair.receiver.commands import remote

    parser = _action_parser("remote", arguments.action, _REMOTE_ACTIONS)
    remote.add_arguments(parser, arguments.action)
    return remote.run(arguments.action, parser.parse_args(arguments.rest))


def _config(arguments: argparse.Namespace) -> int:
    from thinair.commands.config_reference import toml

    print(toml(), end="")
    return int(Exit.OK)


def _completion(arguments: argparse.Namespace) -> int:
    import shtab

    parser = _parser().filled()
    for action in _all_actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif isinstance(action.metavar, str) and "|" in action.metavar and action.choices is None:
            action.choices = action.metavar.split("|")
        elif isinstance(action.choices, dict) and not isinstance(action, argparse._SubParsersAction):
            action.choices = list(action.choices)  # a table of names and texts would be taken for commands
    print(shtab.complete(parser, arguments.shell))
    return int(Exit.OK)


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_actions(command)


def _bench(arguments: argparse.Namespace) -> int:
    from thinair.link.security.pairing_store import introduce

    bench = import_module(f"thinair.bench.{arguments.bench}")
    parser = _action_parser("bench", arguments.bench, _BENCHES)
    bench.add_arguments(parser)
    options = parser.parse_args(arguments.rest)
    if getattr(options, "board", None) is not None:  # a sender that this user has paired with
        return int(bench.run(options))
    with TemporaryDirectory(prefix="thinair-") as home:  # its senders and players are paired with each other only
        before = os.environ.get("THINAIR_STATE")
        os.environ["THINAIR_STATE"] = introduce(Path(home))
        try:
            return int(bench.run(options))
        finally:
            os.environ.pop("THINAIR_STATE") if before is None else os.environ.update(THINAIR_STATE=before)


def _add_recover_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.receiver.record.recover import add_arguments

    add_arguments(parser)


def _recover(arguments: argparse.Namespace) -> int:
    from thinair.receiver.record.recover import run

    return run(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from thinair.commands.doctor import run
    from thinair.sender.board.doctor import Board

    return run(Board(), apply_fixes=arguments.fix)


def _service(arguments: argparse.Namespace) -> int:
    from thinair.commands import service

    parser = _action_parser("service", arguments.action, _SERVICE_ACTIONS)
    service.add_arguments(parser, arguments.action)
    return service.run(arguments.action, parser.parse_args(arguments.rest))


def _wifi(arguments: argparse.Namespace) -> int:
    from thinair.commands import wifi

    parser = _action_parser("wifi", arguments.action, _WIFI_ACTIONS)
    wifi.add_arguments(parser, arguments.action)
    return wifi.run(arguments.action, parser.parse_args(arguments.rest))


def _edid(arguments: argparse.Namespace) -> int:
    from thinair.commands import edid

    parser = _action_parser("edid", arguments.action, _EDID_ACTIONS)
    edid.add_arguments(parser, arguments.action)
    return edid.run(arguments.action, parser.parse_args(arguments.rest))


if __name__ == "__main__":
    sys.exit(main())
