"""Records and small journals for the tests of the audit."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.audit.journal import Journal
from bastion.audit.records import (
    AnyRecord,
    SessionClosed,
    SessionLoggedIn,
    SessionOpened,
    StatementDone,
    StatementSent,
)
from bastion.audit.segments import Line, segments_of

AT = "2026-11-22T09:30:00.000000Z"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def opened(session: str = "s1", user: str = "alice", database: str = "orders") -> SessionOpened:
    return SessionOpened(
        at=AT, session=session, user=user, source="10.0.0.9", token="t1", database=database, account="app",
        engine="postgresql", node="n1", purpose="client",
    )  # fmt: skip


def logged_in(session: str = "s1") -> SessionLoggedIn:
    return SessionLoggedIn(
        at=AT, session=session, login="anything", client="psql 18", catalog="orders", schema="public",
        server_version="18.0", database_tls="TLSv1.3",
    )  # fmt: skip


def sent(seq: int = 1, text: str = "SELECT 1", session: str = "s1", at: str = AT, **values: object) -> StatementSent:
    return StatementSent(
        **{
            "at": at, "session": session, "seq": seq, "operation": "query", "statement_kind": "select",
            "schema": "public", "text": text, "complete": True, "binds": None, "verdict": "allowed", "tool": "",
            **values,
        }
    )  # fmt: skip


def done(seq: int = 1, session: str = "s1", error: str | None = None) -> StatementDone:
    return StatementDone(
        at=AT, session=session, seq=seq, state="failed" if error else "done", rows=None if error else 7, error=error,
        duration_ms=1.5, bytes_down=120,
    )  # fmt: skip


def closed(session: str = "s1", statements: int = 1) -> SessionClosed:
    return SessionClosed(
        at=AT, session=session, reason="quit", statements=statements, bytes_up=10, bytes_down=20, unattributed_bytes=0
    )


def open_journal(folder: Path, **settings: object) -> Journal:
    return Journal.open(folder, "n1", KEY, **settings)


def small_journal(folder: Path, **settings: object) -> None:
    """Start, checkpoint, two statements of a session, stop, checkpoint: records 1 to 10."""
    journal = open_journal(folder, **settings)
    journal.append(opened())
    journal.append(logged_in())
    journal.append(sent(1, "UPDATE orders SET état = '已付' WHERE id = 1"))
    journal.append(done(1))
    journal.append(sent(2, "SELECT 2"), done(2))
    journal.close("the test is over")


def lines_of(folder: Path) -> list[Line]:
    """All lines of all segments, each of which must be whole."""
    found = []
    for segment in segments_of(folder):
        for raw in segment.path.read_bytes().splitlines(keepends=True):
            line = Line.parse(raw)
            assert line is not None, raw
            found.append(line)
    return found


def records_of(folder: Path) -> list[AnyRecord]:
    from bastion.audit.chain import record_from

    return [record_from(line.body) for line in lines_of(folder)]
