"""The shapes of watching and replaying the screens of served workstations.

A screen is an asciicast (version 3): lines of JSON, counted in bytes from the beginning of its header. Both calls give
pieces of it: `screen.read` from the recording, `screen.follow` of what comes now.
"""

from __future__ import annotations

from .messages import Message, Screen

LONGEST_WAIT = 20.0
"""Seconds that `screen.follow` waits for something new, at most."""

PIECE = 1024 * 1024
"""Bytes of lines in a piece, about; a single longer line comes whole."""

LONGEST_PIECE = 8 * 1024 * 1024
"""Bytes of lines in a piece, at most: what decompresses to more is none of ours."""

PICTURE_BEGINS = "\x1b[!p\x1b[?7l\x1b[?25l\x1b[2J"
"""An output that begins so draws the whole screen, whatever was before it: a replay can begin there.

A soft reset, no wrapping, no cursor, everything cleared (xterm's ctlseqs: DECSTR, DECAWM, DECTCEM, ED).
"""


class ScreenReadRequest(Message):
    """Lines from byte `offset` on: 0, or where the piece before ended. `viewing`: a new look, which is on record.

    reason: has to be given where results are masked, since a screen shows them; it is on record.
    """

    id: str
    offset: int = 0
    viewing: bool = False
    reason: str = ""


class ScreenFollowRequest(Message):
    """What comes behind byte `after`; None joins, with a whole picture. `wait`: seconds to wait for something new.

    reason: as in ScreenReadRequest.
    """

    id: str
    after: int | None = None
    wait: float = 0.0
    reason: str = ""


class ScreenPiece(Message):
    """Lines, compressed with zstd.

    offset   of the first byte; `next` behind the last one
    live     the workstation is there still: more may come
    more     there is more already: ask at once
    joined   of `screen.follow`: the piece begins with a whole picture, since the watcher is new or was too slow.
             `at` are the seconds from the beginning up to the event before it, `columns` and `lines` the size
    kept     the screen is recorded: `screen.read` has what was before
    """

    data: bytes
    offset: int
    next: int
    live: bool
    more: bool = False
    joined: bool = False
    at: float = 0.0
    columns: int = 0
    lines: int = 0
    kept: bool = True


class ScreenSessions(Message):
    """A workstation's screen and the database sessions that were opened in it, the oldest first."""

    screen: Screen
    sessions: list[str]


class ScreenOfRequest(Message):
    """The screen that a session was opened in, or the one with this `id`."""

    session: str = ""
    id: str = ""
