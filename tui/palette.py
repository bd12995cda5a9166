"""The command palette: what can be done here and now, and every console that can be opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape
from textual.types import IgnoreReturnCallbackType

from backends.visible_text import visible_line
from bastion.api.language import translate as _
from screens.databases import DatabasesScreen

from .actions import actions_here

if TYPE_CHECKING:
    from .app import CasemateApp

Command = tuple[str, str, IgnoreReturnCallbackType]
"""Name, help, what it does."""


class Actions(Provider):
    """The actions of the page, its focused widget and the application."""

    @property
    def casemate(self) -> CasemateApp:
        """The application."""
        return cast("CasemateApp", self.app)

    def _commands(self) -> Iterator[Command]:
        app = self.casemate
        for key, what, run in actions_here(app, self.screen):
            yield what, key, run
        databases = app.databases_page()
        if databases is not None and app.has_role("operator"):
            yield from self._consoles(databases)

    def _consoles(self, databases: DatabasesScreen) -> Iterator[Command]:
        for choice in databases.choices:
            name, account = visible_line(choice.database.name), visible_line(choice.account.name)
            yield (
                _("Open {database} as {account}").format(database=name, account=account),
                _("SQL console"),
                partial(self.casemate.open_named, choice.database.name, choice.account.name),
            )

    async def discover(self) -> Hits:
        for name, help_text, run in self._commands():
            yield DiscoveryHit(Content(name), run, text=name, help=escape(help_text))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help_text, run in self._commands():
            score, places = matcher.fuzzy_search.match(query, name)
            if score > 0:
                yield Hit(score, _with_places(name, places), run, text=name, help=escape(help_text))


def _with_places(name: str, places: Sequence[int]) -> Content:
    """`name` as it is, the matched characters in bold; the library's own way would read markup in it."""
    content = Content(name)
    for place in places:
        content = content.stylize("bold underline", place, place + 1)
    return content
