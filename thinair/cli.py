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
        Log(getattr(arguments, "log_format", "text"), command).say(str(error), "error", exit_code=int(error.exit_code))
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
    parser.epilog = "examples:\n" + "\n".join(f"  thinair {words}\n      {what}" for words, what in examples)


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
    commands: Any, name: str, what: str, actions: dict[str, str], run: Callable[[argparse.Namespace], int]
) -> None:
    """A command that has actions with arguments of their own."""
    command = commands.add_parser(
        name,
        help=what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Actions:\n" + "\n".join(f"  {action:9}{text}" for action, text in actions.items()),
    )
    command.add_argument("action", choices=actions, metavar="ACTION")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    command.set_defaults(run=run)


def _parser() -> _Parser:
    parser = _Parser(
        prog="thinair", description="A camera's picture on a producer's screen, and how late it is.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"thinair {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="send and play on this machine",
        description="Sender and player on this machine, with a live table.",
    )
    demo.fill = _add_demo_arguments
    _examples(
        demo,
        ("demo", "a window, a page and a table of latencies"),
        ("demo --headless --seconds 60 --report run.json", "without a window"),
    )
    demo.set_defaults(run=_demo)

    send = commands.add_parser(
        "send", help="send a picture", description="Sends a picture to a player, or as a plain stream to anything."
    )
    send.fill = _add_send_arguments
    _examples(
        send,
        ("send --to 192.168.1.20:5004", "the test card to a player"),
        ("send --to 192.168.1.20:5004 --source hdmi", "a camera on the HDMI board"),
        ("send --to 192.168.1.20:5004 --source screen::0", "this screen"),
        ("send --plain rtp://192.168.1.20:5004 --sdp s.sdp", "for GStreamer, ffmpeg, VLC, OBS"),
    )
    send.set_defaults(run=_send)

    play = commands.add_parser(
        "play",
        help="show a picture",
        description="Shows what a sender sends: pictures, no audio. Keys: q quit, f full screen, h figures, ? help.",
    )
    play.fill = _add_play_arguments
    _examples(
        play,
        ("play", "wait on port 5004, show the picture, serve the page on http://127.0.0.1:5080/"),
        ("play --fullscreen --hud line --record", "as on set"),
        ("play --latency smooth --monitor 1", "even cadence, on the second display"),
        ("play --dashboard 0.0.0.0:5080", "the page for other machines too, opened by a token"),
    )
    play.set_defaults(run=_play)

    pair = commands.add_parser(
        "pair",
        help="let this player in at a sender, by the sender's code",
        description="Pairs this player with a sender. The code stands in the sender's terminal, or comes of `thinair "
        "pairings code` there; without CODE it is asked for.",
    )
    pair.add_argument(
        "place",
        type=_place,
        nargs="?",
        metavar="ADDRESS",
        help="of the sender: HOST or HOST:PORT; else it is looked for",
    )
    pair.add_argument("code", nargs="?", metavar="CODE", help="12 letters and digits")
    pair.set_defaults(run=_pair)

    ls = commands.add_parser(
        "ls", help="list the senders on this network", description="Lists senders that say that they are there."
    )
    ls.add_argument("--seconds", type=float, default=2.0, help="how long to look; default %(default)g")
    ls.set_defaults(run=_ls)

    _add_actions(commands, "remote", "look at a paired sender and turn its knobs", _REMOTE_ACTIONS, _remote)
    _add_actions(commands, "pairings", "whom this machine is paired with", _PAIRING_ACTIONS, _pairings)

    bench = commands.add_parser(
        "bench",
        help="measure",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Benches:\n" + "\n".join(f"  {name:9}{text}" for name, text in _BENCHES.items()),
        epilog="thinair bench NAME --help tells its options.",
    )
    bench.add_argument("bench", type=lambda name: _RENAMED_BENCHES.get(name, name), choices=_BENCHES, metavar="NAME")
    bench.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    bench.set_defaults(run=_bench)

    recover = commands.add_parser(
        "recover",
        help="make an ordinary file of a recording that a crash left",
        description="Copies what is whole of unfinished recordings into files beside them; the originals stay. Without "
        "PATH looks through the usual folder. 1 where one cannot be recovered.",
    )
    recover.fill = _add_recover_arguments
    recover.set_defaults(run=_recover)

    config = commands.add_parser(
        "config",
        help="print a configuration file with every option",
        description="Prints a TOML file with every option of send and play, its default and what it does.",
    )
    config.set_defaults(run=_config)

    completion = commands.add_parser(
        "completion",
        help="print the completion script of a shell",
        description="Prints a script for a shell.",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    completion.set_defaults(run=_completion)
    _examples(
        completion,
        ("completion bash > ~/.local/share/bash-completion/completions/thinair", "bash"),
        ("completion zsh > ~/.zfunc/_thinair", "zsh, where fpath has ~/.zfunc"),
    )

    doctor = commands.add_parser(
        "doctor",
        help="look for what spoils the picture on this machine",
        description="Looks over a Raspberry Pi that sends or a PC that plays (display, decoder, network, disk); prints "
        "the line that mends each fault. 1 where one is left.",
    )
    doctor.add_argument("--fix", action="store_true", help="first mend what is safe to mend from here; needs sudo")
    doctor.set_defaults(run=_doctor)

    _add_actions(commands, "service", "the sender as a systemd service", _SERVICE_ACTIONS, _service)
    what = "the sender as access point, joining it, and what hurts"
    _add_actions(commands, "wifi", what, _WIFI_ACTIONS, _wifi)

    edid = commands.add_parser(
        "edid",
        help="show, check, fix, build or explain an EDID",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="An EDID tells the camera what to send. Actions:\n"
        + "\n".join(f"  {name:9}{text}" for name, text in _EDID_ACTIONS.items()),
        epilog="thinair edid ACTION --help tells its options. FILE - is standard input.",
    )
    edid.add_argument("action", choices=_EDID_ACTIONS, metavar="ACTION")
    edid.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    edid.set_defaults(run=_edid)
    return parser


_BENCHES = {
    "loop": "a code round the whole chain, timed by one clock, beside what the player says",
    "compare": "whether run B is slower than run A, by intervals",
    "gate": "whether the promises of docs/latency-budget.toml are kept",
    "soak": "hours of it, with a fault every few seconds",
    "report": "a run as a page, JSON and CSV: stages, glass age, the worst frames' stories",
    "glass": "screen latency, read from the screen, beside peers",
    "receive": "from the last packet to the decoder, and reassembly throughput beside GStreamer",
    "encryption": "how soon a paired receiver has a picture, and what the seal costs",
    "players": "what recorder, dashboard and browsers cost the picture",
    "payload": "what the packet size costs",
    "encode": "x264 paced and back to back",
    "present": "from a picture to the screen",
    "armv6": "instructions on the Pi Zero W's processor, counted under emulation",
    "memory": "whether sender and player grow",
    "sim": "the link simulated in virtual time, beside peers' strategies",
    "air": "the same links over real sockets, judged by pixels, beside real peers",
    "repair": "repair symbols beside XOR parity, and zfec where it is installed",
}

_RENAMED_BENCHES = {"desk": "players", "sealed": "encryption"}

_SERVICE_ACTIONS = {
    "install": "write the systemd units and a first configuration, and enable them; needs sudo",
    "edid": "tell the camera which modes to send; what thinair-edid.service does",
    "prepare": "quieten the board and hand over its light, as root; before the service starts",
    "release": "give the light back, as root; after the service ended",
}

_PAIRING_ACTIONS = {
    "list": "who may come in here, and where this machine may",
    "forget": "end a pairing, and its session",
    "code": "print this sender's pairing code",
    "renew": "make another code; opens a sender that was closed by wrong ones",
}

_REMOTE_ACTIONS = {
    "status": "state, mode, signal, how late the picture is",
    "mode": "ask the camera for WIDTHxHEIGHT@RATE",
    "bitrate": "the highest bitrate, such as 6M",
    "key": "ask for a key frame",
    "logs": "what the sender said lately",
    "preview": "write what the camera shows into FILE.jpg",
    "page": "an address and a QR code that open the sender's page on a phone, for twelve hours",
    "restart": "end the sender's service, which starts again",
}

_WIFI_ACTIONS = {
    "ap": "this machine becomes the access point, on the channel with the least of others; needs root",
    "join": "this machine joins a sender's network; needs root",
    "status": "what the radio does, and what hurts",
}

_EDID_ACTIONS = {
    "show": "what is in FILE",
    "check": "what is wrong with FILE; ends in 1 where something is",
    "fix": "mend FILE, with as few changes as will do",
    "explain": "what each mode of FILE costs, and whether it is carried",
    "build": "make one that offers what can be carried",
}


def _add_send_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.sender.config import SenderConfig

    add_arguments(parser, SenderConfig)


def _add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.receiver.config import ReceiverConfig
    from thinair.sender.config import SenderConfig

    own = {"to", "plain", "sdp", "listen", "report", "frames", "seconds", "priority", "log_format", "door", "sealed"}
    own |= {"sender", "take_over"}
    add_arguments(parser, SenderConfig, skip=frozenset(own))
    add_arguments(
        parser,
        ReceiverConfig,
        skip=frozenset(own - {"report", "frames", "seconds", "priority", "log_format", "sealed"}),
    )


def _add_play_arguments(parser: argparse.ArgumentParser) -> None:
    from thinair.receiver.config import ReceiverConfig

    name = "which paired sender; needed where there are several"
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

    text = _PAIRING_ACTIONS[arguments.action]
    parser = _Parser(prog=f"thinair pairings {arguments.action}", description=f"{text[0].upper()}{text[1:]}.")
    pairings.add_arguments(parser, arguments.action)
    return pairings.run(arguments.action, parser.parse_args(arguments.rest))


def _remote(arguments: argparse.Namespace) -> int:
    from thinair.receiver.commands import remote

    text = _REMOTE_ACTIONS[arguments.action]
    parser = _Parser(prog=f"thinair remote {arguments.action}", description=f"{text[0].upper()}{text[1:]}.")
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
            action.choices = list(action.choices)  # a table of names and words would be taken for commands
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
    parser = _Parser(prog=f"thinair bench {arguments.bench}", description=_BENCHES[arguments.bench])
    bench.add_arguments(parser)
    words = parser.parse_args(arguments.rest)
    if getattr(words, "board", None) is not None:  # a sender that this user has paired with
        return int(bench.run(words))
    with TemporaryDirectory(prefix="thinair-") as home:  # its senders and players know each other, and nobody else
        before = os.environ.get("THINAIR_STATE")
        os.environ["THINAIR_STATE"] = introduce(Path(home))
        try:
            return int(bench.run(words))
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

    return run(Board(), mend=arguments.fix)


def _service(arguments: argparse.Namespace) -> int:
    from thinair.commands import service

    text = _SERVICE_ACTIONS[arguments.action]
    parser = _Parser(prog=f"thinair service {arguments.action}", description=f"{text[0].upper()}{text[1:]}.")
    service.add_arguments(parser, arguments.action)
    return service.run(arguments.action, parser.parse_args(arguments.rest))


def _wifi(arguments: argparse.Namespace) -> int:
    from thinair.commands import wifi

    text = _WIFI_ACTIONS[arguments.action]
    parser = _Parser(prog=f"thinair wifi {arguments.action}", description=f"{text[0].upper()}{text[1:]}.")
    wifi.add_arguments(parser, arguments.action)
    return wifi.run(arguments.action, parser.parse_args(arguments.rest))


def _edid(arguments: argparse.Namespace) -> int:
    from thinair.commands import edid

    text = _EDID_ACTIONS[arguments.action]
    parser = _Parser(prog=f"thinair edid {arguments.action}", description=f"{text[0].upper()}{text[1:]}.")
    edid.add_arguments(parser, arguments.action)
    return edid.run(arguments.action, parser.parse_args(arguments.rest))


if __name__ == "__main__":
    sys.exit(main())
