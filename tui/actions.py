"""What can be done on a page: read from the bindings that the page, its widgets and the application really have.

The palette and the help are made from it, so that neither can forget an action.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.actions import parse
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from bastion.api.language import translate as _
from screens.help import Entry
from screens.widgets.frame import PAGES
from screens.words import mark

from .key_names import key_name
from .keymap import own_bindings

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
EVERYWHERE: tuple[tuple[str, str], ...] = (
    ("keys", mark("Keys of your own")),
    ("repaint", mark("Draw the screen again")),
)
"""Actions of the application that have no key."""
ELSEWHERE = mark("In other parts of the page")
LIBRARY_ONLY = {"app.focus_next", "app.focus_previous", "screen.copy_text", "help_quit", "app.help_quit"}
PLACES = {
    "SqlEditor": mark("In the editor"),
    "Results": mark("In the results"),
    "ResultTable": mark("In a result table"),
    "CatalogTree": mark("In the catalog"),
    "CatalogFilter": mark("In the filter of the catalog"),
    "DatabaseSearch": mark("In the search"),
    "FindBar": mark("In the search bar of the editor"),
    "FilterInput": mark("In the audit's filter line"),
    "RecordList": mark("In a list of the record"),
    "ScreenPane": mark("On a recorded or watched screen"),
    "StatementPane": mark("In the statements as they happen"),
}
"""Widgets with keys of their own, as the help calls them."""


@dataclass(frozen=True)
class Action:
    """Something to do. `page`: the words of the page that it is on, where that is another one than the one in view."""

    name: str
    words: str
    key: str
    node: Any
    page: str = ""
    mode: str = ""


def actions_here(app: CasemateApp, screen: Screen[Any]) -> Iterator[Action]:
    """What can be done on `screen` now, each action once."""
    seen: set[str] = set()
    for node, binding, enabled, _tip in screen.active_bindings.values():
        if not enabled or not _is_ours(node, binding) or binding.action in seen:
            continue
        seen.add(binding.action)
        if binding.action in ("command_palette", "app.command_palette"):
            continue
        yield Action(binding.action, binding.description, app.get_key_display(binding), node)
    for action, words in palette_only(screen):
        if screen.check_action(action, ()):
            yield Action(action, words, "", screen)
    # In a text field the letters and digits of the application are typed text, and their actions still there.
    on_a_page = app.link is not None and screen is app.screen_stack[0]
    for binding in own_bindings(type(app)):
        name, parameters = parse(binding.action)[1:]
        if binding.action in seen or binding.action == "command_palette":
            continue
        if name in ("page", "next_page") and not (on_a_page and parameters != (app.current_mode,)):
            continue
        if name != "page" and not app.check_action(name, parameters):
            continue
        if name == "page" and not app.reachable(str(parameters[0])):
            continue
        seen.add(binding.action)
        yield Action(binding.action, binding.description, app.get_key_display(binding), app)
    for action, words in EVERYWHERE:
        if app.check_action(action, ()):
            yield Action(action, words, "", app)


def actions_of_other_pages(app: CasemateApp, screen: Screen[Any]) -> Iterator[Action]:
    """What could be done on the other pages that were opened before; doing it goes there first."""
    if app.link is None or screen is not app.screen_stack[0]:
        return
    for mode, label in PAGES:
        page = app.opened_page(mode)
        if page is None or mode == app.current_mode:
            continue
        for base in type(page).__mro__:
            for binding in base.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and _is_ours(page, binding) and binding.show:
                    # Not asked whether it works there now: the page says so itself where it does not.
                    yield Action(binding.action, binding.description, app.get_key_display(binding), page, label, mode)
        for action, words in palette_only(page):
            if page.check_action(action, ()):
                yield Action(action, words, "", page, label, mode)


def palette_only(screen: Screen[Any]) -> list[tuple[str, str]]:
    """The actions of a page that have no key: those of its class attribute `PALETTE`, and of the table above."""
    own: tuple[tuple[str, str], ...] = getattr(screen, "PALETTE", ())
    table = [(action, words) for action, words in PALETTE_ONLY if hasattr(screen, f"action_{action}")]
    return [*own, *(entry for entry in table if entry not in own)]


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
    """Everything with a key, that of what has the focus first; what does not work now is listed too."""
    page = dict(PAGES).get(app.current_mode, "")
    here = "" if screen.is_modal else page
    focused = [node for node in screen.focused.ancestors if isinstance(node, Widget)] if screen.focused else []
    own: list[Widget] = [screen.focused, *(node for node in focused if node is not screen)] if screen.focused else []
    groups: list[tuple[str, list[Entry]]] = []
    seen: set[type] = set()

    def add(widgets: Iterable[Widget]) -> None:
        for widget in widgets:
            for owner in type(widget).__mro__:
                if owner in seen or owner.__module__.split(".")[0] not in OURS or not issubclass(owner, Widget):
                    continue
                if issubclass(owner, Screen):
                    continue
                seen.add(owner)
                groups.append((_(PLACES.get(owner.__name__, ELSEWHERE)), list(_entries(app, owner))))

    # In a text the page's keys are what is looked for, in a list or table its own.
    if not isinstance(screen.focused, Input | TextArea):
        add(own)
    groups.append((_(here) if here else _("Here"), list(_entries(app, type(screen)))))
    add(own)
    add(screen.query(Widget))
    only = [("", _(words)) for _action, words in palette_only(screen)]
    groups.append((_("In the palette only"), only))
    groups.append((_("Everywhere"), [*_entries(app, type(app)), *(("", _(words)) for _action, words in EVERYWHERE)]))
    return groups


def _entries(app: CasemateApp, owner: type) -> Iterator[Entry]:
    for binding in owner.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.description:
            keys = app._keymap.get(binding.id or "", binding.key).split(",")
            yield ", ".join(key_name(Binding(key.strip(), binding.action)) for key in keys), _(binding.description)
