"""A scripted bastion and database for the screens: what they say is fixed, what they are asked is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends import arrow
from backends.catalog import PAGE, CatalogNode, CatalogPage, Definition, Description, ForeignKey, TableColumn, TableName
from backends.connection import ResultBegan, ResultEnded, RowsArrived, RunEvent, RunFailed
from backends.foreign_keys import Jump
from backends.host_keys import HostKeys
from backends.interface import Column, DatabaseError, Kind, Notice, ServerFacts, TransactionState
from backends.link import Credentials, Listener, LoginRefused, Target
from backends.metadata import FunctionMetadata, SchemaMetadata, TableMetadata
from backends.plan import Plan
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.methods import Method
from bastion.api.refusals import Refused
from screens.workstation import Services, Start
from tui.app import CasemateApp
from tui.theme import CASEMATE

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
ATTACK = "\x1b]52;c;cm0gLXJmIC8=\x07[bold red]x[/]\x9b31m"
"""A clipboard write, markup and a C1 sequence, as a name or a value from a database."""


def token(database: str, account: str, expires: str, **more: Any) -> m.Token:
    values: dict[str, Any] = {
        "id": f"t-{database}-{account}",
        "token": "cmt_abcdefghijklmnopqrstuvwxyz234567",
        "user": "alice",
        "host": "10.20.0.15",
        "port": 5432,
        "bastion": m.Address(host="bastion.example.com", port=60022),
        "database": database,
        "account": account,
        "expires_at": expires,
        "renewals_left": 3,
        "ca": "",
        "lines": m.Lines(
            ssh="ssh -N -L 15432:10.20.0.15:5432 -p 60022 alice@bastion.example.com",
            client="psql 'host=127.0.0.1 port=15432 user=app_rw dbname=orders'",
        ),
        "engine": "postgresql",
        "hosted": True,
        "issued_at": "2026-11-22T02:00:00Z",
    }
    return m.Token(**(values | more))


def state_of(shown: m.Token) -> m.TokenState:
    return m.TokenState(
        id=shown.id,
        database=shown.database,
        account=shown.account,
        issued_at=shown.issued_at,
        expires_at=shown.expires_at,
        renewals_left=shown.renewals_left,
    )


ORDERS_TOKEN = token("orders", "app_rw", "2026-11-22T09:59:17Z")


def database(name: str, engine: str, platform: str, host: str, port: int, **more: Any) -> m.Database:
    values: dict[str, Any] = {
        "name": name,
        "engine": engine,
        "platform": platform,
        "host": host,
        "port": port,
        "domain": "",
        "databases": [],
        "accounts": [m.Account(name="app_rw", hosted=True)],
        "tokens": [],
        "until": None,
    }
    return m.Database(**(values | more))


DATABASES = [
    database(
        "orders",
        "postgresql",
        "self-managed",
        "10.20.0.15",
        5432,
        databases=["orders", "orders_archive"],
        accounts=[m.Account(name="app_rw", hosted=True), m.Account(name="report", hosted=False)],
        tokens=[state_of(ORDERS_TOKEN)],
        until="2027-11-01T00:00:00Z",
    ),
    database("billing", "mysql", "rds", "rm-bp1example.mysql.rds.aliyuncs.com", 3306, domain="shanghai-vpc"),
    database(
        "crm",
        "mysql",
        "polardb",
        "pc-bp1example.rwlb.rds.aliyuncs.com",
        3306,
        tokens=[state_of(token("crm", "app_rw", "2026-11-22T03:08:00Z"))],
    ),
    database("erp", "oracle", "self-managed", "erp.internal", 1521, accounts=[m.Account(name="*", hosted=False)]),
    database("warehouse", "sqlserver", "rds", "rm-example.sqlserver.rds.aliyuncs.com", 1433),
]

SESSION = {
    "source": "10.1.2.3:50122", "client": "psql 16.4", "token": "t-orders-app_rw", "database": "orders",
    "account": "app_rw", "login": "app_rw", "engine": "postgresql", "node": "node-1", "ended_at": None,
    "end_reason": None, "bytes_up": 1200, "bytes_down": 88_000, "unattributed_bytes": 0,
}  # fmt: skip

SESSIONS = [
    m.Session(
        **(SESSION | {"client": "casemate"}), id="s-0192f3", user="alice", state="live",
        started_at="2026-11-22T03:01:00Z", statements=3, running="select * from line_item order by created_at",
    ),
    m.Session(**SESSION, id="s-0192f2", user="bob", state="live", started_at="2026-11-22T02:55:10Z", statements=41),
    m.Session(
        **(SESSION | {"ended_at": "2026-11-22T01:10:00Z", "end_reason": "the client closed the connection"}),
        id="s-0192ee", user="bob", state="closed", started_at="2026-11-22T01:00:00Z", statements=12,
    ),
    m.Session(
        **(SESSION | {"end_reason": "token-wrong-database", "client": ""}), id="s-0192ed", user="eve",
        state="refused", started_at="2026-11-22T00:41:00Z", statements=0,
    ),
]  # fmt: skip


def statement(seq: int, text: str, state: str = "done", **more: Any) -> m.Statement:
    values: dict[str, Any] = {
        "session": "s-0192f3", "seq": seq, "at": f"2026-11-22T03:01:{seq:02}Z", "user": "alice", "database": "orders",
        "account": "app_rw", "schema": "public", "kind": "select", "text": text, "binds": None, "verdict": "allowed",
        "tool": "", "state": state, "rows": 1, "error": None, "duration_ms": 2.4, "bytes_down": 120,
    }  # fmt: skip
    return m.Statement(**(values | more))


STATEMENTS = [
    statement(1, "select current_database()"),
    statement(2, "select id, status from orders where customer = $1", binds=["4711"], rows=17, duration_ms=11.0),
    statement(
        3, "update orders set statsu = 'paid' where id = 9", "failed", rows=None,
        error='column "statsu" of relation "orders" does not exist',
    ),
    statement(4, "select * from line_item order by created_at", "sent", rows=None, duration_ms=None),
]  # fmt: skip


class PersonalShelf:
    """What a bastion keeps for a person, in memory: newest first, as it answers."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def put(self, wanted: methods.PersonalPut) -> m.PersonalKept:
        self.kept.pop((wanted.kind, wanted.key), None)
        self.kept[wanted.kind, wanted.key] = wanted.value
        return m.PersonalKept(updated_at="2026-11-22T03:04:05.000000Z")

    def items(self, wanted: methods.PersonalList) -> m.PersonalPage:
        found = [
            m.PersonalItem(kind=kind, key=key, value=value, updated_at="2026-11-22T03:04:05.000000Z")
            for (kind, key), value in reversed(self.kept.items())
            if kind == wanted.kind and key.startswith(wanted.prefix) and wanted.key in (None, key)
        ]
        return m.PersonalPage(items=found[: wanted.limit] if wanted.limit else found)

    def remove(self, wanted: methods.PersonalRemove) -> int:
        gone = [place for place in self.kept if place[0] == wanted.kind and wanted.key in (None, place[1])]
        for place in gone:
            del self.kept[place]
        return len(gone)


