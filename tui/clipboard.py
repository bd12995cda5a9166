"""The person's clipboard through the terminal: OSC 52 (xterm control sequences, "Manipulate Selection Data").

It works over SSH, but the terminal never answers, may not allow it, and drops what is too long. So nothing here says
"copied" before it knows more than that it was sent.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

LIMIT = 74_994
"""Base64 bytes that every common terminal takes (xterm's limit is lower than most; tmux drops above it)."""
SCREEN_CHUNK = 76
"""GNU screen passes at most this much of a device control string on at a time."""
SCREEN_STRING = 700
"""Bytes of a sequence that GNU screen can swallow; it prints what is beyond its room of 768."""


class TooLong(Exception):
    """More than terminals take."""


def inside_tmux(environment: Mapping[str, str]) -> bool:
    """Whether a tmux is in between, also one at the other end of an SSH connection, which passes only TERM on."""
    return bool(environment.get("TMUX")) or environment.get("TERM", "").startswith("tmux")


def perhaps_tmux(environment: Mapping[str, str]) -> bool:
    """Whether it may be a tmux that gives itself out as screen: only TERM has come over SSH, and tmux was long set up
    to say `screen` there."""
    return _screen(environment) and not environment.get("STY") and not environment.get("TMUX")


def _screen(environment: Mapping[str, str]) -> bool:
    return environment.get("TERM", "").startswith("screen")


def reaches_tmux(text: str, environment: Mapping[str, str]) -> bool:
    """Whether a tmux that gives itself out as screen is sent `text` in a form that it takes."""
    return len(_plain(text)) <= SCREEN_STRING or not perhaps_tmux(environment)


def _plain(text: str) -> str:
    return f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\a"


def sequence(text: str, environment: Mapping[str, str]) -> str:
    """The bytes that put `text` on the clipboard, wrapped for a tmux or screen in between. Raises TooLong."""
    plain = _plain(text)
    if len(plain) > LIMIT:
        raise TooLong(len(plain))
    if inside_tmux(environment):
        # tmux takes the plain form with `set-clipboard on`, the wrapped one with `allow-passthrough on`.
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if _screen(environment):
        pieces = [plain[start : start + SCREEN_CHUNK] for start in range(0, len(plain), SCREEN_CHUNK)]
        wrapped = "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
        # screen drops the plain form, tmux the wrapped one.
        return plain + wrapped if perhaps_tmux(environment) and len(plain) <= SCREEN_STRING else wrapped
    return plain
