"""What a protocol package gives to the relay, the same for every engine.

A session has two phases.

**Login** is a generator of steps (`LoginSteps`). It yields what it needs (`Read`, `Send`, `StartTls`, `Redial`) and is
sent what it asked for; whoever drives it does the I/O and holds the time limit. It ends by returning a `LoginResult`.

**Data** is a pair, `ClientSide` and `ServerSide`. Each is fed the bytes of its direction and answers with `Piece`s:
runs of bytes that may be passed on, in order, with what the audit must know first. The ordering rule is the contract:

    the notes of a client's piece are in the journal before one byte of the piece goes to the database.

A piece is a run of messages, a message, or a part of one. The `data` of all pieces of a direction, in order, is every
byte that was fed, no more, no less (a rewritten piece says so by `size`). So what is counted is complete by
construction, and what was not understood is flagged on the piece that carries it.

Nothing here keeps more of a message than a named limit. Values beyond it stream through in parts.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec

MAX_LOGIN_MESSAGE = 256 * 1024
"""Bytes of one message before login is complete, in either direction. Beyond it the login is refused."""

MAX_HELD_MESSAGE = 1024 * 1024
"""Bytes of one message that a reader may keep until it is whole, after login (errors, descriptions, status)."""

TEXT_PART = 256 * 1024
"""Bytes of statement text in one note. Longer statements come as a begin and any number of extensions."""

BIND_LIMIT = 64 * 1024
"""Bytes of one bind value that are kept in the record; a longer one is kept as prefix, length and digest."""

BINDS_LIMIT = 1024 * 1024
"""Bytes of all bind values of one execution that are kept in the record; of the rest, lengths and digests are."""


class Leg(enum.Enum):
    """The two connections of a session."""

    CLIENT = "client"
    SERVER = "server"


# ---------------------------------------------------------------------------------------------- refusals and errors


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not done, ready to be said in any protocol: a stable code and a sentence for a person."""

    code: str
    message: str


class ProtocolError(Exception):
    """The bytes are not this protocol, or break a limit. The session is refused, recorded raw and ended.

    `leg` sent the bytes; `reason` is a sentence without any of the bytes; `raw` holds at most 4 KiB of them.
    `before` are the pieces of the same read that a ServerSide had understood: outcomes are among them.
    """

    def __init__(self, leg: Leg, reason: str, raw: bytes = b"") -> None:
        super().__init__(reason)
        self.leg = leg
        self.reason = reason
        self.raw = raw[:4096]
        self.before: list[Piece] = []


# ------------------------------------------------------------------------------------------------------------- login


class TlsMode(enum.Enum):
    """How a database is reached: libpq's names, the same meaning for every engine."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What a login needs to know. `repr` never shows a secret.

    person            who asked for the token; goes upstream beside the client's own program name
    account           the database login to use; None: whatever the operator types (an `any` account)
    secret            the password to log in with (hosted, or given with the token's request); None: the client's own
    token             the O&M token's text, where `demand_token` asks the client to show it
    demand_token      policy `client_password: token`: the client's password must be the token
    server_tls        how the bastion speaks to the database
    client_tls        whether the bastion has a certificate to offer to the client
    databases         names that may be opened on that server; empty: all
    allow_replication whether a replication connection may be opened
    service, sid      what an Oracle listener is asked for; '' where it is the client's choice
    """

    person: str
    account: str | None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    demand_token: bool = False
    server_tls: TlsMode = TlsMode.PREFER
    client_tls: bool = False
    databases: tuple[str, ...] = ()
    allow_replication: bool = False
    service: str = ""
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """Wants bytes of that leg (None: of whichever speaks first). Answered with `Received`."""

    leg: Leg | None


@dataclass(frozen=True, slots=True)
class Send:
    """Wants these bytes sent on that leg. Answered with None."""

    leg: Leg
    data: bytes = field(repr=False)


