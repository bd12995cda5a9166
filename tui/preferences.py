"""The person's settings put in force: at the start, after the login, and whenever they are changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from textual.binding import Binding

from backends.personal import Personal
from bastion.api import language
from bastion.api.language import translate as _
from screens.keys import KeyEntry
from screens.settings import Setting
from screens.words import mark

from . import keymap, theme
from .key_names import key_name
from .settings import KEY, KIND, Settings

if TYPE_CHECKING:
    from .app import CasemateApp

log = logging.getLogger("casemate.workstation")

LANGUAGE_NAMES = (("", mark("as the terminal says (LANG)")), ("en", "English"), ("zh_CN", "简体中文"))
CHOICES = (
    Setting(
        "theme",
        mark("Colours"),
        (("dark", mark("dark")), ("light", mark("light")), ("contrast", mark("high contrast"))),
        mark(
            "For terminals of 256 colours and more. With 16 colours, or none (NO_COLOR), the terminal's own are used."
        ),
    ),
    Setting("language", mark("Language"), LANGUAGE_NAMES, mark("What has been written already stays as it is.")),
    Setting(
        "plain",
        mark("Plain pages"),
        (("no", mark("no")), ("yes", mark("yes"))),
        mark("For screen readers: numbered lines, no frames, states in words."),
    ),
    Setting(
        "sparing",
        mark("Spare the link"),
        (("auto", mark("where it is slow")), ("on", mark("always")), ("off", mark("never"))),
        mark("Draws less often and does not follow the mouse. By itself from a round trip of 150 ms on."),
    ),
)


class Preferences:
    """`keep` puts settings where this machine has them; None where it has none."""

    def __init__(
        self, app: CasemateApp, settings: Settings, keep: Callable[[Settings], None] | None, personal: Personal
    ) -> None:
        self._app, self._keep, self._personal = app, keep, personal
        self._always_plain = app.start.plain
        self.settings = settings

    def apply(self) -> None:
        """Everything as it is set."""
        app, settings = self._app, self.settings
        language.everywhere(settings.language or None)
        if settings.theme or app.theme_at_first is None:
            app.theme = theme.theme_for(app.colours, settings.theme)
        else:
            app.theme = app.theme_at_first
        app.use_plain(settings.plain or self._always_plain)
        app.pace.want(settings.sparing)
        self._apply_keys()

    def _apply_keys(self) -> None:
        good, problems = keymap.check(self.settings.keys)
        self._app.set_keymap(good)
        for problem in problems:
            self._app.told(str(problem), bad=True)

    async def fetch(self) -> None:
        """What the bastion has of the person. The keys of this machine's file come before those of the bastion."""
        found = await self._personal.get(KIND, KEY, Settings)
        if found is None:
            return
        if self.settings.keys:
            found = msgspec.structs.replace(found, keys=self.settings.keys)
        before, self.settings = self.settings, found
        self.apply()
        if before.language != found.language:
            self._app.language_changed()

    def value(self, name: str) -> str:
        """What is set, as the dialog of the settings shows it."""
        value = getattr(self.settings, name)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return str(value) or ("dark" if name == "theme" else "")

    def change(self, name: str, value: str) -> None:
        """Sets it, puts it in force and keeps it."""
        taken: object = value == "yes" if name == "plain" else value
        self.settings = msgspec.structs.replace(self.settings, **{name: taken})
        self.apply()
        if name == "language":
            self._app.language_changed()
        self._keep_all()

    def _keep_all(self) -> None:
        self._personal.put_soon(KIND, KEY, self.settings)
        if self._keep is not None:
            try:
                self._keep(self.settings)
            except OSError as error:
                self._app.told(
                    _("The setting holds until you leave; it could not be kept: {detail}.").format(
                        detail=error.strerror or error
                    ),
                    bad=True,
                )

    # -- keys

    def key_entries(self) -> list[KeyEntry]:
        """Every action with the keys that it has now."""
        own, _problems = keymap.check(self.settings.keys)
        return [
            KeyEntry(name, words, _written(own.get(name, keys)), name in own)
            for name, (keys, words) in sorted(keymap.default_keys().items())
        ]

    def rebind(self, name: str, key: str | None) -> str | None:
        """Gives an action another key, or the default ones, and keeps that. Returns why not, where it may not be."""
        keys = {other: its for other, its in self.settings.keys.items() if other != name}
        if key is not None:
            _good, problems = keymap.check(keys | {name: key})
            for problem in problems:
                if problem.name == name:
                    return str(problem)
            keys[name] = key
        self.settings = msgspec.structs.replace(self.settings, keys=keys)
        self._app.set_keymap(keymap.check(keys)[0])
        self._keep_all()
        return None


def _written(keys: str) -> str:
    """`f5,ctrl+j` as a person reads it."""
    return ", ".join(key_name(Binding(key, "")) for key in keymap.split_keys(keys))
