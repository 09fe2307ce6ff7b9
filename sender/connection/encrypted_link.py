"""The sender's encrypted link: the session server, invites to a receiver that the user named, one client at a time."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from thinair.link.errors import NetworkError
from thinair.link.host import own_address, random_bits
from thinair.link.mdns import Announcement, properties
from thinair.link.native import Tx, keep_secret, now_us
from thinair.link.protocol.rtcp import Invite, build
from thinair.link.protocol.sender_session import MediaDescription, SenderSession
from thinair.link.security import identity, private_files, tls
from thinair.link.security.media_keys import MediaKeys
from thinair.link.security.pairing import scan_text
from thinair.sender.board.telemetry import board_model, signal_dbm
from thinair.sender.connection.mdns_publisher import announce
from thinair.sender.connection.session_server import Client, Grant, RefusedError, SessionHandler, SessionServer
from thinair.sender.status import SenderStatus

if TYPE_CHECKING:
    from thinair.link.protocol.session_messages import LatencyReport

INVITE_INTERVAL_US = 200_000
_SIGNAL_STEP_DB = 6  # what changes less is not worth a multicast
_LATENCY_US = 5_000_000  # after so long without a new report it is unknown


if TYPE_CHECKING:
    from typing import Protocol

    class Sessions(Protocol):
        """Where sessions are run. The one before ends before the next is adopted."""

        ssrc: int

        def adopt(self, session: SenderSession) -> None: ...
        def end(self) -> None: ...
        def media(self) -> MediaDescription: ...

    class ControlPort(Protocol):
        """The control API, as far as a client is told of it."""

        @property
        def port(self) -> int:
            """0: there is none."""
            ...

        @property
        def refused(self) -> Counter[str]: ...

        def listen(self) -> None:
            """Raises NetworkError."""
            ...


class EncryptedLink:
    """Belongs to the loop."""

    def __init__(
        self, tx: Tx, status: SenderStatus, sessions: Sessions, log: Callable[[str], None], control: ControlPort
    ) -> None:
        keep_secret()
        home = private_files.folder("sender")
        self.identity = identity.load(home)
        self._config, self._tx, self._status = status.config, tx, status
        self._sessions, self._log, self._control = sessions, log, control
        handler = SessionHandler(
            open=self._open,
            renew=self._renew,
            latency=self._receive_latency,
            control_port=lambda: control.port,
            ended=self._end,
            log=log,
        )
        self.server = SessionServer(home, self.identity, self._config.name, handler)
        self._client: Client | None = None
        self._latency: tuple[int, LatencyReport | None] = (0, None)  # when it was reported
        self._boot_id = random_bits(63)  # of this start
        self._invite_due_us = 0
        self._signal_dbm: int | None = None  # as announced
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Raises NetworkError."""
        try:
            await self.server.start(self._config.session_port)
        except NetworkError:
            if self._config.session_port != tls.PORT:
                raise
            await self.server.start(0)  # two senders on one machine: invites and multicast name the port
        self._control.listen()
        self._log_pairing()
        announcing = announce(self._config.name, self._tx.local_port, self._announcement, self._log)
        self._tasks = [asyncio.create_task(work) for work in (self.server.watch(), announcing)]
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.server.close()

    def invite(self, now_us: int) -> int:
        """Invites the receiver that the user named, while none is linked; when the next invite is due."""
        for task in self._tasks:
            if task.done():
                task.result()  # raises what ended it
        to = self._config.to
        if now_us >= self._invite_due_us:
            self._invite_due_us = now_us + INVITE_INTERVAL_US
            if to is not None and not self._status.linked:
                fingerprint = bytes.fromhex(self.identity.fingerprint)
                invite = Invite(self._sessions.ssrc, self.server.port, self._boot_id, fingerprint, self._config.name)
                self._tx.send_control(build(invite), to.host, to.port, True)
        return self._invite_due_us

    @property
    def client_name(self) -> str | None:
        return self._client.name if self._client is not None else None

    @property
    def refused(self) -> Counter[str]:
        """By the session server, and by the control API as http_…, by reason."""
        return self.server.refused + Counter({f"http_{reason}": n for reason, n in self._control.refused.items()})

    def latency_us(self) -> tuple[int, int]:
        """See Receiver."""
        at_us, latency = self._latency
        if latency is None or not self._status.linked or now_us() - at_us >= _LATENCY_US:
            return 0, 0
        return latency["latency_us"], latency["bound_us"]

    def _receive_latency(self, latency: LatencyReport) -> None:
        self._latency = now_us(), latency

    def _announcement(self) -> dict[str, str]:
        media = self._sessions.media()
        mode = f"{media.width}x{media.height}@{float(media.rate):.4g}" if media.rate else ""
        if (dbm := signal_dbm()) is None or self._signal_dbm is None or abs(dbm - self._signal_dbm) >= _SIGNAL_STEP_DB:
            self._signal_dbm = dbm
        signal = f"{self._signal_dbm} dBm" if self._signal_dbm is not None else ""
        told = self.identity.fingerprint, board_model(), self._status.state, mode, signal
        return properties(Announcement(self._config.name, "", *told), self.server.port)

    def _log_pairing(self) -> None:
        place = f"{own_address()}:{self.server.port}"
        paired = self.server.pairings.all()
        self._log(f"session server at {place}; paired with {', '.join(one.name for one in paired) or 'nobody yet'}")
        code = self.server.code.current()
        if sys.stderr.isatty() and code is None:  # in no log
            self._log("pairing is closed after too many wrong codes: run thinair pairings renew for a new code")
        elif sys.stderr.isatty() and code is not None:
            from thinair.link.web import qr  # a service has no terminal

            scan = "\n".join(qr.lines(qr.encode(scan_text(place, code))))
            print(
                f"thinair: to pair a receiver, run there: thinair pair {place}; pairing code {code}\n{scan}",
                file=sys.stderr,
            )
        elif not paired:
            self._log("for the pairing code run thinair pairings code")

    def _open(self, client: Client, take_over: bool) -> Grant:
        present = self._client
        if present is not None and self._status.linked and present.fingerprint != client.fingerprint and not take_over:
            raise RefusedError(f"{present.name} has the session: --take-over takes it over")
        self._sessions.end()
        self._client = client
        ssrc = self._sessions.ssrc
        self._tx.forget_keys()
        self._tx.install_keys(client.keys.down, client.keys.up, ssrc)
        self._tx.set_peer(client.host, client.port)
        session = SenderSession(random_bits(63) + 1, random_bits(63) + 1, ssrc, self._sessions.media(), invited=True)
        self._boot_id = session.boot_id
        self._tx.set_cookie(session.cookie, session.boot_id)
        self._log(f"receiver {client.name} connected from {client.host}")
        self._sessions.adopt(session)
        return Grant(ssrc=ssrc, boot_id=session.boot_id)

    def _renew(self, keys: MediaKeys) -> None:
        self._tx.install_keys(keys.down, keys.up, self._sessions.ssrc, after_peer=True)

    def _end(self, why: str) -> None:
        self._log(f"session ended: {why}")
        self._client = None
        self._sessions.end()
        self._tx.forget_keys()
