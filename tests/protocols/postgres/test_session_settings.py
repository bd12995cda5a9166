"""The schema and the role of a session, followed through SET, transactions and savepoints, and what is on record."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from bastion.protocols.contract import SessionChanged
from bastion.protocols.postgres.server_side import PostgresServerSide
from bastion.protocols.postgres.session_settings import SessionSettings
from tests.servers.postgres import PostgresServer

from . import messages as m
from .session import Session


def session_of(settings: SessionSettings) -> Session:
    session = Session()
    session.server_side = PostgresServerSide(session.exchange, settings)
    return session


class Live:
    """Simple queries to a real server; what it answers goes through the reader, but for its reports of search_path.

    `asked()` is what the server itself says that they are.
    """

    def __init__(self, server: PostgresServer, reported: bool) -> None:
        self._socket = socket.create_connection((server.host, server.port), 20)
        self._stream = self._socket.makefile("rb")
        self.settings = SessionSettings("base" if not reported else "", reported=reported)
        self._session = session_of(self.settings)
        self._reported = reported
        self._socket.sendall(m.startup(user="follows", database="postgres", options="-c search_path=base"))
        self._read(login=True)

    def close(self) -> None:
        self._socket.close()

    def _read(self, login: bool = False) -> list[bytes]:
        rows = []
        while True:
            head = self._stream.read(5)
            kind, size = struct.unpack(">cI", head)
            body = self._stream.read(size - 4)
            if kind == b"S" and body.startswith(b"search_path\0") and not self._reported:
                continue
            if login and kind == b"S":
                name, _, value = body.rstrip(b"\0").partition(b"\0")
                self.settings.report(name, value.decode())
            if not login:
                self._session.server(head + body)
            if kind == b"D":
                rows.append(body)
            if kind == b"Z":
                return rows

    def run(self, text: str, *, extended: bool = False) -> None:
        data = m.query(text)
        if extended:
            data = m.parse(text) + m.bind() + m.execute() + m.SYNC
        self._session.client(data)
        self._socket.sendall(data)
        self._read()

    def asked(self) -> tuple[str, str]:
        self._socket.sendall(m.query("SELECT current_setting('search_path'), current_user"))
        row = []
        while not row or row[-1][0] != b"Z":
            kind, size = struct.unpack(">cI", self._stream.read(5))
            row.append((kind, self._stream.read(size - 4)))
        body = next((body for kind, body in row if kind == b"D"), None)
        if body is None:
            raise AssertionError(row)
        size = int.from_bytes(body[2:6], "big")
        return body[6 : 6 + size].decode(), body[10 + size :].decode()

    def known(self) -> tuple[str, str]:
        return self.settings.schema, self.settings.role or "follows"


@pytest.fixture(scope="module")
def server(postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_user("follows", "x", "trust")
    with postgres_server.admin() as admin:
        for name in ("follows_a", 'follows "b"'):
            quoted = '"' + name.replace('"', '""') + '"'
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
                admin.execute(f"CREATE ROLE {quoted} SUPERUSER")  # type: ignore[arg-type]
        admin.execute("ALTER ROLE follows SUPERUSER")
    return postgres_server


SCRIPTS = {
    "plain": """
        SET search_path TO a, "B c", '$user' | SET search_path = DEFAULT | SET search_path='x, y'
        | RESET search_path""",
    "schema": "SET SCHEMA 'here' | set session search_path to There | RESET ALL",
    "comments": "/* SET ROLE follows_a */ SET /* x */ ROLE -- y\n follows_a | RESET ROLE",
    "role": """SET ROLE follows_a | SET ROLE "follows ""b\""" | SET ROLE 'follows_a' | SET ROLE none""",
    "role-as-setting": "SET role TO follows_a | SET role = DEFAULT",
    "authorization": """
        SET ROLE follows_a | SET SESSION AUTHORIZATION follows_a | SET ROLE 'follows "b"' | RESET SESSION AUTHORIZATION
        | SET LOCAL SESSION AUTHORIZATION follows_a | SET SESSION AUTHORIZATION DEFAULT""",
    "commit": "BEGIN | SET ROLE follows_a | SET search_path TO a | COMMIT",
    "rollback": "SET ROLE follows_a | BEGIN | SET ROLE none | SET search_path TO a | ROLLBACK",
    "chains": """
        BEGIN | SET search_path TO a | ROLLBACK AND CHAIN | SET search_path TO b | COMMIT AND CHAIN
        | SET search_path TO c | ABORT""",
    "local": """
        SET LOCAL ROLE follows_a | BEGIN | SET LOCAL ROLE follows_a | SET LOCAL search_path TO a
        | SET search_path TO b | COMMIT""",
    "local-after-session": "BEGIN | SET search_path TO b | SET LOCAL search_path TO c | END",
    "failed": "BEGIN | SET ROLE follows_a | SELECT 1/0 | COMMIT",
    "savepoints": """
        BEGIN | SET search_path TO a | SAVEPOINT s | SET search_path TO b | SAVEPOINT t | SET ROLE follows_a
        | ROLLBACK TO SAVEPOINT t | SET LOCAL search_path TO c | RELEASE t | ROLLBACK TRANSACTION TO s
        | RELEASE SAVEPOINT s | COMMIT""",
    "savepoints-of-one-name": """
        BEGIN | SAVEPOINT s | SET search_path TO a | SAVEPOINT s | SET search_path TO b | ROLLBACK TO s | RELEASE s
        | ROLLBACK TO s | COMMIT""",
    "failed-savepoint": "BEGIN | SAVEPOINT s | SET search_path TO a | SELECT 1/0 | ROLLBACK TO s | COMMIT",
    "several": """
        SET search_path TO a; ; SELECT 1; SET ROLE follows_a | SET ROLE none; SELECT 1/0
        | BEGIN; SET search_path TO z; COMMIT; SET search_path TO y; SELECT 1/0""",
    "discard": "SET ROLE follows_a | SET search_path TO a | DISCARD ALL",
    "others": """
        SET TIME ZONE 'UTC' | SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY | SET work_mem TO '8MB'
        | RESET work_mem""",
    "not-carried-out": "SET ROLE nobody_of_this_name | SET nonsense = 1 | SELECT 'SET ROLE follows_a'",
}
"""Statements between bars."""


