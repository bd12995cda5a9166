"""What a database, a name or a file says, made safe to show: characters that drive a terminal become visible ones.

One character becomes one character, so that widths and positions stay as they are.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_ON_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def visible(text: str) -> str:
    """`text` with C0, C1, DEL, lone surrogates and the direction overrides of Unicode replaced; tab and LF stay."""
    return _CONTROL.sub(_picture, text) if _CONTROL.search(text) else text


def visible_line(text: str) -> str:
    """`visible` for one line: line ends and tabs become pictures too."""
    return _CONTROL_ON_ONE_LINE.sub(_picture, text) if _CONTROL_ON_ONE_LINE.search(text) else text


_UNSEEN = re.compile("[\xad\u180e\u200b\u2028\u2029\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_JOINING = re.compile("[\u200c\u200d\ufe00-\ufe0f]")


def table_text(text: str) -> str:
    """`visible_line` for a cell of a table, whose columns have to stay aligned in every terminal.

    Characters that take no room and change nothing that is seen (zero width space, byte order mark, soft hyphen, tags,
    line and paragraph separators) become visible; joiners and variation selectors, on whose width terminals differ,
    are left out, so that what they join is shown piece by piece.
    """
    text = visible_line(text)
    if text.isascii():
        return text
    return _JOINING.sub("", _UNSEEN.sub("\ufffd", text))
