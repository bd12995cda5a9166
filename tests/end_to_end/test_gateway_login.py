"""Who gets in at the SSH door, and what the others are told: OpenSSH's client and asyncssh against `casemate serve`."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import askpass, client_environment, ssh_command, token_of

PASSWORD = "hosted-secret"


@pytest.fixture(scope="module")
def database(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("login_app", PASSWORD)
    bastion.declare_database("ledger", postgres_server, account="login_app", password=PASSWORD, to="alice")
    return "ledger"


@pytest.fixture(scope="module")
def key_file(bastion: BastionProcess) -> Path:
    """bob's private key; its public half is declared."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    file = bastion.folder / "bob_key"
    file.touch(mode=0o600)
    key.write_private_key(str(file))
    bastion.apply(
        {"users": [{
            "name": "bob", "roles": ["operator"], "password": {"env": "BOB"},
            "keys": [key.export_public_key().decode().strip()],
        }]},
        {"BOB": bastion.password_of("bob")},
    )  # fmt: skip
    return file


def ssh(bastion: BastionProcess, user: str, words: list[str], *, secret: str = "", place: Path | None = None,
        environment: dict[str, str] | None = None, **options: str) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """OpenSSH's client, run to its end."""
    env = askpass(place, secret) if place is not None else client_environment()
    command = ssh_command(user, *bastion.address, bastion.known_hosts, options)
    return subprocess.run(
        [*command, *words], env={**env, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


@asynccontextmanager
async def connected(bastion: BastionProcess, user: str, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
    settings: dict[str, Any] = {"client_keys": None, "agent_path": None, "config": None}
    async with asyncssh.connect(
        *bastion.address, username=user, known_hosts=str(bastion.known_hosts), **{**settings, **options}
    ) as connection:
        yield connection


def forgive(bastion: BastionProcess) -> None:
    """Forgets failed logins, as their half an hour would."""
    with sqlite3.connect(bastion.home / "state" / "casemate.sqlite3", timeout=60) as store:
        store.execute("DELETE FROM login_failures")
    store.close()


def last_login(bastion: BastionProcess) -> dict[str, Any]:
    return [record for record in bastion.journal() if record["kind"] in ("login", "login-refused")][-1]


# ------------------------------------------------------------------------------------------------------------ people


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_password_opens_the_door_by_either_method(bastion: BastionProcess, tmp_path: Path, method: str) -> None:
    done = ssh(bastion, "alice", ["tokens", "--json"], secret=bastion.password_of("alice"), place=tmp_path,
               PreferredAuthentications=method)  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = last_login(bastion)
    assert (record["kind"], record["user"], record["method"]) == ("login", "alice", "password")
    assert record["source"] == "127.0.0.1"


def test_a_key_file_opens_the_door(bastion: BastionProcess, key_file: Path) -> None:
    done = ssh(bastion, "bob", ["tokens"], PubkeyAuthentication="yes", IdentityFile=str(key_file), BatchMode="yes")
    assert done.returncode == 0, done.stderr
    record = last_login(bastion)
    assert (record["kind"], record["user"], record["method"]) == ("login", "bob", "publickey")


@pytest.fixture
def agent(tmp_path: Path, key_file: Path) -> Iterator[dict[str, str]]:
    """ssh-agent with bob's key."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        environment = {"SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(key_file)], env=client_environment(environment), check=True, timeout=60)
        yield environment
    finally:
        process.terminate()
        process.wait(60)


def test_an_agent_opens_the_door_for_ssh_and_for_the_program(bastion: BastionProcess, agent: dict[str, str]) -> None:
    done = ssh(bastion, "bob", ["tokens"], environment=agent, PubkeyAuthentication="yes", BatchMode="yes")
    assert done.returncode == 0, done.stderr
    where = f"bob@{bastion.address[0]}:{bastion.address[1]}"
    bastion.run("tokens", "--bastion", where, environment=agent)
    record = last_login(bastion)
    assert (record["kind"], record["user"], record["method"]) == ("login", "bob", "publickey")


def test_a_key_that_is_not_declared_does_not(bastion: BastionProcess, tmp_path: Path, key_file: Path) -> None:
    other = tmp_path / "other"
    other.touch(mode=0o600)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    done = ssh(bastion, "bob", ["tokens"], PubkeyAuthentication="yes", IdentityFile=str(other), IdentitiesOnly="yes",
               BatchMode="yes")  # fmt: skip
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


async def test_a_public_key_without_its_private_half_does_not(bastion: BastionProcess, key_file: Path) -> None:
    """The client claims bob's public key, which is no secret, and signs with another one."""
    stolen = asyncssh.read_private_key(str(key_file)).convert_to_public()
    other = asyncssh.generate_private_key("ssh-ed25519")

    class Pretender(asyncssh.SSHKeyPair):
        _key_type = "pretender"

        def __init__(self) -> None:
            super().__init__(b"ssh-ed25519", b"ssh-ed25519", (b"ssh-ed25519",), (), stolen.public_data, b"")

        def sign(self, data: bytes) -> bytes:
            return other.sign(data, b"ssh-ed25519")

    with pytest.raises(asyncssh.PermissionDenied):
        async with connected(bastion, "bob", client_keys=[Pretender()]):
            pass


# -------------------------------------------------------------------------------------------- empty and wrong secrets


async def test_an_empty_first_try_costs_nothing(bastion: BastionProcess) -> None:
    """Ten empty answers by both methods, then the password: no refusal is on record and nothing was slowed."""
    answers: list[str] = []

    class Client(asyncssh.SSHClient):
        def password_auth_requested(self) -> str | None:
            answers.append("password")
            return "" if len(answers) <= 4 else None

        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
            answers.append("kbdint")
            return ["" if len(answers) < 7 else bastion.password_of("alice")]

    before = len(bastion.journal())
    started = time.monotonic()
    async with connected(bastion, "alice", client_factory=Client, preferred_auth="password,keyboard-interactive"):
        pass
    assert answers.count("kbdint") >= 2
    assert time.monotonic() - started < 15  # a second on an idle machine
    # The client may have its answer a moment before the record of it can be read.
    records = wait_for("the login's record", lambda: bastion.journal()[before:])
    assert [record["kind"] for record in records] == ["login"]


async def test_the_same_wrong_secret_by_two_methods_is_one_failure(bastion: BastionProcess) -> None:
    before = len(bastion.journal())
    with pytest.raises(asyncssh.PermissionDenied):
        async with connected(bastion, "alice", password="Wrong-once-1"):
            pass
    async with connected(bastion, "alice", password=bastion.password_of("alice")):
        pass

    def until_let_in() -> list[dict[str, Any]]:
        records = bastion.journal()[before:]
        return records if any(record["kind"] == "login" for record in records) else []

    records = await asyncio.to_thread(wait_for, "the login's record", until_let_in)
    refusals = [record for record in records if record["kind"] == "login-refused"]
    assert [(record["user"], record["code"]) for record in refusals] == [("alice", "login-failed")]


async def test_one_connection_has_six_tries(bastion: BastionProcess) -> None:
    tried: list[str] = []

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            tried.append(f"cmt_{'a' * 31}{chr(ord('a') + len(tried))}")
            return tried[-1]

        def kbdint_auth_requested(self) -> None:
            return None

    started = time.monotonic()
    with pytest.raises((asyncssh.DisconnectError, ConnectionError)):
        async with connected(bastion, "nobody-at-all", client_factory=Guesser):
            pass
    assert len(tried) == 6
    assert time.monotonic() - started > 1, "failures are not slowed"
    forgive(bastion)


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(bastion: BastionProcess, tmp_path: Path) -> None:
    answers = []
    for user in ("alice", "not-there"):
        started = time.monotonic()
        done = ssh(
            bastion, user, ["tokens"], secret="Wrong-twice-2", place=tmp_path, PreferredAuthentications="password"
        )
        said = done.stderr.replace(user, "USER")
        answers.append((done.returncode, said))
        assert time.monotonic() - started < 60
    assert answers[0] == answers[1]

    def last_refusals() -> list[tuple[str, str]]:
        refused = [record for record in bastion.journal() if record["kind"] == "login-refused"][-2:]
        return [(record["user"], record["code"]) for record in refused]

    wait_for("both refusals", lambda: last_refusals() == [("alice", "login-failed"), ("not-there", "login-failed")])
    forgive(bastion)


def test_too_many_failures_from_one_source_are_told_how_long_to_wait(bastion: BastionProcess) -> None:
    async def guess(number: int) -> str:
        said: list[str] = []

        class Client(asyncssh.SSHClient):
            def auth_banner_received(self, msg: str, lang: str) -> None:
                said.append(msg)

        try:
            async with connected(bastion, f"guess-{number}", password=f"Guess-{number}-x", client_factory=Client):
                pass
        except (asyncssh.DisconnectError, ConnectionError):
            pass
        return "".join(said)

    async def guess_on() -> str:
        for number in range(10):
            said = await guess(number)
            if said:
                return said
        return ""

    bastion.apply({"settings": {"lockout": {"source_tries": 3}}})
    try:
        said = asyncio.run(asyncio.wait_for(guess_on(), 60))
    finally:
        bastion.apply({"settings": {"lockout": {"source_tries": 100}}})
        forgive(bastion)
    assert "Too many failed logins from here. Wait " in said
    bastion.casemate("alice", "tokens")


# ------------------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_token_opens_the_door_by_either_method_but_no_commands(
    bastion: BastionProcess, database: str, tmp_path: Path, method: str
) -> None:
    token = token_of(bastion, "alice", database)
    done = ssh(bastion, "alice", ["databases"], secret=token["token"], place=tmp_path, PreferredAuthentications=method)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "An O&M token opens a tunnel to its database and nothing else" in done.stderr
    record = [each for each in bastion.journal() if each["kind"] == "login"][-1]
    assert (record["user"], record["method"]) == ("alice", "token")


async def test_a_token_reaches_its_database_by_address_and_by_name_only(bastion: BastionProcess, database: str) -> None:
    token = token_of(bastion, "alice", database)
    async with connected(bastion, "alice", password=token["token"]) as connection:
        for host in (token["host"], "LEDGER"):
            reader, writer = await connection.open_connection(host, token["port"])
            writer.write(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest
            assert await asyncio.wait_for(reader.readexactly(1), 60) in (b"S", b"N")
            writer.close()
        for host, port in ((token["host"], token["port"] + 1), ("localhost.", token["port"]), ("127.0.0.2", 22)):
            with pytest.raises(asyncssh.ChannelOpenError) as refused:
                await connection.open_connection(host, port)
            assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            assert f"This token opens {token['host']}:{token['port']} ({database})" in refused.value.reason
            assert f"{host}:{port}" in refused.value.reason


# -------------------------------------------------------------------------------------------- what is not offered


async def test_nothing_else_is_offered_to_anybody(bastion: BastionProcess, database: str) -> None:
    token = token_of(bastion, "alice", database)
    for secret in (token["token"], bastion.password_of("alice")):
        async with connected(bastion, "alice", password=secret) as connection:
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_port("", 0, "localhost", 22)
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_path("/tmp/casemate-test-remote", "/tmp/x")
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_unix_connection("/run/docker.sock")
            with pytest.raises((asyncssh.ChannelOpenError, asyncssh.SFTPError)):
                await connection.start_sftp_client()
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_session(subsystem="netconf")


async def test_a_person_reaches_no_address_by_direct_tcpip_alone(
    bastion: BastionProcess, database: str, postgres_server: PostgresServer
) -> None:
    async with connected(bastion, "alice", password=bastion.password_of("alice")) as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="opens no tunnel by itself"):
            await connection.open_connection(postgres_server.host, postgres_server.port)
        with pytest.raises(asyncssh.ChannelOpenError, match="opens no tunnel by itself"):
            await connection.open_connection("s0000000000000000.casemate", postgres_server.port)


def test_remote_forwarding_is_refused_to_openssh(bastion: BastionProcess, tmp_path: Path) -> None:
    done = ssh(bastion, "alice", ["-N", "-R", "0:127.0.0.1:22"], secret=bastion.password_of("alice"), place=tmp_path,
               ExitOnForwardFailure="yes")  # fmt: skip
    assert done.returncode == 255
    assert "remote port forwarding failed" in done.stderr


@pytest.mark.parametrize("terminal", [[], ["-tt"]])
def test_a_shell_is_told_what_there_is_instead(bastion: BastionProcess, tmp_path: Path, terminal: list[str]) -> None:
    done = ssh(bastion, "alice", terminal, secret=bastion.password_of("alice"), place=tmp_path)
    assert done.returncode == 1
    assert "The workstation is not served over plain SSH by this bastion" in done.stderr + done.stdout
