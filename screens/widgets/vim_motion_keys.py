"""The keys of vim's motions: where each leads, and what they remember of the one before."""

from __future__ import annotations

from . import vim_motions as go
from .vim_motions import Reach

LAST_COLUMN = 1_000_000


class Motions:
    """Of one editor. `searched`: the pattern of the last search, and whether it went forward."""

    def __init__(self) -> None:
        self.searched = ("", True)
        self._wish = (-1, 0)
        """Where j or k led last, and the column that they keep to."""
        self._found = ("", "")
        """The last f, F, t or T and its character."""

    def keep_to_the_end(self, at: int) -> None:
        """After `$`: j and k go to the ends of lines."""
        self._wish = at, LAST_COLUMN

    def reach(self, rest: str, text: str, at: int, count: int, *, counted: bool, on_character: bool) -> Reach | None:
        """Where the motion `rest` leads from `at`; None where there is no such place, or it is none.

        `counted`: `count` was typed. `on_character`: the cursor never stands behind the last one of a line.
        """
        key = rest[0]
        if key in "jk":
            column = self._wish[1] if self._wish[0] == at else at - go.line_start(text, at)
            to = go.up_down(text, at, count if key == "j" else -count, column)
            if on_character and to == go.line_end(text, to) > go.line_start(text, to):
                to -= 1
            self._wish = to, column
            return Reach(to, linewise=True)
        if key == "h":
            return Reach(max(at - count, go.line_start(text, at)))
        if key == "l":
            return Reach(min(at + count, go.line_end(text, at)))
        if key in "wWbBeE":
            step = {"w": go.word_forward, "b": go.word_back, "e": go.word_end}[key.lower()]
            for _ in range(count):
                at = step(text, at, big=key.isupper())
            return Reach(at, inclusive=key in "eE")
        if key == "0":
            return Reach(go.line_start(text, at))
        if key in "^_":
            return Reach(go.first_filled(text, at))
        if key == "$":
            return Reach(go.line_end(text, go.up_down(text, at, count - 1, 0)))
        if key == "G" or rest == "gg":
            line = count - 1 if counted else 0 if rest == "gg" else text.count("\n")
            return Reach(go.first_filled(text, go.up_down(text, 0, line, 0)), linewise=True)
        if key in "{}":
            for _ in range(count):
                at = go.paragraph(text, at, forward=key == "}")
            return Reach(at)
        if key == "%":
            other = go.bracket(text, at)
            return None if other is None else Reach(other, inclusive=True)
        if key in "fFtT" and len(rest) == 2:
            self._found = key, rest[1]
            return _in_line(text, at, key, rest[1], count)
        if key in ";," and self._found[0]:
            back = {"f": "F", "F": "f", "t": "T", "T": "t"}[self._found[0]]
            return _in_line(text, at, self._found[0] if key == ";" else back, self._found[1], count)
        if key in "nN":
            return self.next_match(text, at, count, same=key == "n")
        return None

    def next_match(self, text: str, at: int, count: int, *, same: bool) -> Reach | None:
        """Of the last search, in its direction or in the other."""
        what, forward = self.searched
        place = go.search(text, at, what, count, forward=forward == same)
        return None if place is None else Reach(place)


def _in_line(text: str, at: int, key: str, character: str, count: int) -> Reach | None:
    place = go.find_in_line(text, at, key, character, count)
    return None if place is None else Reach(place, inclusive=key in "ft")
