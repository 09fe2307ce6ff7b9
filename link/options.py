"""Configuration from arguments, a TOML file and defaults, in this order of precedence.

The fields of SenderConfig and ReceiverConfig with their Options are the one table behind argparse and TOML. In the
file, the sender's keys are in [send], the receiver's in [play]; a key is the option's name with `_` for `-`. Old names
of options work for one release: hidden in the help, and each use logs one line that gives the new name.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from thinair.link.endpoint import Endpoint
from thinair.link.errors import ConfigError, FileError
from thinair.link.log import Log

# What every encoder takes: x264 refuses less, hardware encoders code no less.
MIN_BITRATE_BPS, MAX_BITRATE_BPS = 100_000, 200_000_000


def parse_bitrate(text: str) -> int:
    """`8M`, `800k`, `8000000` → bits per second."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kM]?)", text, re.ASCII)
    if match is None:
        raise ConfigError(f"{text!r} is not a bitrate: write bits per second, such as 8M, 800k or 8000000")
    bps = Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
    if not MIN_BITRATE_BPS <= bps <= MAX_BITRATE_BPS or bps.denominator != 1:
        raise ConfigError(f"bitrate {text!r} is out of range: give 100k to 200M")
    return int(bps)


@dataclass(frozen=True, slots=True)
class Option:
    """Name, reader and help of a field."""

    help: str  # a noun phrase; the default is added
    read: Callable[[str], Any]
    metavar: str = ""
    kinds: tuple[type, ...] = (str,)  # of TOML values; `read` gets them as text
    name: str = ""  # where it differs from the field's
    old_names: tuple[str, ...] = ()  # keys of the last release, written like `name`


def number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(low) - 1
        if not low <= value <= high:
            raise ConfigError(f"{text!r} is out of range: give {low:g} to {high:g}")
        return value

    return read


def whole(
    text: str, low: int, high: int, unit: str = "N", *, name: str = "", old_names: tuple[str, ...] = ()
) -> Option:
    return Option(text, number(int, low, high), unit, (int,), name, old_names)


def choice(text: str, *choices: str, name: str = "", old_names: tuple[str, ...] = ()) -> Option:
    def read(value: str) -> str:
        if value not in choices:
            raise ConfigError(f"{value!r} is unknown: use {' or '.join(choices)}")
        return value

    return Option(text, read, "|".join(choices), name=name, old_names=old_names)


def switch(text: str, *, name: str = "", old_names: tuple[str, ...] = ()) -> Option:
    return Option(text, bool, kinds=(bool,), name=name, old_names=old_names)


REPORT = Option("file for the report of the run", Path, "FILE.json")
FRAMES = Option("file for the frame table, one row per frame", Path, "FILE.csv")
SECONDS = Option("duration of the run; 0 is unlimited", number(float, 0, 1e7), "SECONDS", (int, float))
PRIORITY = whole("real-time priority of the packet thread, where the system grants it; 0 is none", 0, 50)
ENCRYPTION = switch(
    "encrypted and authenticated link, between paired ends only; the same at both ends (default on)",
    name="encryption",
    old_names=("sealed",),
)
LOG_FORMAT = choice("format of log lines on standard error", "text", "json")


SECTIONS = ("send", "play")


@dataclass(frozen=True, slots=True)
class Settings:
    """A table of options: each field is annotated with its Option."""

    SECTION: ClassVar[str]  # of the configuration file, one of SECTIONS


Config = TypeVar("Config", bound=Settings)


def options(kind: type[Settings]) -> dict[str, tuple[str, Option]]:
    """The table: key in the file → (field, option)."""
    table = {}
    for item in fields(kind):
        option: Option = get_args(item.type)[1]
        table[option.name or item.name] = (item.name, option)
    return table


def add_arguments(
    parser: argparse.ArgumentParser,
    kind: type[Settings],
    *,
    skip: frozenset[str] = frozenset(),
) -> None:
    """Adds `--config` and one option per field not in `skip`. What is not given leaves no attribute; see `load`."""
    if not any(action.dest == "config" for action in parser._actions):
        parser.add_argument(
            "--config", metavar="FILE", type=Path, default=None, help="TOML configuration file; arguments override it"
        )
    defaults: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}
    for key, (name, option) in options(kind).items():
        if name in skip:
            continue
        flag = "--" + key.replace("_", "-")
        shown = shown_default(defaults[name].default)
        text = f"{option.help}{f' (default {shown})' if shown else ''}".replace("%", "%%")
        how: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        if option.kinds == (bool,):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text, **how)
        else:
            how |= {"type": _for_argparse(option.read), "metavar": option.metavar}
            parser.add_argument(flag, help=text, **how)
        for old in option.old_names:
            action = _OldSwitch if option.kinds == (bool,) else _OldOption
            parser.add_argument("--" + old.replace("_", "-"), action=action, new=flag, help=argparse.SUPPRESS, **how)