@pytest.mark.parametrize("reported", [False, True], ids=["as-before-18", "as-18-reports"])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_followed_is_what_the_server_says(
    server: PostgresServer, script: str, extended: bool, reported: bool
) -> None:
    if extended and script == "several":
        return
    live = Live(server, reported)
    in_failed = False
    try:
        assert live.known() == live.asked() == ("base", "follows")
        for text in SCRIPTS[script].split("|"):
            live.run(text, extended=extended)
            in_failed = live._session.server_side.transaction.value == "failed"
            if not in_failed:
                assert live.known() == live.asked(), text
        assert not in_failed
    finally:
        live.close()


def changes(session: Session) -> list[tuple[str | None, str | None]]:
    found = [note for note in session.notes if isinstance(note, SessionChanged)]
    return [(note.schema, note.role) for note in found if (note.schema, note.role) != (None, None)]


def test_the_record_says_which_statement_changed_the_role() -> None:
    session = session_of(SessionSettings("public"))
    session.client(m.query("BEGIN; SET LOCAL ROLE auditor; SET search_path TO a"))
    session.server(m.complete("BEGIN") + m.complete("SET") + m.complete("SET") + m.ready("T"))
    session.client(m.query("ROLLBACK"))
    session.server(m.complete("ROLLBACK") + m.ready())
    assert changes(session) == [(None, "auditor"), ("a", None), ("public", None), (None, "")]
    details: list[Any] = [[note.detail for note in session.extended(number)] for number in (1, 2)]
    assert details == [["the role is now auditor"], ["the role is the account's own again"]]
    assert [outcome for _, outcome, _ in session.outcomes()] == ["done", "done"]


def test_a_pipeline_that_fails_takes_its_settings_back() -> None:
    session = session_of(SessionSettings("public"))
    pipeline = [m.parse(text) + m.bind() + m.execute() for text in ("SET ROLE auditor", "SELECT 1/0", "SELECT 2")]
    session.client(b"".join(pipeline) + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.BIND_COMPLETE + m.complete("SET") + m.PARSE_COMPLETE + m.BIND_COMPLETE)
    session.server(m.error("22012", "division by zero") + m.ready())
    assert changes(session) == [(None, "auditor"), (None, "")]


def test_more_answers_than_statements_are_not_taken_for_others() -> None:
    session = session_of(SessionSettings("public"))
    session.client(m.query("SELECT role FROM people; SET search_path TO a"))
    session.server(m.complete("SET") + m.complete("INSERT 0 1") + m.complete("SET") + m.ready())
    assert changes(session) == []
    assert [outcome for _, outcome, _ in session.outcomes()] == ["done"]


def test_what_waits_behind_too_much_is_not_kept() -> None:
    session = session_of(SessionSettings("public"))
    for _ in range(300):
        session.client(m.query("SET search_path TO a"))
    assert sum(1 for entry in session.exchange.queue if entry.text) == 100
    session.client(m.query("SET search_path TO " + "a" * 100_000))
    assert session.exchange.queue[-1].text == ""
