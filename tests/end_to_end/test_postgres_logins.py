"""Who logs in to PostgreSQL with what: accounts that are not hosted, the token as password, a client's own wishes."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.debian_postgres import TlsPostgresServer
from tests.servers.processes import wait_for

from .desk import Desk, Way
from .stock_clients import client_environment

PASSWORD = "the operator's own, 密码"
PLUGINS = ("scram-sha-256", "md5", "cleartext", "trust")


def login_of(plugin: str) -> str:
    return f"own_{plugin.replace('-', '_')}"


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def desk(bastion: BastionProcess) -> Iterator[Desk]:
    standing = Desk(bastion)
    yield standing
    standing.close()


@pytest.fixture(scope="module")
def server(tls_postgres_server: TlsPostgresServer) -> TlsPostgresServer:
    for plugin in PLUGINS:
        tls_postgres_server.create_user(login_of(plugin), PASSWORD, plugin)
    return tls_postgres_server


def database(name: str, server: TlsPostgresServer, mode: str, *accounts: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "engine": "postgresql", "host": "localhost", "port": server.port, "tls": {"mode": mode},
        "accounts": list(accounts),
    }  # fmt: skip


@pytest.fixture(scope="module")
def declared(bastion: BastionProcess, server: TlsPostgresServer) -> None:
    hosted = {"name": login_of("md5"), "password": {"env": "ACCOUNT_PASSWORD"}}
    entries = [
        *(
            database(f"own-{plugin}-{mode}", server, mode, {"name": login_of(plugin)})
            for plugin in PLUGINS
            for mode in ("disable", "require")
        ),
        database("own-any", server, "require", {"any": True}),
        database("own-token", server, "require", hosted),
        database("own-room", server, "require", hosted),
    ]
    grants = [{"name": f"alice-{each['name']}", "to": ["alice"], "on": [each["name"]]} for each in entries]
    policies = [{"name": "own-token", "to": ["*"], "on": ["own-token"], "client_password": "token"}]
    bastion.apply({"databases": entries, "grants": grants, "policies": policies}, {"ACCOUNT_PASSWORD": PASSWORD})


def psql(
    server: TlsPostgresServer, way: Way, user: str, password: str | None, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    where = {"PGHOST": way.host, "PGPORT": str(way.port), "PGUSER": user, "PGDATABASE": "postgres"}
    given = {} if password is None else {"PGPASSWORD": password}
    return subprocess.run(
        [*server.client("psql"), "-X", "-w", "-At", *(words or ("-c", "SELECT current_user"))],
        env=client_environment({**where, "PGSSLMODE": "prefer", "PGGSSENCMODE": "disable", **given, **environment}),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("tls", ["disable", "require"])
@pytest.mark.parametrize("mode", ["disable", "require"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_operators_own_password_is_asked_for_and_proved(
    bastion: BastionProcess, desk: Desk, server: TlsPostgresServer, declared: None, plugin: str, mode: str, tls: str
) -> None:
    way = desk.way(f"own-{plugin}-{mode}")
    done = psql(server, way, "whoever", PASSWORD, PGSSLMODE=tls)
    assert (done.returncode, done.stdout) == (0, login_of(plugin) + "\n"), done.stderr
    session = desk.session(way)
    assert (session["account"], session["login"], session["unattributed_bytes"]) == (login_of(plugin), "whoever", 0)
    assert not bastion.mentions(PASSWORD)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_wrong_password_gets_the_servers_own_answer(
    desk: Desk, server: TlsPostgresServer, declared: None, plugin: str
) -> None:
    way = desk.way(f"own-{plugin}-require")
    done = psql(server, way, "whoever", "not it", PGSSLMODE="require")
    if plugin == "trust":
        assert done.returncode == 0
        return
    assert f'FATAL:  password authentication failed for user "{login_of(plugin)}"' in done.stderr
    assert desk.session(way)["state"] == "refused"
    # psql -w gives none at all, and says so itself.
    assert "no password supplied" in psql(server, way, "whoever", None).stderr


def test_the_password_given_with_the_request_is_put_in_place(
    bastion: BastionProcess, desk: Desk, server: TlsPostgresServer, declared: None
) -> None:
    way = desk.way("own-any", login=login_of("scram-sha-256"), password=PASSWORD)
    done = psql(server, way, "somebody_else", None)
    assert (done.returncode, done.stdout) == (0, login_of("scram-sha-256") + "\n"), done.stderr
    assert not bastion.mentions(PASSWORD)


def test_an_account_that_the_operator_types(desk: Desk, server: TlsPostgresServer, declared: None) -> None:
    way = desk.way("own-any", new=True)
    done = psql(server, way, login_of("md5"), PASSWORD)
    assert (done.returncode, done.stdout) == (0, login_of("md5") + "\n"), done.stderr
    assert desk.session(way)["login"] == login_of("md5")


@pytest.mark.parametrize("shown", ["token", "nothing", "wrong"])
def test_the_token_as_the_password(desk: Desk, server: TlsPostgresServer, declared: None, shown: str) -> None:
    way = desk.way("own-token")
    password = {"token": way.token_text, "nothing": None, "wrong": "cmt_" + "x" * 32}[shown]
    done = psql(server, way, "whoever", password)
    if shown == "token":
        assert (done.returncode, done.stdout) == (0, login_of("md5") + "\n"), done.stderr
    elif shown == "wrong":
        assert "FATAL:  The password of the database login must be the O&M token here." in done.stderr
    else:
        assert "no password supplied" in done.stderr


def test_everything_that_the_client_asks_for_reaches_the_server(
    desk: Desk, server: TlsPostgresServer, declared: None
) -> None:
    way = desk.way("own-room")
    shown = (
        "SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('timezone'), "
        "current_setting('datestyle'), current_setting('client_encoding'), current_setting('application_name')"
    )
    done = psql(
        server, way, "whoever", None, "-c", shown, PGOPTIONS="-c work_mem=7MB -c search_path=there,here",
        PGTZ="Asia/Shanghai", PGDATESTYLE="German", PGCLIENTENCODING="GBK", PGAPPNAME="月报",
    )  # fmt: skip
    values = done.stdout.rstrip("\n").split("|")
    assert values[:5] == ["7MB", "there,here", "Asia/Shanghai", "German, DMY", "GBK"], done.stderr
    assert values[5].endswith("(alice)")
    session = desk.session(way)
    [statement] = desk.statements(session)
    assert statement["schema"] == "there,here"


def test_encryption_by_gss_is_declined_and_tls_still_had(desk: Desk, declared: None) -> None:
    """As libpq with Kerberos asks: GSSENCRequest first, then SSLRequest."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    way = desk.way("own-room")
    with socket.create_connection((way.host, way.port), 20) as connection:
        connection.sendall(m.GSSENC_REQUEST)
        assert connection.recv(100) == b"N"
        connection.sendall(m.SSL_REQUEST)
        assert connection.recv(100) == b"S"
        with context.wrap_socket(connection) as encrypted:
            encrypted.sendall(m.startup(user="whoever", database="postgres"))
            assert encrypted.recv(9) == m.AUTHENTICATION_OK
            encrypted.sendall(m.TERMINATE)
    assert desk.session(way)["state"] == "closed"