class ScriptedLink:
    """A bastion whose answers are the lists above, or what a test puts into `answers`."""

    def __init__(self, target: Target, roles: Sequence[str] = ("operator",)) -> None:
        self.target = target
        self.hello = m.Hello(
            user=target.user,
            roles=list(roles),
            version="0.1.0",
            bastion=m.Address(host=target.host, port=target.port),
            node="node-1",
            ask="root, carol",
            token_validity=8 * 3600,
            token_longest=24 * 3600,
        )
        self.on_lost: list[Callable[[str], None]] = []
        self.calls: list[tuple[str, Any]] = []
        self.listeners: list[Listener] = []
        self.topics: set[str] = set()
        self.closed = False
        self.takes = 0.004
        """Seconds to the bastion and back."""
        self.shelf = PersonalShelf()
        self.answers: dict[str, Any] = {
            "databases.list": DATABASES,
            "token.show": ORDERS_TOKEN,
            "token.request": ORDERS_TOKEN,
            "token.renew": token("orders", "app_rw", "2026-11-22T11:04:05Z", renewals_left=2),
            "token.revoke": state_of(ORDERS_TOKEN),
            "sessions.list": SESSIONS,
            "audit.search": m.StatementPage(statements=STATEMENTS, cursor=None),
            "audit.count": m.Count(count=len(STATEMENTS), exact=True),
            "sessions.count": m.Count(count=len(SESSIONS), exact=True),
            "audit.names": m.AuditNames(
                users=["alice", "bob"],
                databases=["orders", "billing"],
                accounts=["app_rw"],
                tables=["orders", "line_item"],
                kinds=["select", "update", "drop"],
                clients=["psql 16.4"],
            ),
            "audit.tables": m.AuditNames(tables=["orders"]),
            "audit.filters.list": [],
            "session.cancel": True,
            "session.end": SESSIONS[0],
            "personal.list": lambda wanted: self.shelf.items(wanted),
            "personal.put": lambda wanted: self.shelf.put(wanted),
            "personal.remove": lambda wanted: self.shelf.remove(wanted),
        }

    async def call(self, method: Method, params: m.Message) -> Any:
        self.calls.append((method.name, params))
        answer = self.answers[method.name]
        if isinstance(answer, Exception):
            raise answer
        found = answer(params) if callable(answer) else answer
        return await found if asyncio.iscoroutine(found) else found

    async def subscribe(self, *topics: str) -> None:
        self.topics.update(topics)

    async def unsubscribe(self, *topics: str) -> None:
        self.topics.difference_update(topics)

    async def round_trip(self) -> float:
        return self.takes

    def listen(self, listener: Listener) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def close(self) -> None:
        self.closed = True

    def asked(self, name: str) -> list[Any]:
        """The params of the calls of one method."""
        return [params for called, params in self.calls if called == name]


