"""The sender's sealed link: a door for receivers, a call to the one that is waited for, one guest at a time."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinair.link.errors import NetworkError
from thinair.link.host import own_address, random_bits
from thinair.link.mdns import Announcement, properties
from thinair.link.native import keep_secret, now_us
from thinair.link.protocol.rtcp import Invite, build
from thinair.link.protocol.sender_session import SenderSession
from thinair.link.security import identity, private_files, tls
from thinair.link.security.media_keys import MediaKeys
from thinair.link.security.pairing import scan_text
from thinair.sender.board.telemetry import signal_dbm
from thinair.sender.connection.mdns_publisher import announce
from thinair.sender.connection.session_server import Door, Guest, House, RefusedError

if TYPE_CHECKING:
    from thinair.sender.control.server import Control
    from thinair.sender.service import Service

CALL_INTERVAL_US = 200_000
_CONTROL_AFTER_S = 1.0
_SIGNAL_STEP_DB = 6  # what changes less is not worth a multicast
_FIGURES_US = 5_000_000  # after so long without new ones they say nothing


class SealedLink:
    """The service adopts each new session, after the one before was ended. Belongs to the service's loop."""

    def __init__(self, service: Service) -> None:
        keep_secret()
        home = private_files.folder("sender")
        self._service, self._config, self._tx = service, service.config, service.tx
        self._identity = identity.load(home)
        house = House(self._open, self._renew, self._hear_figures, self._control_port, self._turn_out, service.say)
        self.door = Door(home, self._identity, service.config.name, house)
        self.model = _model()
        self.linked = False  # the guest's packets come
        self._guest: Guest | None = None
        self._figures: tuple[int, dict[str, int]] = (0, {})  # when the guest told them
        self._boot_id = random_bits(63)  # of this start
        self._call_due_us = 0
        self._signal_dbm: int | None = None  # as it was announced
        self._control: Control | None = None
        self._control_socket: socket.socket | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Raises NetworkError."""
        try:
            await self.door.start(self._config.door)
        except NetworkError:
            if self._config.door != tls.PORT:
                raise
            await self.door.start(0)  # two senders on one machine: calls and multicast tell where it is
        self._listen_for_control()
        self._greet()
        announcing = announce(self._config.name, self._tx.local_port, self._announced, self._service.say)
        works = [self.door.watch(), announcing]
        if self._control_socket is not None:
            works.append(self._serve_control())
        self._tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.door.close()
            if self._control_socket is not None:
                self._control_socket.close()

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
                call = Invite(self._service.ssrc, self.door.port, self._boot_id, print_, self._config.name)
                self._tx.send_control(build(call), to.host, to.port, True)
        return self._call_due_us

    @property
    def guest(self) -> str | None:
        return self._guest.name if self._guest is not None else None

    def figures(self, now_us: int) -> dict[str, int]:
        """How late the guest's picture is; {} where it has not said so lately."""
        at_us, figures = self._figures
        return figures if self.linked and now_us - at_us < _FIGURES_US else {}

    @property
    def refused(self) -> Counter[str]:
        """By the door, and by the control API as http_…, by reason."""
        http = self._control.refused if self._control is not None else Counter[str]()
        return self.door.refused + Counter({f"http_{reason}": count for reason, count in http.items()})

    def _listen_for_control(self) -> None:
        port = self._config.control
        if port is None:
            return
        try:
            self._control_socket = tls.listen(port)
        except OSError as error:
            if port != tls.CONTROL_PORT:
                why = error.strerror or error
                raise NetworkError(f"cannot listen on TCP port {port}: {why}; use --control with another") from error
            self._control_socket = tls.listen(0)

    async def _serve_control(self) -> None:
        """Once the picture runs: what it needs takes a Pi's processor for a second."""
        await asyncio.sleep(_CONTROL_AFTER_S)
        try:
            server = await asyncio.to_thread(importlib.import_module, "thinair.sender.control.server")
            knobs = await asyncio.to_thread(importlib.import_module, "thinair.sender.control.operations")
        except ImportError as error:
            self._service.say(f"no control API and no page: {error.name} is not installed")
            return
        self._control = server.Control(knobs.Knobs(self._service, self), self.door, self._identity, self._service.say)
        assert self._control_socket is not None
        await self._control.run(self._control_socket, chosen=self._config.control not in {0, tls.CONTROL_PORT})

    def _control_port(self) -> int:
        return self._control_socket.getsockname()[1] if self._control_socket is not None else 0

    def _hear_figures(self, figures: dict[str, int]) -> None:
        self._figures = now_us(), figures

    def _announced(self) -> dict[str, str]:
        media = self._service.media()
        mode = f"{media.width}x{media.height}@{float(media.rate):.4g}" if media.rate else ""
        if (dbm := signal_dbm()) is None or self._signal_dbm is None or abs(dbm - self._signal_dbm) >= _SIGNAL_STEP_DB:
            self._signal_dbm = dbm
        signal = f"{self._signal_dbm} dBm" if self._signal_dbm is not None else ""
        told = self._identity.fingerprint, self.model, self._service.state_words(), mode, signal
        return properties(Announcement(self._config.name, "", *told), self.door.port)

    def _greet(self) -> None:
        place = f"{own_address()}:{self.door.port}"
        paired = self.door.pairings.all()
        self._service.say(
            f"receivers come in at {place}; paired with {', '.join(one.name for one in paired) or 'none yet'}"
        )
        code = self.door.code.current()
        if sys.stderr.isatty() and code is None:  # in no log
            self._service.say("closed to new receivers after too many wrong codes: thinair pairings renew")
        elif sys.stderr.isatty() and code is not None:
            from thinair.link.web import qr  # a service has no terminal

            scan = "\n".join(qr.lines(qr.encode(scan_text(place, code))))
            print(f"thinair: to let one in: thinair pair {place}, and the code {code}\n{scan}", file=sys.stderr)
        elif not paired:
            self._service.say("the pairing code: thinair pairings code")

    def _open(self, guest: Guest, take_over: bool) -> dict[str, Any]:
        present = self._guest
        if present is not None and self.linked and present.fingerprint != guest.fingerprint and not take_over:
            raise RefusedError(f"{present.name} has the picture: --take-over takes it")
        self._service.end_session()
        self._guest = guest
        self._tx.forget_keys()
        self._tx.install_keys(guest.keys.down, guest.keys.up, self._service.ssrc)
        self._tx.set_peer(guest.host, guest.port)
        own = random_bits(63) + 1, random_bits(63) + 1, self._service.ssrc
        session = SenderSession(*own, self._service.media(), invited=True)
        self._boot_id = session.boot_id
        self._tx.set_cookie(session.cookie, session.boot_id)
        self._service.say(f"{guest.name} has come from {guest.host}")
        self._service.adopt(session)
        return {"ssrc": self._service.ssrc, "boot_id": session.boot_id}

    def _renew(self, keys: MediaKeys) -> None:
        self._tx.install_keys(keys.down, keys.up, self._service.ssrc, after_peer=True)

    def _turn_out(self, why: str) -> None:
        self._service.say(f"the session is over: {why}")
        self._guest = None
        self._service.end_session()
        self._tx.forget_keys()


def _model() -> str:
    """Of the board, as its device tree says it; else the kernel's machine name."""
    try:
        return Path("/proc/device-tree/model").read_text().strip("\0 \n")
    except OSError:
        return os.uname().machine
