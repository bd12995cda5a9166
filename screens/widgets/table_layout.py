"""Where the columns of a result table stand: their order, widths, which are hidden and which are frozen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NARROWEST, WIDEST = 3, 60
WIDEST_BY_HAND = 400
GAP = 2
"""Cells between two columns."""
LEAST_ROOM = 16
"""Cells that frozen columns leave to the others."""


@dataclass(frozen=True)
class Place:
    """A column on the screen: `start` is from the left of its part, frozen or scrolled."""

    column: int
    start: int
    width: int


class TableLayout:
    """Columns are numbered as in the result; places as they are shown, from the left."""

    def __init__(self, headers: Sequence[int]) -> None:
        """`headers`: cells that each column's name takes."""
        self._headers = list(headers)
        self.hidden: set[int] = set()
        self.sorted: set[int] = set()
        """Columns whose name is followed by a sign."""
        self.by_hand: dict[int, int] = {}
        self.frozen = 0
        """How many of the shown columns, from the left, stay where they are."""

    @property
    def shown(self) -> list[int]:
        """The columns that are not hidden."""
        return [column for column in range(len(self._headers)) if column not in self.hidden]

    def widths(self, widest: Sequence[int], room: int) -> list[int]:
        """The width of every column: by hand, else what it needs, up to half of `room`, the cells of the whole table.

        Room that is left goes to the columns that need more, from the left.
        """
        limit = max(min(WIDEST, room // 2), NARROWEST)
        needed = [
            max(header + 2 * (column in self.sorted), widest[column], NARROWEST)
            for column, header in enumerate(self._headers)
        ]
        widths = [self.by_hand.get(column, min(need, limit)) for column, need in enumerate(needed)]
        rest = room - 1 - sum(widths[column] + GAP for column in self.shown)
        for column in self.shown:
            if rest > 0 and column not in self.by_hand and needed[column] > widths[column]:
                more = min(rest, needed[column] - widths[column])
                widths[column], rest = widths[column] + more, rest - more
        return widths

    def places(self, widest: Sequence[int], room: int) -> tuple[list[Place], list[Place]]:
        """The frozen columns, and the others, each part counted from 0. Frozen ones that leave no room are others."""
        widths = self.widths(widest, room)
        parts: tuple[list[Place], list[Place]] = ([], [])
        at = [0, 0]
        for number, column in enumerate(self.shown):
            part = 0 if number < self.frozen and at[0] + widths[column] + GAP <= room - LEAST_ROOM else 1
            if parts[1]:
                part = 1
            parts[part].append(Place(column, at[part], widths[column]))
            at[part] += widths[column] + GAP
        return parts

    def hide(self, column: int) -> bool:
        """False where it is the last one that is shown."""
        shown = self.shown
        if len(shown) < 2 or column not in shown:
            return False
        if shown.index(column) < self.frozen:
            self.frozen -= 1
        self.hidden.add(column)
        return True

    def show_all(self) -> None:
        """No column is hidden any more."""
        self.hidden.clear()

    def freeze_to(self, column: int) -> int:
        """Freezes the columns up to `column`; those that are frozen up to there are let go. Gives how many are now."""
        count = self.shown.index(column) + 1
        self.frozen = 0 if self.frozen == count else count
        return self.frozen

    def resize(self, column: int, now: int, step: int) -> None:
        """Wider or narrower, from the width that it has now."""
        self.by_hand[column] = max(NARROWEST, min(now + step, WIDEST_BY_HAND))

    def fit(self, column: int, needed: int) -> None:
        """As wide as its widest value, or back to the usual width when it is that already."""
        width = max(NARROWEST, min(max(needed, self._headers[column]), WIDEST_BY_HAND))
        if self.by_hand.get(column) == width:
            del self.by_hand[column]
        else:
            self.by_hand[column] = width
