"""When the words of statements are indexed: in short passes, at a bounded share of time while there is load.

Whoever brings records into the store comes first. A pass waits for no lock and is short, so that nobody who has to
wait for it notices; between passes there is a pause. Searches do without what is not indexed yet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from bastion.store.store import Store, StoreBusy

from .word_index import PASS, RETURNING, IndexMoved, WordIndex

SHARE = 0.25
"""Of the time that passes may take while there is load."""

PASS_SECONDS = 0.01
"""How long a pass is meant to take while there is load."""

QUIET_PASS_SECONDS = 0.03
QUIET = 2.0
"""Seconds without new records after which the index catches up without pauses."""

BUSY_PAUSE = 0.5
"""Seconds till the next pass where somebody else writes to the store."""

FAILED_PAUSE = 30.0
LEAST = 50
"""Statements of a pass at least, however slow the machine: a pass costs something by itself."""

_log = logging.getLogger(__name__)


class Indexing:
    """Says when the next pass is due, and makes it. Of one thread."""

    def __init__(self, store: Store, brief: Callable[[Exception], str], clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._brief = brief
        self._clock = clock
        self._words = WordIndex()
        self._left = True
        self._failing = False
        self._due = 0.0
        self._most = 4 * LEAST
        self._last_new = clock() - QUIET

    def more_came(self) -> None:
        """There are new records in the store."""
        self._left = True
        self._last_new = self._clock()

    def pause(self) -> float | None:
        """Seconds until the next pass is due; None: there is nothing to index."""
        return max(self._due - self._clock(), 0.0) if self._left else None

    def go_on(self) -> None:
        """One pass. Never raises: what fails is tried again later."""
        began = self._clock()
        try:
            part = self._store.read_now(lambda connection: self._words.read(connection, self._most))
            if part.new or part.again:
                self._store.run_at_once(lambda connection: self._words.write(connection, part))
            self._left = part.new > 0 or len(part.again) == RETURNING
        except (StoreBusy, IndexMoved):
            self._due = self._clock() + BUSY_PAUSE
            return
        except Exception as error:  # noqa: BLE001 - whatever the store raises: the index may be behind
            if not self._failing:
                _log.warning("the words of statements are not indexed for now: %s", self._brief(error))
            self._failing = True
            self._due = self._clock() + FAILED_PAUSE
            return
        self._failing = False
        now = self._clock()
        took = max(now - began, 1e-6)
        loaded = now - self._last_new < QUIET
        wanted = self._most * (PASS_SECONDS if loaded else QUIET_PASS_SECONDS) / took
        if part.new == self._most or wanted < self._most:  # what a pass of few statements takes says little of more
            self._most = int(min(max(wanted, LEAST), PASS, 2 * self._most))
        self._due = now + (took * (1 / SHARE - 1) if loaded else 0.0)
