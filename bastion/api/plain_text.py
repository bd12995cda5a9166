"""What people are shown of what a database, a client or a name says: without anything that drives a terminal."""

from __future__ import annotations


def clean(text: str) -> str:
    """`text` without control characters, so that no database, client or name can drive the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _visible(character) for character in text)


def _visible(character: str) -> str:
    return " " if character in "\n\t\r" else "\N{REPLACEMENT CHARACTER}"


def shown_duration(milliseconds: float | None) -> str:
    """A duration for people; empty for None."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds / 1000:.1f} s"
