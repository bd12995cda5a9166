"""psycopg (libpq) and PostgreSQL with only the two sides in between: what scripts of bytes may have got wrong."""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bastion.protocols.contract import (
    Leg,
    LoggedIn,
    LoginRequest,
    Note,
    Read,
    Received,
    Send,
    StatementBegins,
    StatementEnds,
    StatementExtends,
    TlsMode,
)
from bastion.protocols.postgres import ENGINE
from tests.servers.postgres import PostgresServer


class Bridge:
    """Passes one connection through login and sides, and keeps every note. `chunk`: bytes of one read."""

    def __init__(self, server: PostgresServer, request: LoginRequest, chunk: int) -> None:
        self._server, self._request, self._chunk = server, request, chunk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.notes: list[Note] = []
        self.error: Exception | None = None
        self.open: list[int] | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with self._listener, client, socket.create_connection((self._server.host, self._server.port)) as server:
            try:
                self._serve({Leg.CLIENT: client, Leg.SERVER: server})
            except Exception as error:  # noqa: BLE001 - shown by the test
                self.error = error

    def _serve(self, legs: dict[Leg, socket.socket]) -> None:
        steps = ENGINE.login(self._request)
        step = next(steps)
        try:
            while True:
                if isinstance(step, Send):
                    legs[step.leg].sendall(step.data)
                    step = steps.send(None)
                else:
                    assert isinstance(step, Read)
                    assert step.leg is not None
                    step = steps.send(Received(step.leg, legs[step.leg].recv(self._chunk)))
        except StopIteration as end:
            result = end.value
        assert isinstance(result, LoggedIn), result
        waiting = selectors.DefaultSelector()
        for leg, connection in legs.items():
            waiting.register(connection, selectors.EVENT_READ, leg)
        sides: dict[Leg, Any] = {Leg.CLIENT: result.client_side, Leg.SERVER: result.server_side}
        other = {Leg.CLIENT: legs[Leg.SERVER], Leg.SERVER: legs[Leg.CLIENT]}
        while True:
            for key, _ in waiting.select(30):
                data = legs[key.data].recv(self._chunk)
                if not data:
                    self.open = result.server_side.open_statements()
                    return
                for piece in sides[key.data].feed(data):
                    self.notes.extend(piece.notes)
                    other[key.data].sendall(piece.data)

    def begun(self) -> list[StatementBegins]:
        return [note for note in self.notes if isinstance(note, StatementBegins)]

    def ended(self) -> dict[int, StatementEnds]:
        return {note.number: note for note in self.notes if isinstance(note, StatementEnds)}

    def outcome(self, text: str) -> list[tuple[str, int | None]]:
        ended = self.ended()
        return [(ended[n.number].outcome, ended[n.number].rows) for n in self.begun() if text in n.text]


@pytest.fixture(scope="module")
def account(postgres_server: PostgresServer) -> str:
    postgres_server.create_user("sides", "its-password", "scram-sha-256")
    return "sides"


@pytest.fixture(params=[65_536, 7], ids=["whole", "drips"])
def bridge(request: pytest.FixtureRequest, postgres_server: PostgresServer, account: str) -> Iterator[Bridge]:
    login = LoginRequest("alice", account, "its-password", server_tls=TlsMode.PREFER)
    bridge = Bridge(postgres_server, login, request.param)
    yield bridge
    bridge.thread.join(30)
    assert bridge.error is None
    assert bridge.open == []
    begun = {note.number for note in bridge.begun()}
    assert begun == set(bridge.ended())


