"""How far away the bastion and the terminal are, and drawing less often where that is far.

The round trip to the bastion is that of the smallest call on the control channel. Where the workstation is served, the
person's terminal is at the far end of another link; whoever serves it can say what that one takes (`terminal_takes`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median

from textual import constants
from textual import screen as textual_screen
from textual.app import App

from bastion.api.language import translate as _

from .settings import Sparing

ASKED_EVERY = 20.0
"""Seconds."""
SLOW, FAST = 0.150, 0.100
"""A link is slow from the first on, and no longer below the second."""
KEPT = 5
SPARING_FRAMES = 12
"""Frames a second on a slow link: what changes several times in between is drawn once."""
MOUSE_BUTTONS_ONLY = "\x1b[?1003l\x1b[?1002h"
MOUSE_MOTION_TOO = "\x1b[?1002l\x1b[?1003h"


class Pace:
    """The measurements, and what follows from them. `changed` is called when sparing begins or ends, or what is said
    about the link changes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._bastion: deque[float] = deque(maxlen=KEPT)
        self._terminal: deque[float] = deque(maxlen=KEPT)
        self._slow = False
        self.wanted: Sparing = "auto"

    def bastion_takes(self, seconds: float) -> None:
        """One round trip to the bastion."""
        self._take(self._bastion, seconds)

    def terminal_takes(self, seconds: float) -> None:
        """One round trip to the person's terminal, by whoever can measure it."""
        self._take(self._terminal, seconds)

    def _take(self, kept: deque[float], seconds: float) -> None:
        before = self.words()
        kept.append(max(seconds, 0.0))
        self._slow = self.round_trip >= (FAST if self._slow else SLOW)
        if self.words() != before:
            self._changed()

    def want(self, wanted: Sparing) -> None:
        """The person's choice."""
        if wanted != self.wanted:
            self.wanted = wanted
            self._changed()

    @property
    def round_trip(self) -> float:
        """Seconds, the longer one of the two; outliers left out. 0 where nothing is known."""
        return max(median(self._bastion) if self._bastion else 0.0, median(self._terminal) if self._terminal else 0.0)

    @property
    def sparing(self) -> bool:
        """Whether as little as possible is to be sent."""
        return self._slow if self.wanted == "auto" else self.wanted == "on"

    def words(self) -> str:
        """What the person is told about the link; nothing where it is fast."""
        if not self._slow:
            return ""
        # To the nearest 50 ms: a figure that changes all the time costs what it is there to save.
        return _("slow link, {time} ms").format(time=max(round(self.round_trip * 20) * 50, 100))


def frames(app: App[int], *, sparing: bool) -> None:
    """Draws this often from now on, on every page."""
    period = 1 / (min(SPARING_FRAMES, constants.MAX_FPS) if sparing else constants.MAX_FPS)
    textual_screen.UPDATE_PERIOD = period  # type: ignore[misc]
    for stack in app._screen_stacks.values():
        for screen in stack:
            screen._update_timer._interval = period
