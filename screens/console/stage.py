"""What happens now, in words, and for how long; the warnings before the token ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic

from bastion.api import messages as m
from bastion.api.language import translate as _

from ..words import duration, left, moment

WARNINGS = (600, 300, 60)
"""Seconds before the token's end at which the person is told."""
SHOWN_AFTER = 1.0
"""Seconds that something lasts before its time is shown."""


class Stage:
    """The last piece of the status line. `changed` is called whenever it has to be drawn again."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.bad = False
        self.progress: Callable[[], str] | None = None
        """What has been done so far, in words; asked while something goes on."""
        self._text = ""
        self._stays = False
        self._since: float | None = None
        self._changed = changed

    @staticmethod
    def clock() -> float:
        """Seconds, by which everything on the console that lasts is measured."""
        return monotonic()

    @property
    def going_on(self) -> bool:
        """Something lasts, and its time runs."""
        return self._since is not None

    @property
    def text(self) -> str:
        """With the time and the progress of what lasts."""
        if self._since is None:
            return self._text
        pieces = [self._text]
        elapsed = self.clock() - self._since
        if elapsed >= SHOWN_AFTER:
            pieces.append(duration(elapsed))
            if self.progress is not None and (done := self.progress()):
                pieces.append(done)
        return " · ".join(pieces)

    def say(self, text: str, *, bad: bool = False, lasting: bool = False) -> None:
        """`bad` and `lasting` words stay when the run is over."""
        self._text, self.bad, self._stays = text, bad, bad or lasting
        self._changed()

    def begin(self, text: str, progress: Callable[[], str] | None = None) -> None:
        """Says `text` with its time, until `over`; other words in between keep the time."""
        self._since, self.progress = self.clock(), progress
        self.say(text)

    def over(self) -> None:
        """What lasted is done; passing words go."""
        self._since, self.progress = None, None
        if not self._stays:
            self._text = ""
        self._changed()


class TokenWarnings:
    """Each of `WARNINGS` once for a token, until it is renewed."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def start_again(self) -> None:
        """The token is another one, or lives longer."""
        self._given = set()

    def due(self, token: m.Token, now: datetime, *, transaction: bool = False) -> str:
        """What to say now; '' for nothing. `transaction`: one is open, and is rolled back when the token ends."""
        rest = (moment(token.expires_at) - now).total_seconds()
        for limit in WARNINGS:
            if 0 < rest <= limit and limit not in self._given:
                self._given.update(other for other in WARNINGS if other >= limit)
                time_left = left(token.expires_at, now)
                if transaction:
                    return _(
                        "The token ends in {time}, and the open transaction is rolled back then. "
                        "F10 ends it before, Ctrl+O renews the token."
                    ).format(time=time_left)
                return _("The token ends in {time}. Ctrl+O renews it.").format(time=time_left)
        return ""


def ends_within(token: m.Token, now: datetime, seconds: float) -> bool:
    """Whether the token is over in so many seconds, or already."""
    return (moment(token.expires_at) - now).total_seconds() <= seconds
