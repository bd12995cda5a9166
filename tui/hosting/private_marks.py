"""Marks in what a served workstation writes: what stands between them is for the person's terminal only.

They go no further than this process: the driver sends what they bracket as frames of their own, and the gateway keeps
the terminal's version from the record. Content cannot forge them, since it holds no escape sequence when it is written.
"""

from __future__ import annotations

from collections.abc import Iterator

from bastion.api.screen_frames import CONCEALED, OUTPUT, SECRET

BEGIN = "\x1b_casemate secret\x1b\\"
INSTEAD = "\x1b_casemate instead\x1b\\"
END = "\x1b_casemate end\x1b\\"


def concealed(text: str, instead: str) -> str:
    """`text` for the terminal, `instead` for the record."""
    return f"{BEGIN}{text}{INSTEAD}{instead}{END}"


def parts(text: str) -> Iterator[tuple[bytes, str]]:
    """The kinds of frames that `text` is sent as, each with its part. An unfinished mark conceals all that follows."""
    while text:
        before, mark, rest = text.partition(BEGIN)
        if before:
            yield OUTPUT, before
        if not mark:
            return
        secret, _mark, rest = rest.partition(INSTEAD)
        instead, _mark, text = rest.partition(END)
        if secret:
            yield SECRET, secret
        if instead:
            yield CONCEALED, instead
