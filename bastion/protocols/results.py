"""What a kept answer of a database holds, for somebody who looks at it later: the same shapes for every engine.

A decoder of an engine yields the parts of one statement's answer in the order in which the server sent them. It takes
bytes that end anywhere (a recording keeps a prefix): what is whole is yielded, the torn rest is not. Values are text as
an auditor reads it, None is NULL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .contract import DatabaseError

Row = list[str | None]


@dataclass(frozen=True, slots=True)
class Column:
    """`type` is the engine's own name, '' where the answer does not say it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Columns:
    """A result begins; rows of it follow."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A result, or a statement without one, is complete. `rows` as the server counts; `tag` in its own words."""

    tag: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """A notice, a warning, or what the server asked of the client."""

    severity: str
    code: str
    message: str


Part = Columns | Row | Ended | Said | DatabaseError
Parts = Iterator[Part]
