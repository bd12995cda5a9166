"""Keys of one's own: every action with its keys; Enter, and the next key pressed is the action's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from bastion.api.language import translate as _

from .widgets.inputs import SearchInput
from .words import mark, numbered
from .workstation import Dialog

KEYS_CELLS = 22


@dataclass(frozen=True)
class KeyEntry:
    """An action, what it is called and does, its keys; `own`: not the default ones."""

    name: str
    words: str
    keys: str
    own: bool


class KeyCatcher(Dialog[str | None]):
    """Gives the key that is pressed; None for Esc."""

    DEFAULT_CSS = """
    KeyCatcher > Vertical { width: 60; max-width: 96%; height: auto; padding: 1 2; }
    """

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Press the key for: {action}").format(action=self._words)), classes="title")
            yield Static(Text(_("Esc leaves it as it is.")), classes="hint")

    def on_key(self, event: Key) -> None:
        event.stop()
        event.prevent_default()
        self.dismiss(None if event.key == "escape" else event.key)


class KeysSearch(SearchInput):
    """The search of this dialog."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", mark("Another key"))]


class KeysDialog(Dialog[None]):
    """`entries` are all actions as they are now; `rebind` gives one another key (None: the default ones again) and says
    why it did not, where it did not."""

    DEFAULT_CSS = """
    KeysDialog > Vertical { width: 92; max-width: 98%; height: 92%; padding: 0 1; }
    KeysDialog OptionList { height: 1fr; margin-top: 1; }
    KeysDialog #told { height: auto; max-height: 3; color: $danger; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f8", "reset", mark("Default again")),
        Binding("escape", "leave", mark("Close")),
    ]

    def __init__(self, entries: Callable[[], list[KeyEntry]], rebind: Callable[[str, str | None], str | None]) -> None:
        super().__init__()
        self._entries, self._rebind = entries, rebind
        self._shown: list[KeyEntry] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Keys of your own")), classes="title")
            yield KeysSearch(placeholder=_("search"))
            options = OptionList(markup=False)
            options.can_focus = False
            yield options
            yield Static("", id="told", markup=False)

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self._fill()

    @on(SearchInput.Changed)
    def _fill(self) -> None:
        words = self.query_one(SearchInput).value.lower().split()
        options = self.query_one(OptionList)
        row = options.highlighted or 0
        self._shown = [
            entry
            for entry in self._entries()
            if all(word in f"{entry.name} {_(entry.words)} {entry.keys}".lower() for word in words)
        ]
        options.clear_options()
        for number, entry in enumerate(self._shown, 1):
            keys = numbered(number, entry.keys, plain=self.workstation.plain)
            line = Text(
                keys + " " * (KEYS_CELLS - cell_len(keys)) + " ", style="bold", no_wrap=True, overflow="ellipsis"
            )
            line.append(_(entry.words), style="not bold")
            changed = " (" + _("changed") + ")" if entry.own else ""
            line.append(f"  {entry.name}{changed}", style="not bold")
            options.add_option(Option(line))
        if self._shown:
            options.highlighted = min(row, len(self._shown) - 1)

    @property
    def _chosen(self) -> KeyEntry | None:
        row = self.query_one(OptionList).highlighted
        return self._shown[row] if row is not None and row < len(self._shown) else None

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        getattr(self.query_one(OptionList), f"action_{event.action}")()

    @on(SearchInput.Submitted)
    @work(group="key", exclusive=True)
    async def _another(self, event: SearchInput.Submitted) -> None:
        event.stop()
        entry = self._chosen
        if entry is None:
            return
        key = await self.app.push_screen_wait(KeyCatcher(_(entry.words)))
        if key is not None:
            self._take(entry, key)

    def action_reset(self) -> None:
        if (entry := self._chosen) is not None:
            self._take(entry, None)

    def _take(self, entry: KeyEntry, key: str | None) -> None:
        complaint = self._rebind(entry.name, key)
        self.query_one("#told", Static).update(Text(f"✗ {complaint}" if complaint else ""))
        self._fill()

    def action_leave(self) -> None:
        self.dismiss(None)