def test_a_request_to_cancel_takes_no_room(own_bastion: BastionProcess, server: TlsPostgresServer) -> None:
    """With every session in use a second one is refused with the reason, and what runs can still be cancelled."""
    own_bastion.stop()
    with own_bastion.configuration.open("a") as configuration:
        configuration.write("\n[limits]\nsessions = 1\n")
    own_bastion.start()
    hosted = {"name": login_of("md5"), "password": {"env": "ACCOUNT_PASSWORD"}}
    own_bastion.apply(
        {
            "databases": [database("full", server, "require", hosted)],
            "grants": [{"name": "full", "to": ["alice"], "on": ["full"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )
    desk = Desk(own_bastion)
    try:
        way = desk.way("full")
        text = "SELECT pg_sleep(30), 'no room'"
        client = subprocess.Popen(
            [*server.client("psql"), "-X", "-At", f"host={way.host} port={way.port} dbname=postgres", "-c", text],
            env=client_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for("the statement to run", lambda: server.running("no room"))
        assert "FATAL:  The bastion has 1 sessions open" in psql(server, way, "whoever", None).stderr
        client.send_signal(signal.SIGINT)
        _, said = client.communicate(timeout=60)
        assert "canceling statement due to user request" in said
        ended = sorted((each["state"], each["end_reason"]) for each in desk.sessions(way, 3))
        assert [reason for state, reason in ended if state == "closed"] == ["cancel-request", "client"]
    finally:
        desk.close()
