"""`thinair pairings`: pairings of this machine as a sender and as a receiver."""

from __future__ import annotations

import argparse
import os

from thinair.link.errors import ConfigError, Exit
from thinair.link.security import private_files
from thinair.link.security.pairing_store import Pairings

_ENDS = {"sender": "receiver", "receiver": "sender"}  # end → its peers


def add_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    if action == "forget":
        parser.add_argument("which", metavar="NAME", help="name of the peer, or at least 6 digits of its fingerprint")


def _as_the_service() -> None:
    """Uses the keys of the sender that runs as a service, which root may read. Raises ConfigError."""
    from thinair.sender.systemd.install import STATE, UNIT

    if not UNIT.exists() or {"THINAIR_STATE", "STATE_DIRECTORY"} & os.environ.keys():
        return
    if os.geteuid() != 0:
        raise ConfigError("the sender of this machine runs as a service: run this command with sudo")
    os.environ["STATE_DIRECTORY"] = str(STATE)


def run(action: str, arguments: argparse.Namespace) -> int:
    """Raises ConfigError, FileError."""
    _as_the_service()
    if action in {"code", "renew"}:
        from thinair.sender.connection.pairing_code import PairingCode

        code = PairingCode(private_files.folder("sender"))
        shown = code.renew() if action == "renew" else code.current()
        if shown is None:
            raise ConfigError(
                "pairing is locked after too many wrong codes: make a new code with thinair pairings renew"
            )
        print(shown)
        return int(Exit.OK)
    known = {end: Pairings(private_files.folder(end)) for end in _ENDS}
    if action == "list":
        for end, pairings in known.items():
            for one in pairings.all():
                print(f"{_ENDS[end]:9}{one.fingerprint[:12]}  {one.name}  {one.address}".rstrip())
        return int(Exit.OK)
    gone = [one for pairings in known.values() for one in pairings.forget(arguments.which)]
    if not gone:
        raise ConfigError(f"no pairing is named {arguments.which}: see thinair pairings list")
    print("\n".join(f"forgotten: {one.name} ({one.fingerprint[:12]})" for one in gone))
    return int(Exit.OK)
