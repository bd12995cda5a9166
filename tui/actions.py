"""What can be done on a page: read from the bindings that the page, its widgets and the application really have.

The palette and the help are made from it, so that neither can forget an action.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.binding import Binding
from textual.screen import Screen
from textual.types import IgnoreReturnCallbackType
from textual.widget import Widget

from bastion.api.language import translate as _
from screens.help import Entry
from screens.widgets.frame import PAGES
from screens.words import mark

from .key_names import key_name

if TYPE_CHECKING:
    from .app import CasemateApp

OURS = ("screens", "tui")
"""The packages whose bindings are actions; the library's own movement keys are known to everybody."""
PALETTE_ONLY = (
    ("rollback", mark("Roll back")),
    ("autocommit", mark("Autocommit on or off")),
    ("change_catalog", mark("Open another database name")),
)
"""Actions of pages that have no key of their own; a page that does not know one does not offer it."""
LIBRARY_ONLY = {"app.focus_next", "app.focus_previous", "screen.copy_text", "help_quit", "app.help_quit"}
PLACES = {
    "SqlEditor": mark("In the editor"),
    "Results": mark("In the results"),
    "ResultTable": mark("In a result table"),
    "CatalogTree": mark("In the catalog"),
}
"""Widgets with keys of their own, as the help calls them."""


def actions_here(app: CasemateApp, screen: Screen[Any]) -> Iterator[tuple[str, str, IgnoreReturnCallbackType]]:
    """What can be done on `screen` now: key, words, call. Each action once."""
    seen: set[str] = set()
    for node, binding, enabled, _tip in screen.active_bindings.values():
        if not enabled or not _is_ours(node, binding) or binding.action in seen:
            continue
        seen.add(binding.action)
        if binding.action in ("command_palette", "app.command_palette"):
            continue
        yield key_name(binding), _(binding.description), partial(_act, app, binding.action, node)
    yield from _other_pages(app, screen, seen)
    for action, words in PALETTE_ONLY:
        if hasattr(screen, f"action_{action}") and screen.check_action(action, ()):
            yield "", _(words), partial(_act, app, action, screen)


def _other_pages(
    app: CasemateApp, screen: Screen[Any], seen: set[str]
) -> Iterator[tuple[str, str, IgnoreReturnCallbackType]]:
    """In an editor their keys are typed text, and the palette is a screen too."""
    if app.link is None or screen is not app.screen_stack[0]:
        return
    for number, (name, label) in enumerate(PAGES, 1):
        action = f"page('{name}')"
        if app.reachable(name) and name != app.current_mode and action not in seen:
            yield str(number), _(label), partial(_act, app, action, app)


async def _act(app: CasemateApp, action: str, node: Any) -> None:
    await app.run_action(action, node)


def _is_ours(node: Any, binding: Binding) -> bool:
    if not binding.description or binding.action in LIBRARY_ONLY:
        return False
    return any(
        binding.description == other.description
        for base in type(node).__mro__
        if base.__module__.split(".")[0] in OURS
        for other in base.__dict__.get("BINDINGS", ())
        if isinstance(other, Binding)
    )


def help_groups(app: CasemateApp, screen: Screen[Any]) -> list[tuple[str, list[Entry]]]:
    """Everything with a key, page by page; what does not work now is listed too."""
    page = dict(PAGES).get(app.current_mode, "")
    groups = [(_(page) if page else _("Here"), list(_entries(type(screen))))]
    places = dict(PLACES)
    for widget in screen.query(Widget):
        if (words := places.pop(type(widget).__name__, None)) is not None:
            groups.append((_(words), list(_entries(type(widget)))))
    only = [("", _(words)) for action, words in PALETTE_ONLY if hasattr(screen, f"action_{action}")]
    groups.append((_("In the palette only"), only))
    groups.append((_("Everywhere"), list(_entries(type(app)))))
    return groups


def _entries(owner: type) -> Iterator[Entry]:
    for binding in owner.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.description:
            keys = binding.key.split(",")
            yield ", ".join(key_name(Binding(key, binding.action)) for key in keys), _(binding.description)
