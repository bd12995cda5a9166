"""Inputs of one line: no blinking, no border, so that they cost little on a slow link."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class LineInput(Input):
    """An Input that is one row high."""

    DEFAULT_CSS = """
    LineInput { height: 1; border: none; padding: 0 1; background: $field; }
    LineInput:focus { background: $selection-idle; border: none; }
    """

    def __init__(
        self, value: str = "", placeholder: str = "", *, password: bool = False, id: str | None = None
    ) -> None:
        super().__init__(value, placeholder=placeholder, password=password, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False


class SearchInput(LineInput):
    """Search as you type. Up, down and paging go to the list; a digit in an empty input chooses a page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move('cursor_down')", show=False),
        Binding("up", "move('cursor_up')", show=False),
        Binding("pagedown", "move('page_down')", show=False),
        Binding("pageup", "move('page_up')", show=False),
    ]

    class Moved(Message):
        """The list is to do `action`."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def action_move(self, action: str) -> None:
        self.post_message(self.Moved(action))

    def check_consume_key(self, key: str, character: str | None) -> bool:
        if not self.value and character is not None and (character in "1234?"):
            return False
        return super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        if not self.value and event.character is not None and event.character in "1234?":
            event.prevent_default()
            return
        await super()._on_key(event)
