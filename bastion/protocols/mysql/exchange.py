"""What the two sides of a session share: the commands that have no whole answer yet, prepared statements, the schema.

The client side appends commands as it reads them, the server side takes them off as it reads their answers, so both
agree on what the bytes in between mean.
"""

from __future__ import annotations

import enum
import hashlib
from collections import deque

from bastion.protocols.contract import BIND_LIMIT, Piece

from .change_user import Conversation, LoginTerms
from .character_sets import codec_of_collation
from .constants import LAST_PREPARED, Capability, Status
from .use_statements import Opened

HANDLE_TEXTS_LIMIT = 16 * 1024 * 1024
"""Bytes (about) of statement text that a session's prepared statements may keep; beyond it only beginnings are kept."""

HANDLE_TEXT_BEGINNING = 1024


LONG_DATA_LIMIT = 4 * 1024 * 1024
"""Bytes of values that came ahead of their executions (COM_STMT_SEND_LONG_DATA) that a session may keep; of more of
them only length and digest are kept."""


class Answer(enum.IntEnum):
    """How the server answers a command."""

    RESULT = 0
    """OK, ERR, a request for a local file, or result sets."""
    PREPARED = 1
    ROWS = 2
    """Rows without column definitions: a page of a cursor."""
    SIMPLE = 3
    """OK, EOF or ERR."""
    FIELDS = 4
    """Column definitions up to an EOF."""
    TEXT = 5
    """One packet of text."""
    STREAM = 6
    """Packets without end: a replication stream."""


class LongData:
    """A bind value that comes in COM_STMT_SEND_LONG_DATA: its length, its beginning and its digest."""

    __slots__ = ("digest", "length", "prefix")

    def __init__(self) -> None:
        self.length = 0
        self.prefix = b""
        self.digest = hashlib.sha256()

    def add(self, data: bytes, room: int) -> int:
        """More of it, of which at most `room` bytes may be kept; how many were."""
        kept = data[: max(min(BIND_LIMIT - len(self.prefix), room), 0)] if len(self.prefix) == self.length else b""
        self.prefix += kept
        self.length += len(data)
        self.digest.update(data)
        return len(kept)


class Handle:
    """A prepared statement of the server. `parameters` is None until the server has answered its preparation."""

    __slots__ = ("described", "long_data", "number", "parameters", "schema", "spoiled", "text", "types", "types_unsent")

    def __init__(self, number: int, text: str, parameters: int | None) -> None:
        self.number = number
        self.text = text
        self.parameters = parameters
        self.schema: str | None = None
        """What becomes the current schema when it is run (USE)."""
        self.types: list[int] | None = None
        self.types_unsent = False
        """The execution that carried the types was refused: the client thinks that the server knows them."""
        self.spoiled = False
        """A refused execution left its long data on the server, where the next one would use them unseen."""
        self.long_data: dict[int, LongData] = {}
        self.described = 0
        """Where the server described the columns of its cursor (StatementEnds.described)."""


class Command:
    """A command of the client that has not been answered whole. Most keep the defaults, so these stand on the class.

    number    of its statement, None for commands that are none
    text      of a preparation, for its handle
    schema    current schema once it succeeds, where the protocol itself may not say so
    opens     the same, of a text with several statements or with comments in it
    results   of it that have been answered, where `opens` are counted by them
    codec     encoding of the connection's texts once it succeeds
    whole     the client has sent all of it
    sequence  id of the client's last packet of it
    error     the bastion's answer in place of the server's: it was refused
    pieces    of it, those of the last feed where it is long, for taking back what was not passed on yet
    rests_on  the preparation, not answered yet, whose statement it runs
    rewritten the payload that goes on in place of the client's
    counted   the server has said how many rows there are, or sent some
    followed  its results are looked at one by one, for `opens` and `in_out_parameters`
    in_out_parameters  the values of OUT parameters are what is being answered
    cursor    the prepared statement whose cursor it reads
    """

    text: str = ""
    text_is_cut: bool = False
    schema: str | None = None
    opens: tuple[Opened, ...] = ()
    results: int = 0
    codec: str | None = None
    whole: bool = True
    sequence: int = 0
    error: bytes | None = None
    pieces: list[Piece] | None = None
    handle: Handle | None = None
    rests_on: Command | None = None
    rewritten: bytes | None = None
    new_types: bool = False
    used_long_data: bool = False
    rows: int = 0
    counted: bool = False
    followed: bool = False
    in_out_parameters: bool = False
    cursor: Handle | None = None
    bytes_down: int = 0

    def __init__(self, code: int, answer: Answer, number: int | None) -> None:
        self.code = code
        self.answer = answer
        self.number = number


