"""The audit: what a record costs, how fast it comes into the store, is searched, proved, replayed and watched.

    python -m benchmarks.audit [--records 20000] [--statements 1000000] [--ten-million] [--store sqlite] [--json FILE]

One table, without a network and without sshd beside it: journal, store, index, verifier, replay and live list are run
by themselves, with the code that a bastion runs. `--ten-million` asks the questions of `search` to ten times as many
statements too, which takes half an hour and 20 GB. The disk is that of the system's temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backends.cast import Cast
from backends.screen_player import ScreenIndex, ScreenPlayer
from bastion.audit.audit import Audit
from bastion.audit.comparison import compare_with_store
from bastion.audit.journal import Journal, now
from bastion.audit.records import SessionLoggedIn, SessionOpened, StatementDone, StatementSent
from bastion.audit.segments import segments_of
from bastion.audit.verify import verify
from bastion.audit.word_index import WordIndex, forget
from bastion.store import schema
from bastion.store.store import Store, sqlite_url
from tests.servers.postgres import PostgresServer

from . import live_list, search
from .filled_store import fill
from .processes import BenchmarkFailed
from .program import main_of
from .report import Report
from .setting import Setting

QUICK = ("--records", "3000", "--statements", "20000", "--minutes", "10")
FULL = ("--records", "20000", "--statements", "1000000")

STORES = ("sqlite", "postgresql")
AT_ONCE = (1, 8)
"""Statements that wait for their records at the same time."""

TEN_MILLION = 10_000_000
SLOW_RECORDS = 10
"""Of the records with `written`, one in so many is written where each waits for a disk or a store."""

PATIENCE = 600.0
"""Seconds that the store may take for all records."""

SEEKS = 50
KEY = Ed25519PrivateKey.generate()
FRAME = 0.1
"""Seconds between two events of the recording: somebody who never rests."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=int, default=20_000, help="statements of the journal (default %(default)s)")
    parser.add_argument("--statements", type=int, default=1_000_000, help="that are searched (default %(default)s)")
    parser.add_argument("--ten-million", action="store_true", help="search 10,000,000 as well")
    parser.add_argument("--store", choices=STORES, action="append", help="only this one (default both)")
    parser.add_argument("--minutes", type=int, default=60, help="of the recording (default %(default)s)")
    parser.add_argument("--sessions", type=int, default=1000, help="on the live list (default %(default)s)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    report = setting.report
    report.table("Audit", ["figure", "of", "unit", "value"], texts=3)
    stores = options.store or STORES
    with tempfile.TemporaryDirectory(prefix="casemate-audit-") as folder:
        for durability in ("written", "synced", "stored"):
            asyncio.run(_durability(report, Path(folder) / durability, durability, options.records))
        written = Path(folder) / "written"
        for name in stores:
            with _store(name, Path(folder)) as store:
                asyncio.run(_into_store(report, written, store, name, options.records))
                _verify_with_store(report, written, store, name)
        _verify(report, written)
    counts = [options.statements, *([TEN_MILLION] if options.ten_million else [])]
    for name in stores:
        for count in counts:
            with tempfile.TemporaryDirectory(prefix="casemate-audit-") as folder, _store(name, Path(folder)) as store:
                _searches(report, store, name, count)
    _seeks(report, options.minutes)
    for case, figures in live_list.measure(options.sessions).items():
        for figure, value in figures.items():
            report.row(f"live list, {case}: {figure}", f"{options.sessions:,} sessions", figure.split("_")[-1], value)


@contextmanager
def _store(name: str, folder: Path) -> Iterator[Store]:
    """An empty store of that kind."""
    if name == "sqlite":
        path = folder / "store.db"
        store = Store.open(sqlite_url(path))
        store.migrate()
        yield store
        store.close()
        for each in folder.glob("store.db*"):
            each.unlink()
        return
    server = PostgresServer({
        "log_statement": "none", "log_connections": "", "shared_buffers": "256MB", "max_wal_size": "4GB",
        "fsync": "on", "synchronous_commit": "on",
    })  # fmt: skip
    try:
        server.create_database("audit")
        at = f"{server.host}:{server.port}"
        store = Store.open(f"postgresql+psycopg://{server.admin_user}:{server.admin_password}@{at}/audit")
        store.migrate()
        yield store
        store.close()
    finally:
        server.remove()


# ----------------------------------------------------------------------------------------------------------- journal


def _statement(number: int) -> tuple[StatementSent, StatementDone]:
    chance = random.Random(number)
    text = search.TEXTS[number % len(search.TEXTS)].format(chance.randrange(10**7))
    session = f"s{number // search.OF_A_SESSION}"
    sent = StatementSent(
        at=now(), session=session, seq=number % search.OF_A_SESSION + 1, operation="query", statement_kind="select",
        schema="public", text=text, complete=True, binds=None, verdict="allowed", tool="",
    )  # fmt: skip
    done = StatementDone(
        at=now(), session=session, seq=sent.seq, state="done", rows=1, error=None, duration_ms=0.5, bytes_down=100
    )
    return sent, done


async def _durability(report: Report, folder: Path, durability: str, records: int) -> None:
    """Statements with their outcomes, one after the other and several at once, as the data path writes them."""
    statements = records if durability == "written" else max(records // SLOW_RECORDS, 100)
    for at_once in AT_ONCE:
        if folder.exists():
            shutil.rmtree(folder)
        journal = Journal.open(folder, "bench", KEY, durability)
        store = audit = None
        if durability == "stored":
            store = Store.open(sqlite_url(folder.with_suffix(f".{at_once}.db")))
            store.migrate()
            audit = Audit(journal, store, apart=True)
            await audit.start()
            await audit.settle()
        for session in range(statements // search.OF_A_SESSION + 1):
            await _durable(journal.append(*_opening(f"s{session}")))
        prepared = [_statement(number) for number in range(statements)]

        async def share(mine: list[tuple[StatementSent, StatementDone]], journal: Journal = journal) -> None:
            for sent, done in mine:
                await _durable(journal.append(sent))
                journal.append_soon(done)

        began = time.perf_counter()
        await asyncio.gather(*(share(prepared[first::at_once]) for first in range(at_once)))
        journal.flush()
        each = (time.perf_counter() - began) / statements * 1e6
        report.row(f"journal, {durability}, {at_once} at once", f"{statements:,} statements", "µs a statement", each)
        if audit is not None:
            await audit.stop()
        journal.close("measured")
        if store is not None:
            store.close()


async def _durable(wait: asyncio.Future[None] | None) -> None:
    if wait is not None:
        await wait


def _opening(session: str) -> tuple[SessionOpened, SessionLoggedIn]:
    return (
        SessionOpened(
            at=now(), session=session, user=f"user{hash(session) % 50}", source="10.0.0.9", token="t1",
            database="orders", account="app", engine="postgresql", node="bench", purpose="client",
        ),
        SessionLoggedIn(
            at=now(), session=session, login="x", client="psql", catalog="orders", schema="public",
            server_version="18.0", database_tls="",
        ),
    )  # fmt: skip


async def _into_store(report: Report, folder: Path, store: Store, name: str, statements: int) -> None:
    """A journal that is there already, into an empty store; then the words of what came."""
    journal = Journal.open(folder, "bench", KEY)
    audit = Audit(journal, store)
    began = time.perf_counter()
    await audit.start()
    async with asyncio.timeout(PATIENCE):
        await audit.projection.settled()
    took = time.perf_counter() - began
    await audit.stop()
    journal.close("measured")
    report.row(f"into the store, {name}", f"{statements:,} statements", "statements/s", statements / took)
    store.run_now(forget)
    index = WordIndex()
    began = time.perf_counter()
    while store.run_now(index.go_on):
        pass
    each = (time.perf_counter() - began) / statements * 1e6
    report.row(f"index of words, {name}", f"{statements:,} statements", "µs a statement", each)


# ------------------------------------------------------------------------------------------------------------- proof


def _verify(report: Report, folder: Path) -> None:
    size = sum(segment.path.stat().st_size for segment in segments_of(folder))
    began = time.perf_counter()
    proof = verify(folder, None)
    took = time.perf_counter() - began
    if not proof.intact:
        raise BenchmarkFailed(f"the journal does not verify: {proof.reason}")
    of = f"{proof.records:,} records, {size / 1e6:.0f} MB"
    report.row("verify the journal", of, "records/s", proof.records / took)
    report.row("verify the journal", of, "MB/s", size / 1e6 / took)


def _verify_with_store(report: Report, folder: Path, store: Store, name: str) -> None:
    began = time.perf_counter()
    found = compare_with_store(store, folder)
    took = time.perf_counter() - began
    if found.difference is not None:
        raise BenchmarkFailed(f"the store differs from the journal: {found.difference}")
    report.row(f"compare with the store, {name}", f"{found.rows:,} rows", "rows/s", found.rows / took)


# ------------------------------------------------------------------------------------------------------------ search


def _searches(report: Report, store: Store, name: str, count: int) -> None:
    fill(store, search._batches(count), search.sessions_of)
    counted = sa.select(sa.func.count()).select_from(schema.statements)
    there = store.read_now(lambda connection: connection.scalar(counted))
    if there != count:
        raise BenchmarkFailed(f"{there} statements are in the store instead of {count}")
    questions = [*search.QUESTIONS, *search.FURTHER]
    times = {what: search._asked(store, wanted)[0] for what, wanted in questions}
    for what, took in times.items():
        report.row(f"search, {name}: {what}", f"{count:,} statements", "ms", took)
    report.row(f"search, {name}: median", f"{count:,} statements", "ms", statistics.median(times.values()))
    report.row(f"search, {name}: longest", f"{count:,} statements", "ms", max(times.values()))


# ------------------------------------------------------------------------------------------------------------ replay


def _seeks(report: Report, minutes: int) -> None:
    """A recording of somebody who works all the time, and jumps to any moment of it."""
    chance = random.Random(1)
    lines = [json.dumps({"version": 3, "term": {"cols": 120, "rows": 40}})]
    events = int(minutes * 60 / FRAME)
    for number in range(events):
        row, column = chance.randrange(1, 40), chance.randrange(1, 100)
        lines.append(json.dumps([FRAME, "o", f"\x1b[{row};{column}H\x1b[3{number % 8}mstatement {number} of {events}"]))
    cast = Cast()
    began = time.perf_counter()
    cast.add_lines("\n".join(lines).encode() + b"\n")
    index = ScreenIndex(cast)
    index.read_on()
    read = time.perf_counter() - began
    player = ScreenPlayer(cast, index)
    times = []
    for _ in range(SEEKS):
        to = chance.uniform(0, cast.last)
        began = time.perf_counter()
        player.seek(to)
        player.picture()
        times.append((time.perf_counter() - began) * 1e3)
    of = f"{minutes} min, {events:,} events"
    report.row("replay: read once through", of, "s", read)
    report.row("replay: seek, median", of, "ms", statistics.median(times))
    report.row("replay: seek, longest", of, "ms", max(times))


if __name__ == "__main__":
    sys.exit(main_of(__name__))
