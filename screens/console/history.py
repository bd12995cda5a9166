"""The statements that were run in this sitting."""

from __future__ import annotations

HISTORY = 500
"""Statements kept of one sitting."""


class History:
    """Each statement once, where it was run last."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """`text` is run now."""
        if text in self._texts:
            self._texts.remove(text)
        self._texts.append(text)
        del self._texts[:-HISTORY]

    def newest_first(self) -> list[str]:
        """All of them."""
        return self._texts[::-1]
