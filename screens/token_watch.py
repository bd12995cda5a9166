"""Which tokens of those in use come to their end, and when their person is to be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bastion.api import messages as m

from .words import moment

WARNINGS = (600, 300, 60)
"""Seconds before the end at which the person is told."""


@dataclass(frozen=True)
class Ending:
    """A token that comes to its end, in so many seconds."""

    token: m.TokenState
    seconds: float


class TokenWatch:
    """Tokens that were shown or opened in this sitting. Each warning is given once, until the token is renewed."""

    def __init__(self) -> None:
        self._tokens: dict[str, m.TokenState] = {}
        self._given: dict[str, set[int]] = {}

    def use(self, token: m.Token) -> None:
        """It is in use from here on."""
        self._take(
            m.TokenState(
                id=token.id,
                database=token.database,
                account=token.account,
                issued_at=token.issued_at,
                expires_at=token.expires_at,
                renewals_left=token.renewals_left,
            )
        )

    def changed(self, kind: str, state: m.TokenState) -> None:
        """The bastion says that a token was renewed or revoked."""
        if kind == "revoked":
            self._tokens.pop(state.id, None)
        elif state.id in self._tokens:
            self._take(state)

    def _take(self, state: m.TokenState) -> None:
        known = self._tokens.get(state.id)
        if known is None or known.expires_at != state.expires_at:
            self._given[state.id] = set()
        self._tokens[state.id] = state

    def due(self, now: datetime) -> list[Ending]:
        """Those to be told of now. A warning that was slept through is given as the next one."""
        found = []
        for ending in self.ending(now):
            given = self._given[ending.token.id]
            limit = min(limit for limit in WARNINGS if ending.seconds <= limit)
            if limit not in given:
                given.update(other for other in WARNINGS if other >= limit)
                found.append(ending)
        return found

    def ending(self, now: datetime) -> list[Ending]:
        """Those that end within the first warning's time, the next one first; those that have ended are forgotten."""
        rests = [(token, (moment(token.expires_at) - now).total_seconds()) for token in self._tokens.values()]
        for token, rest in rests:
            if rest <= 0:
                del self._tokens[token.id]
        return sorted(
            (Ending(token, rest) for token, rest in rests if 0 < rest <= WARNINGS[0]), key=lambda each: each.seconds
        )

    def forget(self, ids: Iterable[str]) -> None:
        """They are not in use any more."""
        for id in ids:
            self._tokens.pop(id, None)
