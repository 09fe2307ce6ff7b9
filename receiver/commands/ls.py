"""`thinair ls`: the senders on this network, and which of them let this player in."""

from __future__ import annotations

import asyncio

from thinair.link.errors import Exit
from thinair.link.mdns import Announcement
from thinair.link.security import private_files
from thinair.link.security.pairing_store import Pairings
from thinair.receiver.connection.mdns_browser import look

_COLUMNS = ("NAME", "ADDRESS", "PAIRED", "STATE", "MODE", "SIGNAL", "MODEL")


def run(seconds: float) -> int:
    """1 where none is found. Raises NetworkError, FileError."""
    paired = {one.fingerprint for one in Pairings(private_files.folder("receiver")).all()}
    found = asyncio.run(look(seconds))
    print("\n".join(table(found, paired)) if found else "no sender found on this network")
    return int(Exit.OK if found else Exit.FAULTS)


def table(found: list[Announcement], paired: set[str]) -> list[str]:
    """An announcement is not authenticated: only PAIRED is ours, and it is about a key whose owner still
    has to show."""
    rows = [
        (one.name, one.place, "yes" if one.fingerprint in paired else "no", one.state, one.mode, one.signal, one.model)
        for one in found
    ]
    widths = [max(len(row[at]) for row in (_COLUMNS, *rows)) for at in range(len(_COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (_COLUMNS, *rows)
    ]
