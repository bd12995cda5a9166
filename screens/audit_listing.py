"""What one tab of the audit page shows: the pages of a search that have come, how many there are, and what went wrong.

Pages follow each other by the last entry of the one before (keyset), so a record that grows shifts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Generic, TypeVar

import msgspec

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.audit_filter import read_sessions, read_statements

from .workstation import ControlLink

PAGE = 200
"""Entries of a page."""

MOST_ENTRIES = 50_000
MOST_BYTES = 128 * 1024 * 1024
"""Entries, and bytes of their texts, that are held at a time; beyond it the filter is to be narrowed."""

Entry = TypeVar("Entry", m.Session, m.Statement)
Now = Callable[[], tuple[datetime, tzinfo]]


class _Listing(Generic[Entry]):
    """`line` is the filter whose entries these are; `more` there are others; `count` None: not known yet."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self.entries: list[Entry] = []
        self.line = ""
        self.more = False
        self.count: m.Count | None = None
        self.failure = ""
        self.loaded = False
        self.bytes = 0

    @property
    def full(self) -> bool:
        """No more can be held."""
        return len(self.entries) >= MOST_ENTRIES or self.bytes >= MOST_BYTES

    def forget(self) -> None:
        """Of another filter."""
        self.entries, self.more, self.count, self.failure, self.loaded, self.bytes = [], False, None, "", False, 0


class StatementListing(_Listing[m.Statement]):
    """Statements, as the line says."""

    def __init__(self, now: Now) -> None:
        super().__init__(now)
        self._cursor: int | None = None
        self._value: float | None = None

    def read(self, line: str) -> m.StatementFilter:
        """Raises FilterUnreadable."""
        now, zone = self._now()
        return read_statements(line, now=now, zone=zone)

    async def load(self, link: ControlLink, *, further: bool) -> None:
        """The first page of `line`, or the next one. Raises Refused, LinkError, FilterUnreadable."""
        wanted = self.read(self.line)
        wanted.limit, wanted.stream = PAGE, "page"
        if further and self._cursor is not None:
            wanted.after, wanted.after_value = self._cursor, self._value
        page: m.StatementPage = await link.call(methods.STATEMENTS, wanted)
        if not further:
            self.entries, self.bytes = [], 0
        self.entries += page.statements
        self.bytes += sum(len(one.text) for one in page.statements)
        self._cursor, self._value = page.cursor, page.cursor_value
        self.more, self.loaded, self.failure = page.cursor is not None, True, ""
        if not self.more:
            self.count = m.Count(count=len(self.entries), exact=True)

    async def load_count(self, link: ControlLink) -> None:
        """How many there are. Raises Refused, LinkError."""
        wanted = self.read(self.line)
        wanted.stream = "count"
        self.count = await link.call(methods.STATEMENTS_COUNT, wanted)

    def key(self, entry: m.Statement) -> tuple[str, int]:
        """What an entry is known by."""
        return entry.session, entry.seq


class SessionListing(_Listing[m.Session]):
    """Sessions, as the line says."""

    live_only = False

    def read(self, line: str) -> m.SessionFilter:
        """Raises FilterUnreadable."""
        now, zone = self._now()
        return read_sessions(line, now=now, zone=zone)

    def _wanted(self) -> m.SessionFilter:
        wanted = self.read(self.line)
        wanted.live = self.live_only
        return wanted

    async def load(self, link: ControlLink, *, further: bool) -> None:
        """The first page of `line`, or the next one. Raises Refused, LinkError, FilterUnreadable."""
        wanted = self._wanted()
        wanted.limit, wanted.stream = PAGE, "page"
        if further and self.entries:
            wanted.after = self.entries[-1].id
        page: list[m.Session] = await link.call(methods.SESSIONS, wanted)
        self.entries = self.entries + page if further else page
        self.more, self.loaded, self.failure = len(page) == PAGE, True, ""
        if not self.more:
            self.count = m.Count(count=len(self.entries), exact=True)

    async def load_count(self, link: ControlLink) -> None:
        """How many there are. Raises Refused, LinkError."""
        self.count = await link.call(methods.SESSIONS_COUNT, msgspec.structs.replace(self._wanted(), stream="count"))

    def key(self, entry: m.Session) -> Any:
        """What an entry is known by."""
        return entry.id
