"""One key, one meaning: what a finger has learned on one page does no harm on another."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict

from textual.binding import Binding

import screens
import tui.app  # noqa: F401  # everything that the application has is loaded with it
from screens.console.screen import ConsoleScreen
from screens.transaction import TransactionDialog
from screens.widgets.confirmation import Confirmation
from screens.widgets.editor import SqlEditor
from screens.widgets.keep_question import KeepQuestion
from screens.workstation import Dialog, Page
from tui import keymap

QUESTIONS = (Confirmation, KeepQuestion, TransactionDialog)
"""In a question the letters are its answers, which stand beside them."""
EFFECTS = {
    "end": "end", "end_session": "end", "revoke": "end", "new": "another token", "cancel": "cancel",
    "log_in": "try it on the database", "measure": "run it", "hold": "hold", "resume": "go on", "lock": "lock",
    "message": "message",
}  # fmt: skip
"""Actions that do something outside of the screen which is not undone by doing it again, with what they mean. (To
renew a token that one looks at is r, and harms nobody who meant something else by it.)"""
SAME = {
    "copy_cell": "copy", "copy_field": "copy", "copy_line": "copy",
    "select": "view", "reveal": "view",
    "row": "describe",
    "form": "other form", "shape": "other form",
    "fit": "width", "wrap": "width",
    "hide": "put away", "fold_all": "put away",
    "section": "next", "result": "next", "find": "next", "dearest": "next", "next": "next",
}  # fmt: skip
"""Actions of different widgets that a person takes for the same."""
MOTIONS = {"move", "step", "page", "sideways", "scroll_up", "scroll_down", "page_up", "page_down", "row_end", "edge"}
LEAVES = {"leave", "answer", "give_up", "close"}


def bindings() -> list[tuple[type, str, Binding]]:
    """Every key of ours: where, which, and what for. The editor's letters are text."""
    found = []
    for module in pkgutil.walk_packages(screens.__path__, "screens."):
        importlib.import_module(module.name)
    for owner in keymap.classes():
        if issubclass(owner, SqlEditor):
            continue
        for binding in owner.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding):
                found += [(owner, key, binding) for key in keymap.split_keys(binding.key)]
    return found


def bare(binding: Binding) -> str:
    return binding.action.rpartition(".")[2].partition("(")[0]


def meaning(owner: type, binding: Binding) -> str:
    """`next('definition')` of a dialog is what that asks for."""
    action = bare(binding)
    if action == "next" and "'" in binding.action:
        action = binding.action.split("'")[1]
    if action == "measure" and not binding.description.startswith("Measure"):
        action = "sum"  # of a chart: it runs nothing
    return EFFECTS.get(action) or SAME.get(action, action)


def is_letter(key: str) -> bool:
    return len(key) == 1 and key.isalpha()


def test_a_letter_that_does_something_outside_of_the_screen_does_nothing_else_anywhere() -> None:
    letters: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for owner, key, binding in bindings():
        if is_letter(key) and not issubclass(owner, QUESTIONS) and bare(binding) not in LEAVES:
            letters[key][meaning(owner, binding)].append(owner.__name__)
    effects = set(EFFECTS.values())
    clashes = {
        key: dict(meanings) for key, meanings in letters.items() if len(meanings) > 1 and effects & meanings.keys()
    }
    assert clashes == {}
    assert letters["x"].keys() == {"end"}, "what ends or revokes is x, and is asked about"


def test_a_letter_means_the_same_in_all_panes_of_the_console_and_in_the_dialogs_over_them() -> None:
    """The catalog, the results, the plan, the values: whoever works there goes between them all day."""
    modules = {
        owner.__module__
        for place in keymap.places()
        if place.page is ConsoleScreen
        for owner in place.layers
        if owner.__module__.startswith("screens.widgets.")
    }
    modules |= {f"screens.{name}" for name in ("definition", "table_details", "row", "value", "plan", "chart")}
    letters: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for owner, key, binding in bindings():
        if not is_letter(key) or owner.__module__ not in modules or issubclass(owner, QUESTIONS):
            continue
        if bare(binding) not in LEAVES | MOTIONS:
            letters[key][meaning(owner, binding)].append(owner.__name__)
    # A chart has no rows to copy: y is its axis of numbers.
    letters["y"].pop("choose")
    assert {key: dict(meanings) for key, meanings in letters.items() if len(meanings) > 1} == {}
    assert {"d", "v", "c", "e", "n"} <= letters.keys()


def test_function_keys_that_run_cancel_and_ask_again_do_so_on_every_page() -> None:
    runs = {"run", "reconnect", "refresh", "reload", "again", "log_in", "measure", "take", "nothing"}
    cancels = {"cancel", "why", "remove", "reset"}
    for owner, key, binding in bindings():
        if key == "f5":
            assert bare(binding) in runs, owner
        if key == "f8":
            assert bare(binding) in cancels, owner


def test_escape_leaves_and_does_nothing_else() -> None:
    """Pages take one step back, what lies over a page closes; in a question it is the answer that changes nothing."""
    pages, dialogs = [], []
    for owner in keymap.classes():
        keys = {key: binding for base in reversed(owner.__mro__) for key, binding in _keys(base)}
        if issubclass(owner, Page):
            pages.append(owner)
            assert bare(keys["escape"]) in {"back", *LEAVES}, owner
        elif issubclass(owner, Dialog) and owner.__dict__.get("BINDINGS"):
            dialogs.append(owner)
            assert bare(keys["escape"]) in LEAVES, owner
            assert "True" not in keys["escape"].action, owner
    assert len(pages) >= 4
    assert len(dialogs) >= 15


def _keys(base: type) -> list[tuple[str, Binding]]:
    return [
        (key, binding)
        for binding in base.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding)
        for key in keymap.split_keys(binding.key)
    ]
