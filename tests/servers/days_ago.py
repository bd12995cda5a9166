"""`casemate`, as it was so many days ago by its own clock: python days_ago.py DAYS WORDS…

What is written to the record, and what is judged by the time (tokens, sessions), goes by that clock. Retention goes by
the real one.
"""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any


def shift(days: int) -> None:
    """Puts the clock back, before anything has been loaded that reads it."""
    back = timedelta(days=days)

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) - back

    moments: Any = importlib.import_module("bastion.store.moments")
    moments.now = lambda: Then.now(UTC)
    for name in ("bastion.audit.journal", "bastion.sessions.life", "bastion.api.moments"):
        module: Any = importlib.import_module(name)
        assert module.datetime is datetime, name
        module.datetime = Then


if __name__ == "__main__":
    shift(int(sys.argv.pop(1)))
    from bastion.program import main

    sys.exit(main())
