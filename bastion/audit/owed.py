"""What happens while the journal cannot be written, to be recorded when it can be again.

Only what has happened in any case: outcomes of statements that are on record, ends of sessions that are, people who
were turned away. What was to be done, and was not because it could not be recorded, is not among it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from .records import (
    AnyRecord,
    CancelSent,
    Checkpoint,
    LoginRefused,
    Recording,
    SessionClosed,
    SessionRefused,
    StatementDone,
)
from .recovery import OpenSessions

MOST = 10_000
"""Records that are kept; of more it is only known how many there were."""

ROOM = 1024 * 1024
"""Bytes that must be free on the disk before the journal goes on."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Owed:
    """Records in the order in which they came."""

    def __init__(self) -> None:
        self._records: list[AnyRecord] = []
        self.lost = 0

    def take(self, records: Iterable[AnyRecord]) -> None:
        """Records that were taken to be written later, all of them; checkpoints are made anew."""
        for record in records:
            if type(record) is Checkpoint:
                continue
            if len(self._records) < MOST:
                self._records.append(record)
            else:
                self.lost += 1

    def take_facts(self, records: Iterable[AnyRecord], sessions: OpenSessions) -> None:
        """Of records that were refused those that tell what has happened."""
        for record in records:
            if isinstance(record, LoginRefused) or (
                isinstance(record, StatementDone | SessionClosed | SessionRefused | CancelSent | Recording)
                and record.session in sessions.last_statement
            ):
                self.take((record,))

    def give(self) -> tuple[AnyRecord, ...]:
        """All of them; none is owed after it."""
        records, self._records = tuple(self._records), []
        return records

    def forget_lost(self) -> int:
        """How many were lost since the last time."""
        lost, self.lost = self.lost, 0
        return lost


def for_want_of_room(error: OSError) -> bool:
    """Whether a write failed since the disk, the quota or the file is full: then it may go on later."""
    return error.errno in _NO_ROOM


def has_room(descriptor: int) -> bool:
    """Whether there is room again on the disk of an open file."""
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize >= ROOM
