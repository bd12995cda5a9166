"""What the gateway and a UI process say to each other on their socket: frames, no sockets here.

A frame is one byte for its kind, four for the length of its payload (big-endian), and the payload. Terminal bytes go
both ways as they are; everything else is rare. The control socket of the UI host, on which processes are asked for,
carries one JSON message a packet (`Spawn` and the others below).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

INPUT, SIZE, ROUND_TRIP, ATTACH, DETACH, LEAVE_NOW, PICTURE_WANTED = b"I", b"S", b"P", b"A", b"D", b"Q", b"W"
"""To the UI process: bytes of the terminal; its size; how long a round trip to it takes; a terminal (again), with its
`Terminal`; the terminal is gone; end yourself, without questions; say what the whole screen shows, for the record."""

OUTPUT, SECRET, CONCEALED, PICTURE, EXIT = b"O", b"T", b"R", b"F", b"X"
"""From it: bytes for everybody; bytes for the terminal only, and what stands in their place for the record; the whole
screen, for the record only (where it is longer than a frame, the rest follows as CONCEALED); the end, with its
`Exit`."""

MOST = 1024 * 1024
"""Bytes of a payload. A longer frame is nobody's of ours."""

COLUMNS = (20, 500)
LINES = (5, 200)
"""Least and greatest size of a terminal. What a client says beyond that is cut to it: a screen of millions of cells
would keep its process busy for minutes."""

ENTER = (
    "\x1b[?1049h"  # alternate screen
    "\x1b[?1000h\x1b[?1002h\x1b[?1006h"  # mouse: buttons, motion with a button held, SGR coordinates
    "\x1b[?25l"  # no cursor
    "\x1b[?1004h"  # focus in and out
    "\x1b[?2004h"  # bracketed paste
    "\x1b[?7l"  # no wrapping at the right edge
)
LEAVE = (
    "\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[<u"
    "\x1b[0m\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""What makes a terminal a full-screen program's, and the person's again. The kitty keyboard's own comes after ENTER."""

RESTORE = LEAVE + "\x1b]2;\a\x1b[23;2t"
"""For a program that could not leave by itself; the title too."""

KITTY_KEYS = "\x1b[>25u"
"""Disambiguated, all keys, with their text (the flags that Textual's parser knows)."""

_head = struct.Struct(">cI")
_size = struct.Struct(">HH")
_microseconds = struct.Struct(">I")


class FrameBroken(Exception):
    """The other side sent what is no frame."""


class Terminal(msgspec.Struct, frozen=True):
    """A person's terminal: its size in cells and what of its environment is looked at."""

    columns: int
    lines: int
    environment: dict[str, str]


class Exit(msgspec.Struct, frozen=True):
    """How a UI process ended: the exit code, and a last sentence for the person ('' for none)."""

    code: int
    message: str = ""


class Spawn(msgspec.Struct, frozen=True, tag="spawn"):
    """Asks for a UI process; its two sockets come with the packet: the screen's, and the bastion's (SSH).

    host, port  the bastion's address as people know it, to be shown
    """

    id: int
    user: str
    host: str
    port: int
    terminal: Terminal
    memory: int


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    """Asks for a signal to a UI process: TERM or KILL."""

    id: int
    signal: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The UI host has imported everything and takes orders. `uid`: whose it is."""

    pid: int
    uid: int


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A UI process runs."""

    id: int
    pid: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A UI process could not be made."""

    id: int
    reason: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A UI process is gone: its exit code, or minus the signal that ended it."""

    id: int
    status: int


Order = Spawn | Kill
Report = Ready | Started | Failed | Ended
PACKET = 64 * 1024
"""Bytes of a packet on the control socket."""

encode = msgspec.json.Encoder().encode
_order: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def order(packet: bytes) -> Order:
    """An order to the UI host. Raises FrameBroken."""
    try:
        return _order.decode(packet)
    except msgspec.MsgspecError as error:
        raise FrameBroken("a packet that is no order") from error


def report(packet: bytes) -> Report:
    """A report of the UI host. Raises FrameBroken."""
    try:
        return _report.decode(packet)
    except msgspec.MsgspecError as error:
        raise FrameBroken("a packet that is no report") from error


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame. Payloads longer than MOST have to be sent in parts."""
    return _head.pack(kind, len(payload)) + payload


def clamped(columns: int, lines: int) -> tuple[int, int]:
    """A terminal's size as it is used; 0 stands for unknown, and gives 80 or 24."""
    return (
        min(max(columns or 80, COLUMNS[0]), COLUMNS[1]),
        min(max(lines or 24, LINES[0]), LINES[1]),
    )


def size_frame(columns: int, lines: int) -> bytes:
    """The frame that tells of a new size."""
    return frame(SIZE, _size.pack(*clamped(columns, lines)))


def round_trip_frame(seconds: float) -> bytes:
    """The frame that tells how far away the terminal is."""
    return frame(ROUND_TRIP, _microseconds.pack(min(int(seconds * 1e6), 2**32 - 1)))


def round_trip_of(payload: bytes) -> float:
    """Seconds of a ROUND_TRIP frame. Raises FrameBroken."""
    try:
        return float(_microseconds.unpack(payload)[0]) / 1e6
    except struct.error as error:
        raise FrameBroken("a time that is none") from error


def size_of(payload: bytes) -> tuple[int, int]:
    """Columns and lines of a SIZE frame. Raises FrameBroken."""
    try:
        columns, lines = _size.unpack(payload)
    except struct.error as error:
        raise FrameBroken("a size that is none") from error
    return clamped(columns, lines)


class Frames:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Kind and payload of every frame that is whole now. Raises FrameBroken for one that is too long."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _head.size:
                kind, length = _head.unpack_from(buffer, start)
                if length > MOST:
                    raise FrameBroken("a frame that is too long")
                end = start + _head.size + length
                if len(buffer) < end:
                    break
                payload = bytes(buffer[start + _head.size : end])
                start = end
                yield kind, payload
        finally:
            del buffer[:start]
