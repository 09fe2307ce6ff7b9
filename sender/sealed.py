"""The sender's sealed link: a door for receivers, a call to the one that is waited for, one guest at a time."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from link import identity, qr, state
from link.entropy import random_bits
from link.errors import NetworkError
from link.keys import MediaKeys
from link.network import own_address
from link.pairing import scan_text
from link.rtcp import Call, build
from link.service import properties
from link.session import MediaDescription, SenderSession
from link.tls import PORT
from sender.announce import announce
from sender.door import Door, Guest, House, RefusedError

if TYPE_CHECKING:
    from link.config import SenderConfig
    from link.native import Tx

CALL_INTERVAL_US = 200_000


class SealedLink:
    """`adopt` gets each new session, after `end` was called for the one before. Belongs to the service's loop."""

    def __init__(
        self,
        config: SenderConfig,
        tx: Tx,
        ssrc: int,
        *,
        media: Callable[[], MediaDescription],
        adopt: Callable[[SenderSession], None],
        end: Callable[[], None],
        say: Callable[[str], None],
        state_words: Callable[[], str],
    ) -> None:
        home = state.folder("sender")
        self._config, self._tx, self._ssrc, self._say = config, tx, ssrc, say
        self._media, self._adopt, self._end, self._state_words = media, adopt, end, state_words
        self._identity = identity.load(home)
        self.door = Door(home, self._identity, config.name, House(self._open, self._renew, self._turn_out, say))
        self.linked = False  # the guest's packets come
        self._guest: Guest | None = None
        self._boot_id = random_bits(63)  # of this start
        self._call_due_us = 0
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Raises NetworkError."""
        try:
            await self.door.start(self._config.door)
        except NetworkError:
            if self._config.door != PORT:
                raise
            await self.door.start(0)  # two senders on one machine: calls and multicast tell where it is
        self._greet()
        announcing = announce(self._config.name, self._tx.local_port, self._announced, self._say)
        self._tasks = [asyncio.create_task(work) for work in (self.door.watch(), announcing)]
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.door.close()

    def call(self, now_us: int) -> int:
        """Calls the receiver that the user named, while nobody is here; when that is due again."""
        for task in self._tasks:
            if task.done():
                task.result()  # raises what ended it
        to = self._config.to
        if now_us >= self._call_due_us:
            self._call_due_us = now_us + CALL_INTERVAL_US
            if to is not None and not self.linked:
                print_ = bytes.fromhex(self._identity.fingerprint)
                call = Call(self._ssrc, self.door.port, self._boot_id, print_, self._config.name)
                self._tx.send_control(build(call), to.host, to.port, True)
        return self._call_due_us

    def _announced(self) -> dict[str, str]:
        media = self._media()
        mode = f"{media.width}x{media.height}@{float(media.rate):.4g}" if media.rate else ""
        return properties(self._identity.fingerprint, self.door.port, model(), self._state_words(), mode)

    def _greet(self) -> None:
        place = f"{own_address()}:{self.door.port}"
        paired = self.door.pairings.all()
        self._say(f"receivers come in at {place}; paired with {', '.join(one.name for one in paired) or 'none yet'}")
        code = self.door.code.current()
        if sys.stderr.isatty() and code is None:  # in no log
            self._say("closed to new receivers after too many wrong codes: thinair pairings renew")
        elif sys.stderr.isatty() and code is not None:
            self._say(f"to let one in: thinair pair {place}, and the code {code}")
            print("\n".join(qr.lines(qr.encode(scan_text(place, code)))), file=sys.stderr)
        elif not paired:
            self._say("the pairing code: thinair pairings code")

    def _open(self, guest: Guest, take_over: bool) -> dict[str, Any]:
        present = self._guest
        if present is not None and self.linked and present.fingerprint != guest.fingerprint and not take_over:
            raise RefusedError(f"{present.name} has the picture: --take-over takes it")
        self._end()
        self._guest = guest
        self._tx.forget_keys()
        self._tx.install_keys(guest.keys.down, guest.keys.up, self._ssrc)
        self._tx.set_peer(guest.host, guest.port)
        session = SenderSession(random_bits(63) + 1, random_bits(63) + 1, self._ssrc, self._media())
        self._boot_id = session.boot_id
        self._tx.set_cookie(session.cookie, session.boot_id)
        self._say(f"{guest.name} has come from {guest.host}")
        self._adopt(session)
        return {"ssrc": self._ssrc, "boot_id": session.boot_id}

    def _renew(self, keys: MediaKeys) -> None:
        self._tx.install_keys(keys.down, keys.up, self._ssrc, after_peer=True)

    def _turn_out(self, why: str) -> None:
        self._say(f"the session is over: {why}")
        self._guest = None
        self._end()
        self._tx.forget_keys()


def model() -> str:
    """Of the board, as its device tree says it; else the kernel's machine name."""
    try:
        return Path("/proc/device-tree/model").read_text().strip("\0 \n")
    except OSError:
        return platform.machine()