COLUMNS = (
    Column("id", "int8", Kind.NUMBER),
    Column("customer", "text", Kind.TEXT),
    Column("status", "text", Kind.TEXT),
    Column("total", "numeric", Kind.NUMBER),
    Column("created_at", "timestamptz", Kind.TIME),
    Column("note", "text", Kind.TEXT),
)
STATUSES = ("paid", "open", "shipped")
ROWS = [
    ("100001", "Meier & Söhne", "paid", "1234.50", "2026-11-21 22:10:01.120334+00", None),
    ("100002", "上海贸易有限公司", "open", "88.00", "2026-11-21 22:11:44.000001+00", "call back\nbefore ten"),
    ("100003", "[bold]Bracket Ltd[/]", "open", "0.10", "2026-11-21 22:12:09+00", ATTACK),
    *[
        (str(100004 + i), f"Customer {i}", STATUSES[i % 3], f"{i * 7.35:.2f}", f"2026-11-21 23:{i:02}:00+00", None)
        for i in range(57)
    ],
]  # fmt: skip

SCHEMAS = ("public", "archive", "pg_catalog")
CATALOG: dict[tuple[str, tuple[str, ...]], list[CatalogNode]] = {
    ("", ()): [
        CatalogNode(
            "schema", name, (name,), marks=("current",) if name == "public" else (), system=name.startswith("pg_")
        )
        for name in SCHEMAS
    ],
    ("schema", ("public",)): [
        CatalogNode("tables", "tables", ("public",), count=3),
        CatalogNode("views", "views", ("public",), count=1),
        CatalogNode("functions", "functions", ("public",), count=1),
    ],
    ("tables", ("public",)): [
        CatalogNode("table", name, ("public", name), detail)
        for name, detail in (("customer", "~840"), ("line_item", "~3.4M"), ("orders", "~120k"))
    ],
    ("views", ("public",)): [CatalogNode("view", "open_orders", ("public", "open_orders"))],
    ("functions", ("public",)): [
        CatalogNode(
            "function", "order_total", ("public", "order_total"), "(bigint) → numeric", leaf=True, specific="bigint"
        ),
    ],
    ("table", ("public", "orders")): [
        CatalogNode("column", "id", ("public", "orders", "id"), "bigint", leaf=True, marks=("pk",)),
        CatalogNode(
            "column", "customer", ("public", "orders", "customer"), "bigint", leaf=True, marks=("fk", "not null"),
            target=TableName("public", "customer"),
        ),
        CatalogNode("column", "status", ("public", "orders", "status"), "text", leaf=True),
        CatalogNode("indexes", "indexes", ("public", "orders"), count=2),
        CatalogNode("referenced by", "referenced by", ("public", "orders"), count=1),
    ],
    ("referenced by", ("public", "orders")): [
        CatalogNode(
            "reference", "line_item", ("public", "orders", "line_item", "of_order"), "(order_id)", leaf=True,
            target=TableName("public", "line_item"),
        )
    ],
}  # fmt: skip
METADATA = SchemaMetadata(
    schemas=["public", "archive", "pg_catalog"],
    search_path=["public"],
    tables=[
        TableMetadata("public", "customer", "table", False, "id\0name\0region_id", "bigint\0text\0integer"),
        TableMetadata("public", "line_item", "table", False, "id\0order_id\0price", "bigint\0bigint\0numeric(12,2)"),
        TableMetadata("public", "orders", "table", False, "id\0customer\0status", "bigint\0text\0text"),
        TableMetadata("public", "open_orders", "view", False, "id\0status", "bigint\0text"),
    ],
    functions=[FunctionMetadata("public", "order_total", "function", "bigint", "numeric")],
    foreign_keys=[
        ForeignKey(
            "line_item_order", TableName("public", "line_item"), ("order_id",), TableName("public", "orders"), ("id",)
        )
    ],
)