@contextlib.contextmanager
def connected(bridge: Bridge, **settings: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(
        host="127.0.0.1", port=bridge.port, dbname="postgres", user="anybody", autocommit=True, **settings
    ) as connection:
        yield connection


def test_copy(bridge: Bridge) -> None:
    with connected(bridge) as connection:
        connection.execute("create temp table t (a int, b text)")
        with connection.cursor() as cursor:
            with cursor.copy("copy t from stdin") as copy:
                for i in range(100):
                    copy.write_row((i, "x" * 50))
            # With parameters libpq has sent its Sync before the data, and sends another one behind it.
            with cursor.copy("copy (select * from t where a < %s) to stdout", (10,)) as out:
                assert len(list(out)) == 10
            with pytest.raises(psycopg.errors.BadCopyFileFormat), cursor.copy("copy t from stdin") as copy:
                copy.write(b"no such columns\there\tand here\n")
            with pytest.raises(ZeroDivisionError), cursor.copy("copy t from stdin") as copy:
                copy.write(b"1\tx\n")
                raise ZeroDivisionError
        connection.execute("select 1")
    assert bridge.outcome("copy t from stdin") == [("done", 100), ("failed", None), ("failed", None)]
    assert bridge.outcome("copy (select")[-1] == ("done", 10)
    assert bridge.outcome("select 1") == [("done", 1)]
    extends = [note for note in bridge.notes if isinstance(note, StatementExtends) and note.data_bytes]
    assert sum(note.data_bytes for note in extends) > 5_000


def result_of(raw: Any) -> Any:
    """The next result; libpq's own waiting would hold Python's lock, which the bridge needs."""
    while raw.is_busy():
        select.select([raw.socket], [], [], 20)
        raw.consume_input()
    return raw.get_result()


def test_copy_in_by_the_extended_protocol(bridge: Bridge) -> None:
    with connected(bridge) as connection:
        connection.execute("create temp table t (a int)")
        raw = connection.pgconn
        for data, outcome in ((b"1\n2\n", "COPY 2"), (b"no number\n", "")):
            result = raw.exec_params(b"copy t from stdin", [])
            assert result.status == psycopg.pq.ExecStatus.COPY_IN
            raw.put_copy_data(data)
            raw.put_copy_end()
            results = []
            while (one := result_of(raw)) is not None:
                results.append(one)
            assert (results[0].command_status or b"").decode() == outcome
        assert connection.execute("select count(*) from t").fetchone() == (2,)
    assert bridge.outcome("copy t from stdin") == [("done", 2), ("failed", None)]
    assert bridge.outcome("select count") == [("done", 1)]


def test_a_pipeline_with_errors(bridge: Bridge) -> None:
    with connected(bridge) as connection:
        with contextlib.suppress(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
            for i in range(30):
                connection.execute("select generate_series(1, %s)", (i,), binary=True)
            pipeline.sync()
            connection.execute("select 1 / %s", (0,))
            connection.execute("select 'never run'")
            pipeline.sync()
            connection.execute("select 'after'")
        assert connection.execute("select 'last'").fetchone() == ("last",)
    assert [rows for _, rows in bridge.outcome("generate_series") if rows is not None][-1] == 29
    assert ("failed", None) in bridge.outcome("select 1 / ")
    assert bridge.outcome("never run") == [("skipped", None)]
    assert bridge.outcome("'last'") == [("done", 1)]


def test_prepared_statements_and_cursors(bridge: Bridge) -> None:
    with connected(bridge, prepare_threshold=0) as connection:
        for i in range(5):
            assert connection.execute("select %s::int8 + 1", (i,), binary=True).fetchone() == (i + 1,)
        with connection.transaction(), connection.cursor("named") as cursor:
            cursor.itersize = 10
            cursor.execute("select generate_series(1, 25)")
            assert len(cursor.fetchall()) == 25
        connection.execute("deallocate all")
        with connection.cursor() as cursor:
            cursor.execute("create temp table t (a int, b numeric, c bytea, d timestamptz)")
            values = [(i, i * 1.5, b"\0" * 70_000, None) for i in range(40)]
            cursor.executemany("insert into t values (%b, %b, %b, %b)", values)
    runs = [note for note in bridge.notes if isinstance(note, StatementExtends | StatementBegins) and note.binds]
    shown = [note.binds for note in runs if note.binds and len(note.binds) == 4]
    assert [binds[0] for binds in shown] == [str(i) for i in range(40)]
    assert all(binds[2] is not None and "70000 bytes, sha256" in binds[2] for binds in shown)


def test_errors_notices_and_notifications(bridge: Bridge) -> None:
    with connected(bridge) as connection:
        for text in ("select * from nowhere", "selec", "do $$ begin raise exception 'x'; end $$"):
            with pytest.raises(psycopg.Error):
                connection.execute(text)
        connection.execute("listen c")
        connection.execute("do $$ begin raise notice 'hello'; end $$")
        connection.execute("notify c, 'payload'")
        connection.execute("set client_encoding to 'latin1'")
        connection.execute("select 'é'")
        connection.execute("set client_encoding to 'utf8'")
        connection.execute("select length('" + "é" * 200_000 + "')")
    assert bridge.outcome("nowhere") == [("failed", None)]
    assert bridge.outcome("select 'é'") == [("done", 1)]
    error = next(end.error for end in bridge.ended().values() if end.error is not None)
    assert (error.code, error.position) == ("42P01", 15)
