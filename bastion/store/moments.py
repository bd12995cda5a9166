"""Moments as the store and the journal write them: RFC 3339 in UTC, with microseconds and a `Z`, so the text sorts."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The time by this machine's clock, in UTC."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """`2026-11-22T09:30:00.000000Z`. The moment must know its zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone cannot be stored")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """The moment that `to_text` wrote. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the text of a moment names no zone")
    return moment.astimezone(UTC)


def maybe_text(moment: datetime | None) -> str | None:
    """`to_text`, None for None."""
    return None if moment is None else to_text(moment)


def maybe_from_text(text: str | None) -> datetime | None:
    """`from_text`, None for None."""
    return None if text is None else from_text(text)


def without_fraction(text: str) -> str:
    """A stored moment as people read it: whole seconds."""
    return from_text(text).strftime("%Y-%m-%dT%H:%M:%SZ")
