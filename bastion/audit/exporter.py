"""The program that writes what a filter finds: `python -m bastion.audit.exporter`.

A process of its own, so that millions of rows take neither the interpreter nor memory from the data path. It reads the
store only, a page at a time: no transaction stays open, and what waits is bounded by the pipe, since nobody reads
faster than whoever wanted it.

What comes in: one line, a Job as JSON (here, since a store's URL may hold a password); the end of it ends the program.
What goes out: frames of `kind, rows so far, length, data`: `d` data, `e` the end (SHA-256 of all data), `f` a failure.
"""

from __future__ import annotations

import hashlib
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.interruption import Interruption
from bastion.store.store import Store

from . import search
from .export_formats import SESSION_COLUMNS, SESSION_FACTS, STATEMENT_COLUMNS, writer
from .projection import brief
from .projector import NICENESS, end_with
from .session_search import PAGE as SESSION_PAGE
from .session_search import find_sessions

FRAME = struct.Struct(">cQI")
FRAME_BYTES = 512 * 1024
"""Bytes of one frame's data at most."""

PAGE_ROWS = 2000
PAGE_TEXT = 16 * 1024 * 1024
"""Statements, and characters of their texts, that are read at a time."""

DATA, END, FAILURE = b"d", b"e", b"f"


class Job(msgspec.Struct, frozen=True):
    """What to write. `parent` is the process that must live as long as this one."""

    url: str
    parent: int
    what: str
    format: str
    statements: m.StatementFilter | None = None
    sessions: m.SessionFilter | None = None

    def __repr__(self) -> str:
        return f"Job(what={self.what!r}, format={self.format!r})"


def pages(store: Store, job: Job) -> Iterator[list[tuple[Any, ...]]]:
    """The rows, some at a time. Raises Refused for a filter that cannot be understood."""
    if job.what == "sessions":
        yield from _sessions(store, job.sessions or m.SessionFilter())
    else:
        yield from _statements(store, job.statements or m.StatementFilter())


def _statements(store: Store, wanted: m.StatementFilter) -> Iterator[list[tuple[Any, ...]]]:
    # What is recorded after the beginning is not in it: oldest first there would be no end.
    top = store.read_now(lambda c: c.scalar(sa.select(sa.func.max(schema.statements.c.id))) or 0)
    left = wanted.limit if wanted.limit > 0 else None
    while True:
        page, over = store.read_now(partial(_page, wanted=wanted, top=top, left=left))
        if page:
            yield page
        if left is not None:
            left -= len(page)
        if over or (left is not None and left <= 0):
            return


def _page(
    connection: sa.Connection, wanted: m.StatementFilter, top: int, left: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    """The next statements, and whether they are the last; `wanted` is moved on behind them."""
    found: list[m.Statement] = []
    characters, over = 0, True
    most = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
    for row, value in islice(search.ordered(connection, wanted, most + 1, Interruption()), most + 1):
        if len(found) == most or characters >= PAGE_TEXT:
            over = False
            break
        wanted.after, wanted.after_value = row[0], value
        if row[0] > top:
            if wanted.newest or wanted.order:
                continue
            break
        found.append(search.statement_of(row))
        characters += len(found[-1].text)
    table = schema.sessions
    query = sa.select(table.c.session, *(table.c[name] for name in SESSION_FACTS))
    names = list({statement.session for statement in found})
    facts = {row[0]: tuple(row[1:]) for row in connection.execute(query.where(table.c.session.in_(names)))}
    nothing = ("",) * len(SESSION_FACTS)
    return [
        (*(getattr(one, name) for name in one.__struct_fields__), *facts.get(one.session, nothing)) for one in found
    ], over


def _sessions(store: Store, wanted: m.SessionFilter) -> Iterator[list[tuple[Any, ...]]]:
    wanted.limit = SESSION_PAGE
    while True:
        page = store.read_now(lambda connection: find_sessions(connection, wanted))
        if page:
            yield [tuple(getattr(session, name) for name in SESSION_COLUMNS) for session in page]
        if len(page) < SESSION_PAGE:
            return
        wanted.after = page[-1].id


def export(job: Job, out: BinaryIO) -> None:
    """Writes all frames; the last one says how it ended."""
    rows = 0
    digest = hashlib.sha256()

    def send(data: bytes) -> None:
        digest.update(data)
        for start in range(0, len(data), FRAME_BYTES):
            piece = data[start : start + FRAME_BYTES]
            out.write(FRAME.pack(DATA, rows, len(piece)) + piece)
        out.flush()

    try:
        store = Store.open(job.url)
        made = writer(job.format, SESSION_COLUMNS if job.what == "sessions" else STATEMENT_COLUMNS)
        waiting: list[bytes] = []
        for page in pages(store, job):
            rows += len(page)
            waiting.append(made.add(page))
            if sum(map(len, waiting)) >= FRAME_BYTES:
                send(b"".join(waiting))
                waiting = []
        send(b"".join([*waiting, made.end()]))
        last = END, digest.hexdigest().encode()
    except Refused as refused:
        last = FAILURE, msgspec.json.encode({"code": refused.code, "params": refused.params}, enc_hook=str)
    except BrokenPipeError:
        return
    except Exception as error:  # noqa: BLE001 - the boundary of a process: a sentence, not a traceback
        last = FAILURE, msgspec.json.encode({"code": "audit-export-failed", "params": {"detail": brief(error)}})
    out.write(FRAME.pack(last[0], rows, len(last[1])) + last[1])
    out.flush()


def main() -> None:
    """Ends when everything is written, or when nobody is there any more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    end_with(job.parent)

    def listen() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=listen, name="parent", daemon=True).start()
    try:
        export(job, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)
    os._exit(0)


if __name__ == "__main__":
    main()
