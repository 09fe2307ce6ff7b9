"""Keeps a desktop's screen saver away while the player runs (org.freedesktop.ScreenSaver, as GNOME, KDE and XFCE have
it), for as long as the connection to the session's bus stands. X11's own saver is the presenter's."""

from __future__ import annotations

import os
from typing import Any

_NAME = "org.freedesktop.ScreenSaver"


class Awake:
    def __init__(self) -> None:
        self._bus: Any = None
        self.told = ""  # why nobody could be asked

    def begin(self) -> bool:
        """False where no desktop could be asked."""
        if self._bus is not None:
            return True
        if not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
            self.told = "no session bus"
            return False
        try:
            from jeepney import DBusAddress, MessageType, new_method_call
            from jeepney.io.blocking import open_dbus_connection

            bus = open_dbus_connection("SESSION")
            saver = DBusAddress("/org/freedesktop/ScreenSaver", bus_name=_NAME, interface=_NAME)
            words = ("thinair", "a live picture is shown")
            answer = bus.send_and_get_reply(new_method_call(saver, "Inhibit", "ss", words), timeout=2)
            if answer.header.message_type is MessageType.error:
                bus.close()
                self.told = str(answer.body[0] if answer.body else "refused")
                return False
        except (ImportError, OSError, ValueError, TimeoutError) as error:
            self.told = str(error) or type(error).__name__
            return False
        self._bus = bus
        return True

    def end(self) -> None:
        if self._bus is not None:
            self._bus.close()
            self._bus = None
