"""What the palette lists: the actions of the page, those of the other pages, and every console that can be opened."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from backends.visible_text import visible_line
from bastion.api.language import LANGUAGES, translate_to
from bastion.api.language import translate as _
from screens.palette import Command
from screens.words import mark

from .actions import Action, actions_here, actions_of_other_pages

if TYPE_CHECKING:
    from .app import CasemateApp

OPEN = mark("Open {database} as {account}")


def commands(app: CasemateApp, screen: Screen[Any]) -> Iterator[Command]:
    """Every line of the palette over `screen`, the nearest first."""
    for action in (*actions_here(app, screen), *actions_of_other_pages(app, screen)):
        yield _command(app, action)
    databases = app.databases_page()
    if databases is not None and app.has_role("operator") and screen is app.screen_stack[0]:
        for choice in databases.choices:
            names = {"database": visible_line(choice.database.name), "account": visible_line(choice.account.name)}
            yield Command(
                _(OPEN).format(**names),
                _("SQL console"),
                partial(app.open_named, choice.database.name, choice.account.name),
                tuple(translate_to(language, OPEN).format(**names) for language in LANGUAGES),
            )


def _command(app: CasemateApp, action: Action) -> Command:
    def words(language: str | None) -> str:
        name = _(action.words) if language is None else translate_to(language, action.words)
        if not action.page:
            return name
        page = _(action.page) if language is None else translate_to(language, action.page)
        return f"{page}: {name}"

    return Command(words(None), action.key, partial(app.act, action), tuple(words(language) for language in LANGUAGES))
