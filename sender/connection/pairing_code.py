"""The sender's pairing code and the number of wrong tries; both survive a reboot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from thinair.link.host import random_bits
from thinair.link.security import private_files
from thinair.link.security.pairing import WRONG_TRIES, make_code


class PairingCode:
    def __init__(self, home: Path) -> None:
        self.path = home / "code.json"

    def current(self) -> str | None:
        """Made at the first start. None: pairing is closed after too many wrong tries. Raises FileError."""
        content = private_files.read(self.path)
        if "code" not in content:
            return self.renew()
        return None if _wrong(content) >= WRONG_TRIES else str(content["code"])

    def wrong(self) -> int:
        """Counts one more wrong try, on disk before it returns; how many are left."""
        content = private_files.read(self.path)
        wrong = _wrong(content) + 1
        private_files.write(self.path, content | {"wrong": wrong})
        return max(0, WRONG_TRIES - wrong)

    def right(self) -> None:
        content = private_files.read(self.path)
        if content.get("wrong"):
            private_files.write(self.path, content | {"wrong": 0})

    def renew(self) -> str:
        """A new code, with all tries."""
        code = make_code(random_bits(60))
        private_files.write(self.path, {"code": code, "wrong": 0})
        return code


def _wrong(content: Mapping[str, object]) -> int:
    """A damaged count closes pairing."""
    value = content.get("wrong", 0)
    return value if isinstance(value, int) else WRONG_TRIES
