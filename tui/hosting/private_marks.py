"""Marks in what a served workstation writes: what stands between them is for the person's terminal only.

They go no further than this process: the driver sends what they bracket as frames of their own, with dots in its place
for the record. Content cannot forge them, since it holds no escape sequence when it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len

from bastion.api.screen_frames import CONCEALED, OUTPUT, SECRET

BEGIN = "\x1b_casemate secret\x1b\\"
END = "\x1b_casemate end\x1b\\"

_CONTROL = re.compile(r"(\x1b\[[0-?]*[ -/]*[@-~])")


def concealed(text: str) -> str:
    """`text` for the terminal only."""
    return f"{BEGIN}{text}{END}"


def parts(text: str) -> Iterator[tuple[bytes, str]]:
    """The kinds of frames that `text` is sent as, each with its part. An unfinished mark conceals all that follows."""
    while text:
        before, mark, rest = text.partition(BEGIN)
        if before:
            yield OUTPUT, before
        if not mark:
            return
        secret, _mark, text = rest.partition(END)
        if secret:
            yield SECRET, secret
            if dots := in_dots(secret):
                yield CONCEALED, dots


def in_dots(text: str) -> str:
    """As many dots as `text` has cells, in its colours; of what is for a clipboard nothing."""
    if "\x1b]" in text or "\x1bP" in text:
        return ""
    return "".join(
        piece if piece.startswith("\x1b") else "•" * cell_len(piece) for piece in _CONTROL.split(text) if piece
    )
