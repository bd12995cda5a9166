"""What is typed quickly, as over a slow link: characters behind a key that opens a field go into the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.widgets import Input, Static

from tui import safe_output
from tui.hosting.screen_link import ScreenLink
from tui.hosting.stream_driver import StreamDriver

from .served_screen import served


class Searching(App[int]):
    """`/` opens a field; `x` means something elsewhere."""

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = "Input { display: none; } Input.open { display: block; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search"), Binding("x", "mishap")]

    def __init__(self) -> None:
        safe_output.install()
        super().__init__()
        self.mishaps = 0
        self.to_terminal: Callable[[str], None]
        self.link: ScreenLink

    def get_driver_class(self) -> type[Driver]:
        return StreamDriver

    @property
    def driver(self) -> StreamDriver | None:
        return self._driver if isinstance(self._driver, StreamDriver) else None

    def compose(self) -> ComposeResult:
        yield Static("a list")
        yield Input()

    def action_search(self) -> None:
        self.query_one(Input).add_class("open")
        self.query_one(Input).focus()

    def action_mishap(self) -> None:
        self.mishaps += 1

    def terminal_takes(self, seconds: float) -> None:
        """Nothing."""

    def attached(self, terminal: Any) -> None:
        """Nothing."""

    def told_to_leave(self) -> None:
        if self.is_running:
            self.exit(0)


async def test_characters_behind_a_key_that_opens_a_field_go_into_the_field() -> None:
    app = Searching()
    async with served(app) as other:  # type: ignore[arg-type]
        await other.wait("a list")
        await other.type(b"/xxyx")
        await other.wait("xxyx")
        assert app.mishaps == 0
