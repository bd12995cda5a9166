"""Keys of one's own. Every action has a name, `console.run`; a key map gives keys to names.

The names are Textual's binding ids, and it puts the keys in place (`App.set_keymap`). What is decided here is which of
them may be: a key that never arrives, or that would make two actions of a page clash, is refused with the reason, and
the action keeps the key that it has.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.keys import KEY_ALIASES, KEY_TO_UNICODE_NAME, Keys
from textual.screen import Screen
from textual.widget import Widget

from bastion.api.language import translate as _
from screens.words import mark
from screens.workstation import Dialog, Page, Workstation

OURS = ("screens", "tui")
NAMED = {"slash", "backslash", "minus", "plus", "underscore", "at", "comma", "full_stop", "colon", "semicolon", "space"}
"""Characters that Textual calls otherwise than Unicode does, or that it has no list of."""

RESERVED = {
    "ctrl+s": mark("it stops the output of terminals with flow control (XOFF)"),
    "ctrl+q": mark("terminals with flow control (XON) keep it"),
    "ctrl+a": mark("it is the prefix of GNU screen"),
    "ctrl+b": mark("it is the prefix of tmux"),
    "ctrl+w": mark("browsers close the tab with it"),
    "ctrl+t": mark("browsers open a tab with it"),
    "ctrl+n": mark("browsers open a window with it"),
    "ctrl+i": mark("terminals send the same for Tab"),
    "ctrl+m": mark("terminals send the same for Enter"),
    "ctrl+left_square_bracket": mark("terminals send the same for Esc"),
    "ctrl+h": mark("terminals send the same for Backspace"),
    "f11": mark("terminals and browsers fill the screen with it"),
    "f12": mark("browsers open their tools with it"),
}
"""Keys that many terminals, or what stands between, do not let through, and why."""
RESERVED_CHORDS = (
    (re.compile(r"(^|\+)(alt|meta|super|hyper)\+"), mark("terminals send it in different ways or not at all")),
    (
        re.compile(r"ctrl\+shift\+|shift\+ctrl\+|(ctrl|shift)\+enter$"),
        mark("most terminals cannot tell it from others"),
    ),
)


@dataclass(frozen=True)
class Problem:
    """Why an entry of a key map is left out."""

    name: str
    key: str
    reason: str

    def __str__(self) -> str:
        return _("Key {key} for {action} is left out: {reason}. The default is kept.").format(
            key=self.key, action=self.name, reason=self.reason
        )


def owner_name(owner: type) -> str:
    """`console` for ConsoleScreen, `sql-editor` for SqlEditor, `app` for the application."""
    if issubclass(owner, Workstation):
        return "app"
    name = re.sub(r"(Screen|Dialog)$", "", owner.__name__)
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def action_name(owner: type, action: str) -> str:
    """`console.run`, `app.page.audit`."""
    bare = re.sub(r"^(app|screen|focused)\.", "", action)
    words = re.findall(r"[\w-]+", bare.replace("_", "-"))
    return ".".join([owner_name(owner), *words])


def classes() -> list[type[DOMNode]]:
    """Our pages, dialogs and widgets, and the application, as far as they are loaded."""
    found: dict[type[DOMNode], None] = {}

    def walk(base: type[DOMNode]) -> None:
        for child in base.__subclasses__():
            if child.__module__.split(".")[0] in OURS:
                found[child] = None
            walk(child)

    walk(Workstation)
    walk(Widget)
    return sorted(found, key=lambda owner: (owner.__module__, owner.__qualname__))


def own_bindings(owner: type) -> Iterator[Binding]:
    """The bindings that `owner` itself declares and a person is told of."""
    for binding in owner.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.description:
            yield binding


def name_actions() -> None:
    """Gives every binding its name, where it has none; before any page is made. May be called again."""
    for owner in classes():
        declared = owner.__dict__.get("BINDINGS")
        if declared is None or all(not isinstance(b, Binding) or b.id or not b.description for b in declared):
            continue
        owner.BINDINGS = [
            dataclasses.replace(binding, id=action_name(owner, binding.action))
            if isinstance(binding, Binding) and binding.description and not binding.id
            else binding
            for binding in declared
        ]
    for owner in classes():
        merged = owner._merge_bindings()
        owner._merged_bindings = merged if merged is not None else BindingsMap()


def reserved(key: str) -> str | None:
    """Why a key cannot be counted on; None where it can."""
    if key in RESERVED:
        return RESERVED[key]
    return next((why for pattern, why in RESERVED_CHORDS if pattern.search(key)), None)


def known(key: str) -> bool:
    """Whether there is such a key."""
    names = {value.value for value in Keys} | set(KEY_TO_UNICODE_NAME) | set(KEY_ALIASES) | NAMED
    names |= {name.rpartition("+")[2] for name in names}
    # `ctrl+k x`: one key after the other.
    bare = [each.rpartition("+")[2] if len(each) > 1 else each for each in key.split()]
    return bool(bare) and all(len(each) == 1 or each in names for each in bare)


@dataclass(frozen=True)
class Place:
    """Classes whose keys meet: a page or dialog, one widget in it, and the application."""

    page: type[Screen[object]] | None
    layers: tuple[type[DOMNode], ...]


def places() -> list[Place]:
    """Where keys can meet, as far as it can be told without running: a page sees the widgets that its module names."""
    found: list[Place] = []
    everything = classes()
    apps = tuple(owner for owner in everything if issubclass(owner, Workstation) and "BINDINGS" in owner.__dict__)
    for page in everything:
        if not issubclass(page, Page | Dialog):
            continue
        # The application's keys do not reach through a dialog, but for those that come first everywhere.
        found.append(Place(page, (page, *apps)))
        found.extend(Place(page, (widget, page, *apps)) for widget in _widgets_of(page))
    return found


def _widgets_of(page: type) -> list[type[DOMNode]]:
    seen: dict[str, None] = {}
    widgets: dict[type[DOMNode], None] = {}

    def look(module_name: str) -> None:
        if module_name in seen or module_name not in sys.modules:
            return
        seen[module_name] = None
        for value in list(vars(sys.modules[module_name]).values()):
            if (
                isinstance(value, type)
                and issubclass(value, Widget)
                and not issubclass(value, Screen)
                and value.__module__.startswith("screens.")
            ):
                widgets[value] = None
                look(value.__module__)

    look(page.__module__)
    return [widget for widget in widgets if "BINDINGS" in widget.__dict__]


def keys_of(owner: type[DOMNode], keymap: Mapping[str, str]) -> dict[str, tuple[str, Binding]]:
    """The keys of a class with a key map in place: key to the action's name and its binding."""
    found: dict[str, tuple[str, Binding]] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.split(".")[0] not in OURS:
            continue
        for binding in own_bindings(base):
            name = binding.id or action_name(base, binding.action)
            for key in split_keys(keymap.get(name, binding.key)):
                found[key] = (name, binding)
    return found