Script = Callable[["ScriptedConsole", str, Callable[[RunEvent], None]], Any]


def answer_rows(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
    """Every statement gives the rows above."""
    listener(ResultBegan(COLUMNS, statement=text, engine=console.engine))
    listener(RowsArrived(arrow.batch(COLUMNS, ROWS)))
    listener(ResultEnded("SELECT 60", 60, 60, 0.0123))


@dataclass
class ScriptedConsole:
    """A database that answers by script."""

    script: Script = answer_rows
    session: str = "s-0192f3"
    facts: ServerFacts = field(default_factory=lambda: ServerFacts("18.1", "orders"))
    engine: str = "postgresql"
    state: TransactionState = TransactionState.NONE
    ran: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    autocommit: bool = True
    orders: list[str] = field(default_factory=list)
    plan: Callable[[bool], Plan] | None = None
    """What `explain` gives, measured or not."""
    names: list[str] = field(default_factory=list)
    catalog: dict[tuple[str, tuple[str, ...]], Any] = field(default_factory=lambda: dict(CATALOG))
    """What is below a node, by its kind and path; or the error that asking for it ends with."""
    leads: list[Jump] = field(default_factory=list)
    """Where the foreign keys of any value lead."""
    jumped: list[tuple[list[str | None], int]] = field(default_factory=list)
    known: SchemaMetadata | Exception = field(default_factory=lambda: METADATA)

    async def run(self, text: str, listener: Callable[[RunEvent], None]) -> None:
        self.ran.append(text)
        result = self.script(self, text, listener)
        if asyncio.iscoroutine(result):
            await result

    async def cancel(self) -> bool:
        self.cancelled.set()
        return True

    async def transaction(self) -> TransactionState:
        return self.state

    async def set_autocommit(self, on: bool) -> None:
        self.autocommit = on

    async def begin(self) -> None:
        self.orders.append("begin")
        self.state = TransactionState.OPEN

    async def commit(self) -> None:
        self.orders.append("commit")
        self.state = TransactionState.NONE

    async def rollback(self) -> None:
        self.orders.append("rollback")
        self.state = TransactionState.NONE

    async def explain(self, text: str, *, measured: bool) -> Plan:
        self.orders.append(f"{'measure' if measured else 'explain'} {text}")
        if self.plan is None:
            raise DatabaseError("There is no plan to show for this engine.")
        return self.plan(measured)

    async def children(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        answer = self.catalog.get((node.kind, node.path) if node is not None else ("", ()), [])
        if isinstance(answer, Exception):
            raise answer
        return CatalogPage(answer[offset : offset + PAGE], len(answer) > offset + PAGE)

    async def describe(self, table: TableName) -> Description:
        return Description(table, "table", (TableColumn("id", "bigint", False),))

    async def definition(self, node: CatalogNode) -> Definition:
        return Definition(f"create table {node.name} (id bigint);\n", ("owner",))

    async def jumps(self, columns: Sequence[Column], row: Sequence[str | None], index: int) -> list[Jump]:
        self.jumped.append((list(row), index))
        return list(self.leads)

    async def metadata(self, *, fresh: bool = False) -> SchemaMetadata:
        if isinstance(self.known, Exception):
            raise self.known
        return self.known

    def catalog_changed(self) -> None:
        self.orders.append("catalog changed")

    async def catalogs(self) -> list[str]:
        return list(self.names)

    def quote(self, name: str) -> str:
        return name

    def sample(self, path: Sequence[str]) -> str:
        return f"select * from {'.'.join(path)} limit 100;"

    async def close(self) -> None:
        self.closed = True


def fails(error: DatabaseError) -> Script:
    """A script that ends with `error`."""

    def run(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        listener(RunFailed(error, 0.0021))

    return run


@dataclass
class World:
    """What the application is given, and what a test looks at."""

    app: CasemateApp
    links: list[ScriptedLink]
    console: ScriptedConsole
    opened: list[tuple[m.Token, str]]
    login: list[tuple[Target, Credentials]]

    @property
    def link(self) -> ScriptedLink:
        return self.links[-1]


def world(
    folder: Path,
    *,
    roles: Sequence[str] = ("operator",),
    script: Script = answer_rows,
    refuse: Callable[[Target, Credentials, HostKeys], Exception | None] | None = None,
    signed_in: bool = True,
    answers: dict[str, Any] | None = None,
) -> World:
    """An application with everything around it scripted; `signed_in` starts it with a password."""
    links: list[ScriptedLink] = []
    opened: list[tuple[m.Token, str]] = []
    login: list[tuple[Target, Credentials]] = []
    console = ScriptedConsole(script)

    async def log_in(target: Target, credentials: Credentials, keys: HostKeys) -> ScriptedLink:
        login.append((target, credentials))
        refusal = refuse(target, credentials, keys) if refuse is not None else None
        if refusal is not None:
            raise refusal
        link = ScriptedLink(target, roles)
        link.answers |= answers or {}
        links.append(link)
        return link

    async def open_console(link: Any, shown: m.Token, catalog: str) -> ScriptedConsole:
        opened.append((shown, catalog))
        console.engine = shown.engine
        return console

    services = Services(
        log_in=log_in,
        open_console=open_console,
        host_keys=HostKeys([folder / "known_hosts"]),
        now=lambda: NOW,
        local_time=False,
    )
    start = Start(target="alice@bastion.example.com:60022", password="correct horse" if signed_in else None)
    return World(CasemateApp(services, start, CASEMATE.name), links, console, opened, login)


__all__ = ["ATTACK", "LoginRefused", "Notice", "Refused", "World", "fails", "world"]
