"""Errors that people cause, and the exit codes they end in. Bytes from the network never raise: they are counted."""

from enum import IntEnum


class Exit(IntEnum):
    """What the commands end with; docs/exit-codes.md says it for people."""

    OK = 0
    FAULTS = 1
    USAGE = 2
    DEVICE = 3
    FILE = 4
    NETWORK = 5
    NO_PEER = 6
    INTERNAL = 70


EXIT_HELP: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAULTS: "what was checked has faults",
    Exit.USAGE: "an argument or the configuration is wrong",
    Exit.DEVICE: "a device or the display is missing or busy",
    Exit.FILE: "a file cannot be read or written",
    Exit.NETWORK: "a network address or port cannot be used",
    Exit.NO_PEER: "the other end never came within --seconds",
    Exit.INTERNAL: "a defect of thinair itself",
}


class LinkError(Exception):
    """Whatever a command answers with one line: the message is that line, `exit_code` how it ends."""

    exit_code: Exit = Exit.INTERNAL


class LocalProtocolError(LinkError):
    """Our own side used a session in a way its state forbids."""


class ConfigError(LinkError):
    """An argument or a key of the configuration file; the message says what to do."""

    exit_code = Exit.USAGE


class AuthenticationError(LinkError):
    """Keys do not fit, so that no session can come about."""

    exit_code = Exit.USAGE


class DeviceError(LinkError, OSError):
    """A device or the display is missing, busy or gone."""

    exit_code = Exit.DEVICE


class FileError(LinkError, OSError):
    """A file the person named cannot be read or written."""

    exit_code = Exit.FILE


class NetworkError(LinkError, OSError):
    """An address or port the person named cannot be used."""

    exit_code = Exit.NETWORK


class NoPeerError(LinkError):
    """The run ended by itself and the other end never came."""

    exit_code = Exit.NO_PEER
