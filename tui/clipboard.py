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


class TooLong(Exception):
    """More than terminals take."""


def inside_tmux(environment: Mapping[str, str]) -> bool:
    """Whether a tmux is in between, also one at the other end of an SSH connection, which passes only TERM on."""
    return bool(environment.get("TMUX")) or environment.get("TERM", "").startswith("tmux")


def sequence(text: str, environment: Mapping[str, str]) -> str:
    """The bytes that put `text` on the clipboard, wrapped for a tmux or screen in between. Raises TooLong."""
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    if len(encoded) > LIMIT:
        raise TooLong(len(encoded))
    plain = f"\x1b]52;c;{encoded}\a"
    if inside_tmux(environment):
        # tmux takes the plain form with `set-clipboard on`, the wrapped one with `allow-passthrough on`.
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        pieces = [plain[start : start + SCREEN_CHUNK] for start in range(0, len(plain), SCREEN_CHUNK)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return plain