class TlsEnvelope(Protocol):
    """How a protocol carries the handshake of TLS in packets of its own, and where TLS ends again.

    What is negotiated in packets is TLS 1.2 at most: in 1.3 a server says more after its handshake, which would come
    where the client expects packets.
    """

    @property
    def ends(self) -> bool:
        """Whether TLS covers a part of the connection only; `is_over` then says where it ends."""
        ...

    def wrapped(self, records: bytes) -> bytes:
        """Records of the handshake as they are sent."""
        ...

    def unwrapped(self, data: bytes) -> tuple[bytes, int]:
        """The records of the first whole packet, and the bytes that it takes; 0 where it is not whole yet.

        Raises ProtocolError.
        """
        ...

    def is_over(self, clear: bytes) -> bool:
        """Whether TLS ends behind these bytes, which are all that have come under it."""
        ...


@dataclass(frozen=True, slots=True)
class StartTls:
    """Wants TLS on that leg from the next byte on. Answered with `TlsStarted`.

    `received` are bytes of that leg already read that belong to the handshake. On the server leg the driver verifies
    the certificate as the database's TLS mode says and ends the login with the reason where it does not hold.
    `envelope`: the handshake does not stand in the stream as it is.
    """

    leg: Leg
    received: bytes = field(default=b"", repr=False)
    alpn: tuple[str, ...] = ()
    envelope: TlsEnvelope | None = None


@dataclass(frozen=True, slots=True)
class Redial:
    """Wants the server leg replaced: by another address (a redirect), or None for the same one again.

    The driver asks whether the address is allowed. Answered with None.
    """

    host: str | None = None
    port: int | None = None


Step = Read | Send | StartTls | Redial


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes of a leg; empty means that the leg has closed."""

    leg: Leg
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """TLS stands on that leg. `certificate` is the peer's (DER), for channel binding; `version` e.g. `TLSv1.3`.

    `alpn` is the protocol that both ends agreed on in the handshake, where one was offered.
    """

    leg: Leg
    version: str
    certificate: bytes | None = None
    alpn: str | None = None


Answer = Received | TlsStarted | None


@dataclass(frozen=True, slots=True)
class CancelKey:
    """How the database knows this connection: PostgreSQL's process id and key, MySQL's connection id, …"""

    id: int
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Both legs are logged in and the data phase begins.

    The `*_rest` bytes were read during login and belong to the data phase; the driver feeds them first.
    login            the user name that the client typed
    client           the client program in its own words, at most 256 characters
    catalog          the database (catalog) opened at login, '' if none
    schema           the current schema as far as the protocol tells at login, '' if it does not
    replication      it is a replication connection, which needs a grant that says so for as long as it lives
    """

    client_side: ClientSide
    server_side: ServerSide
    login: str
    client: str
    catalog: str
    schema: str
    server_version: str
    cancel_key: CancelKey | None
    client_rest: bytes = field(default=b"", repr=False)
    server_rest: bytes = field(default=b"", repr=False)
    replication: bool = False


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The connection was no session but a request to cancel a running statement of the session with this key."""

    key: CancelKey


@dataclass(frozen=True, slots=True)
class LoginEnded:
    """No session came of it. What the client had to be told has been sent.

    by       `database`: the server refused (its own words in `error`); `bastion`: the bastion did; `client`: it left
    """

    by: str
    error: str
    login: str = ""
    client: str = ""


class LoginAborted(Exception):
    """Thrown into a login's steps by the driver (time limit, TLS failure, a dead leg): tell the client, then return.

    The steps answer with a last `Send` to the client in its protocol, as far as that can still be read there, and
    return `LoginEnded(by="bastion")`.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


LoginResult = LoggedIn | CancelAsked | LoginEnded
LoginSteps = Generator[Step, Answer, LoginResult]
CancelSteps = Generator[Step, Answer, bool]
"""Drives the server leg of a side connection only; returns whether the database took the order."""


@dataclass(frozen=True, slots=True)
class InBandCancel:
    """The running statement is cancelled on its own connection (attention, break), by what `CancelsInBand` says."""


