"""What the parts of the data path cost without a network: processor time a statement, and bytes a second.

    python -m benchmarks.parts [--statements 20000] [--megabytes 64] [--repeats 3] [--json FILE]

Each part is run several times and the fastest counts, in processor time of the thread, so that the figures hold on a
busy machine too. `readers` are the two sides of a protocol; `record` makes the journal's records of their notes;
`journal` chains and writes two records a statement; `all` is the relay with all of them between two connections that
swallow what they are given.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.audit.journal import Journal
from bastion.audit.records import AnyRecord, StatementDone, StatementSent
from bastion.protocols.contract import ClientSide, ServerSide, StatementBegins, StatementEnds
from bastion.protocols.contract import Leg as Side
from bastion.protocols.mysql.client_side import MysqlClientSide
from bastion.protocols.mysql.exchange import Exchange as MysqlExchange
from bastion.protocols.mysql.server_side import MysqlServerSide
from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect
from bastion.protocols.oracle.exchange import Exchange as OracleExchange
from bastion.protocols.oracle.server_side import OracleServerSide
from bastion.protocols.postgres.client_side import PostgresClientSide
from bastion.protocols.postgres.exchange import Exchange as PostgresExchange
from bastion.protocols.postgres.server_side import PostgresServerSide
from bastion.protocols.tds.client_side import TdsClientSide
from bastion.protocols.tds.exchange import Exchange as TdsExchange
from bastion.protocols.tds.server_side import TdsServerSide
from bastion.sessions.legs import Leg
from bastion.sessions.record import SessionRecord
from bastion.sessions.relay import Relay
from tests.protocols.mysql import packets as mysql
from tests.protocols.oracle import messages as oracle
from tests.protocols.tds import messages as tds
from tests.servers.oracle.columns import encode_number

from .processes import BenchmarkFailed
from .program import main_of
from .setting import Setting
from .tds_answers import ALL_ROWS, BULK, COLUMNS, ROW, Answers

QUICK = ("--statements", "5000", "--megabytes", "16", "--repeats", "2")
FULL = ("--statements", "20000", "--megabytes", "64", "--repeats", "5")

TURN = 4
"""Statements in one turn of the event loop: what it puts off to the turn's end happens once in so many."""

READ = 64 * 1024
"""Bytes of one read, where bytes are counted."""

TDS_ROOM = 4096 - 8
"""Bytes of data in a packet of SQL Server: so many rows end with a packet."""

SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = {}"


@dataclass(frozen=True)
class Workload:
    """One statement after another. `first` opens the session; `ask` and `answer` are those of statement number N."""

    name: str
    engine: str
    sides: Callable[[], tuple[ClientSide, ServerSide]]
    ask: Callable[[int], bytes]
    answer: bytes
    first: tuple[bytes, bytes] = (b"", b"")


@dataclass(frozen=True)
class Stream:
    """A long run of bytes in one statement. `bulk` is repeated and comes from the client where `up`."""

    name: str
    sides: Callable[[], tuple[ClientSide, ServerSide]]
    first: tuple[bytes, bytes]
    bulk: bytes
    up: bool = False


# ------------------------------------------------------------------------------------------------ what passes by


def _message(kind: bytes, body: bytes) -> bytes:
    """A PostgreSQL message (Message Formats)."""
    return kind + struct.pack(">I", len(body) + 4) + body


def _postgres() -> tuple[ClientSide, ServerSide]:
    exchange = PostgresExchange()
    return PostgresClientSide(exchange), PostgresServerSide(exchange)


def _mysql() -> tuple[ClientSide, ServerSide]:
    exchange = MysqlExchange(capabilities=mysql.MODERN)
    return MysqlClientSide(exchange), MysqlServerSide(exchange)


def _tds() -> tuple[ClientSide, ServerSide]:
    exchange = TdsExchange()
    return TdsClientSide(exchange), TdsServerSide(exchange)


def _oracle() -> tuple[ClientSide, ServerSide]:
    exchange = OracleExchange(Dialect(field_version=24, big_chunks=True))
    return OracleClientSide(exchange), OracleServerSide(exchange)


