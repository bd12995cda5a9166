"""MySQL's side roads through the whole bastion: the login made anew, USE, binary logs, TLS to the database in every
mode, client certificates, and refusals to clients that insist on TLS. What the client saw, and what is on record."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.servers import certificates, excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.connector_c import Connection, Failed
from tests.servers.mysql import MysqlServer
from tests.servers.mysql_family import MysqlFamilyServer
from tests.servers.new_mariadb import NewMariadbServer
from tests.servers.processes import free_port

from .stock_clients import SshTunnel, open_tunnel, record_of, run_client, session_of

ACCOUNT, PASSWORD = "road_app", "the road account's password"
CATALOG = "road"
BINLOG_READER = "road_reader"


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def client_authority(bastion: BastionProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bastion's CA, as `casemate ca` hands it out."""
    file = tmp_path_factory.mktemp("casemate-ca") / "ca.pem"
    file.write_text(bastion.run("ca", "--config", str(bastion.configuration)))
    return file


def hosted(name: str = ACCOUNT, **more: Any) -> dict[str, Any]:
    return {"name": name, "password": {"env": "ACCOUNT_PASSWORD"}, **more}


def database(
    name: str, server: MysqlFamilyServer, *, host: str = "127.0.0.1", mode: str = "prefer", ca: Path | None = None,
    pin: str = "", account: dict[str, Any] | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    tls: dict[str, Any] = {"mode": mode, **({"ca": {"file": str(ca)}} if ca else {}), **({"pin": pin} if pin else {})}
    return {"name": name, "engine": "mysql", "host": host, "port": server.port, "tls": tls,
            "accounts": [account or hosted()], **more}  # fmt: skip


def declare(bastion: BastionProcess, *databases: dict[str, Any], **grant: Any) -> None:
    """Databases that alice may use."""
    grants = [{"name": f"alice-{each['name']}", "to": ["alice"], "on": [each["name"]], **grant} for each in databases]
    bastion.apply({"databases": list(databases), "grants": grants}, {"ACCOUNT_PASSWORD": PASSWORD})


def prepared(server: MysqlFamilyServer) -> None:
    server.create_user(ACCOUNT, PASSWORD)
    server.create_database(CATALOG)


def run(client: Sequence[str], tunnel: SshTunnel, *words: str) -> subprocess.CompletedProcess[str]:
    where = [f"--host={tunnel.host}", f"--port={tunnel.port}", "--protocol=TCP", "--user=whoever"]
    return run_client([*client, *where, *words])


def ask(client: Sequence[str], tunnel: SshTunnel, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    return run(client, tunnel, "--batch", "--skip-column-names", *words, "-e", text)


def mariadb_client() -> list[str]:
    program = shutil.which("mariadb")
    if program is None:
        excuses.skip("no-mariadb")
    return [program, "--no-defaults"]


# --------------------------------------------------------------------------------------- one account, some databases


@pytest.mark.parametrize("kind", ["mariadb", "mysql"])
def test_the_login_made_anew_and_use_are_held_to_what_is_declared(
    bastion: BastionProcess, request: pytest.FixtureRequest, kind: str
) -> None:
    server: MysqlFamilyServer = request.getfixturevalue(f"{kind}_server")
    prepared(server)
    name = f"road-{kind.replace('_', '-')}"
    declare(bastion, database(name, server, databases=[CATALOG]))
    with open_tunnel(bastion, "alice", name) as tunnel:
        connection = Connection(tunnel.host, tunnel.port, "whoever", "", CATALOG, flags=1 << 16)
        with connection:
            connection.change_user("root", "a guess", CATALOG)
            assert connection.query("select substring_index(current_user(), '@', 1)") == [[(ACCOUNT.encode(),)]]
            with pytest.raises(Failed, match="1044: Access denied: the database 'mysql' may not be opened here"):
                connection.query("select 1; use mysql")
            with pytest.raises(Failed, match="1044: Access denied: the database 'mysql' may not be opened here"):
                connection.change_user("root", "a guess", "mysql")
            assert connection.query("select database()") == [[(CATALOG.encode(),)]]
    session = session_of(bastion, tunnel)
    assert session["login"] == "whoever"
    assert session["unattributed_bytes"] == 0
    record = [(each["text"], each["verdict"], each["state"]) for each in record_of(bastion, session)]
    assert record == [
        (f"CHANGE USER 'root' DATABASE `{CATALOG}`", "allowed", "done"),
        ("select substring_index(current_user(), '@', 1)", "allowed", "done"),
        ("select 1; use mysql", "refused", "refused"),
        ("CHANGE USER 'root' DATABASE `mysql`", "refused", "refused"),
        ("select database()", "allowed", "done"),
    ]
    assert not bastion.mentions("a guess")


def test_compression_is_off_and_query_attributes_are_on_record(
    bastion: BastionProcess, mysql_server: MysqlServer
) -> None:
    prepared(mysql_server)
    declare(bastion, database("road-attributes", mysql_server))
    script = (
        "query_attributes trace 00-4bf9 note mine\nselect 'attributed';\nselect 'plain';\n"
        "show status like 'Compression';\n"
    )
    with open_tunnel(bastion, "alice", "road-attributes") as tunnel:
        where = [f"--host={tunnel.host}", f"--port={tunnel.port}", "--protocol=TCP", "--user=whoever"]
        options = ["--batch", "--skip-column-names", "--commands", "--named-commands", "--compress"]
        done = run_client([*mysql_server.client_command(), *where, *options], stdin=script)
    assert (done.returncode, done.stdout) == (0, "attributed\nplain\nCompression\tOFF\n"), done.stderr
    session = session_of(bastion, tunnel)
    binds = {each["text"]: each["binds"] for each in record_of(bastion, session)}
    assert binds["select 'attributed'"] == ["trace=00-4bf9", "note=mine"]
    assert binds["select 'plain'"] is None
    assert session["unattributed_bytes"] == 0


# ---------------------------------------------------------------------------------------------------- binary logs


def read_binlog(server: NewMariadbServer, tunnel: SshTunnel, log: str) -> subprocess.CompletedProcess[str]:
    return run(server.client_command("mariadb-binlog"), tunnel, "--read-from-remote-server", log,
               "--skip-ssl")  # fmt: skip


def test_a_binary_log_is_read_where_the_grant_says_so(
    bastion: BastionProcess, new_mariadb_server: NewMariadbServer
) -> None:
    prepared(new_mariadb_server)
    # A log of its own: the server is shared, and other tests write megabytes that are no text.
    new_mariadb_server.execute("flush binary logs")
    log = str(new_mariadb_server.execute("show binary logs")[-1][0])
    new_mariadb_server.execute("create table marked (a int)", "insert into marked values (42)", database=CATALOG)
    declare(bastion, database("road-binlog", new_mariadb_server))
    with open_tunnel(bastion, "alice", "road-binlog") as tunnel:
        refused = read_binlog(new_mariadb_server, tunnel, log)
    assert refused.returncode != 0
    assert "Replication connections to this database are not granted" in refused.stderr
    assert "marked" not in refused.stdout
    session = session_of(bastion, tunnel)
    last = record_of(bastion, session)[-1]
    assert (last["kind"], last["verdict"], last["state"]) == ("binlog", "refused", "refused")
    assert session["unattributed_bytes"] == 0

    declare(bastion, database("road-binlog", new_mariadb_server), replication=True)
    with open_tunnel(bastion, "alice", "road-binlog") as tunnel:
        done = read_binlog(new_mariadb_server, tunnel, log)
    assert done.returncode == 0, done.stderr
    assert "create table marked" in done.stdout
    session = session_of(bastion, tunnel)
    last = record_of(bastion, session)[-1]
    assert last["text"].startswith("BINLOG DUMP")
    assert (last["verdict"], last["state"]) == ("allowed", "done")
    assert session["bytes_down"] > 500
    assert session["unattributed_bytes"] == 0


# --------------------------------------------------------------------------------------------- TLS to the database


def pin_of(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


PASSES = [
    ("disable", {"mode": "disable"}, False), ("prefer", {"mode": "prefer"}, True),
    ("require", {"mode": "require"}, True),
    ("verify-ca", {"mode": "verify-ca", "ca": "own"}, True),
    ("verify-full", {"mode": "verify-full", "ca": "own", "host": "localhost"}, True),
    ("pinned", {"mode": "require", "pin": "own"}, True),
]  # fmt: skip
FAILS = [
    ("other-ca", {"mode": "verify-ca", "ca": "other"}, "verify"),
    ("other-name", {"mode": "verify-full", "ca": "own", "host": "127.0.0.1"}, "IP address mismatch"),
    ("other-pin", {"mode": "require", "pin": "other"}, "its public key is not the pinned one"),
]


@pytest.fixture(scope="module")
def secured(
    bastion: BastionProcess, new_mariadb_server: NewMariadbServer, tmp_path_factory: pytest.TempPathFactory
) -> NewMariadbServer:
    """Every database of the two lists, declared in one go."""
    prepared(new_mariadb_server)
    other = certificates.Authority(tmp_path_factory.mktemp("other"))
    cas = {"own": new_mariadb_server.authority.certificate, "other": other.certificate}
    own = pin_of(new_mariadb_server.certificates.certificate)
    pins = {"own": own, "other": own[::-1]}
    made = []
    for name, words, _ in (*PASSES, *FAILS):
        settings: dict[str, Any] = dict(words)
        if "ca" in settings:
            settings["ca"] = cas[settings["ca"]]
        if "pin" in settings:
            settings["pin"] = pins[settings["pin"]]
        made.append(database(f"road-tls-{name}", new_mariadb_server, **settings))
    declare(bastion, *made)
    return new_mariadb_server


@pytest.mark.parametrize(("name", "encrypted"), [(name, encrypted) for name, _, encrypted in PASSES])
def test_tls_to_the_database(bastion: BastionProcess, secured: NewMariadbServer, name: str, encrypted: bool) -> None:
    with open_tunnel(bastion, "alice", f"road-tls-{name}") as tunnel:
        done = ask(secured.client_command(), tunnel, "show status like 'Ssl_version'", "--skip-ssl")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ssl_version\tTLSv1.") is encrypted


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, _, reason in FAILS])
def test_a_database_that_is_not_the_right_one_gets_no_password(
    bastion: BastionProcess, secured: NewMariadbServer, name: str, reason: str
) -> None:
    with open_tunnel(bastion, "alice", f"road-tls-{name}") as tunnel:
        done = ask(secured.client_command(), tunnel, "select 1", "--skip-ssl")
    assert done.returncode == 1
    assert "TLS to the database" in done.stderr
    assert reason in done.stderr
    assert session_of(bastion, tunnel)["state"] == "refused"


@pytest.mark.parametrize("kind", ["new_mariadb", "mysql"])
def test_the_accounts_certificate(
    bastion: BastionProcess, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    server: MysqlFamilyServer = request.getfixturevalue(f"{kind}_server")
    server.create_user(ACCOUNT, PASSWORD)
    server.create_user("road_certified", PASSWORD)
    server.execute("ALTER USER 'road_certified'@'%' REQUIRE X509")
    if isinstance(server, NewMariadbServer):
        made = server.authority.issue("road-client", "road_certified")
        certificate, key = made.certificate, made.key
    else:  # MySQL makes one for clients when it makes its own, and ends the files with a NUL
        certificate, key = (tmp_path / f"client-{part}.pem" for part in ("cert", "key"))
        for file in (certificate, key):
            file.write_text((server.folder / "data" / file.name).read_text().rstrip("\0"))
    shown = {"certificate": {"file": str(certificate)}, "key": {"file": str(key)}}
    short = kind.replace("_", "-")
    declare(
        bastion,
        database(f"road-certified-{short}", server, mode="require", account=hosted("road_certified", **shown)),
        database(f"road-bare-{short}", server, mode="require", account=hosted("road_certified")),
    )
    client = server.client_command()  # type: ignore[attr-defined]
    with open_tunnel(bastion, "alice", f"road-certified-{short}") as tunnel:
        done = ask(client, tunnel, "select substring_index(current_user(), '@', 1)", NO_TLS[kind])
    assert (done.returncode, done.stdout) == (0, "road_certified\n"), done.stderr
    with open_tunnel(bastion, "alice", f"road-bare-{short}") as tunnel:
        done = ask(client, tunnel, "select 1", NO_TLS[kind])
    assert done.returncode == 1
    assert "Access denied for user 'road_certified'" in done.stderr
    assert session_of(bastion, tunnel)["state"] == "refused"


# ------------------------------------------------------------------------------- refusals under a client's own TLS

NO_TLS = {"mariadb": "--skip-ssl", "new_mariadb": "--skip-ssl", "mysql": "--ssl-mode=DISABLED"}
INSISTS = {
    "mariadb": ["--ssl", "--ssl-verify-server-cert"],
    "new_mariadb": ["--ssl-verify-server-cert"],
    "mysql": ["--ssl-mode=VERIFY_IDENTITY"],
}


@pytest.mark.parametrize("kind", ["mariadb", "new_mariadb", "mysql"])
def test_a_client_that_insists_on_tls_is_told_why_it_is_refused(
    bastion: BastionProcess, request: pytest.FixtureRequest, client_authority: Path, kind: str
) -> None:
    """Ahead of the login (nothing listens there) and in it (that database may not be opened)."""
    server: Any = request.getfixturevalue(f"{kind}_server")
    prepared(server)
    client = mariadb_client() if kind == "mariadb" else server.client_command()
    short = kind.replace("_", "-")
    nowhere = database(f"road-gone-{short}", server)
    nowhere["port"] = free_port()
    declare(bastion, nowhere, database(f"road-one-{short}", server, databases=[CATALOG]))
    tls = [*INSISTS[kind], f"--ssl-ca={client_authority}"]
    with open_tunnel(bastion, "alice", f"road-gone-{short}") as tunnel:
        done = ask(client, tunnel, "select 1", *tls)
    assert done.returncode == 1
    assert "the connection was refused: nothing listens on that port" in done.stderr
    with open_tunnel(bastion, "alice", f"road-one-{short}") as tunnel:
        done = ask(client, tunnel, "select 1", *tls, "mysql")
        assert done.returncode == 1
        assert "the database 'mysql' may not be opened here" in done.stderr
        done = ask(client, tunnel, "select 'inside'", *tls, CATALOG)
        assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr
