"""The saved filters of the audit: one's own and those that other auditors share; used, kept, shared, removed."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .widgets.confirmation import Confirmation, TextQuestion
from .widgets.inputs import SearchInput
from .words import mark, numbered, sentence
from .workstation import Dialog


class FiltersDialog(Dialog[m.SavedFilter | None]):
    """Gives the filter to use. `line`: the one in view, which can be kept."""

    DEFAULT_CSS = """
    FiltersDialog > Vertical { width: 100; max-width: 96%; height: 80%; padding: 0 1; }
    FiltersDialog OptionList { height: 1fr; border: none; background: $surface; margin-top: 1; padding: 0; }
    FiltersDialog #said { height: auto; color: $muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Close")),
        Binding("enter", "use", mark("Use it")),
        Binding("f7", "keep", mark("Keep the one in view")),
        Binding("f6", "share", mark("Share / keep to oneself")),
        Binding("f8", "remove", mark("Remove")),
    ]

    def __init__(self, line: str, what: str) -> None:
        super().__init__()
        self._line, self._what = line, what
        self._filters: list[m.SavedFilter] = []
        self._shown: list[m.SavedFilter] = []

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = _("Saved filters")
            yield SearchInput(placeholder=_("search"))
            options = OptionList(markup=False)
            options.can_focus = False
            yield options
            yield Static("", id="said", markup=False)

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self._load()

    @work(exclusive=True, group="filters")
    async def _load(self) -> None:
        try:
            self._filters = await self.workstation.bastion.call(methods.FILTERS, methods.Nothing())
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            return
        self._fill()

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(Text(text))

    @on(SearchInput.Changed)
    def _fill(self) -> None:
        words = self.query_one(SearchInput).value.casefold().split()
        self._shown = [
            each for each in self._filters
            if all(word in f"{each.name} {each.owner} {each.text}".casefold() for word in words)
        ]  # fmt: skip
        options = self.query_one(OptionList)
        place = options.highlighted or 0
        options.clear_options()
        wide = max((cell_len(visible_line(each.name)) for each in self._shown), default=0)
        mine = self.workstation.bastion.hello.user
        for number, each in enumerate(self._shown, 1):
            line = Text(numbered(number, "", plain=self.workstation.plain), no_wrap=True, overflow="ellipsis")
            name = visible_line(each.name)
            line.append(name + " " * (wide - cell_len(name) + 2), style="bold")
            line.append(visible_line(each.text or _("everything")))
            if each.owner != mine:
                line.append("  " + _("of {owner}").format(owner=visible_line(each.owner)), style="muted")
            elif each.shared:
                line.append("  " + _("shared"), style="muted")
            options.add_option(Option(line))
        if self._shown:
            options.highlighted = min(place, len(self._shown) - 1)
        if not self._filters:
            self._say(_("No filter is kept yet: F7 keeps the one in view under a name."))
        else:
            self._say(_("In view: {line}").format(line=visible_line(self._line) or _("everything")))
        self.refresh_bindings()

    def _chosen(self) -> m.SavedFilter | None:
        place = self.query_one(OptionList).highlighted
        return self._shown[place] if place is not None and place < len(self._shown) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("share", "remove"):
            chosen = self._chosen() if self.is_mounted else None
            return chosen is not None and chosen.owner == self.workstation.bastion.hello.user
        return True

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_use()

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        getattr(self.query_one(OptionList), f"action_{event.action}")()
        self.refresh_bindings()

    def action_use(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.dismiss(chosen)

    @work(exclusive=True, group="filters")
    async def action_keep(self) -> None:
        """The filter in view, under a name."""
        name = await self.app.push_screen_wait(TextQuestion(_("Keep this filter under which name?")))
        if name:
            await self._save(methods.SaveFilter(name=name, text=self._line, what=self._what))

    @work(exclusive=True, group="filters")
    async def action_share(self) -> None:
        """With the other auditors, or no longer."""
        if (chosen := self._chosen()) is not None:
            kept = methods.SaveFilter(name=chosen.name, text=chosen.text, what=chosen.what, shared=not chosen.shared)
            await self._save(kept)

    async def _save(self, wanted: methods.SaveFilter) -> None:
        try:
            await self.workstation.bastion.call(methods.FILTER_SAVE, wanted)
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self._load()

    @work(exclusive=True, group="filters")
    async def action_remove(self) -> None:
        """One's own."""
        chosen = self._chosen()
        if chosen is None:
            return
        sure = await self.app.push_screen_wait(
            Confirmation(
                _("Remove this filter?"), visible_line(f"{chosen.name}: {chosen.text}"), _("Remove"), _("Keep")
            )
        )
        if not sure:
            return
        try:
            await self.workstation.bastion.call(methods.FILTER_REMOVE, methods.ByName(name=chosen.name))
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self._load()

    def action_leave(self) -> None:
        self.dismiss(None)