@runtime_checkable
class CancelsInBand(Protocol):
    """A ServerSide of a protocol whose cancel goes through the session's own connection."""

    def cancel_in_band(self) -> bytes | None:
        """What the database is sent now to cancel what it is at; b"" where that is under way, None where it is idle.

        What it answers to that is kept from the client, who has not asked for it: the running statement ends in an
        error for him.
        """
        ...


# -------------------------------------------------------------------------------------------------------------- data


class Transaction(enum.Enum):
    """The state of the session's transaction as the server tells it."""

    NONE = "none"
    OPEN = "open"
    FAILED = "failed"
    UNKNOWN = "unknown"


# Notes and pieces are structs of msgspec, which are made several times faster than dataclasses: each statement makes
# four or five of them.

Bind = str | None
"""One bind value as an auditor reads it: decoded by its type, NULL as None, cut as BIND_LIMIT says."""


class StatementBegins(msgspec.Struct):
    """The piece that carries this note starts a statement.

    number     counts the session's statements from 1, in the order in which they are sent
    operation  the protocol's own word: `query`, `parse`, `execute`, `COM_STMT_PREPARE`, … (one word of the docs)
    text       the statement, or its first TEXT_PART bytes' worth; for re-execution the text of the handle
    complete   False: `StatementExtends` with more text follow
    binds      values in order; None where there are none yet
    prepares   True: the statement is only prepared by this message, not run
    """

    number: int
    operation: str
    text: str
    complete: bool = True
    binds: tuple[Bind, ...] | None = None
    prepares: bool = False


class StatementExtends(msgspec.Struct):
    """More of a statement that has begun: text, binds, that it is run now, or data that the client streams to it.

    binds  those behind the ones that were noted before, if any were
    """

    number: int
    text: str = ""
    complete: bool = True
    binds: tuple[Bind, ...] | None = None
    runs: bool = False
    data_bytes: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseError:
    """An error in the server's own words. `code`: SQLSTATE or the engine's number; `position`: characters from 1."""

    code: str
    message: str
    position: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


class StatementEnds(msgspec.Struct):
    """The server has answered the statement whole.

    rows        rows returned or affected, as the server counts them; None where it does not say
    error       None when it succeeded
    outcome     `done`, `failed`, `skipped` (never run: an earlier error of its pipeline) or `suspended` (a page of it)
    bytes_down  bytes of the server that belong to it
    position    all bytes of the server up to its end, from the first one after login on; 0 where it has none

    For whoever decodes its bytes later, where they do not say it themselves:
    described   position of the description (of columns) that holds for its rows, 0 if none came before it
    formats     the formats of its columns as the client asked for them, in the protocol's own form
    """

    number: int
    rows: int | None
    error: DatabaseError | None = None
    outcome: str = "done"
    bytes_down: int = 0
    position: int = 0
    described: int = 0
    formats: bytes = b""


class ClientData(msgspec.Struct):
    """The beginning of what the client streams into a statement, for the recording; the journal counts it only.

    data  the data themselves, without the protocol's headers, behind those of the statement's earlier notes
    """

    number: int
    data: bytes


class SessionChanged(msgspec.Struct):
    """Something about the session changed: only the fields that did are set.

    client  what the client's program calls itself from now on, at most 256 characters
    """

    schema: str | None = None
    catalog: str | None = None
    transaction: Transaction | None = None
    role: str | None = None
    client: str | None = None


Note = StatementBegins | StatementExtends | StatementEnds | SessionChanged | ClientData


class Piece(msgspec.Struct, weakref=True):
    """A run of bytes of one direction that may be passed on together, after its notes are in the journal.

    data        what goes on to the other side (a rewritten message, when it is not what came)
    size        bytes of the input that it covers
    kind        the protocol's name of the message, or of the first of a run of them
    understood  False: the reader could not attribute these bytes; `size` counts as unattributed
    forward     False: the reader drops these bytes (the rest of a refused pipeline)
    statement   the statement that these bytes answer or carry data for, where there is one
    """

    data: bytes
    size: int
    kind: str
    notes: tuple[Note, ...] = ()
    understood: bool = True
    forward: bool = True
    statement: int | None = None


