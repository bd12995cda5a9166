"""The left side of the console: a filter, the catalog's tree, and what the cursor is on in full."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from backends.metadata import SchemaMetadata
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..words import mark
from .catalog_labels import found_words, told_of
from .catalog_tree import CatalogTree
from .inputs import SearchInput


class CatalogFilter(SearchInput):
    """Filters as you type; up and down move in the tree, Enter goes to it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "leave(False)", mark("To what was found")),
        Binding("escape", "leave(True)", mark("The whole tree again")),
    ]

    class Left(Message):
        """The keys go to the tree again. `clear`: without the filter."""

        def __init__(self, *, clear: bool) -> None:
            super().__init__()
            self.clear = clear

    def action_leave(self, clear: bool) -> None:
        self.post_message(self.Left(clear=clear))


class CatalogPane(Vertical):
    """Lays the three out, and carries between the filter and the tree."""

    DEFAULT_CSS = """
    CatalogPane { width: 28; border-right: solid $line; }
    CatalogPane #catalog-top { height: 1; background: $panel; }
    CatalogPane CatalogFilter { width: 1fr; }
    CatalogPane #catalog-count { width: auto; color: $muted; padding: 0 1 0 0; }
    CatalogPane #catalog-told { height: 2; background: $panel; color: $muted; display: none; padding: 0 1; }
    CatalogPane:focus-within #catalog-told { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._identity = ""

    def compose(self) -> ComposeResult:
        with Horizontal(id="catalog-top"):
            yield CatalogFilter(placeholder=_("/ filter"), id="catalog-filter")
            yield Static("", id="catalog-count", markup=False)
        yield CatalogTree(id="catalog")
        yield Static("", id="catalog-told", markup=False)

    @property
    def catalog(self) -> CatalogTree:
        """The tree."""
        return self.query_one(CatalogTree)

    def know(self, names: SchemaMetadata) -> None:
        """All names of the database are there."""
        self.catalog.know(names)
        self._count()

    def names_failed(self, reason: str) -> None:
        """All names could not be loaded: the filter looks through what is open."""
        self.catalog.names_failed(reason)
        self._count()

    def connected(self, identity: str) -> None:
        """A connection is there. To the same (`identity`) as before, what was open stays so and is read again."""
        if identity == self._identity:
            self.catalog.reload_all()
            return
        self._identity = identity
        self.query_one(CatalogFilter).value = ""
        self.catalog.reset()
        self._count()

    def step_back(self) -> bool:
        """Takes back the filter."""
        shown = self.query_one(CatalogFilter)
        if not shown.value:
            return False
        shown.value = ""
        return True

    @on(CatalogTree.FilterWanted)
    def _filter_wanted(self, event: CatalogTree.FilterWanted) -> None:
        event.stop()
        self.query_one(CatalogFilter).focus()

    @on(CatalogTree.FilterLeft)
    def _filter_left(self, event: CatalogTree.FilterLeft) -> None:
        event.stop()
        self.query_one(CatalogFilter).value = ""

    @on(CatalogFilter.Changed)
    def _typed(self, event: CatalogFilter.Changed) -> None:
        event.stop()
        if event.value.split() != self.catalog.model.words:
            self.catalog.filter(event.value)
        self._count()

    @on(CatalogFilter.Submitted)
    def _submitted(self, event: CatalogFilter.Submitted) -> None:
        event.stop()
        self.catalog.focus()

    @on(CatalogFilter.Left)
    def _left(self, event: CatalogFilter.Left) -> None:
        event.stop()
        if event.clear:
            self.query_one(CatalogFilter).value = ""
        self.catalog.focus()

    @on(SearchInput.Moved)
    def _moved_from_filter(self, event: SearchInput.Moved) -> None:
        event.stop()
        action = {
            "cursor_down": ("step", 1),
            "cursor_up": ("step", -1),
            "page_down": ("page", 1),
            "page_up": ("page", -1),
        }
        name, by = action[event.action]
        getattr(self.catalog, f"action_{name}")(by)

    @on(CatalogTree.Moved)
    def _moved(self, event: CatalogTree.Moved) -> None:
        event.stop()
        text = told_of(event.node) if event.node is not None else ""
        self.query_one("#catalog-told", Static).update(Text(text, overflow="ellipsis"))
        self._count()
        self.refresh_bindings()

    def language_changed(self) -> None:
        """Says anew what stands here in words."""
        self.query_one(CatalogFilter).placeholder = _("/ filter")
        self._count()

    def _count(self) -> None:
        model = self.catalog.model
        if model.words:
            text = found_words(model.found)
        elif model.names is None:
            text = ""
        else:
            count = model.names.own_tables
            text = translate_many("{count} table", "{count} tables", count).format(count=f"{count:,}")
        self.query_one("#catalog-count", Static).update(Text(text))

    def refresh_bindings(self) -> None:
        """What the keys do depends on what the cursor is on."""
        self.screen.refresh_bindings()
