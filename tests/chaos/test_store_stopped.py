"""The store (PostgreSQL) is stopped while sessions work: nothing is lost, and `stored` sends nothing without it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from bastion.store.store import Store
from tests.end_to_end.stock_clients import SshTunnel, open_tunnel
from tests.servers.bastion_process import ADMINISTRATOR, AUDITOR, OPERATORS, BastionProcess, CommandFailed
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

DATABASE = "storeless"


@pytest.fixture(scope="module")
def store_server() -> Iterator[PostgresServer]:
    """A server for the store alone, so that the database of the sessions stays up."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def bastion(
    request: pytest.FixtureRequest, own_bastion: BastionProcess, store_server: PostgresServer,
    postgres_server: PostgresServer,
) -> BastionProcess:  # fmt: skip
    """Its state in PostgreSQL, with the durability that the test asks for."""
    own_bastion.stop()
    store_server.create_database("casemate")
    at = f"{store_server.host}:{store_server.port}"
    url = f"postgresql+psycopg://{store_server.admin_user}:{store_server.admin_password}@{at}/casemate"
    text = own_bastion.configuration.read_text()
    changed = text.replace('folder = "state"', f'folder = "state"\nstore = "{url}"')
    changed = changed.replace('durability = "written"', f'durability = "{request.param}"')
    assert changed.count(url) == 1
    assert f'durability = "{request.param}"' in changed
    own_bastion.configuration.write_text(changed)
    store = Store.open(url)
    store.migrate()
    store.close()
    people = {**dict.fromkeys(OPERATORS, "operator"), AUDITOR: "auditor", ADMINISTRATOR: "administrator"}
    own_bastion.apply(
        {"users": [{"name": name, "roles": [role], "password": {"env": f"P_{name}"}} for name, role in people.items()]},
        {f"P_{name}": own_bastion.password_of(name) for name in people},
    )
    postgres_server.create_user("storeless_app", "hosted-secret")
    postgres_server.create_database(DATABASE, "storeless_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("CREATE TABLE done (n int)")
        connection.execute("GRANT ALL ON done TO storeless_app")
    own_bastion.declare_database(
        "orders", postgres_server, account="storeless_app", password="hosted-secret", to="alice"
    )
    own_bastion.start()
    return own_bastion


def connect(tunnel: SshTunnel) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", autocommit=True,
        connect_timeout=30,
    )  # fmt: skip


def ran(server: PostgresServer) -> list[int]:
    with server.admin(DATABASE) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM done ORDER BY n").fetchall()]


def recorded(bastion: BastionProcess) -> list[tuple[str, str]]:
    """The statements of the only session, as the store has them after it came back."""
    [session] = bastion.wait_for_sessions(
        "the end of the session", lambda all_: all_ if all_ and all_[0]["state"] == "closed" else None, 60
    )
    return [(each["text"], each["state"]) for each in bastion.statements(session["id"])]


def arrived(bastion: BastionProcess) -> bool:
    """Whether the session's end is in the store, which has been away."""
    try:
        return any(each["state"] == "closed" for each in bastion.sessions())
    except CommandFailed:  # it says so while the store is away or behind
        return False


@pytest.mark.parametrize("bastion", ["written"], indirect=True)
def test_sessions_go_on_and_everything_arrives_later(
    bastion: BastionProcess, store_server: PostgresServer, postgres_server: PostgresServer
) -> None:
    with open_tunnel(bastion, "alice", "orders") as tunnel:
        with connect(tunnel) as working:
            working.execute("INSERT INTO done VALUES (0)")
            store_server.stop()
            for n in range(1, 201):
                working.execute(f"INSERT INTO done VALUES ({n})".encode())
            # Whether somebody may come in is asked of the store: nobody does while it cannot be asked.
            with pytest.raises(psycopg.OperationalError):
                connect(tunnel)
            assert working.execute("SELECT 'still here'").fetchone() == ("still here",)
        store_server.start()
    assert ran(postgres_server) == list(range(201))

    wait_for("the record in the store", lambda: arrived(bastion), 90, 0.5)
    first = bastion.sessions()[0]
    statements = [(each["text"], each["state"]) for each in bastion.statements(first["id"])]
    assert statements == [
        *((f"INSERT INTO done VALUES ({n})", "done") for n in range(201)), ("SELECT 'still here'", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("bastion", ["stored"], indirect=True)
def test_where_the_store_must_have_it_nothing_is_sent_without_it(
    bastion: BastionProcess, store_server: PostgresServer, postgres_server: PostgresServer
) -> None:
    with open_tunnel(bastion, "alice", "orders") as tunnel:
        with connect(tunnel) as working:
            working.execute("INSERT INTO done VALUES (0)")
            store_server.stop()
            with pytest.raises(psycopg.OperationalError) as refused:
                working.execute("INSERT INTO done VALUES (1)")
            assert "cannot write its record" in str(refused.value)
        assert ran(postgres_server) == [0]
        store_server.start()

    wait_for("the record in the store", lambda: arrived(bastion), 90, 0.5)
    [session] = bastion.sessions()
    assert session["end_reason"] == "record-failed"
    # The second one is on record, and that it was not passed on.
    first, second = bastion.statements(session["id"])
    assert (first["text"], first["state"]) == ("INSERT INTO done VALUES (0)", "done")
    assert (second["text"], second["state"]) == ("INSERT INTO done VALUES (1)", "skipped")
    assert second["error"].startswith("not passed on")
    with open_tunnel(bastion, "alice", "orders") as tunnel, connect(tunnel) as again:
        again.execute("INSERT INTO done VALUES (2)")
    assert ran(postgres_server) == [0, 2]
