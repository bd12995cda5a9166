"""What an OK packet says about changes of the session (MySQL: CLIENT_SESSION_TRACK, "session_state_info")."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from .codec import lenenc_bytes

_VARIABLE, _SCHEMA = 0, 1


class Tracked(enum.Enum):
    """What is made use of; everything else is passed over."""

    SCHEMA = "schema"
    ENCODING = "character_set_client"


def session_changes(payload: bytes, position: int) -> Iterator[tuple[Tracked, bytes]]:
    """The changes, with the name that each brings; `position` is behind the warnings. Raises Short and Malformed."""
    _, position = lenenc_bytes(payload, position)
    changes, _ = lenenc_bytes(payload, position)
    position = 0
    while position < len(changes):
        kind = changes[position]
        value, position = lenenc_bytes(changes, position + 1)
        if kind == _SCHEMA:
            yield Tracked.SCHEMA, lenenc_bytes(value, 0)[0]
        elif kind == _VARIABLE:
            variable, behind = lenenc_bytes(value, 0)
            if variable == b"character_set_client":
                yield Tracked.ENCODING, lenenc_bytes(value, behind)[0]
