"""A terminal for the tests: an application's output, byte for byte, and what a terminal would make of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyte
import pytest
from textual.drivers.headless_driver import HeadlessDriver


class Terminal:
    """What was written; `lines` is what a person sees."""

    def __init__(self, columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self._screen)
        self.written: list[str] = []

    def write(self, data: str) -> None:
        self.written.append(data)
        self._stream.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        """Another size; what is shown stays where it was, or is lost."""
        self._screen.resize(lines, columns)

    def taken(self) -> int:
        """Bytes since the last time."""
        count = sum(len(piece.encode()) for piece in self.written)
        self.written.clear()
        return count

    @property
    def lines(self) -> list[str]:
        """The screen as text. A wide character is there once, followed by nothing."""
        shown = []
        for y in range(self._screen.lines):
            row = self._screen.buffer[y]
            shown.append("".join(row[x].data for x in range(self._screen.columns)))
        return shown

    def attributes(self) -> list[list[tuple[str, str, bool, bool, bool]]]:
        """Foreground, background, bold, underline, reverse of every cell."""
        return [
            [
                (cell.fg, cell.bg, cell.bold, cell.underscore, cell.reverse)
                for cell in (self._screen.buffer[y][x] for x in range(self._screen.columns))
            ]
            for y in range(self._screen.lines)
        ]


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> Iterator[Terminal]:
    """Applications that are run meanwhile write to this terminal."""
    shown = Terminal(columns, lines)
    monkeypatch.setattr(HeadlessDriver, "is_headless", property(lambda self: False))
    monkeypatch.setattr(HeadlessDriver, "write", lambda self, data: shown.write(data))
    yield shown