_DESCRIPTION = _message(b"T", b"\0\1abalance\0" + bytes(18))
_ROW = _message(b"D", b"\0\1\0\0\0\4" + b"4711")
_DONE = _message(b"C", b"SELECT 1\0")
_READY = _message(b"Z", b"I")
_SYNC = _message(b"S", b"")


def _simple(number: int) -> bytes:
    return _message(b"Q", SELECT.format(number).encode() + b"\0")


def _execution(number: int) -> bytes:
    value = str(number).encode()
    bind = b"\0P0\0" + struct.pack(">HHI", 0, 1, len(value)) + value + struct.pack(">H", 0)
    return _message(b"B", bind) + _message(b"D", b"P\0") + _message(b"E", b"\0" + bytes(4)) + _SYNC


def _mysql_execution(number: int) -> bytes:
    # COM_STMT_EXECUTE: handle 1, no cursor, one iteration, no NULL, types sent: one LONG.
    head = b"\x17" + struct.pack("<IBI", 1, 0, 1)
    return mysql.packet(0, head + b"\0\1\3\0" + struct.pack("<I", number))


def _tds_execution(number: int) -> bytes:
    return tds.rpc(tds.call(12, tds.integer(1), tds.integer(number, "@P1")))


def _oracle_execution(number: int) -> bytes:
    return oracle.data(oracle.again(2, 1, ((encode_number(Decimal(number)),),)))


def _workloads() -> list[Workload]:
    described, columns = oracle.described(("ABALANCE",), [(4711,)])
    found = oracle.data(
        described + oracle.rows_of(columns, [(4711,)]) + oracle.parameters()
        + oracle.end(*oracle.NO_MORE, rows=1, cursor=3)
    )  # fmt: skip
    insert = oracle.execute("INSERT INTO t VALUES (:1)", binds=(2,), rows=((encode_number(Decimal(1)),),))
    inserted = oracle.data(oracle.parameters() + oracle.end(rows=1, cursor=2))
    answers = Answers.made(1, 1)
    preparation = tds.call(
        11, tds.integer(None, output=True), tds.nvarchar("@P1 int"), tds.nvarchar(SELECT.format("@P1")), tds.integer(1)
    )
    parse = _message(b"P", b"P0\0" + SELECT.format("$1").encode() + b"\0\0\0") + _SYNC
    parsed = _message(b"1", b"") + _READY
    answer = _DESCRIPTION + _ROW + _DONE + _READY
    bound = _message(b"2", b"") + answer
    text_row, binary_row = [b"\x044711"], [b"\0\0" + struct.pack("<I", 4711)]
    prepare = mysql.packet(0, b"\x16" + SELECT.format("?").encode())
    prepared = mysql.run(1, *mysql.prepare_ok(1, 1, 1, modern=True))
    return [
        Workload("PostgreSQL simple", "postgresql", _postgres, _simple, answer),
        Workload("PostgreSQL prepared", "postgresql", _postgres, _execution, bound, (parse, parsed)),
        Workload("MySQL text", "mysql", _mysql, lambda number: mysql.query(SELECT.format(number)),
                 mysql.run(1, *mysql.result_set(text_row, modern=True))),
        Workload("MySQL prepared", "mysql", _mysql, _mysql_execution,
                 mysql.run(1, *mysql.result_set(binary_row, modern=True)), (prepare, prepared)),
        Workload("SQL Server batch", "sqlserver", _tds, lambda number: tds.batch(SELECT.format(number)), answers.point),
        Workload("SQL Server sp_execute", "sqlserver", _tds, _tds_execution, answers.executed,
                 (tds.rpc(preparation), answers.prepared)),
        Workload("Oracle query", "oracle", _oracle,
                 lambda number: oracle.data(oracle.execute(SELECT.format(number), query=True)), found),
        Workload("Oracle executed again", "oracle", _oracle, _oracle_execution, inserted,
                 (oracle.data(insert), inserted)),
    ]  # fmt: skip


