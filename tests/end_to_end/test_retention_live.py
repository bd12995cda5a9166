"""Retention on a bastion at work: months of its life are played, then what is old goes while somebody works on.

A session on hold stays until it is released; the declared rules are applied at once by order, first only foreseen; a
kill -9 in the middle is come back from; the record verifies after each.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backends.host_keys import HostKeys
from backends.link import Credentials, Link, LinkError, Target
from bastion.api import methods
from bastion.api.refusals import Refused
from tests.servers import bastion_process, days_ago
from tests.servers.bastion_process import AUDITOR, BastionProcess, CommandFailed
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import open_tunnel, session_of

CATALOG = "kept_long"
RULES = "records = {records}\nrecordings = 0\nscreens = 0\nrecordings_bytes = {bytes}\n"
LIMIT = 120.0


def program_of(days: int) -> list[str]:
    return [sys.executable, str(Path(days_ago.__file__)), str(days)]


def keep(bastion: BastionProcess, records: int, recordings_bytes: int = 0) -> None:
    """Declares how long the record is kept."""
    before, _, rest = bastion.configuration.read_text().partition("[retention]\n")
    kept = [
        line
        for line in rest.splitlines(keepends=True)
        if line.partition("=")[0].strip() not in ("records", "recordings", "screens", "recordings_bytes")
    ]
    text = RULES.format(records=records, bytes=recordings_bytes)
    bastion.configuration.write_text(f"{before}[retention]\n{text}{''.join(kept)}")


@contextmanager
def connected(bastion: BastionProcess) -> Iterator[tuple[psycopg.Connection[Any], Any]]:
    with open_tunnel(bastion, "alice", "orders") as tunnel:
        connection: psycopg.Connection[Any] = psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=CATALOG, user="x", sslmode="disable", autocommit=True,
            connect_timeout=60,
        )  # fmt: skip
        with connection:
            yield connection, tunnel


def worked(bastion: BastionProcess, word: str) -> str:
    """A session with one statement, and its result recorded; its id."""
    with connected(bastion) as (connection, tunnel):
        connection.execute(f"SELECT '{word}' AS said".encode())
        connection.close()
        return str(session_of(bastion, tunnel)["id"])


def segments(bastion: BastionProcess) -> list[str]:
    return sorted(path.name for path in (bastion.home / "journal").rglob("*.journal"))


def has_segments(bastion: BastionProcess, count: int) -> bool:
    return len(segments(bastion)) == count


def recordings(bastion: BastionProcess) -> set[str]:
    return {path.stem for path in (bastion.home / "state" / "recordings").glob("*.recording")}


def proof(bastion: BastionProcess) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bastion.program", "audit", "verify", "--json", "--config", str(bastion.configuration)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["intact"], found["store"]) == (True, ""), found
    return found


def orders(bastion: BastionProcess) -> list[tuple[str, str]]:
    """Who has ordered retention, and why, as the journal has it; what is withheld in it is no record any more."""
    lines = [
        line
        for file in sorted((bastion.home / "journal").rglob("*.journal"))
        for line in file.read_bytes().splitlines()
        if b'"retention-ordered"' in line
    ]
    records = [json.loads(line[line.index(b"{") :]) for line in lines]
    return [(record["user"], record["detail"]["reason"]) for record in records]


def known(bastion: BastionProcess) -> set[str]:
    return {str(session["id"]) for session in bastion.sessions()}


@pytest.mark.slow
def test_old_records_go_while_somebody_works_and_a_kill_is_come_back_from(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_server.create_user("kept_app", "hosted-secret")
    postgres_server.create_database(CATALOG, "kept_app")
    monkeypatch.setattr(bastion_process, "program", lambda: program_of(60))
    bastion = BastionProcess(tmp_path)
    try:
        bastion.declare_database(
            "orders", postgres_server, account="kept_app", password="hosted-secret", to="alice", tls="disable"
        )
        keep(bastion, 3650)  # nothing goes by it, but each segment is closed after its day
        first = worked(bastion, "sixty days ago")
        again = worked(bastion, "sixty days ago, again")
        for days, word in ((55, "fifty-five days ago"), (50, "fifty days ago")):
            bastion.stop()
            monkeypatch.setattr(bastion_process, "program", partial(program_of, days))
            bastion.start()
            wait_for("a segment of its own", partial(has_segments, bastion, (60 - days) // 5 + 1), LIMIT)
            last = worked(bastion, word)
            if days == 55:
                second = last
        assert len(segments(bastion)) == 3
        assert recordings(bastion) >= {first, again, second, last}

        for session in (first, again):
            bastion.casemate(AUDITOR, "audit", "legal-hold", "add", session, "--reason", "case 17", "--json")
        bastion.stop()
        keep(bastion, 30)
        monkeypatch.setattr(bastion_process, "program", lambda: [sys.executable, "-m", "bastion.program"])
        bastion.start()
        old_segments = segments(bastion)[:2]
        with connected(bastion) as (live, _tunnel):
            # By itself, with its first turn: a whole segment, and of the first one all but what is held.
            wait_for("the first deletion", lambda: second not in known(bastion), LIMIT)
            wait_for("its end", lambda: not any(bastion.home.rglob("deletion.plan")), LIMIT)
            assert {first, again, last} <= known(bastion)
            assert recordings(bastion) >= {first, again, last}
            assert second not in recordings(bastion)
            assert proof(bastion)["deleted"] > 0
            assert live.execute("SELECT 1").fetchone() == (1,)

            # At once, by order: first what would go, then it goes, on record.
            assert run_now(bastion)["sessions"] == 0
            bastion.casemate(AUDITOR, "audit", "legal-hold", "remove", again, "--reason", "closed", "--json")
            foreseen = run_now(bastion)
            assert (foreseen["dry"], foreseen["sessions"], foreseen["recordings"]) == (True, 1, 1)
            assert again in known(bastion)
            assert run_now(bastion, "--reason", "closed") == {**foreseen, "dry": False}
            assert again not in known(bastion)
            assert {first, last} <= known(bastion)
            assert orders(bastion) == [(AUDITOR, "closed")]
            proof(bastion)
            assert live.execute("SELECT 2").fetchone() == (2,)

            # Killed in the middle: announced, the recording gone, rows and segments still there.
            bastion.casemate(AUDITOR, "audit", "legal-hold", "remove", first, "--reason", "closed", "--json")
            link = Link.connect_now(
                Target(AUDITOR, *bastion.address),
                Credentials(password=bastion.password_of(AUDITOR), agent=False),
                HostKeys([bastion.known_hosts]),
            )
            with store_taken(bastion):
                order = threading.Thread(target=run_into_kill, args=(link,))
                order.start()
                plan = bastion.home / "journal" / "deletion.plan"
                wait_for("the plan", lambda: any(bastion.home.rglob(plan.name)), LIMIT)
                wait_for("its first step", lambda: first not in recordings(bastion), LIMIT)
                bastion.kill()
                order.join(LIMIT)
            assert any(bastion.home.rglob("deletion.plan"))
            live.close()
        assert set(old_segments) & set(segments(bastion))
        bastion.start()
        wait_for("the rest of the deletion", lambda: not any(bastion.home.rglob("deletion.plan")), LIMIT)
        assert known(bastion).isdisjoint({first, again, second})
        assert last in known(bastion)
        assert set(old_segments).isdisjoint(segments(bastion))
        assert proof(bastion)["deleted"] > 0
        assert worked(bastion, "after it") in known(bastion)

        # Results beyond a size go as well, the statements stay.
        bastion.stop()
        keep(bastion, 30, recordings_bytes=1)
        bastion.start()
        wait_for("the recordings' end", lambda: last not in recordings(bastion), LIMIT)
        assert [each["text"] for each in bastion.statements(last)] == ["SELECT 'fifty days ago' AS said"]
        proof(bastion)
    finally:
        bastion.remove()


def run_now(bastion: BastionProcess, *words: str) -> dict[str, Any]:
    [found] = bastion.casemate(AUDITOR, "audit", "retention", "--now", "--json", *words)
    return found


def run_into_kill(link: Link) -> None:
    with pytest.raises((LinkError, Refused)):
        link.call_now(methods.RETENTION_RUN, methods.RetentionRequest(dry=False, reason="the end"))
    link.close()


@contextmanager
def store_taken(bastion: BastionProcess) -> Iterator[None]:
    """Nobody else writes to the store meanwhile: a deletion stands still at its rows."""
    store = sqlite3.connect(bastion.home / "state" / "casemate.sqlite3", timeout=60, isolation_level=None)
    try:
        store.execute("BEGIN IMMEDIATE")
        yield
        store.execute("ROLLBACK")
    finally:
        store.close()


def test_who_does_not_say_why_only_hears_what_would_go(own_bastion: BastionProcess) -> None:
    assert run_now(own_bastion) == {"dry": True, "records": 0, "sessions": 0, "recordings": 0, "bytes": 0}
    with pytest.raises(CommandFailed) as failed:
        own_bastion.casemate(AUDITOR, "audit", "retention", "--now", "--reason", " ")
    assert "Say why" in failed.value.said
    with pytest.raises(CommandFailed):
        own_bastion.casemate("alice", "audit", "retention", "--now")
    assert orders(own_bastion) == []
