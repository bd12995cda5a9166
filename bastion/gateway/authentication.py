"""Who is at the door: passwords, O&M tokens and keys of one SSH connection, and what is said to those who stay outside.

Answers to a wrong user, a wrong password and a locked account are the same. What is only told to somebody who proved
to know a token (that it has ended, was revoked), a password or to hold a key (that they are locked for a time) goes
into SSH's banner, which every client shows.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass

import asyncssh

from bastion.access.door import Access, LiveToken, Person
from bastion.api.refusals import Refused
from bastion.audit.journal import JournalFailed
from bastion.audit.records import LoggedIn, LoginRefused
from bastion.store.moments import now, to_text

from .parts import Parts

MAX_FAILURES = 6
"""Wrong passwords or tokens on one connection; then it is closed."""

MAX_KEYS = 32
"""Keys that one connection may offer: an agent with many keys is no attack, a list of all keys of the world is."""

MAX_EMPTY = 10
"""Empty answers on one connection that cost nothing."""

MAX_SECRET = 1024
"""Characters of a password that are looked at."""

PROMPT = "Password or O&M token: "

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose connection it is: a person's, or a token's. `method`: password, publickey or token."""

    user: str
    method: str
    person: Person | None = None
    token: LiveToken | None = None


class Authentication:
    """The login of one connection. `identity` holds once `completed` was called."""

    def __init__(self, parts: Parts, connection: asyncssh.SSHServerConnection, source: str) -> None:
        self._parts = parts
        self._connection = connection
        self._source = source
        self._failures = 0
        self._keys = 0
        self._empty = 0
        self._salt = secrets.token_bytes(16)
        self._refused: set[bytes] = set()
        self._said: set[str] = set()
        self._barred: Refused | None = None
        self.identity: Identity | None = None

    async def secret(self, user: str, text: str, method: str) -> bool:
        """Whether `text` is the person's password or a live token of theirs."""
        self.identity = None
        if not text:
            self._empty += 1
            if self._empty > MAX_EMPTY:
                self._close()
            return False
        if self._failures >= MAX_FAILURES:
            return False
        if len(text) > MAX_SECRET:
            text = ""  # no password is that long: answered like any wrong one
        seen = hmac.digest(self._salt, f"{user}\0{text}".encode(), hashlib.sha256)
        if seen in self._refused:
            # Many clients send the same secret by `password` and by `keyboard-interactive`: that is one failure.
            return False
        try:
            if Access.looks_like_token(text):
                token = await self._parts.access.token_login(user, text, self._source)
                self.identity = Identity(user, "token", token=token)
            else:
                person = await self._parts.access.password_login(user, text, self._source)
                self.identity = Identity(person.name, "password", person=person)
        except Refused as refused:
            self._refused.add(seen)
            await self._refuse(user, "token" if Access.looks_like_token(text) else "password", refused)
            return False
        return True

    async def key(self, user: str, key: asyncssh.SSHKey) -> bool:
        """Whether `key` is one of the person's. That they hold its private half is checked afterwards: `proved`."""
        self.identity = self._barred = None
        self._keys += 1
        if self._keys > MAX_KEYS:
            self._close()
            return False
        public_key = " ".join(key.export_public_key("openssh").decode().split()[:2])
        try:
            person = await self._parts.access.key_login(user, public_key, self._source)
        except Refused as refused:
            self._barred = refused  # nothing is told before the key is proved
            return True
        if person is None:
            return False
        self.identity = Identity(person.name, "publickey", person=person)
        return True

    async def proved(self, user: str) -> bool:
        """Whether the person of `key`, who has proved to hold it, may come in; who may not is told why, on record."""
        if self._barred is None:
            return self.identity is not None
        await self._refuse(user, "publickey", self._barred)
        return False

    async def completed(self) -> None:
        """The login stands: it goes on record before anything is offered. Without a record there is no login."""
        identity = self.identity
        if identity is None:
            self._connection.abort()
            return
        try:
            await self._parts.record(
                LoggedIn(at=to_text(now()), user=identity.user, method=identity.method, source=self._source)
            )
        except JournalFailed:
            logger.error("a login was undone: the journal cannot be written")  # noqa: TRY400
            self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, str(Refused("record-failed")))

    async def _refuse(self, user: str, method: str, refused: Refused) -> None:
        self._failures += 1
        await self.record_refusal(user, method, refused.code)
        if refused.code != "login-failed":
            self.say(str(refused))
        if self._failures >= MAX_FAILURES:
            self._close()

    async def record_refusal(self, user: str, method: str, code: str) -> None:
        """Puts on record that somebody was turned away: at the login, or with a tunnel to somewhere else."""
        try:
            await self._parts.record(
                LoginRefused(at=to_text(now()), user=user[:128], method=method, source=self._source, code=code)
            )
        except JournalFailed:
            logger.error("a refusal is not on record: the journal cannot be written")  # noqa: TRY400

    def say(self, sentence: str) -> None:
        """Shows a sentence by SSH's banner, once."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._connection.send_auth_banner(sentence + "\r\n")

    def _close(self) -> None:
        self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures")
