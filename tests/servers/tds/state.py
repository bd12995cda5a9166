"""What a session of the server knows: who it is, its database connections, its transaction, its settings."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

from .databases import Databases
from .encoding import Value
from .login import PRODUCT_VERSION, Login
from .script import Module
from .sql_types import SqlType
from .statement_log import StatementLog
from .tokens import SERVER_NAME

VERSION_TEXT = (
    "Microsoft SQL Server 2022 (RTM) - {}.{}.{}.{} (X64) \n\tTest server of TDS, answering from SQLite\n".format(
        *PRODUCT_VERSION
    )
)


@dataclass
class Prepared:
    """A statement with a handle."""

    text: str
    definition: str


@dataclass
class Cursor:
    """A result that is fetched in parts; all its rows are held."""

    columns: list[object]
    rows: list[tuple[Value, ...]]
    at: int = 0
    """The row before the first that a fetch of the next ones gives."""


@dataclass
class Shared:
    """What all sessions have in common."""

    databases: Databases
    log: StatementLog
    sessions: dict[int, Session] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(51))

    def next_spid(self) -> int:
        return next(self._numbers) % 32000


class Session:
    """Used by one thread at a time, but for `interrupt`."""

    def __init__(self, shared: Shared, login: Login, spid: int, database: str) -> None:
        self.shared, self.login, self.spid = shared, login, spid
        self.first_database = self.database = database
        self.began = time.time()
        self.connections: dict[str, apsw.Connection] = {}
        self.transactions = 0
        """@@TRANCOUNT."""
        self.doomed = False
        self.descriptor = 0
        self.options: dict[str, str] = {}
        self.row_count: int = 0
        self.identity: int | None = None
        self.last_error = 0
        self.caught: list[tuple[int, int, int, int, str, str]] = []
        """Errors that CATCH blocks are at: number, severity, state, line, procedure, text."""
        self.prepared: dict[int, Prepared] = {}
        self.cursors: dict[int, Cursor] = {}
        self.handles = itertools.count(1)
        self.depth = 0
        self.depth_of_try = 0
        self.running = ""
        """The statement that is at work."""
        self.killed = threading.Event()
        self.on_kill: Callable[[], None] = lambda: None

    @property
    def connection(self) -> apsw.Connection:
        """That of the open database."""
        found = self.connections.get(self.database)
        if found is None:
            found = self.shared.databases.open(self.database)
            self._register(found)
            if self.transactions:
                found.execute("BEGIN")
            self.connections[self.database] = found
        return found

    def attach(self, database: str) -> None:
        """Makes another database's tables readable by their three-part names."""
        connection = self.connection
        if database != self.database and database not in {row[1] for row in connection.execute("PRAGMA database_list")}:
            connection.execute("ATTACH ? AS " + '"' + database + '"', (str(self.shared.databases.path(database)),))

    def _register(self, connection: apsw.Connection) -> None:
        version = ".".join(map(str, PRODUCT_VERSION))
        properties: dict[str, Value] = {
            "productversion": version,
            "servername": SERVER_NAME,
            "edition": "Developer Edition (64-bit)",
            "engineedition": 3,
            "productlevel": "RTM",
            "machinename": SERVER_NAME,
            "instancename": None,
            "collation": "SQL_Latin1_General_CP1_CI_AS",
            "isintegratedsecurityonly": 0,
            "isclustered": 0,
            "productmajorversion": str(PRODUCT_VERSION[0]),
            "ishadrenabled": 0,
            "productbuild": str(PRODUCT_VERSION[2]),
        }
        named = {
            "db_name": self._db_name,
            "db_id": lambda name=None: self._number(name or self.database),
            "suser_sname": lambda *_: self.login.user,
            "suser_name": lambda *_: self.login.user,
            "original_login": lambda: self.login.user,
            "user_name": lambda *_: "dbo",
            "host_name": lambda: self.login.host,
            "app_name": lambda: self.login.application,
            "schema_name": lambda *number: self.schemas()[int(number[0]) - 1] if number else "dbo",
            "schema_id": lambda *name: self.schemas().index(name[0].lower()) + 1 if name else 1,
            "object_id": self._object_id,
            "object_name": self._object_name,
            "serverproperty": lambda name: properties.get(str(name).lower()),
            "databasepropertyex": lambda _db, name: {
                "collation": properties["collation"],
                "status": "ONLINE",
                "updateability": "READ_WRITE",
            }.get(str(name).lower()),
            "connectionproperty": lambda name: {"net_transport": "TCP", "auth_scheme": "SQL"}.get(str(name).lower()),
            "scope_identity": lambda: self.identity,
            "ident_current": lambda _table: self.identity,
            "is_srvrolemember": lambda *_: 1,
            "is_member": lambda *_: 1,
            "has_dbaccess": lambda *_: 1,
            "has_perms_by_name": lambda *_: 1,
            "is_rolemember": lambda *_: 1,
            "xact_state": lambda: -1 if self.doomed else int(self.transactions > 0),
            "error_number": lambda: self._caught(0),
            "error_severity": lambda: self._caught(1),
            "error_state": lambda: self._caught(2),
            "error_line": lambda: self._caught(3),
            "error_procedure": lambda: self._caught(4) or None,
            "error_message": lambda: self._caught(5),
            "tsql_global": self._global,
            "session_context": lambda _name: None,
            "context_info": lambda: None,
            "object_definition": lambda _number: None,
            "columnproperty": lambda *_: 0,
            "objectproperty": lambda *_: 0,
            "type_name": _type_name,
            "current_transaction_id": lambda: self.descriptor,
        }
        for name, function in named.items():
            connection.create_scalar_function(name, function)  # type: ignore[arg-type]

    def _db_name(self, number: int | None = None) -> str | None:
        names = self.shared.databases.names()
        if number is None:
            return self.database
        return names[number - 1] if 0 < number <= len(names) else None

    def _number(self, name: str) -> int | None:
        names = [each.lower() for each in self.shared.databases.names()]
        return names.index(name.lower()) + 1 if name.lower() in names else None

    def _caught(self, index: int) -> Value:
        return self.caught[-1][index] if self.caught else None

    def _global(self, name: str) -> Value:
        values: dict[str, Value] = {
            "version": VERSION_TEXT,
            "servername": SERVER_NAME,
            "servicename": "MSSQLSERVER",
            "spid": self.spid,
            "trancount": self.transactions,
            "rowcount": self.row_count,
            "identity": self.identity,
            "error": self.last_error,
            "language": "us_english",
            "langid": 0,
            "max_precision": 38,
            "fetch_status": -1,
            "microsoftversion": PRODUCT_VERSION[0] << 24 | PRODUCT_VERSION[2],
            "textsize": 2147483647,
            "options": 5496,
            "lock_timeout": -1,
            "nestlevel": self.depth,
            "datefirst": 7,
            "dbts": bytes(8),
            "max_connections": 32767,
        }
        return values.get(name)

    # -- names

    def schemas(self) -> list[str]:
        """Of the open database, in lower case; their place is their number."""
        own = [str(row[0]).lower() for row in self.connection.execute("SELECT name FROM tsql_schemas ORDER BY rowid")]
        return ["dbo", "guest", "information_schema", "sys", *own]

    def module(self, name: str) -> tuple[str, str, str] | None:
        """A procedure's kind, arguments and body, by its name without dbo."""
        found = self.connection.execute(
            "SELECT kind, arguments, body FROM tsql_modules WHERE name = ?", (name,)
        ).fetchone()
        return None if found is None else (str(found[0]), str(found[1]), str(found[2]))

    def keep_module(self, module: Module, name: str) -> None:
        """Creates or replaces it."""
        arguments = " ".join(token.text for token in module.arguments)
        self.connection.execute(
            "INSERT OR REPLACE INTO tsql_modules VALUES (?, ?, ?, ?, ?)",
            (name, module.kind, arguments, module.text, module.body),
        )

    def _object_id(self, name: str | None, _kind: str | None = None) -> int | None:
        if name is None:
            return None
        plain = name.replace("[", "").replace("]", "")
        pieces = plain.split(".")
        plain = pieces[-1] if len(pieces) < 2 or pieces[-2].lower() in ("dbo", "") else ".".join(pieces[-2:])
        if plain.startswith("#"):
            found = self.connection.execute("SELECT 1 FROM sqlite_temp_master WHERE name = ?", (plain,)).fetchone()
            return 1 if found else None
        return self.object_number(plain)

    def object_number(self, name: str) -> int | None:
        """The object_id of a table, view or procedure."""
        for table, start in (("sqlite_master", 0), ("tsql_modules", 1 << 20)):
            found = self.connection.execute(
                f"SELECT rowid FROM {table} WHERE name = ? COLLATE NOCASE", (name,)
            ).fetchone()
            if found is not None:
                return int(found[0]) + start + 1000
        return None

    def _object_name(self, number: int | None, _database: int | None = None) -> str | None:
        if number is None:
            return None
        table, start = ("tsql_modules", (1 << 20) + 1000) if number > 1 << 20 else ("sqlite_master", 1000)
        found = self.connection.execute(f"SELECT name FROM {table} WHERE rowid = ?", (number - start,)).fetchone()
        return str(found[0]).split(".")[-1] if found else None

    # -- transactions

    def begin(self) -> bool:
        """Whether that began one; inside one it only counts."""
        self.transactions += 1
        if self.transactions > 1:
            return False
        self.connection  # noqa: B018  opens it
        for connection in self.connections.values():
            if not connection.in_transaction:
                connection.execute("BEGIN")
        self.descriptor += 1 << 8 | 1
        return True

    def commit(self) -> bool:
        """Whether that ended one."""
        self.transactions -= 1
        if self.transactions > 0:
            return False
        self._end("COMMIT")
        return True

    def rollback(self) -> None:
        self.transactions = 0
        self.doomed = False
        self._end("ROLLBACK")

    def _end(self, word: str) -> None:
        for connection in self.connections.values():
            if connection.in_transaction:
                connection.execute(word)

    def reset(self) -> None:
        """As a pool asks before a connection is used again."""
        if self.transactions:
            self.rollback()
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()
        self.prepared.clear()
        self.cursors.clear()
        self.options.clear()
        self.database = self.first_database

    def interrupt(self) -> None:
        """From any thread."""
        for connection in list(self.connections.values()):
            connection.interrupt()

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close(True)
        self.connections.clear()


def _type_name(number: int | None) -> str | None:
    from .view_rows import TYPES

    return next((name for name, one in TYPES.items() if one == number), None)


Variables = dict[str, tuple[SqlType, Value]]
