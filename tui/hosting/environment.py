"""What a UI process takes over from the environment of the person's terminal. The gateway has let nothing else in."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from textual import _xterm_parser, constants

from bastion.api import language

TAKEN = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TERMINAL", "TZ", "NO_COLOR")


def take(environment: Mapping[str, str]) -> None:
    """Puts it in the place of what was taken before, and tells the libraries that have read it at their import."""
    for name in TAKEN:
        os.environ.pop(name, None)
        if name in environment:
            os.environ[name] = environment[name]
    time.tzset()
    language.use(language.from_environment())
    iterm = environment.get("LC_TERMINAL") == "iTerm2"
    # iTerm2 drops what an input method gives while the extended keyboard is on, and is wrong about in-band sizes.
    constants.DISABLE_KITTY_KEY = iterm  # type: ignore[misc]
    _xterm_parser.IS_ITERM = iterm