class Exchange:
    """The state of one session that both of its sides read and change."""

    def __init__(
        self,
        *,
        capabilities: int,
        mariadb: bool = False,
        collation: int = 45,
        schema: str = "",
        databases: tuple[str, ...] = (),
        allow_replication: bool = False,
        terms: LoginTerms | None = None,
        default_collation: int | None = None,
    ) -> None:
        self.capabilities = capabilities
        self.deprecate_eof = bool(capabilities & Capability.DEPRECATE_EOF)
        self.session_track = bool(capabilities & Capability.SESSION_TRACK)
        self.query_attributes = bool(capabilities & Capability.QUERY_ATTRIBUTES)
        self.mariadb = mariadb
        self.codec = codec_of_collation(collation)
        self.codec_at_reset = self.codec if default_collation is None else codec_of_collation(default_collation)
        """What COM_RESET_CONNECTION leaves: MariaDB goes back to the login's, MySQL to the server's own."""
        self.schema = schema
        self.status = 0
        """Server status flags, as they were told last."""
        self.databases = databases
        self.allow_replication = allow_replication
        self.waiting: deque[Command] = deque()
        self.numbers = 0
        self.handles: dict[int, Handle] = {}
        self.texts_kept = 0
        self.long_data_kept = 0
        self.texts_ahead = 0
        """Characters of preparations that are not answered, or more."""
        self.last_prepared: Handle | Command | None = None
        self.uploading: Command | None = None
        """The command whose local file the client is sending, from the server's request to the empty packet."""
        self.upload_sequence = 0
        self.leaving = False
        """The client has said COM_QUIT."""
        self.terms = terms
        self.conversation: Conversation | None = None
        """An authentication under way (COM_CHANGE_USER); `uploading` is its command, so no commands are read."""

    @property
    def backslash(self) -> bool:
        """Whether a backslash in a string takes the next character in."""
        return not self.status & Status.NO_BACKSLASH_ESCAPES

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def find(self, number: int | None) -> Command | None:
        """The waiting command of that statement."""
        if number is None:
            return None
        for command in reversed(self.waiting):
            if command.number == number:
                return command
        return None

    def handle(self, identifier: int) -> Handle | Command | None:
        """The prepared statement with that id; for MariaDB's -1 the last one, or its still unanswered preparation."""
        if identifier == LAST_PREPARED and self.mariadb:
            return self.last_prepared
        return self.handles.get(identifier)

    def keep_handle(self, identifier: int, command: Command, parameters: int) -> None:
        """The server has prepared the statement of `command`."""
        text = command.text
        number = command.number or 0
        if self.texts_kept + len(text) > HANDLE_TEXTS_LIMIT:
            text = f"{text[:HANDLE_TEXT_BEGINNING]}… (the whole text is that of statement {number})"
        self.texts_kept += len(text)
        handle = Handle(number, text, parameters)
        handle.schema = command.schema
        replaced = self.handles.get(identifier)
        if replaced is not None:
            self.texts_kept -= len(replaced.text)
            self.forget_long_data(replaced)
        self.handles[identifier] = handle
        if self.last_prepared is command:
            self.last_prepared = handle

    def add_long_data(self, handle: Handle, index: int, data: bytes) -> None:
        """Data for a value of its next execution."""
        held = handle.long_data.setdefault(index, LongData())
        self.long_data_kept += held.add(data, LONG_DATA_LIMIT - self.long_data_kept)

    def forget_long_data(self, handle: Handle) -> dict[int, LongData]:
        """The values that have come for the next execution, which keeps them no longer."""
        held, handle.long_data = handle.long_data, {}
        self.long_data_kept -= sum(len(value.prefix) for value in held.values())
        return held

    def close_handle(self, identifier: int) -> None:
        if identifier == LAST_PREPARED and self.mariadb:
            last = self.last_prepared
            found = [key for key, value in self.handles.items() if value is last]
            identifier = found[0] if found else identifier
        handle = self.handles.pop(identifier, None)
        if handle is not None:
            self.forget_long_data(handle)
            self.texts_kept -= len(handle.text)
            if self.last_prepared is handle:
                self.last_prepared = None

    def start_conversation(self, command: Command, conversation: Conversation) -> None:
        self.conversation = conversation
        self.uploading = command

    def end_conversation(self) -> None:
        self.conversation = self.uploading = None

    def close_all_handles(self) -> None:
        self.handles.clear()
        self.texts_kept = self.long_data_kept = 0
        if isinstance(self.last_prepared, Handle):
            self.last_prepared = None
