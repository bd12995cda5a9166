"""The panes of the console's page: which one the keys go to, and whether it has the page for itself."""

from __future__ import annotations

from typing import Literal

from ..widgets.catalog_pane import CatalogPane
from ..widgets.catalog_tree import CatalogTree
from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..workstation import Page

Pane = Literal["editor", "results", "catalog"]
ALL: tuple[Pane, ...] = ("editor", "results", "catalog")

CSS = """
    ConsoleScreen.zoomed CatalogPane { width: 1fr; border-right: none; }
    ConsoleScreen.zoomed-catalog #beside { display: none; }
    ConsoleScreen.zoomed-editor CatalogPane, ConsoleScreen.zoomed-results CatalogPane { display: none; }
    ConsoleScreen.zoomed-editor Results { display: none; }
    ConsoleScreen.zoomed-results #tabs, ConsoleScreen.zoomed-results #editor { display: none; }
"""


class Panes:
    """Of one page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.zoomed: Pane | None = None
        """The one that has the page for itself."""

    @property
    def here(self) -> Pane:
        """The one that the keys go to."""
        if self._page.query_one(Results).has_focus_within:
            return "results"
        return "catalog" if self._page.query_one(CatalogPane).has_focus_within else "editor"

    def next(self) -> None:
        """From the editor to the results, to the catalog where it is shown, and back."""
        following: dict[Pane, Pane] = {"editor": "results", "results": "catalog", "catalog": "editor"}
        pane = following[self.here]
        self.go_to("editor" if pane == "catalog" and self._page.has_class("no-catalog") else pane)

    def go_to(self, pane: Pane) -> None:
        """The keys go there; where one pane had the page, this one has it now."""
        if self.zoomed is not None:
            self.zoom(pane)
        if pane == "results":
            self._page.query_one(Results).focus_inside()
        else:
            self._page.query_one(CatalogTree if pane == "catalog" else SqlEditor).focus()

    def show_results(self) -> None:
        """What comes of a statement is to be seen: the editor gives the page back."""
        if self.zoomed == "editor":
            self.zoom(None)

    def toggle_zoom(self) -> None:
        """Gives the page to the pane that the keys go to, or shows all of them again."""
        self.zoom(self.here if self.zoomed is None else None)

    def zoom(self, pane: Pane | None) -> None:
        """Gives the page to one pane; None: all are shown."""
        self.zoomed = pane
        self._page.set_class(pane is not None, "zoomed")
        for each in ALL:
            self._page.set_class(pane == each, f"zoomed-{each}")
