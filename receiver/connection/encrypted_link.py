"""The player's encrypted link: a session client for a paired sender; its keys go to the packet thread, its problems to
window and event log."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from thinair.link.errors import NetworkError
from thinair.link.native import disable_core_dumps
from thinair.link.protocol.receiver_session import ReceiverState
from thinair.link.security import identity, private_files
from thinair.link.security.pairing_store import Pairings
from thinair.receiver.connection.session_client import Hooks, Session, SessionClient

if TYPE_CHECKING:
    from thinair.link.native import Rx
    from thinair.link.protocol.receiver_session import ReceiverSession
    from thinair.receiver.config import ReceiverConfig


_DISCOVERY_AFTER_S = 0.5


class EncryptedLink:
    """`waiting` shows why there is no picture; `note` is an event. Belongs to the player's loop."""

    def __init__(
        self,
        config: ReceiverConfig,
        rx: Rx,
        session: ReceiverSession,
        *,
        figures: Callable[[], dict[str, int]],
        waiting: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        disable_core_dumps()
        home = private_files.folder("receiver")
        self._rx, self._session, self._show, self._note = rx, session, waiting, note
        self._packets = 0  # received before the present keys
        self._shown = ""
        hooks = Hooks(self._alive, self._begin, self._renew, self._packets_sealed, figures, self._wait, note)
        which, over = config.sender or "", config.take_over
        self.client = SessionClient(
            identity.load(home), Pairings(home), rx.local_port, hooks, which=which, take_over=over
        )

    async def run(self) -> None:
        discovering = asyncio.create_task(self._discover())
        try:
            await self.client.run()
        finally:
            discovering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await discovering

    async def _discover(self) -> None:
        """By multicast, for a sender that sends no invites and is not at its last address."""
        await asyncio.sleep(_DISCOVERY_AFTER_S)
        while self._alive():  # noqa: ASYNC110 -- nothing tells of its end
            await asyncio.sleep(_DISCOVERY_AFTER_S)
        try:
            discover = await asyncio.to_thread(importlib.import_module, "thinair.receiver.connection.mdns_browser")
            async with discover.watching(self.client.see):
                await asyncio.Event().wait()
        except (ImportError, NetworkError) as error:
            self._note(f"no discovery, trying last known addresses only: {error}")

    def receive_invites(self) -> None:
        for datagram, _, host, _ in self._rx.invites():
            self.client.receive(datagram, host)

    def _alive(self) -> bool:
        return self._session.state is ReceiverState.SERVING

    def _begin(self, session: Session) -> None:
        self._rx.forget_keys()
        self._renew(session)
        self._shown = ""
        self._note(f"connected to {session.pairing.name}")

    def _renew(self, session: Session) -> None:
        self._rx.install_keys(session.keys.up, session.keys.down, session.ssrc)
        self._packets = self._rx.stats()["packets"]

    def _packets_sealed(self) -> int:
        stats = self._rx.stats()
        return max(stats["packets_sealed"], stats["packets"] - self._packets)

    def _wait(self, text: str) -> None:
        if not self._alive() and text != self._shown:
            self._shown = text
            self._show(text)
            self._note(text)