class Reply(Piece):
    """A piece of the server's that the reader answers by itself: nothing of it goes to the client (`data` is empty).

    back  what the server is sent
    """

    back: bytes = b""

    def __repr__(self) -> str:
        return f"Reply(kind={self.kind!r}, size={self.size})"


class ClientSide(Protocol):
    """Reads what the client sends after login."""

    judging: bool
    """Set by the relay when rules apply: every statement then comes in a piece of its own and can be refused alone."""

    def sample_uploads(self, limit: int) -> None:
        """Hands out the first `limit` bytes of what the client streams into each statement, as `ClientData`."""
        ...

    ahead: bool
    """Set by `feed`: so much waits for answers that the client is not to be read until `still_ahead` says no.

    Never where the database itself may be waiting for more of the client before it answers.
    """

    def still_ahead(self) -> bool:
        """Whether that holds on, after answers have come; sets `ahead`."""
        ...

    @property
    def leaving(self) -> bool:
        """Whether the client has said that it ends the session; the database then closes the connection for it."""
        ...

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that `data` completes. Raises ProtocolError for what cannot be read."""
        ...

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        """`piece` (which begins a statement and has not been forwarded) is not sent to the database.

        The client's error goes into its right place among the server's answers: `ServerSide.due` hands it out.
        Whatever of the same pipeline the protocol makes void comes as pieces with `forward` False.
        """
        ...


class ServerSide(Protocol):
    """Reads what the database answers."""

    @property
    def transaction(self) -> Transaction:
        """The state of the session's transaction."""
        ...

    @property
    def codec(self) -> str:
        """The Python codec of the session's texts."""
        ...

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that `data` completes. Raises ProtocolError for what cannot be read."""
        ...

    def due(self) -> bytes:
        """Bytes of the bastion's own that the client is to be given now, before any further byte of the server."""
        ...

    @property
    def running(self) -> int | None:
        """The number of the statement that the server is at work on, None when it is idle."""
        ...

    @property
    def rows(self) -> int:
        """Rows of the running statement so far."""
        ...

    def farewell(self, refusal: Refusal) -> bytes:
        """The last words to the client before its connection is closed; empty in the middle of a message."""
        ...

    def open_statements(self) -> list[int]:
        """Numbers of all statements that have no outcome yet, oldest first."""
        ...


@runtime_checkable
class TakesBack(Protocol):
    """A ClientSide of a protocol whose client cancels on the session's own connection."""

    def takes_back(self, behind: bytes) -> bool:
        """Whether the client cancels what it has sent whole and what waits, by what it has sent behind it.

        That is fed all the same, once nothing waits any more.
        """
        ...


@runtime_checkable
class SaysNotices(Protocol):
    """A ServerSide whose protocol lets a server tell its client something that answers nothing."""

    def notify(self, text: str) -> bool:
        """The client is to be told `text`: `due` hands the words out where they may stand. False: not here."""
        ...


class Engine(Protocol):
    """One database protocol."""

    name: str
    default_port: int

    def login(self, request: LoginRequest) -> LoginSteps:
        """Logs both legs in. The server leg is connected before the first step."""
        ...

    def refuse(self, refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
        """Tells a client that connects, in its protocol, why it may not. There is no server leg.

        `client_tls`: the bastion has a certificate to offer, for a client that would not listen without TLS.
        Ends with CancelAsked, and nothing said, where the client has only come to cancel.
        """
        ...

    def cancel(self, key: CancelKey, request: LoginRequest) -> CancelSteps | InBandCancel:
        """Cancels what the connection with `key` is running; steps use the server leg of a new connection."""
        ...

    def hang_up(self, key: CancelKey, request: LoginRequest) -> CancelSteps | None:
        """Ends the connection with `key` on the database, whatever it is at; None where the protocol has no such order.

        For a statement that does not stop when it is cancelled. Steps as those of `cancel`.
        """
        ...
