"""The door itself: strangers, floods, starting and stopping."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncssh
import psycopg
import pytest

from tests.servers.bastion_process import BastionProcess, CommandFailed, program
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import open_tunnel, token_of

PASSWORD = "hosted-secret"


@pytest.fixture(scope="module")
def door(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("door_app", PASSWORD)
    postgres_server.create_database("door", "door_app")
    bastion.declare_database("door", postgres_server, account="door_app", password=PASSWORD, to="alice")
    return "door"


@contextlib.contextmanager
def stranger(bastion: BastionProcess) -> Any:
    """A TCP connection to the door that has seen its banner."""
    with socket.create_connection(bastion.address, timeout=60) as connection:
        assert connection.recv(64) == b"SSH-2.0-Casemate\r\n"
        yield connection


def closed(connection: socket.socket) -> bool:
    """Whether the door hangs up within the socket's time limit."""
    try:
        while connection.recv(65536):
            continue
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(64) + b"\n",
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-x\r\n\x7f\xff\xff\xff" + b"\x00" * 64,
        b"SSH-2.0-\xff\xfe\r\n" + os.urandom(4096),
        b"x" * 1_000_000,
    ],
    ids=["http", "tls", "ssh1", "two-gigabytes", "noise", "endless"],
)
def test_garbage_instead_of_ssh_is_hung_up_on(bastion: BastionProcess, door: str, garbage: bytes) -> None:
    before = bastion.resident_bytes()
    with stranger(bastion) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(garbage)
        assert closed(connection)
    assert bastion.resident_bytes() - before < 16 * 1024 * 1024
    assert bastion.casemate("alice", "databases", "--json")


def test_a_hundred_idle_strangers_keep_nobody_out(bastion: BastionProcess, door: str) -> None:
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(socket.create_connection(bastion.address, timeout=60)) for _ in range(100)]
        for connection in strangers[:80]:
            assert closed(connection), "only the newest of one source may wait"
        assert [each["name"] for each in bastion.casemate("alice", "databases", "--json")] == ["door"]
        strangers[-1].setblocking(False)
        assert strangers[-1].recv(64).startswith(b"SSH-2.0-")
        with pytest.raises(BlockingIOError):
            strangers[-1].recv(64)
    assert bastion.is_running()


def test_the_door_offers_compression_but_prefers_none(bastion: BastionProcess) -> None:
    async def offered(algorithms: list[str]) -> Any:
        async with asyncssh.connect(
            *bastion.address, username="alice", password=bastion.password_of("alice"), config=None, client_keys=None,
            known_hosts=str(bastion.known_hosts), compression_algs=algorithms, agent_path=None,
        ) as connection:  # fmt: skip
            return connection.get_extra_info("recv_compression")

    assert asyncio.run(offered(["none", "zlib@openssh.com"])) == "none"
    assert asyncio.run(offered(["zlib@openssh.com"])) == "zlib@openssh.com"


def test_a_second_bastion_on_the_same_state_does_not_start(bastion: BastionProcess) -> None:
    with pytest.raises(CommandFailed) as refused:
        bastion.run("serve", "--config", str(bastion.configuration), "--listen", "127.0.0.1:0")
    assert refused.value.exit_code == 3
    assert "A bastion runs on this journal already" in refused.value.said


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path, bastion: BastionProcess) -> None:
    home = tmp_path / "other"
    bastion.run("init", str(home), "--listen", "127.0.0.1:0", environment={"CASEMATE_PASSWORD": "Correct-horse-7"})
    listen = f"{bastion.address[0]}:{bastion.address[1]}"
    with pytest.raises(CommandFailed) as refused:
        bastion.run("serve", "--config", str(home / "casemate.toml"), "--listen", listen)
    assert refused.value.exit_code == 1
    assert f"{listen} is in use" in refused.value.said
    assert "net.ipv4.ip_local_reserved_ports" in refused.value.said


def test_a_free_port_is_said_and_known(tmp_path: Path, bastion: BastionProcess) -> None:
    home = tmp_path / "other"
    bastion.run(
        "init", str(home), "--admin", "root", "--listen", "127.0.0.1:0",
        environment={"CASEMATE_PASSWORD": "Correct-horse-7"},
    )  # fmt: skip
    for path in (home, home / "state", home / "journal", home / "keys", home / "ca"):
        assert path.stat().st_mode & 0o077 == 0
    for path in (home / "keys").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    process = subprocess.Popen(
        [*program(), "serve", "--config", str(home / "casemate.toml")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("casemate: listening on 127.0.0.1:")
        port = int(line.rpartition(":")[2])
        assert port > 0
        printed = bastion.run(
            "databases", "--json", "--bastion", f"root@127.0.0.1:{port}",
            environment={"CASEMATE_PASSWORD": "Correct-horse-7", "CASEMATE_KNOWN_HOSTS": str(home / "known_hosts")},
        )  # fmt: skip
        assert printed == ""
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert not (home / "state" / "casemate.sock").exists()


def test_no_secret_is_in_a_process_list_or_log(bastion: BastionProcess, door: str, tmp_path: Path) -> None:
    token = token_of(bastion, "alice", door)
    assert not bastion.mentions(token["token"])
    assert not bastion.mentions(bastion.password_of("alice"))
    assert not bastion.mentions(PASSWORD)


def test_sighup_reloads_and_nobody_notices(bastion: BastionProcess, door: str) -> None:
    with (
        open_tunnel(bastion, "alice", door) as tunnel,
        psycopg.connect(host=tunnel.host, port=tunnel.port, dbname="door", user="me", autocommit=True) as connection,
    ):
        os.kill(bastion.pid, signal.SIGHUP)
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert bastion.casemate("alice", "databases", "--json")
    assert bastion.is_running()


def test_sigterm_tells_the_sessions_and_closes_the_record(bastion: BastionProcess, door: str) -> None:
    with open_tunnel(bastion, "alice", door) as tunnel:
        connection = psycopg.connect(host=tunnel.host, port=tunnel.port, dbname="door", user="me", autocommit=True)
        connection.execute("SELECT 1")
        started = time.monotonic()
        bastion.stop()
        assert time.monotonic() - started < 30
        with pytest.raises(psycopg.errors.AdminShutdown, match="The bastion is being stopped"):
            connection.execute("SELECT 2")
    records = bastion.journal()
    kinds = [record["kind"] for record in records[-4:]]
    assert "session-closed" in kinds
    assert kinds[-2:] == ["node-stopped", "checkpoint"]
    assert not (bastion.home / "state" / "casemate.sock").exists()
    proof = bastion.run("audit", "verify", "--config", str(bastion.configuration))
    assert proof.startswith("Proved to record")
    assert " 0 records not witnessed yet" in proof
    state = bastion.run("export", "--config", str(bastion.configuration))
    assert "door" in state, "commands work on the state while no bastion runs"
    bastion.start()
    [session] = [each for each in bastion.sessions() if each["database"] == "door"][-1:]
    assert (session["state"], session["end_reason"]) == ("closed", "bastion-stopping")
    wait_for("alice", lambda: bastion.casemate("alice", "databases", "--json"))
