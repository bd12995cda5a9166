"""Asks for the parameters of a statement and shows what would be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from backends.parameters import filled
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _

from .widgets.inputs import LineInput
from .words import mark
from .workstation import Dialog

SHOWN = 4_000
"""Characters of the statement that are shown."""


class ParametersDialog(Dialog[dict[str, str] | None]):
    """Gives the values, None when it is given up. Enter in the last field runs."""

    DEFAULT_CSS = """
    ParametersDialog { align: center middle; }
    ParametersDialog > Vertical { width: 90; max-width: 96%; height: auto; max-height: 92%; padding: 0 1; background: $surface; border: round $accent; }
    ParametersDialog .title { text-style: bold; margin-bottom: 1; }
    ParametersDialog #fields { height: auto; max-height: 10; }
    ParametersDialog Horizontal { height: 1; }
    ParametersDialog .label { width: 24; padding: 0 1 0 0; }
    ParametersDialog LineInput { width: 1fr; }
    ParametersDialog #preview { height: auto; max-height: 12; margin-top: 1; border-left: outer $line; padding: 0 1; }
    ParametersDialog .hint { margin-top: 1; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Cancel")),
        Binding("f5,ctrl+j", "run", mark("Run"), key_display="F5"),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, text: str, names: Sequence[str], engine: str, values: dict[str, str]) -> None:
        super().__init__()
        self._text, self._names, self._engine = text, list(names), engine
        self._values = values

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Values for the statement")), classes="title")
            with VerticalScroll(id="fields", can_focus=False):
                for number, name in enumerate(self._names):
                    with Horizontal():
                        yield Static(Text(visible_line(name), no_wrap=True, overflow="ellipsis"), classes="label")
                        yield LineInput(
                            self._values.get(name, ""),
                            placeholder=_("an empty text; null for NULL"),
                            id=f"value-{number}",
                        )
            with VerticalScroll(id="preview", can_focus=False):
                yield Static(id="statement")
            yield Static(
                Text(_("Numbers and null as they are, all else becomes text; '007' is text. F5 runs what is shown.")),
                classes="hint",
            )

    def on_mount(self) -> None:
        self.query_one("#value-0", LineInput).focus()
        self._show()

    def values(self) -> dict[str, str]:
        """What is typed now."""
        return {name: self.query_one(f"#value-{n}", LineInput).value for n, name in enumerate(self._names)}

    @on(LineInput.Changed)
    def _show(self) -> None:
        statement = filled(self._text, self.values(), self._engine)
        self.query_one("#statement", Static).update(Text(visible(statement[:SHOWN])))

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        if event.input.id == f"value-{len(self._names) - 1}":
            self.action_run()
        else:
            self.focus_next()

    def action_run(self) -> None:
        self.dismiss(self.values())

    def action_leave(self) -> None:
        self.dismiss(None)
