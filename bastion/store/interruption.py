"""Giving up a question to the store: because nobody wants its answer any more, or because it takes too long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import sqlalchemy as sa

LOOKS_EVERY = 20_000
"""Instructions of SQLite's virtual machine between two looks: well below a millisecond."""


class Interrupted(Exception):
    """The question was given up. `late`: because of its limit of time, not because somebody asked."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("the question took too long" if late else "the question was given up")
        self.late = late


class Interruption:
    """One question. `stop` may be called from any thread, before, while and after it is at work."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._stopped = False
        self._guard = threading.Lock()
        self._raw: Any = None

    def stop(self) -> None:
        """Nobody wants the answer any more."""
        with self._guard:
            self._stopped = True
            if self._raw is not None:
                with contextlib.suppress(Exception):  # the connection is gone, and the question with it
                    self._raw.cancel()

    @property
    def due(self) -> bool:
        """Whether the work is to be given up; for work between two questions to the store."""
        return self._stopped or (self._until is not None and monotonic() > self._until)

    def check(self) -> None:
        """Raises Interrupted where it is due."""
        if self.due:
            raise Interrupted(late=not self._stopped)

    @contextlib.contextmanager
    def of(self, connection: sa.Connection) -> Iterator[None]:
        """What is asked on the connection within can be given up. Raises Interrupted."""
        if self._seconds is not None:
            self._until = monotonic() + self._seconds
        self.check()
        raw: Any = connection.connection.driver_connection
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            raw.set_progress_handler(lambda: self.due, LOOKS_EVERY)
        else:
            if self._seconds is not None:
                connection.execute(sa.text(f"SET LOCAL statement_timeout = {max(int(self._seconds * 1000), 1)}"))
            with self._guard:
                self._raw = raw
        try:
            self.check()  # what was stopped before this could not be cancelled
            yield
        except sa.exc.OperationalError as error:
            if self.due or getattr(error.orig, "sqlstate", None) == "57014":
                raise Interrupted(late=not self._stopped) from error
            raise
        finally:
            if sqlite:
                raw.set_progress_handler(None, 0)
            else:
                with self._guard:
                    self._raw = None
