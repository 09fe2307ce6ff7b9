"""Keeps a desktop's screen saver away while the player runs (org.freedesktop.ScreenSaver, as GNOME, KDE and XFCE have
it), for as long as the connection to the session's bus stands. X11's own saver is the presenter's."""

from __future__ import annotations

import contextlib
import os
from typing import Any

_NAME = "org.freedesktop.ScreenSaver"


class ScreensaverInhibitor:
    def __init__(self) -> None:
        self._bus: Any = None

    def begin(self) -> None:
        """Does nothing where there is no desktop to ask."""
        if self._bus is not None or not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
            return
        with contextlib.suppress(ImportError, OSError, ValueError, TimeoutError):
            from jeepney import DBusAddress, MessageType, new_method_call
            from jeepney.io.blocking import open_dbus_connection

            bus = open_dbus_connection("SESSION")
            saver = DBusAddress("/org/freedesktop/ScreenSaver", bus_name=_NAME, interface=_NAME)
            words = ("thinair", "a live picture is shown")
            answer = bus.send_and_get_reply(new_method_call(saver, "Inhibit", "ss", words), timeout=2)
            if answer.header.message_type is MessageType.error:
                bus.close()
            else:
                self._bus = bus

    def end(self) -> None:
        if self._bus is not None:
            self._bus.close()
            self._bus = None
