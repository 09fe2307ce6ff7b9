"""Errors that a user can cause, and their exit codes. Bytes from the network never raise: they are counted."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of all commands, as in docs/exit-codes.md."""

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
    Exit.FAULTS: "faults found",
    Exit.USAGE: "wrong argument or configuration",
    Exit.DEVICE: "device or display missing or busy",
    Exit.FILE: "file not readable or not writable",
    Exit.NETWORK: "network address or port not usable",
    Exit.NO_PEER: "no peer within --seconds",
    Exit.INTERNAL: "defect of thinair",
}


class LinkError(Exception):
    """Ends a command with one line, the message, which says what to do, and `exit_code`."""

    exit_code: Exit = Exit.INTERNAL


class ConfigError(LinkError):
    """A wrong argument or key of the configuration file."""

    exit_code = Exit.USAGE


class AuthenticationError(LinkError):
    """Keys or messages of the peer do not authenticate it: no session."""

    exit_code = Exit.USAGE


class DeviceError(LinkError, OSError):
    """A device or the display is missing, busy or unplugged."""

    exit_code = Exit.DEVICE


class FileError(LinkError, OSError):
    """A file that the user named cannot be read or written."""

    exit_code = Exit.FILE


class NetworkError(LinkError, OSError):
    """An address or port that the user named cannot be used."""

    exit_code = Exit.NETWORK


class NoPeerError(LinkError):
    """The run has ended without a peer."""

    exit_code = Exit.NO_PEER