def split_keys(text: str) -> list[str]:
    """`f5, ctrl+j` as keys, in Textual's long names."""
    found = []
    for key in (each.strip() for each in text.split(",")):
        long = KEY_ALIASES.get(key.lower() if len(key) > 1 else key)
        if key:
            found.append(key if len(key) == 1 else key.lower() if long is None or not isinstance(long, str) else long)
    return found


def default_keys() -> dict[str, tuple[str, str]]:
    """Every action's name, its keys and its words."""
    found: dict[str, tuple[str, str]] = {}
    for owner in classes():
        for binding in own_bindings(owner):
            found[binding.id or action_name(owner, binding.action)] = (binding.key, binding.description)
    return found


@cache
def first_keys() -> dict[str, str]:
    """The keys of every action, for showing them: read once."""
    return {name: keys for name, (keys, _words) in default_keys().items()}


def check(keymap: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """The entries of a key map that can be used, and why the others cannot."""
    defaults = default_keys()
    good: dict[str, str] = {}
    problems: list[Problem] = []
    for name, text in keymap.items():
        keys = split_keys(text)
        problem = None
        if name not in defaults:
            problem = Problem(name, text, _("there is no such action; `casemate keys` lists them all"))
        elif not keys or not all(known(key) for key in keys):
            problem = Problem(name, text, _("there is no such key"))
        else:
            refused = [(key, why) for key in keys if (why := reserved(key)) is not None]
            already = split_keys(defaults[name][0])
            refused = [(key, why) for key, why in refused if key not in already]
            if refused:
                problem = Problem(name, refused[0][0], _(refused[0][1]))
        if problem is None:
            clash = _clash(good | {name: ",".join(keys)}, name, dict(keymap))
            if clash is not None:
                problem = Problem(name, clash[0], clash[1])
        if problem is None:
            good[name] = ",".join(keys)
        else:
            problems.append(problem)
    return good, problems


def _clash(candidate: dict[str, str], name: str, wanted: dict[str, str]) -> tuple[str, str] | None:
    """The key and the words of a clash that `name` would bring about."""
    keys = split_keys(candidate[name])
    defaults = split_keys(default_keys()[name][0])
    # What is to be rebound as well gives its old key free, whichever of the two entries comes first.
    meanwhile = {other: keys for other, keys in wanted.items() if other != name and other not in candidate} | candidate
    action = _action_of(name)
    for place in places():
        if name not in {its for layer in place.layers for its in names_of(layer)}:
            continue
        for layer in place.layers:
            for other, binding in names_of(layer).items():
                if other == name or binding.action.rpartition(".")[2] == action.rpartition(".")[2]:
                    continue
                for key in split_keys(meanwhile.get(other, binding.key)):
                    # What the defaults do to each other is not the key map's doing.
                    if key in keys and not (key in defaults and other not in meanwhile):
                        page = owner_name(place.page) if place.page is not None else "app"
                        return key, _("on the page {page} it is the key of {other} already").format(
                            page=page, other=other
                        )
    return None


def names_of(owner: type[DOMNode]) -> dict[str, Binding]:
    """The actions of a class and of the classes of ours that it is made of, by name."""
    return {
        binding.id or action_name(base, binding.action): binding
        for base in owner.__mro__
        if base.__module__.split(".")[0] in OURS
        for binding in own_bindings(base)
    }


def _action_of(name: str) -> str:
    for owner in classes():
        for binding in own_bindings(owner):
            if (binding.id or action_name(owner, binding.action)) == name:
                return binding.action
    return ""


def as_toml(keymap: Mapping[str, str]) -> str:
    """The whole key map as a file: what is rebound, and the defaults as comments."""
    lines = [
        "# Keys of the workstation: an action and its keys, with commas between several.",
        "# What has a # before it is the default. Keys are written like f5, ctrl+j, shift+tab, escape, x.",
        "",
        "[keys]",
    ]
    for name, (keys, words) in sorted(default_keys().items()):
        if name in keymap:
            lines.append(f'"{name}" = "{keymap[name]}"  # {words}')
        else:
            lines.append(f'# "{name}" = "{keys}"  # {words}')
    return "\n".join(lines) + "\n"
