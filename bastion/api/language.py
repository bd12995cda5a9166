"""Translation of what is shown. Strings are translated when they are rendered: one gateway serves several languages.

The source is English. Catalogues are gettext, under `locale/`. The language is that of the running context: set per
process by the workstation and the command line (LC_ALL, LC_MESSAGES, LANG), per person by the gateway.
"""

from __future__ import annotations

import gettext
import os
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"
LANGUAGES = ("en", "zh_CN")

_language: ContextVar[str] = ContextVar("language", default="en")
_everywhere: str | None = None


def from_environment(environment: dict[str, str] | None = None) -> str:
    """The catalogue that LC_ALL, LC_MESSAGES or LANG asks for; English where there is none."""
    environment = dict(os.environ) if environment is None else environment
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            return "zh_CN" if value.lower().startswith("zh") else "en"
    return "en"


def use(language: str) -> None:
    """Sets the language of this context. Unknown languages mean English."""
    _language.set(language if language in LANGUAGES else "en")


def everywhere(language: str | None) -> None:
    """Sets the language of the whole process, whatever its contexts say; for a program that one person uses, who
    chooses another one while it runs. None: that of the contexts again."""
    global _everywhere
    _everywhere = language if language is None or language in LANGUAGES else "en"


def current() -> str:
    """The language of this context."""
    return _everywhere or _language.get()


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("casemate", LOCALES, languages=[language], fallback=True)


def translate(text: str) -> str:
    """`text` in the language of this context; itself where the catalogue has nothing."""
    language = current()
    return text if language == "en" else _catalogue(language).gettext(text)


def translate_to(language: str, text: str) -> str:
    """`text` in a language that need not be that of this context."""
    return text if language == "en" else _catalogue(language).gettext(text)


def translate_many(one: str, many: str, count: int) -> str:
    """The form of `one`/`many` for `count`, in the language of this context."""
    language = current()
    if language == "en":
        return one if count == 1 else many
    return _catalogue(language).ngettext(one, many, count)
