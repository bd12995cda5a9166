"""Keeps the credentials of one statement out of its record: of its text, its binds and the database's error."""

from __future__ import annotations

from bastion.protocols.contract import Bind
from bastion.protocols.sql_credentials import redact_connection
from bastion.protocols.sql_text import redact

from .long_text import LongText

SHORTEST_HIDDEN = 3
"""Characters of a credential that is looked for in an error; a shorter one is any part of any sentence."""

_HIDDEN_BIND = "***"


class StatementCredentials:
    """One statement from its beginning to its outcome. The credentials themselves are forgotten with it."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._long: LongText | None = None
        self._credential_binds: frozenset[int] = frozenset()
        self._connection_binds: frozenset[int] = frozenset()
        self._credential_names: frozenset[str] = frozenset()
        self._secrets: list[str] = []
        self._bound = 0

    @property
    def matter(self) -> bool:
        """Whether there is anything to be kept out of what follows."""
        return bool(self._secrets or self._long or self._credential_binds or self._connection_binds)

    def text(self, text: str, *, last: bool) -> tuple[str, tuple[str, ...]]:
        """The text, or the next part of it, without credentials; and these."""
        if self._long is None:
            if last and not text:
                return text, ()
            if last:
                redacted = redact(text, self._engine)
                self._credential_binds, self._connection_binds = redacted.credential_binds, redacted.connection_binds
                self._credential_names = redacted.credential_names
                self._secrets += redacted.secrets
                return redacted.text, redacted.secrets
            self._long = LongText(self._engine)
        redacted = self._long.part(text, last=last)
        self._secrets += redacted.secrets
        return redacted.text, redacted.secrets

    def binds(self, binds: tuple[Bind, ...] | None) -> tuple[tuple[Bind, ...] | None, tuple[str, ...]]:
        """The bind values without those that are bound where a credential stands; and these."""
        if binds is None or not (self._credential_binds or self._connection_binds):
            return binds, ()
        kept: list[Bind] = []
        secrets: list[str] = []
        begin, self._bound = self._bound, self._bound + len(binds)
        for place, value in enumerate(binds, begin):
            name, equals, said = (value or "").partition("=") if self._credential_names else ("", "", "")
            if equals and name.startswith("@"):
                # A value with its name: its place says nothing.
                if name.lower() in self._credential_names:
                    secrets.append(said)
                    value = f"{name}={_HIDDEN_BIND}"
            elif value is not None and place in self._credential_binds:
                secrets.append(value)
                value = _HIDDEN_BIND
            elif value is not None and place in self._connection_binds:
                hidden = redact_connection(value, self._engine)
                secrets += hidden.secrets
                value = hidden.text
            kept.append(value)
        self._secrets += secrets
        return tuple(kept), tuple(secrets)

    def hidden(self, said: str) -> str:
        """A sentence of the database without the credentials of the statement that it is about."""
        for secret in self._secrets:
            if len(secret) >= SHORTEST_HIDDEN:
                said = said.replace(secret, "***")
            else:
                said = said.replace(f"'{secret}'", "'***'")
        return said