def _streams() -> list[Stream]:
    columns = (b"4711", b"1", b"0", b" " * 84)
    row = struct.pack(">H", len(columns)) + b"".join(struct.pack(">I", len(each)) + each for each in columns)
    line = b"\t".join(columns) + b"\n"
    mysql_row = b"".join(bytes([len(each)]) + each for each in columns)
    formats = b"\0" + struct.pack(">H", 4) + bytes(8)
    # Sequence ids go round from 0 to 255, so 256 packets are a run that can be repeated; the first row's is 6.
    head = mysql.run(1, b"\x04", *[mysql.DEFINITION] * 4)
    values: list[tuple[int | str | None, ...]] = [(4711, 1, 0, " " * 84)]
    described, oracle_columns = oracle.described(("AID", "BID", "ABALANCE", "FILLER"), values)
    oracle_rows = oracle.rows_of(oracle_columns, values)
    oracle_row = oracle.rows_of(oracle_columns, values * 2)[len(oracle_rows) :]
    oracle_head = oracle.data(described + oracle_rows)
    return [
        Stream("PostgreSQL rows", _postgres, (_simple(1), _DESCRIPTION), _message(b"D", row) * 600),
        Stream("PostgreSQL COPY out", _postgres, (_message(b"Q", b"COPY a TO STDOUT\0"), _message(b"H", formats)),
               _message(b"d", line) * 600),
        Stream("PostgreSQL COPY in", _postgres, (_message(b"Q", b"COPY a FROM STDIN\0"), _message(b"G", formats)),
               _message(b"d", line * 80) * 8, up=True),
        Stream("MySQL rows", _mysql, (mysql.query(SELECT.format(1)), head), mysql.run(6, *[mysql_row] * 256)),
        Stream("SQL Server rows", _tds, (tds.batch(ALL_ROWS), tds.answer(COLUMNS, status=0)),
               tds.packets(4, ROW * TDS_ROOM, status=0)),
        Stream("SQL Server bulk load", _tds, (tds.batch(BULK), tds.answer(tds.done())),
               tds.packets(7, ROW * TDS_ROOM, status=0), up=True),
        Stream("Oracle rows", _oracle, (oracle.data(oracle.execute(ALL_ROWS, query=True)), oracle_head),
               oracle.data(oracle_row * 80) * 20),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ what is measured


ENGINES = {"PostgreSQL": "postgresql", "MySQL": "mysql", "SQL": "sqlserver", "Oracle": "oracle"}


class _Nowhere:
    """A journal that forgets."""

    def append(self, *records: AnyRecord) -> asyncio.Future[None] | None:
        return None

    def append_soon(self, *records: AnyRecord) -> None:
        pass


class _Swallows:
    """A connection that takes everything."""

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        pass

    abort = pause_reading = resume_reading = close

    def get_write_buffer_size(self) -> int:
        return 0


class _Path:
    """A relay between two connections that swallow, its record in a real journal."""

    def __init__(self, journal: Journal, engine: str, sides: tuple[ClientSide, ServerSide]) -> None:
        self.client, self.server = Leg(Side.CLIENT, _Swallows()), Leg(Side.SERVER, _Swallows())
        record = SessionRecord(journal, "s1", engine, lambda secret: "digest")
        self.relay = Relay("s1", (self.client, self.server), sides, record, journal, _broken)
        self.relay.start(b"", b"")


def _broken(reason: str, detail: str) -> None:
    raise BenchmarkFailed(f"the relay ended: {reason} {detail}")


@contextmanager
def _journal() -> Iterator[Journal]:
    with tempfile.TemporaryDirectory(prefix="casemate-parts-") as folder:
        journal = Journal.open(Path(folder), "bench", Ed25519PrivateKey.generate())
        try:
            yield journal
        finally:
            journal.close("measured")


def _readers(load: Workload, number: int) -> None:
    client, server = load.sides()
    client.feed(load.first[0])
    server.feed(load.first[1])
    for index in range(number):
        client.feed(load.ask(index))
        server.feed(load.answer)
    if server.running is not None:
        raise BenchmarkFailed(f"{load.name}: a statement has no end")


def _making(load: Workload, number: int) -> None:
    """Only making what `_readers` is given, to be taken off its figure."""
    for index in range(number):
        load.ask(index)


def _record(number: int) -> None:
    record = SessionRecord(_Nowhere(), "s1", "postgresql", lambda secret: "digest")
    for index in range(1, number + 1):
        record.before((StatementBegins(index, "query", SELECT.format(index)),))
        record.after((StatementEnds(index, 1, bytes_down=80),))


async def _journal_writes(number: int) -> None:
    at = "2026-01-01T00:00:00.000000Z"
    with _journal() as journal:
        for index in range(1, number + 1):
            journal.append(
                StatementSent(
                    at=at, session="s1", seq=index, operation="query", statement_kind="select", schema="public",
                    text=SELECT.format(index), complete=True, binds=None, verdict="allowed", tool="",
                )
            )  # fmt: skip
            journal.append_soon(
                StatementDone(
                    at=at, session="s1", seq=index, state="done", rows=1, error=None, duration_ms=0.5, bytes_down=80
                )
            )
            if index % TURN == 0:
                await asyncio.sleep(0)


async def _all(load: Workload, number: int) -> None:
    with _journal() as journal:
        path = _Path(journal, load.engine, load.sides())
        for index in range(number):
            if index == 0 and load.first[0]:
                path.client.data_received(load.first[0])
                path.server.data_received(load.first[1])
            path.client.data_received(load.ask(index))
            path.server.data_received(load.answer)
            if index % TURN == 0:
                await asyncio.sleep(0)
        if path.relay.record.statements < number or path.relay.unattributed:
            raise BenchmarkFailed(f"{load.name}: {path.relay.record.statements} statements of {number} on record")


async def _flow(stream: Stream, chunks: list[bytes]) -> None:
    with _journal() as journal:
        path = _Path(journal, ENGINES[stream.name.partition(" ")[0]], stream.sides())
        path.client.data_received(stream.first[0])
        path.server.data_received(stream.first[1])
        into = path.client if stream.up else path.server
        before = path.relay.bytes_up if stream.up else path.relay.bytes_down
        for chunk in chunks:
            into.data_received(chunk)
        after = path.relay.bytes_up if stream.up else path.relay.bytes_down
        if after - before < sum(map(len, chunks)) - 2 * len(stream.bulk) or path.relay.unattributed:
            raise BenchmarkFailed(f"{stream.name}: {after - before:,} bytes passed")


def _fastest(repeats: int, work: Callable[[], object]) -> float:
    """Processor seconds of the fastest run."""
    best = float("inf")
    for _ in range(repeats):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return best


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--statements", type=int, default=20_000, help="of one run (default %(default)s)")
    parser.add_argument("--megabytes", type=int, default=64, help="of one run, where bytes count (default %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs, of which the fastest counts (default %(default)s)"
    )


def run(setting: Setting, options: argparse.Namespace) -> None:
    number, repeats = options.statements, options.repeats
    setting.report.table("Parts of the data path", ["part", "workload", "unit", "figure"], texts=3)

    def statement(part: str, workload: str, work: Callable[[], object], less: float = 0.0) -> None:
        microseconds = (_fastest(repeats, work) - less) / number * 1e6
        setting.report.row(part, workload, "µs a statement", microseconds)

    for load in _workloads():
        made = _fastest(repeats, lambda load=load: _making(load, number))  # type: ignore[misc]
        statement("readers", load.name, lambda load=load: _readers(load, number), made)  # type: ignore[misc]
    statement("record", "any", lambda: _record(number))
    statement("journal", "any", lambda: asyncio.run(_journal_writes(number)))
    for load in _workloads():
        made = _fastest(repeats, lambda load=load: _making(load, number))  # type: ignore[misc]
        statement("all", load.name, lambda load=load: asyncio.run(_all(load, number)), made)  # type: ignore[misc]
    for stream in _streams():
        whole = stream.bulk * (options.megabytes * 1_000_000 // len(stream.bulk) + 1)
        chunks = [whole[start : start + READ] for start in range(0, len(whole), READ)]
        seconds = _fastest(repeats, lambda stream=stream, chunks=chunks: asyncio.run(_flow(stream, chunks)))  # type: ignore[misc]
        setting.report.row("all", stream.name, "MB/s", len(whole) / 1e6 / seconds)


if __name__ == "__main__":
    sys.exit(main_of(__name__))
