"""A database that never answers, one that stops reading, a client that does not read, and a very large result, all at
once: everybody else goes on working, and the bastion's memory stays bounded."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.end_to_end.completeness.case import Place
from tests.end_to_end.completeness.postgresql_wire import Wire
from tests.end_to_end.stock_clients import SshTunnel, open_tunnel
from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

DATABASE = "neighbours"
MEGABYTE = 1024 * 1024
GROWTH = 96 * MEGABYTE
"""Bytes that the bastion may need more while all of this goes on: buffers of a few sessions, none of a result."""

PATIENCE = 30.0
"""Seconds within which a neighbour's statement is answered, on a busy machine. Without bounds it never would be."""


@dataclass
class Silent:
    """Something that passes for a database: it takes connections and never says a word."""

    engine: str
    port: int
    host: str = "127.0.0.1"


@pytest.fixture
def silent() -> Iterator[Silent]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    yield Silent("postgresql", listener.getsockname()[1])
    listener.close()


@pytest.fixture(scope="module")
def server(postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_user("neighbour", "hosted-secret")
    postgres_server.create_database(DATABASE, "neighbour")
    return postgres_server


@contextmanager
def a_silent_database(bastion: BastionProcess, silent: Silent) -> Iterator[None]:
    """Five clients that wait for it to say something."""
    bastion.declare_database("silent", silent, account="any", password="hosted-secret", to="alice")
    with open_tunnel(bastion, "alice", "silent") as tunnel, ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(socket.create_connection((tunnel.host, tunnel.port), 20))
            client.sendall(m.startup(user="x", database=DATABASE))
        wait_for("the sessions to be opening", lambda: _states(bastion, "silent").count("opening") == 5)
        yield


def _states(bastion: BastionProcess, database: str) -> list[str]:
    return [each["state"] for each in bastion.sessions() if each["database"] == database]


@contextmanager
def a_database_that_stops_reading(tunnel: SshTunnel, server: PostgresServer) -> Iterator[None]:
    """Its process is stopped while a client copies data in, until the client cannot send any more."""
    wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="copies-in"))
    backend = int(wire.value("SELECT pg_backend_pid()"))
    wire.ask(m.query("CREATE TEMPORARY TABLE copied (a text)"))
    wire.send(m.query("COPY copied FROM STDIN"))
    wire.until("G")
    subprocess.run(["kill", "-STOP", str(backend)], check=True)
    sent = 0
    ended = threading.Event()

    def send() -> None:
        nonlocal sent
        row = m.copy_data(b"x" * 60_000 + b"\n")
        try:
            while not ended.is_set():
                wire.send(row * 16)
                sent += 16 * len(row)
        except OSError:
            return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        wait_for("the client to be held up", lambda: _stands_still(lambda: sent))
        assert sent < 200 * MEGABYTE
        yield
    finally:
        ended.set()
        wire.leave()
        subprocess.run(["kill", "-CONT", str(backend)], check=True)
        sender.join(30)


def _stands_still(value: object) -> bool:
    assert callable(value)
    before = value()
    time.sleep(1)
    return bool(before) and value() == before


@contextmanager
def a_client_that_does_not_read(tunnel: SshTunnel, server: PostgresServer) -> Iterator[None]:
    wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="deaf"))
    wire.send(m.query("SELECT repeat('x', 1000), generate_series(1, 100000000)"))

    def held_up() -> bool:
        with server.admin() as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'deaf%' AND wait_event = 'ClientWrite'"
            ).fetchone()
        return found is not None

    wait_for("the database to be held up", held_up)
    try:
        yield
    finally:
        wire.leave()


def read_result(tunnel: SshTunnel, megabytes: int, took: list[int]) -> None:
    """A result of that size, read as fast as it comes and counted."""
    with socket.create_connection((tunnel.host, tunnel.port), 60) as client:
        client.sendall(m.startup(user="x", database=DATABASE, application_name="large"))
        buffer = bytearray(256 * 1024)
        tail = b""
        while not tail.endswith(b"Z\0\0\0\5I"):
            tail += client.recv(4096)
        client.sendall(m.query(f"SELECT repeat('y', 100000), generate_series(1, {megabytes * 10})"))
        total, tail = 0, b""
        while not tail.endswith(b"Z\0\0\0\5I"):
            count = client.recv_into(buffer)
            assert count
            total += count
            tail = (tail + bytes(buffer[max(0, count - 6) : count]))[-6:]
        client.sendall(m.TERMINATE)
        took.append(total)


@pytest.mark.parametrize("megabytes", [300, pytest.param(4096, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_the_others_go_on(own_bastion: BastionProcess, server: PostgresServer, silent: Silent, megabytes: int) -> None:
    own_bastion.declare_database("orders", server, account="neighbour", password="hosted-secret", to="alice")
    with open_tunnel(own_bastion, "alice", "orders") as tunnel, ExitStack() as stack:
        place = Place(tunnel.host, tunnel.port, DATABASE)
        workers = [Wire(place) for _ in range(4)]
        before = own_bastion.resident_bytes()
        stack.enter_context(a_silent_database(own_bastion, silent))
        stack.enter_context(a_database_that_stops_reading(tunnel, server))
        # A client that does not read holds up everything in its own ssh, as it does without a bastion.
        stuck = stack.enter_context(open_tunnel(own_bastion, "alice", "orders"))
        stack.enter_context(a_client_that_does_not_read(stuck, server))
        large = stack.enter_context(open_tunnel(own_bastion, "alice", "orders"))
        took: list[int] = []
        reader = threading.Thread(target=read_result, args=(large, megabytes, took))
        reader.start()
        peak = 0
        rounds = 0
        while reader.is_alive() or rounds < 100:
            rounds += 1
            for number, worker in enumerate(workers):
                started = time.monotonic()
                assert worker.value(f"SELECT {rounds} * {number}") == str(rounds * number)
                assert time.monotonic() - started < PATIENCE
            peak = max(peak, own_bastion.resident_bytes())
        reader.join()
        # A newcomer is let in and served while they hang.
        with Wire(place) as newcomer:
            assert newcomer.value("SELECT 'served'") == "served"
        assert took
        assert took[0] > megabytes * 1_000_000
        assert peak - before < GROWTH, f"{(peak - before) / MEGABYTE:.0f} MB more"
        for worker in workers:
            worker.leave()
