"""Reference of all options, generated from the table behind arguments and files: docs/configuration.md and the file
that `thinair config` prints. `make snapshots` writes the page."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from thinair.link.options import options, shown_default
from thinair.receiver.config import ReceiverConfig
from thinair.sender.config import SenderConfig

Kind = type[SenderConfig] | type[ReceiverConfig]
_KINDS: dict[Kind, str] = {SenderConfig: "thinair send", ReceiverConfig: "thinair play"}


def markdown() -> str:
    out = [
        "# Configuration",
        "",
        "Options are given on the command line (`--bitrate 6M`) or in a TOML file named by `--config`",
        '(`bitrate = "6M"`).',
        "Arguments override the file, the file overrides the defaults.",
        "`thinair config` prints a file with every option.",
        "This page is generated: `make snapshots`.",
    ]
    for kind, command in _KINDS.items():
        out += ["", f"## `{command}`, `[{kind.SECTION}]`", "", "| option | value | default | |", "|---|---|---|---|"]
        for key, (name, option) in options(kind).items():
            value = "true, false" if option.kinds == (bool,) else option.metavar.replace("|", ", ")
            default = shown_default(_default(kind, name))
            cells = (f"`--{key.replace('_', '-')}`", value, f"`{default}`" if default else "", option.help)
            out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(out) + "\n"


def toml() -> str:
    """A file with every key, commented out, with its default where it has one."""
    out = ["# For thinair send|play --config FILE. Remove the # of a key to set it; arguments override it."]
    for kind, command in _KINDS.items():
        out += ["", f"[{kind.SECTION}]  # {command}"]
        for key, (name, option) in options(kind).items():
            default = _default(kind, name)
            text = shown_default(default)
            if isinstance(default, bool):
                value = str(default).lower()
            elif isinstance(default, int | float) and text == str(default):
                value = text
            else:
                value = f'"{text or option.metavar}"'
            out.append(f"# {key} = {value}  # {option.help}")
    return "\n".join(out) + "\n"


def _default(kind: Kind, name: str) -> Any:
    return next(item.default for item in fields(kind) if item.name == name)


if __name__ == "__main__":
    print(markdown(), end="")
