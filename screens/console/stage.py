"""What happens now, in words, and the warnings before the token ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bastion.api import messages as m
from bastion.api.language import translate as _

from ..words import left, moment

WARNINGS = (600, 300, 60)
"""Seconds before the token's end at which the person is told."""


class Stage:
    """The last piece of the status line. `changed` is called whenever it has to be drawn again."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.text = ""
        self.bad = False
        self._stays = False
        self._changed = changed

    def say(self, text: str, *, bad: bool = False, lasting: bool = False) -> None:
        """`bad` and `lasting` words stay when the run is over."""
        self.text, self.bad, self._stays = text, bad, bad or lasting
        self._changed()

    def run_over(self) -> None:
        """Takes passing words away."""
        if not self._stays:
            self.text = ""
        self._changed()


class TokenWarnings:
    """Each of `WARNINGS` once for a token, until it is renewed."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def start_again(self) -> None:
        """The token is another one, or lives longer."""
        self._given = set()

    def due(self, token: m.Token, now: datetime) -> str:
        """What to say now; '' for nothing."""
        rest = (moment(token.expires_at) - now).total_seconds()
        for limit in WARNINGS:
            if 0 < rest <= limit and limit not in self._given:
                self._given.update(other for other in WARNINGS if other >= limit)
                return _("The token ends in {time}. F3 renews it.").format(time=left(token.expires_at, now))
        return ""