_RENAMED = "_renamed"  # attribute of the namespace: lines to log, until `load` has logged them


def _renamed_flag(namespace: argparse.Namespace, old: str, new: str) -> None:
    lines: list[str] = [
        *getattr(namespace, _RENAMED, ()),
        f"{old} was renamed to {new}; {old} still works in this release",
    ]
    setattr(namespace, _RENAMED, lines)


class _OldOption(argparse.Action):
    """An option by its old name."""

    def __init__(self, *arguments: Any, new: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._new = new

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        setattr(namespace, self.dest, values)
        _renamed_flag(namespace, str(option), self._new)


class _OldSwitch(argparse.BooleanOptionalAction):
    """A switch by its old name, with or without `no-`."""

    def __init__(self, *arguments: Any, new: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._new = new

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        super().__call__(parser, namespace, values, option)
        negated = str(option).startswith("--no-")
        _renamed_flag(namespace, str(option), f"--no-{self._new[2:]}" if negated else self._new)


def load(kind: type[Config], given: Mapping[str, Any] | argparse.Namespace, file: Path | None = None) -> Config:
    """Arguments over file over defaults. `given` may hold other names too; its `config` names the file where `file` is
    None. Logs one line for each old name. Raises ConfigError, FileError."""
    arguments = vars(given) if isinstance(given, argparse.Namespace) else dict(given)
    path = file or arguments.get("config")
    renamed: list[str] = arguments.pop(_RENAMED, [])  # only once, where one command line fills two configurations
    values = read_file(kind, path, renamed) if path is not None else {}
    names = {item.name for item in fields(kind)}
    values.update({name: value for name, value in arguments.items() if name in names})
    log = Log(values.get("log_format", "text"), kind.SECTION)
    for line in renamed:
        log.write(line, "renamed")
    return kind(**values)


def read_file(kind: type[Settings], path: Path, renamed: list[str] | None = None) -> dict[str, Any]:
    """Field values of this kind's table in the file; `renamed` gets a line to log for each old key. Raises ConfigError,
    FileError."""
    import tomllib  # a start without a file goes without

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error
    for section, content in tables.items():
        if section not in SECTIONS or not isinstance(content, dict):
            raise ConfigError(f"{path}: {section!r} is unknown: put keys under [send] or [play]")
    known, values = options(kind), {}
    new_names = {old: key for key, (_, option) in known.items() for old in option.old_names}
    table = tables.get(kind.SECTION, {})
    for given, value in table.items():
        key = new_names.get(given, given)
        if key not in known:
            raise ConfigError(f"{path}: [{kind.SECTION}] has no key {given!r}: use one of {', '.join(known)}")
        if key != given:
            if key in table:
                raise ConfigError(f"{path}: [{kind.SECTION}] has {key!r} and its old name {given!r}: delete {given!r}")
            if renamed is not None:
                renamed.append(f"{path}: {given} was renamed to {key}; {given} still works in this release")
        name, option = known[key]
        values[name] = _from_toml(f"{path}: {given}", option, value)
    return values


def _from_toml(where: str, option: Option, value: Any) -> Any:
    # bool is a subclass of int, and never meant as a number
    if type(value) not in option.kinds:
        names = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
        wanted = " or ".join(names[kind] for kind in option.kinds)
        raise ConfigError(f"{where} has the wrong type: give {wanted}")
    if isinstance(value, bool):
        return value
    try:
        return option.read(str(value))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _for_argparse(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return read(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def shown_default(default: Any) -> str:
    """In the units that a person types: `8M`; "" for none and switches."""
    if default is None or isinstance(default, bool):
        return ""
    if isinstance(default, int) and default >= 100_000 and default % 100_000 == 0:
        return f"{default / 1e6:g}M"
    local = isinstance(default, Endpoint) and default.host in {"", "127.0.0.1"}
    return str(default.port) if local else str(default)
