"""The modal keys of vim, for those whose hands know them: off unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .editor import SqlEditor


class Vim:
    """The state of the keys of one editor."""

    def __init__(self, editor: SqlEditor, changed: Callable[[str, str], None]) -> None:
        self._editor, self._changed = editor, changed
        self.inserts = False

    def key(self, key: str, character: str | None) -> bool:
        """Handles a key; False leaves it to the editor."""
        return False
