"""What a database holds, the same for every engine: the tree of the catalog, a table described, definitions, foreign
keys. Each engine fills it from its own system catalog in `<engine>_catalog.py`.

How the four engines map:

| here | PostgreSQL | MySQL, MariaDB | SQL Server | Oracle |
| --- | --- | --- | --- | --- |
| top of the tree | schemas of the open database | databases | schemas of the open database | schemas (users) |
| source | pg_catalog | information_schema, SHOW CREATE | sys.* views | ALL_* views |
| definition of a table | built, see `left_out` | SHOW CREATE | built from sys.* | DBMS_METADATA.GET_DDL |
| definition of a routine | pg_get_functiondef | SHOW CREATE | sys.sql_modules | ALL_SOURCE |
| `specific` of a routine | identity arguments | - | - | subprogram and overload number |
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .interface import Origin, Row
    from .metadata import SchemaMetadata

PAGE = 2_000
"""Things of one level that are asked for at a time."""
STATEMENT_SECONDS = 20
"""What one question to the catalog may take on the server."""

GONE = "It is not there any more. Load the catalog again (F5)."
NO_DEFINITION = "Several things together have no definition. Choose one of them."
NOT_SHOWN = "The server does not show this definition: the account has no right to see it."

Query = Callable[[str], "list[Row]"]
"""Runs a statement and gives its rows as text. Raises DatabaseError."""

GROUPS = frozenset(
    {
        "tables",
        "views",
        "materialized views",
        "functions",
        "procedures",
        "packages",
        "sequences",
        "synonyms",
        "events",
        "indexes",
        "keys",
        "foreign keys",
        "referenced by",
        "triggers",
        "partitions",
    }
)
"""Kinds of nodes that only gather others; their path is that of what they belong to."""
RELATIONS = frozenset({"table", "view", "materialized view", "foreign table"})
"""Kinds that have rows."""


@dataclass(frozen=True, slots=True)
class TableName:
    """A table or view. `schema` is the database in MySQL."""

    schema: str
    name: str

    @property
    def path(self) -> tuple[str, str]:
        """As it stands in a CatalogNode."""
        return (self.schema, self.name)


@dataclass(frozen=True, slots=True)
class CatalogNode:
    """A thing in the catalog.

    kind      schema, database; one of GROUPS; table, view, materialized view, foreign table, function, procedure,
              aggregate, package, sequence, synonym, event; column, index, key, check, foreign key, reference, trigger
    path      its name from the top; of a group, of what it belongs to. (kind, path, specific) is unique
    detail    shown after the name: a column's type, a routine's arguments
    leaf      there is nothing below
    marks     of a column: pk, fk, not null; of a schema or database: current (names without one are looked for there)
    count     how many are below, where it costs nothing to know
    specific  what tells routines of one name apart
    target    of a foreign key, a reference or a column with one: the table at its other end
    system    belongs to the server itself
    """

    kind: str
    name: str
    path: tuple[str, ...]
    detail: str = ""
    leaf: bool = False
    marks: tuple[str, ...] = ()
    count: int | None = None
    specific: str = ""
    target: TableName | None = None
    system: bool = False

    @property
    def key(self) -> tuple[str, tuple[str, ...], str]:
        """Tells it from every other node."""
        return (self.kind, self.path, self.specific)

    @property
    def table(self) -> TableName | None:
        """The table or view that it is or belongs to."""
        below = self.kind in (
            "column",
            "index",
            "key",
            "check",
            "foreign key",
            "reference",
            "trigger",
            "indexes",
            "keys",
            "foreign keys",
            "referenced by",
            "triggers",
            "partitions",
        )
        return TableName(*self.path[:2]) if (below or self.kind in RELATIONS) and len(self.path) >= 2 else None


@dataclass(frozen=True)
class CatalogPage:
    """A part of what is below a node. `more`: there are others behind it."""

    nodes: list[CatalogNode]
    more: bool = False


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table. `default` is the expression as the server writes it; '' where there is none."""

    name: str
    type_name: str
    nullable: bool
    default: str = ""
    extra: str = ""
    """identity, auto_increment, generated as …"""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """`columns` are names or expressions, in order. `condition` is that of a partial index."""

    name: str
    columns: tuple[str, ...]
    unique: bool
    primary: bool
    method: str
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """`kind` is primary key, unique, check or exclude; `text` as the server writes it."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of `table` hold what `referenced_columns` of `referenced` hold, pair by pair."""

    name: str
    table: TableName
    columns: tuple[str, ...]
    referenced: TableName
    referenced_columns: tuple[str, ...]
    on_delete: str = ""
    on_update: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """`when` is like `BEFORE INSERT OR UPDATE`."""

    name: str
    when: str
    enabled: bool = True


@dataclass(frozen=True)
class Description:
    """A table or view and what hangs on it. `facts` are pairs to show as they are: owner, estimated rows, engine."""

    table: TableName
    kind: str
    columns: tuple[TableColumn, ...]
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    referenced_by: tuple[ForeignKey, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Definition:
    """Statements that make a thing again. `left_out` names what they do not hold, so that nobody relies on it."""

    text: str
    left_out: tuple[str, ...] = ()


class Catalog(ABC):
    """The catalog of one connection, asked on its thread. Every method blocks and raises DatabaseError."""

    @abstractmethod
    def page(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        """At most PAGE things below `node` (None: the top) from the `offset`th on, in the order to show."""

    @abstractmethod
    def describe(self, table: TableName) -> Description:
        """A table or view, with its indexes, keys and triggers."""

    @abstractmethod
    def definition(self, node: CatalogNode) -> Definition:
        """The DDL of a table, view, routine, sequence, trigger or event; of a column or index, that of its table."""

    @abstractmethod
    def foreign_keys(self, table: TableName) -> tuple[list[ForeignKey], list[ForeignKey]]:
        """Those of `table`, and those of others that reference it."""

    @abstractmethod
    def origins(self, origins: Sequence[Origin]) -> dict[Origin, tuple[TableName, str]]:
        """The table and column that result columns come from; what is no table's column is left out."""

    @abstractmethod
    def metadata(self) -> SchemaMetadata:
        """All names at once, for completion and search; bounded as `metadata` says."""

    @abstractmethod
    def databases(self) -> list[str]:
        """The database names that could be opened instead of this one; the server's own last or left out."""

    @abstractmethod
    def limit_time(self, seconds: int) -> None:
        """From now on the server stops a statement of this connection after so long, where it can."""


def text_of(cell: object) -> str:
    """A cell of a catalog query as text; '' for NULL."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return cell if isinstance(cell, str) else ""


def number_of(cell: object) -> int:
    """A cell that holds a whole number; 0 for NULL."""
    text = text_of(cell)
    return int(text) if text.lstrip("-").isdigit() else 0


def bound(query: str, values: dict[str, str]) -> str:
    """`query` with each `:name` replaced by its value, in one pass, so that no value is looked into."""
    return re.sub(r"(?<!:):([a-z]+)", lambda match: values[match.group(1)], query)
