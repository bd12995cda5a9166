"""A period as the index of words knows it: its days, and the whole months between them."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

from .words import mark

MOST_MONTHS = 120
"""Months of a period at most; of a longer one the index is not asked."""


def period_terms(since: str | None, until: str | None) -> tuple[tuple[str, ...], ...]:
    """Terms of which each statement of the period has one; () where it has no beginning, or is too long.

    The months that lie in it whole, and the days that are left at its ends, so that hardly more is found than it has.
    since, until: RFC 3339; without `until` it lasts till now.
    """
    if since is None:
        return ()
    try:
        first = datetime.fromisoformat(since).astimezone(UTC).date()
        last = (datetime.now(UTC) if until is None else datetime.fromisoformat(until).astimezone(UTC)).date()
    except (ValueError, OverflowError):  # the search itself says so
        return ()
    if (last.year - first.year) * 12 + last.month - first.month >= MOST_MONTHS:
        return ()
    terms = []
    day = first
    while day <= last:
        ends = date(day.year, day.month, monthrange(day.year, day.month)[1])
        if day.day == 1 and ends <= last:
            terms.append(mark("month", str(day)[:7]))
            day = ends
        else:
            terms.append(mark("day", str(day)))
        if day == date.max:
            break
        day += timedelta(days=1)
    return (tuple(terms or [mark("day", str(first))]),)
