"""The recorder's process: `python -m thinair.receiver.record --fd N --folder F`; the player starts it
(receiver/workers/worker.py)."""

from __future__ import annotations

import argparse
import signal
import socket
from pathlib import Path

from thinair.link.native import now_us
from thinair.receiver.record.recorder import Recorder, Settings
from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.stats.event_log import Event
from thinair.receiver.workers.ipc import (
    Camera,
    Content,
    Frames,
    Message,
    MessageReader,
    Note,
    Record,
    Recording,
    Unit,
    pack,
)

_TICK_S = 0.25
_READ = 1 << 20
_END_S = 120.0  # for a disk that stalls at the end


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--format", default="mp4")
    parser.add_argument("--pre-record", type=float, default=0.0)
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the player's socket ends this process, in good order
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=given.fd) as player:
        player.settimeout(_TICK_S)
        return _RecorderProcess(player, Settings(given.folder, given.format, given.pre_record)).run()


class _RecorderProcess:
    def __init__(self, player: socket.socket, settings: Settings) -> None:
        self._player = player
        self._recorder = Recorder(settings, self._note)
        self._told: RecordingStatus | None = None
        self._ticked_us = 0

    def run(self) -> int:
        """Until the player closes its end: then everything is brought to its end on the disk."""
        reader = MessageReader()
        while not reader.broken:
            try:
                data = self._player.recv(_READ)
            except TimeoutError:
                data = None
            except OSError:
                data = b""
            if data == b"":
                break
            for message in reader.read(data or b""):
                self._receive(message)
            self._tick()
        left = self._recorder.close(now_us())
        return 0 if all(recording.disk.wait(_END_S) for recording in left) else 1

    def _receive(self, message: Message) -> None:
        recorder = self._recorder
        match message:
            case Unit():
                recorder.unit(message, now_us())
            case Frames(rows=rows):
                recorder.rows(rows)
            case Event(kind=kind, text=text):
                recorder.event(kind, text)
            case Camera(name=name):
                recorder.camera = name
            case Record(on=on):
                if on:
                    recorder.start()
                else:
                    recorder.stop(now_us())
                self._ticked_us = 0

    def _tick(self) -> None:
        now = now_us()
        if now - self._ticked_us < _TICK_S * 1e6:
            return
        self._ticked_us = now
        self._recorder.tick(now)
        status = self._recorder.status()
        if status != self._told:
            self._told = status
            self._tell(Recording(status))

    def _note(self, text: str) -> None:
        self._tell(Note("recording", text))

    def _tell(self, message: Content) -> None:
        try:
            self._player.sendall(pack(message))
        except OSError:
            return  # the player is gone; run() sees it


if __name__ == "__main__":
    raise SystemExit(main())
