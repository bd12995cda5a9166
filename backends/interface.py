"""What a console needs of a database, whichever engine it is. One connection, used from one thread.

A backend never opens a TCP port and never cancels by itself: the way to the server is handed in, and running
statements are cancelled by the bastion (`session.cancel`), which does it in each protocol's own manner. After that
the statement that runs here ends with a `DatabaseError` whose `cancelled` is set.

Values are the server's own text wherever the protocol can give it: no number is rounded, no date reshaped. A driver
that knows only Python values (SQL Server, Oracle) gives their text in the engine's usual form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from .plan import Plan

if TYPE_CHECKING:
    from .catalog import Catalog
    from .dialect import Dialect

Cell = str | bytes | None
Row = tuple[Cell, ...]


class Kind(Enum):
    """How a column's values are aligned and exported."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"
    BINARY = "binary"
    JSON = "json"


class TransactionState(Enum):
    """NONE: every statement stands for itself. OPEN: a transaction runs. FAILED: it can only be rolled back."""

    NONE = "none"
    OPEN = "open"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Origin:
    """The table column that a result column comes from, as far as the protocol says it.

    MySQL names it; PostgreSQL gives the table's OID and the column's number, which the catalog can name.
    """

    schema: str = ""
    table: str = ""
    column: str = ""
    table_oid: int = 0
    column_number: int = 0


@dataclass(frozen=True)
class Column:
    """A column of a result. `type_name` is the engine's own name for its type.

    `origin` is None for an expression.
    """

    name: str
    type_name: str
    kind: Kind
    origin: Origin | None = None


# What `execute` yields, in order: for every result set Started, Rows…, Finished; notices in between.


@dataclass(frozen=True)
class Started:
    """A result set begins."""

    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Rows:
    """Some rows of the result set that began last; none: the server is silent, what has come can be shown."""

    rows: Sequence[Row]


@dataclass(frozen=True)
class Finished:
    """A result set, or a statement without one, is complete. `affected` is None where the server gives no count."""

    status: str
    affected: int | None


@dataclass(frozen=True)
class Notice:
    """Something that the server says beside the results."""

    severity: str
    message: str


Event = Started | Rows | Finished | Notice


class DatabaseError(Exception):
    """The database said no, or the connection to it failed.

    position    characters from the start of the statement, where the engine names a place
    cancelled   the statement was cancelled
    connection_lost   no further statement can run on this connection
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        position: int | None = None,
        detail: str = "",
        hint: str = "",
        cancelled: bool = False,
        connection_lost: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.position = position
        self.detail = detail
        self.hint = hint
        self.cancelled = cancelled
        self.connection_lost = connection_lost

    def moved(self, characters: int) -> DatabaseError:
        """The same error for a statement that begins elsewhere in what was sent."""
        if self.position is not None:
            self.position = max(self.position + characters, 0)
        return self


@dataclass(frozen=True)
class Login:
    """What the driver logs in with. With a hosted account the bastion puts the real secret in place.

    `catalog` is the database name to open; '' leaves it to the server. `service` or `sid`: Oracle's, as declared.
    """

    user: str
    password: str = field(repr=False)
    catalog: str = ""
    program: str = "casemate"
    service: str = ""
    sid: str = ""


@dataclass(frozen=True)
class ServerFacts:
    """Who answered."""

    version: str
    catalog: str


class Backend(ABC):
    """One connection to one database. Every method blocks and is called from the connection's own thread."""

    engine: ClassVar[str]
    dialect: ClassVar[Dialect]
    autocommit: bool = True
    """Whether every statement outside a transaction stands for itself; changed by `set_autocommit`."""

    @abstractmethod
    def connect(self) -> ServerFacts:
        """Connects and logs in. Raises DatabaseError."""

    @abstractmethod
    def execute(self, text: str) -> Iterator[Event]:
        """Runs one statement and yields what comes of it while it comes. Raises DatabaseError.

        The iterator must be used up, or closed, before the next statement; `close` on it reads the rest away.
        """

    @abstractmethod
    def transaction(self) -> TransactionState:
        """As the server said last; costs no round trip."""

    @abstractmethod
    def set_autocommit(self, on: bool) -> None:
        """Off: the first statement opens a transaction that lasts until commit or rollback. Raises DatabaseError."""

    @abstractmethod
    def begin(self) -> None:
        """Opens a transaction while autocommit is on. Raises DatabaseError."""

    @abstractmethod
    def commit(self) -> None:
        """Raises DatabaseError."""

    @abstractmethod
    def rollback(self) -> None:
        """Raises DatabaseError, also where not everything could be taken back (tables without transactions)."""

    def explain(self, text: str, *, measured: bool) -> Plan:
        """The plan of a statement. `measured` runs it, whatever it does; that is the caller's to ask about.

        Raises DatabaseError, PlanUnreadable.
        """
        raise DatabaseError("There is no plan to show for this engine.")

    @property
    @abstractmethod
    def catalog(self) -> Catalog:
        """What the database holds. Raises DatabaseError where there is no connection."""

    def catalogs(self) -> list[str]:
        """The database names that could be opened instead of this one, those of the server itself last or left out.

        Raises DatabaseError.
        """
        return self.catalog.databases()

    def quote(self, name: str) -> str:
        """`name` as an identifier, quoted where it has to be."""
        return self.dialect.quote(name)

    def sample(self, path: Sequence[str], count: int = 100) -> str:
        """A statement that reads some rows of a table."""
        return self.dialect.rows_of(path, count=count)

    @abstractmethod
    def close(self) -> None:
        """Ends the connection; never raises."""

    def stop_fetching(self) -> bool:
        """Ends the result that is being read before its next rows are asked for; from any thread.

        For a driver that asks for rows page by page: between two pages nothing runs that the bastion could cancel.
        False where that is not so, or nothing is being read.
        """
        return False

    @abstractmethod
    def abandon(self) -> None:
        """Takes the way to the server away, from any thread, so that a running statement ends with an error."""
