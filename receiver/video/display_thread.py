"""The thread that owns the window: takes the newest picture, shows it, then sees to keys, figures and staleness."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from thinair.link.errors import DeviceError
from thinair.link.native import now_us, realtime, sleep_until_us
from thinair.link.protocol.source_state import SourceCode, SourceState
from thinair.receiver.config import ReceiverConfig
from thinair.receiver.record.status import RecordingStatus
from thinair.receiver.video.cadence import Cadence
from thinair.receiver.video.hud import Hud
from thinair.receiver.video.mailbox import Mailbox
from thinair.receiver.video.presenter import NullPresenter, Presenter, Showing
from thinair.receiver.video.presenter_factory import open_presenter
from thinair.receiver.video.screensaver import ScreensaverInhibitor

if TYPE_CHECKING:
    import av

    from thinair.receiver.video.decoder import Decoded

_POLL_S = 0.02  # keys are seen after this long when no picture comes
_WAITING_SIZE = (1280, 720)
_OPEN_AFTER_US = 700_000  # a window that waits opens this late, so that one with a sender opens at the picture's size
_STALE_REDRAW_US = 100_000
_IN_FLIGHT_US = 50_000  # a picture that comes later than this after the sender's word speaks against it
_BORDER = 0xE03030
_DIM = 170
_SEARCH_AGAIN_US = 250_000  # for a display that is gone
_COMMANDS = {"r": "record", "s": "snapshot"}  # by key
_NEARLY_FULL_S = 600
_MODES = ("lowest", "smooth")


class _Marking(TypedDict):
    dim: int
    border: int


@dataclass(frozen=True, slots=True)
class Shown:
    in_us: int  # handed to the presenter
    presented_us: int


class DisplayThread:
    """Everything but what says otherwise belongs to this thread. `command` gets what a key asks of others (record,
    snapshot), `note` a line for the event log; both are called here."""

    def __init__(
        self,
        config: ReceiverConfig,
        mailbox: Mailbox[Decoded],
        post: Callable[[Callable[[], None]], None],
        ended: Callable[[Decoded, Shown | None], None],
        *,
        command: Callable[[str], None] = lambda _command: None,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.showing = Showing()
        self._state = ("", 0)  # "" while all is well; since when, 0 where that does not matter
        self.source: tuple[SourceState, int] | None = None  # and when it was heard last; replaced whole by the loop
        self.interval_us = 40_000.0
        self.recording = RecordingStatus()  # as the recorder says it; replaced whole by the loop
        self.latency = config.latency
        self.hud = Hud(config.hud, config.marks)
        self.last: av.VideoFrame | None = None  # the picture shown
        self._command, self._note = command, note
        self._monitor = config.monitor
        self._cadence = Cadence()
        self._screensaver = ScreensaverInhibitor()
        self._kind = ""  # of the presenter that was opened first: another is never silently taken
        self._hung = False  # the display does not answer: the decode thread stays away from it
        self._hung_noted = False
        self._lost: OSError | None = None  # the display went away; seen by this thread
        self._search_us = 0  # when a display is looked for again
        self._config = config
        self._mailbox = mailbox
        self._post = post
        self._ended = ended
        self._fullscreen = config.fullscreen
        self._presenter: Presenter | None = None
        self._waiting_window = False
        self._shown_us = 0
        self._arrived_us = 0  # of the picture shown: its last packet
        self._dark = False  # what the window shows is marked as no live picture
        self._redrawn_us = 0
        self._presented_us = 0  # what the newest picture took
        self._newest_us = 0  # when the newest picture shown was decoded
        self._window = threading.Lock()  # held by whoever uses the presenter
        self._quit = threading.Event()

    def offer(self, decoded: Decoded) -> bool:
        """By the decode thread: shows the picture at once, without changing threads, where a window is there, free and
        quick. False: it belongs into the mailbox."""
        frame = decoded.frame
        assert frame is not None
        presenter = self._presenter
        if presenter is None or not presenter.any_thread or not self._window.acquire(blocking=False):
            return False
        try:
            slow = self._presented_us > self.interval_us / 2  # then newer pictures shall supersede it while it is shown
            other = self._waiting_window or self.showing.size != (frame.width, frame.height)
            if slow or other or self._hung or self._lost is not None or self.latency != "lowest":
                return False
            self._show(decoded)
        except TimeoutError:
            self._hung = True
            return False
        except OSError as error:
            self._lost = error
            return False
        finally:
            self._window.release()
        return True

    def set_notice(self, text: str, since_us: int = 0) -> None:
        """By the loop: why no picture arrives; "" while one does."""
        self._state = text, since_us

    @property
    def stated(self) -> bool:
        """Something other than the camera keeps pictures away."""
        return bool(self._state[0])

    def absence(self) -> SourceState | None:
        """What the camera lacks, by the sender's newest word; None where the picture shown came after it."""
        source = self.source
        if source is None or source[0].code is SourceCode.LIVE:
            return None
        return source[0] if self._arrived_us <= source[1] + _IN_FLIGHT_US else None

    def trouble(self, now: int) -> str:
        """From any thread: why no live picture is shown; "" while one is."""
        age_us = now - self._shown_us
        if self.last is not None and age_us <= 3 * self.interval_us and self.absence() is None:
            return ""
        return self._notice(now, age_us)

    def wake(self) -> None:
        """From any thread: `source` has news that shall be seen at once."""
        self._mailbox.wake()

    def run(self) -> None:
        """Until `q`, the window's close button, or a closed and empty mailbox. Raises DeviceError when the display goes
        away."""
        if self._config.priority:
            realtime(max(1, self._config.priority - 1))  # refused here means refused for the decoder, which says so
        began_us = now_us()
        try:
            while not self._quit.is_set():
                decoded = self._mailbox.get(_POLL_S)
                if decoded is None and self._mailbox.closed:
                    break
                if decoded is not None and self.latency == "smooth":
                    self._await_due(decoded)
                with self._window:
                    self._guarded_turn(decoded, now_us() - began_us)
        finally:
            with self._window:
                if self._presenter is not None:
                    self._presenter.close()
                self._presenter = None
                self._screensaver.end()

    def _guarded_turn(self, decoded: Decoded | None, running_us: int) -> None:
        try:
            self._turn(decoded, running_us)
        except DeviceError:
            raise
        except TimeoutError:  # the window is still there; a later call may succeed
            self._hung = True
            self.discard(decoded)
        except OSError as error:
            self._lost = error
        else:
            self._hung = False
        if self._hung != self._hung_noted:
            self._hung_noted = self._hung
            self._note(f"the display {'does not answer' if self._hung else 'answers again'}")
        if self._lost is not None:
            self._lose(decoded)

    def _turn(self, decoded: Decoded | None, running_us: int) -> None:
        if self._search_us:
            self._search_display(decoded)
        elif decoded is not None and self._lost is None:
            self._show(decoded)
        elif self._presenter is None and running_us > _OPEN_AFTER_US:
            self._open(_WAITING_SIZE, waiting=True)
        if self._presenter is not None and self._lost is None:
            self._between_pictures(self._presenter)

    def _await_due(self, decoded: Decoded) -> None:
        """Keys wait meanwhile: an interval at most."""
        captured_us = decoded.captured_us
        if captured_us is not None:
            due_us = self._cadence.due(captured_us, decoded.decoded_us, self.interval_us, self.showing.refresh_hz)
            if due_us - now_us() < 2 * self.interval_us:
                sleep_until_us(due_us)

    # ---- a display that goes away -----------------------------------------------------------------------------------

    def _lose(self, decoded: Decoded | None) -> None:
        """All else goes on, the recording first of all; a window opens again as soon as there is where."""
        presenter, error, self._lost = self._presenter, self._lost, None
        if presenter is None or not presenter.comes_back:
            raise DeviceError(f"the display is gone: {error}") from error
        presenter.close()
        self._presenter, self._monitor, self._hung = None, -1, False
        self.showing = replace(self.showing, presenter="none", why=f"the display is gone: {error}")
        self._search_us = now_us() + _SEARCH_AGAIN_US
        self._note(f"the display is gone ({error}); reconnecting")
        self.discard(decoded)

    def _search_display(self, decoded: Decoded | None) -> None:
        if now_us() < self._search_us:
            self.discard(decoded)
            return
        try:
            self._open(self.showing.size or _WAITING_SIZE, waiting=self.showing.size is None)
        except DeviceError:
            self._search_us = now_us() + _SEARCH_AGAIN_US
            self.discard(decoded)
            return
        self._search_us = 0
        self._note("the display is back")
        if decoded is not None:
            self._show(decoded)

    def discard(self, decoded: Decoded | None) -> None:
        """By the loop too, once this thread has ended: a picture that is not shown."""
        if decoded is not None and decoded.frame is not None:
            decoded.superseded, decoded.frame = True, None
            self._post(lambda: self._ended(decoded, None))

    def _show(self, decoded: Decoded) -> None:
        frame = decoded.frame
        assert frame is not None
        if decoded.decoded_us < self._newest_us:  # a newer one was shown while this one changed threads
            self.discard(decoded)
            return
        size = (frame.width, frame.height)
        presenter = self._presenter
        if presenter is None or (self._waiting_window and not self._fullscreen and presenter.size != size):
            presenter = self._open(size, waiting=False)
        self._arrived_us = decoded.unit.last_us
        live = self.absence() is None
        if live and self._dark:
            self._dark = False
            self.hud.notice = ""
            self.hud.update(presenter, now_us(), size)
        began_us = now_us()
        shown = Shown(began_us, presenter.present(frame, **_marking(dark=not live)))
        self._presented_us, self._newest_us = now_us() - began_us, decoded.decoded_us
        self.last, self._shown_us, decoded.frame = frame, shown.presented_us, None
        self._post(lambda: self._ended(decoded, shown))
        if self.showing.size != size:
            self.showing = replace(self.showing, size=size)

    def _open(self, size: tuple[int, int], *, waiting: bool) -> Presenter:
        config = self._config
        if self._presenter is not None:
            self._presenter.close()
            self._presenter = None
        presenter = open_presenter(
            "null" if config.headless else self._kind or config.presenter,
            width=size[0],
            height=size[1],
            fullscreen=self._fullscreen,
            display=config.display,
            monitor=self._monitor,
        )
        self._presenter, self._waiting_window, self._kind = presenter, waiting, presenter.name
        if not isinstance(presenter, NullPresenter):
            threading.Thread(target=self._screensaver.begin, daemon=True).start()
        self.showing = Showing(presenter.name, presenter.reason, presenter.stamp_quality, presenter.refresh_hz)
        self.hud.changed = True
        return presenter

    # ---- between pictures ------------------------------------------------------------------------------------------

    def _between_pictures(self, presenter: Presenter) -> None:
        redraw = False
        for kind, value in presenter.events():
            if kind == "close" or (kind == "key" and value in {"q", "Escape"}):
                self._quit.set()
            elif kind == "key":
                redraw = self._on_key(presenter, value) or redraw
            else:
                redraw = True  # resized, uncovered
        if self._presenter is None or isinstance(self._presenter, NullPresenter):
            return
        presenter = self._presenter  # a key may have opened another
        now = now_us()
        age_us = now - self._shown_us
        dark = self.last is None or age_us > 3 * self.interval_us or self.absence() is not None
        self.hud.notice = self._notice(now, age_us) if dark else ""
        self.hud.badge = _badge(self.recording)
        redraw |= (self.hud.update(presenter, now, self.showing.size) and dark) or dark != self._dark
        self._dark = dark
        if redraw or (dark and now - self._redrawn_us > _STALE_REDRAW_US):
            self._redrawn_us = now
            if self.last is None:
                presenter.present(_black(presenter.size))
            else:
                presenter.present(self.last, **_marking(dark=dark))

    def _on_key(self, presenter: Presenter, key: str) -> bool:
        if key == "f":
            self._fullscreen = not self._fullscreen
            presenter.set_fullscreen(self._fullscreen)
        elif key == "h":
            self.hud.next_size()
        elif key == "m":
            self.hud.toggle_marks()
        elif key == "l":
            self.latency = _MODES[self.latency == "lowest"]
            self._note(f"latency mode: {self.latency}")
        elif key == "d":
            self._next_monitor()
        elif key in _COMMANDS:
            self._command(_COMMANDS[key])
        elif key in {"question", "F1"}:
            self.hud.toggle_help()
        else:
            return False
        return True

    def _notice(self, now: int, age_us: int) -> str:
        absence, (state, since_us) = self.absence(), self._state
        if absence is not None and not state:
            return absence.words(now)
        if self.last is None:
            return state
        if state and since_us:
            state = f"{state} for {(now - since_us) / 1e6:.0f} s"
        return f"{state or 'no new picture'}, last picture {age_us / 1e6:.1f} s old"

    def _next_monitor(self) -> None:
        """Opens the window on the next display; where there is none after the last, on the first."""
        if isinstance(self._presenter, NullPresenter):
            return
        size, waiting = self.showing.size or _WAITING_SIZE, self._waiting_window
        for monitor in (max(self._monitor, 0) + 1, 0, -1):
            self._monitor = monitor
            try:
                self._open(size, waiting=waiting)
            except DeviceError:
                continue
            self._note(f"window on display {max(0, monitor)}")
            return
        self._search_us = now_us()  # none at all: it is looked for like one that went away


def _marking(*, dark: bool) -> _Marking:
    """A picture that stands is never taken for a live one."""
    return {"dim": _DIM, "border": _BORDER} if dark else {"dim": 255, "border": -1}


def _badge(recording: RecordingStatus) -> str:
    seconds = int(recording.seconds)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    words = {
        "on": f"REC {clock}",
        "waiting": "REC waiting for a key frame",
        "failed": f"NOT RECORDING: {recording.why}",
    }
    if recording.state == "on" and recording.left_s is not None and recording.left_s < _NEARLY_FULL_S:
        return f"REC {clock}, {recording.left_s / 60:.0f} min left"
    return words.get(recording.state, "")


def _black(size: tuple[int, int]) -> av.VideoFrame:
    import av

    width, height = max(16, size[0] & ~1), max(16, size[1] & ~1)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame
