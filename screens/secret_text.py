"""Text that its person may see and nobody else: an O&M token. Where the screen is recorded, it is left out."""

from __future__ import annotations

import re

from rich.style import Style
from rich.text import Text

SECRET_MARK = "casemate-secret"
SECRET = Style(meta={SECRET_MARK: True})

_TOKEN = re.compile(r"cmt_[a-z2-7]{32}")
"""The form of a token (docs/decisions/0005-what-a-token-is.md)."""


def holds_a_token(text: str) -> bool:
    """Whether there is a token in it."""
    return _TOKEN.search(text) is not None


def with_secrets(text: str) -> Text:
    """`text`, any token in it marked as secret."""
    shown = Text(text)
    for found in _TOKEN.finditer(text):
        shown.stylize(SECRET, found.start(), found.end())
    return shown
