"""What a person has set: language, colours, plain pages, how sparing the link is used, keys.

With a bastion they are kept there and follow the person; on a machine of one's own they are in a file as well, so that
the login page has them too. What is in a file or comes from the bastion is checked; what is not understood is left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
from platformdirs import user_config_path

from bastion.api.language import translate as _

Sparing = Literal["auto", "on", "off"]

LONGEST = 64_000
"""Bytes of a settings file that are read."""
KIND, KEY = "setting", "workstation"


class Settings(msgspec.Struct, forbid_unknown_fields=False, kw_only=True):
    """Empty texts mean: by the terminal and its environment."""

    theme: str = ""
    language: str = ""
    plain: bool = False
    sparing: Sparing = "auto"
    """Whether as little as possible is sent to the terminal; `auto`: where its link is slow."""
    keys: dict[str, str] = msgspec.field(default_factory=dict)
    """Keys by the name of their action, several with commas between them."""


class Unreadable(Exception):
    """A file of settings that cannot be used; the message says which, why, and that it is left out."""


def folder() -> Path:
    """Where the files are."""
    return Path(user_config_path("casemate"))


def settings_file() -> Path:
    """The settings of the workstation on this machine."""
    return folder() / "workstation.toml"


def keys_file() -> Path:
    """The key map of this machine."""
    return folder() / "keys.toml"


def load(complain: Callable[[str], None]) -> Settings:
    """The settings of this machine; with those of the key map file. `complain` is told what cannot be used."""
    settings = Settings()
    try:
        settings = msgspec.convert(_read(settings_file()), Settings, strict=True)
    except (Unreadable, msgspec.ValidationError) as error:
        complain(_unusable(settings_file(), error))
    try:
        found = _read(keys_file())
        settings.keys = msgspec.convert(found.get("keys", found), dict[str, str], strict=True)
    except (Unreadable, msgspec.ValidationError) as error:
        complain(_unusable(keys_file(), error))
    return settings


def save(settings: Settings) -> None:
    """Keeps everything but the keys, which the person's own file has. Raises OSError."""
    lines = [
        f'theme = "{settings.theme}"',
        f'language = "{settings.language}"',
        f"plain = {'true' if settings.plain else 'false'}",
        f'sparing = "{settings.sparing}"',
    ]
    write(settings_file(), "\n".join(lines) + "\n")


def write(file: Path, text: str) -> None:
    """Puts a file where another program sees the old or the new one. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            data = opened.read(LONGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    if len(data) > LONGEST:
        raise Unreadable(_("it is longer than {count} bytes").format(count=LONGEST))
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unreadable(str(error)) from error


def _unusable(file: Path, error: Exception) -> str:
    return _("{file} is left out: {reason}. Mend it or remove it.").format(file=file, reason=error)
