"""TLS on both legs of a PostgreSQL session, against PostgreSQL 18 with TLS and psql 18: what holds and what is refused.

What the database was shown is read from the database itself (pg_stat_ssl), what was refused in the client's own error.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.servers import certificates
from tests.servers.bastion_process import BastionProcess, CommandFailed
from tests.servers.debian_postgres import TlsPostgresServer
from tests.servers.postgres import PostgresServer

from .desk import Desk, Way
from .stock_clients import run_client

PASSWORD = "the account's own password"
WHO = "SELECT current_user, ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
SCRAM = "tls_scram_sha_256"
PLUGINS = ("scram-sha-256", "md5", "cleartext", "trust", "tls_only")
CERTIFIED = ("certificate", "certificate_and_password")


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def desk(bastion: BastionProcess) -> Iterator[Desk]:
    standing = Desk(bastion)
    yield standing
    standing.close()


def login_of(plugin: str) -> str:
    return f"tls_{plugin.replace('-', '_')}"


@pytest.fixture(scope="module")
def server(tls_postgres_server: TlsPostgresServer) -> TlsPostgresServer:
    for plugin in (*PLUGINS, *CERTIFIED):
        tls_postgres_server.create_user(login_of(plugin), PASSWORD, plugin)
    return tls_postgres_server


@pytest.fixture(scope="module")
def plain_server(postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_user(SCRAM, PASSWORD)
    return postgres_server


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> certificates.Authority:
    """Of the same name as the server's, with another key."""
    return certificates.Authority(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def client_authority(bastion: BastionProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bastion's CA, as `casemate ca` hands it out."""
    file = tmp_path_factory.mktemp("casemate-ca") / "ca.pem"
    file.write_text(bastion.run("ca", "--config", str(bastion.configuration)))
    return file


def pin_of(certificate: Path) -> str:
    """SHA-256 of the public key, as `openssl x509 -pubkey | openssl pkey -outform der | sha256sum` gives it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def hosted(login: str) -> dict[str, Any]:
    return {"name": login, "password": {"env": "ACCOUNT_PASSWORD"}}


def certified(name: str, made: certificates.Certificates, *, password: bool = False) -> dict[str, Any]:
    account = {"certificate": {"file": str(made.certificate)}, "key": {"file": str(made.key)}}
    return {**account, **(hosted(name) if password else {"name": name})}


def database(
    name: str,
    server: PostgresServer,
    mode: str,
    *,
    account: dict[str, Any] | None = None,
    host: str = "localhost",
    ca: Path | None = None,
    pin: str = "",
) -> dict[str, Any]:
    tls: dict[str, Any] = {"mode": mode}
    if ca is not None:
        tls["ca"] = {"file": str(ca)}
    if pin:
        tls["pin"] = pin
    return {
        "name": name, "engine": "postgresql", "host": host, "port": server.port, "tls": tls,
        "accounts": [account or hosted(SCRAM)],
    }  # fmt: skip


def declare(bastion: BastionProcess, *databases: dict[str, Any]) -> None:
    """Databases that alice may use."""
    grants = [{"name": f"alice-{each['name']}", "to": ["alice"], "on": [each["name"]]} for each in databases]
    bastion.apply({"databases": list(databases), "grants": grants}, {"ACCOUNT_PASSWORD": PASSWORD})


@pytest.fixture(scope="module")
def declared(
    bastion: BastionProcess,
    server: TlsPostgresServer,
    plain_server: PostgresServer,
    other_authority: certificates.Authority,
) -> None:
    """Every database that the tests of the leg to the database use, in one go."""
    own, other = server.certificates.authority, other_authority.certificate
    pin = pin_of(server.certificates.certificate)
    client = {plugin: server.authority.issue(f"client-{plugin}", login_of(plugin)) for plugin in CERTIFIED}
    stranger = other_authority.issue("client", login_of("certificate"))
    wrong = server.authority.issue("client-wrong", "somebody_else")
    declare(
        bastion,
        database("tls-disable", server, "disable"),
        database("tls-prefer", server, "prefer"),
        database("tls-require", server, "require", host="127.0.0.1"),
        database("tls-verify-ca", server, "verify-ca", host="127.0.0.1", ca=own),
        database("tls-verify-full", server, "verify-full", ca=own),
        database("tls-own-certificate", server, "verify-full", ca=server.certificates.certificate),
        database("bad-ca", server, "verify-ca", ca=other),
        database("bad-ca-full", server, "verify-full", ca=other),
        database("bad-system-cas", server, "verify-full"),
        database("bad-name", server, "verify-full", host="127.0.0.1", ca=own),
        database("bad-pin", server, "require", pin="0" * 64),
        database("pin-require", server, "require", host="127.0.0.1", pin=pin),
        database("pin-verify-ca", server, "verify-ca", ca=own, pin=pin),
        database("pin-verify-full", server, "verify-full", ca=own, pin=pin),
        *(database(f"plain-{mode}", plain_server, mode) for mode in ("prefer", "require", "verify-ca", "verify-full")),
        *(
            database(f"way-{plugin}-{mode}", server, mode, account=hosted(login_of(plugin)))
            for plugin in PLUGINS
            for mode in ("disable", "require")
        ),
        *(
            database(
                f"{plugin}-{mode}",
                server,
                mode,
                ca=own if mode == "verify-full" else None,
                account=certified(login_of(plugin), client[plugin], password=plugin != "certificate"),
            )
            for plugin in CERTIFIED
            for mode in ("prefer", "verify-full")
        ),
        database("no-certificate", server, "require", account=hosted(login_of("certificate"))),
        database("wrong-role", server, "require", account=certified(login_of("certificate"), wrong)),
        database("wrong-authority", server, "require", account=certified(login_of("certificate"), stranger)),
    )


def psql(server: TlsPostgresServer, way: Way, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """psql 18 through the tunnel; `settings` are of the connection string."""
    given = {
        "host": "localhost", "hostaddr": way.host, "port": str(way.port), "user": "whoever",
        "dbname": "postgres", "connect_timeout": "20", "sslmode": "disable", "gssencmode": "disable", **settings,
    }  # fmt: skip
    target = " ".join(f"{name}='{value}'" for name, value in given.items())
    return run_client([*server.client("psql"), "-X", "-w", "-A", "-t", target, *words])


def asked(desk: Desk, server: TlsPostgresServer, name: str, text: str = WHO) -> tuple[str, dict[str, Any]]:
    """What psql printed, or why it failed, and the session that it was."""
    way = desk.way(name)
    done = psql(server, way, "-c", text)
    return (done.stdout if done.returncode == 0 else done.stderr), desk.session(way)


# ------------------------------------------------------------------------------------------------- to the database


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full", "own-certificate"])
def test_every_mode_that_holds(desk: Desk, server: TlsPostgresServer, declared: None, mode: str) -> None:
    said, session = asked(desk, server, f"tls-{mode}")
    encrypted = mode != "disable"
    assert said == f"{SCRAM}|{'t|TLSv1.3' if encrypted else 'f|'}\n"
    assert (session["database_tls"], session["unattributed_bytes"]) == ("TLSv1.3" if encrypted else "", 0)


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("bad-ca", "verify-ca", "certificate signature failure"),
        ("bad-ca-full", "verify-full", "certificate signature failure"),
        ("bad-system-cas", "verify-full", "self-signed certificate in certificate chain"),
        ("bad-name", "verify-full", "certificate is not valid for '127.0.0.1'"),
        ("bad-pin", "require", "its public key is not the pinned one"),
    ],
)
def test_every_mode_that_does_not_hold(
    desk: Desk, server: TlsPostgresServer, declared: None, name: str, mode: str, reason: str
) -> None:
    said, session = asked(desk, server, name)
    assert f"FATAL:  TLS to the database {name} was not possible as its setting {mode} demands: " in said
    assert reason in said
    assert (session["state"], session["statements"]) == ("refused", 0)
    assert reason in session["end_reason"]


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_without_tls(desk: Desk, server: TlsPostgresServer, declared: None, mode: str) -> None:
    said, session = asked(desk, server, f"plain-{mode}")
    assert f"FATAL:  The database offers no TLS, but its setting is {mode}." in said
    assert session["state"] == "refused"


def test_prefer_goes_on_without_tls(desk: Desk, server: TlsPostgresServer, declared: None) -> None:
    said, session = asked(desk, server, "plain-prefer")
    assert (said, session["database_tls"]) == (f"{SCRAM}|f|\n", "")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_pin_that_is_the_servers(desk: Desk, server: TlsPostgresServer, declared: None, mode: str) -> None:
    assert asked(desk, server, f"pin-{mode}")[0] == f"{SCRAM}|t|TLSv1.3\n"


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("mode", ["disable", "require"])
def test_every_way_to_log_in(desk: Desk, server: TlsPostgresServer, declared: None, plugin: str, mode: str) -> None:
    said, session = asked(desk, server, f"way-{plugin}-{mode}")
    if (plugin, mode) == ("tls_only", "disable"):
        assert "pg_hba.conf rejects connection" in said
        assert session["state"] == "refused"
        return
    assert said == f"{login_of(plugin)}|{'t|TLSv1.3' if mode == 'require' else 'f|'}\n"


# -------------------------------------------------------------------------------------------- client certificates


@pytest.mark.parametrize("plugin", CERTIFIED)
@pytest.mark.parametrize("mode", ["prefer", "verify-full"])
def test_an_account_with_a_certificate(
    desk: Desk, server: TlsPostgresServer, declared: None, plugin: str, mode: str
) -> None:
    name, login = f"{plugin}-{mode}", login_of(plugin)
    [listed] = [each for each in desk.call("alice", "databases.list") if each["name"] == name]
    assert listed["accounts"] == [{"name": login, "hosted": True}]
    shown = "SELECT current_user, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    said, session = asked(desk, server, name, shown)
    assert said == f"{login}|/CN={login}\n"
    assert session["state"] == "closed"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-certificate", "FATAL:  connection requires a valid client certificate"),
        ("wrong-role", 'FATAL:  certificate authentication failed for user "tls_certificate"'),
        ("wrong-authority", "TLS to the database wrong-authority was not possible as its setting require demands: "),
    ],
)
def test_a_certificate_that_the_database_does_not_take(
    desk: Desk, server: TlsPostgresServer, declared: None, name: str, reason: str
) -> None:
    said, session = asked(desk, server, name)
    assert reason in said
    if name == "wrong-authority":
        # Its alert, or that it closed: which of the two arrives is the network's choice.
        assert "the database says tlsv1 alert" in said or "may not take the account's certificate" in said
    assert session["state"] == "refused"


def test_a_certificate_and_its_key_are_sealed_and_never_shown(
    bastion: BastionProcess, desk: Desk, server: TlsPostgresServer, declared: None, tmp_path: Path
) -> None:
    made = server.authority.issue("client-sealed", "tls_certificate")
    entry = database("certificate-sealed", server, "require", account=certified("tls_certificate", made))
    declare(bastion, entry)
    secrets = [file.read_text().splitlines()[1] for file in (made.certificate, made.key)]
    exported = bastion.run("export", "--config", str(bastion.configuration))
    assert "certificate:" in exported
    assert not [line for line in secrets if line in exported or bastion.mentions(line)]
    document = tmp_path / "exported.yaml"
    document.write_text(exported)
    again = bastion.run("apply", str(document), "--config", str(bastion.configuration), "--dry-run")
    assert "certificate-sealed" not in again
    # A new pair under the same names is taken at the next apply.
    server.authority.issue("client-sealed", "somebody_else")
    declare(bastion, entry)
    assert "certificate authentication failed" in asked(desk, server, "certificate-sealed")[0]


def test_certificates_that_could_never_be_used_are_not_applied(
    bastion: BastionProcess, server: TlsPostgresServer
) -> None:
    made, other = server.authority.issue("client-a", "a"), server.authority.issue("client-b", "b")
    account = certified("tls_certificate", made)
    with pytest.raises(CommandFailed) as refused:
        declare(
            bastion,
            database("useless-1", server, "require", account={**account, "key": {"file": str(other.key)}}),
            database("useless-2", server, "require", account={**account, "certificate": {"file": str(made.key)}}),
            database("useless-3", server, "require", account={**account, "key": {"file": str(made.certificate)}}),
            database("useless-4", server, "require", account={"name": "x", "certificate": account["certificate"]}),
            database("useless-5", server, "disable", account=account),
        )
    for problem in (
        "useless-1): accounts.tls_certificate: key: it is not the certificate's",
        "useless-2): accounts.tls_certificate: certificate: no PEM text of a certificate",
        "useless-3): accounts.tls_certificate: key: no PEM text of a private key",
        "useless-4): accounts[0]: a certificate and its key go together",
        "useless-5): accounts[0].certificate: a certificate is shown in TLS, and tls.mode is disable",
    ):
        assert problem in refused.value.said


# ---------------------------------------------------------------------------------------- TLS inside the tunnel


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("gss", ["disable", "prefer"])
@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_psql_inside_tls(
    desk: Desk,
    server: TlsPostgresServer,
    declared: None,
    client_authority: Path,
    negotiation: str,
    gss: str,
    mode: str,
) -> None:
    way = desk.way("tls-require")
    done = psql(
        server, way, "-c", "\\conninfo", "-c", "SELECT 1",
        sslmode=mode, sslrootcert=str(client_authority), sslnegotiation=negotiation, gssencmode=gss,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SSL Protocol|TLSv1.3" in done.stdout
    assert "ALPN|postgresql" in done.stdout
    session = desk.session(way)
    assert [each["text"] for each in desk.statements(session)] == ["SELECT 1"]
    assert session["unattributed_bytes"] == 0


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_psql_sees_inside_tls_why_it_is_refused(
    desk: Desk, server: TlsPostgresServer, declared: None, client_authority: Path, negotiation: str
) -> None:
    settings = {"sslmode": "verify-full", "sslrootcert": str(client_authority), "sslnegotiation": negotiation}
    way = desk.way("way-trust-disable")
    assert psql(server, way, "-c", "SELECT 1", **settings).returncode == 0
    desk.call("alice", "token.revoke", id=way.token, reason="a test")
    done = psql(server, way, "-c", "SELECT 1", **settings)
    assert done.returncode == 2
    assert "FATAL:  The token was revoked at" in done.stderr


def test_a_client_that_does_not_trust_the_bastion(
    desk: Desk, server: TlsPostgresServer, declared: None, other_authority: certificates.Authority
) -> None:
    way = desk.way("tls-require")
    done = psql(server, way, "-c", WHO, sslmode="verify-full", sslrootcert=str(other_authority.certificate))
    assert "certificate verify failed" in done.stderr
    session = desk.session(way)
    assert session["state"] == "refused"
    assert "TLS with the client failed: tlsv1 alert unknown ca" in session["end_reason"]


SSL_REQUEST = struct.pack(">II", 8, 80877103)


def test_bytes_in_the_clear_behind_the_request_for_tls_are_not_taken_in(
    desk: Desk, server: TlsPostgresServer, declared: None
) -> None:
    """CVE-2021-23222: what somebody puts behind the SSLRequest must not count as said inside TLS."""
    body = struct.pack(">I", 0x30000) + b"user\0mallory\0database\0postgres\0\0"
    injected = struct.pack(">I", len(body) + 4) + body + b"Q\0\0\0\x0dSELECT 1\0"
    way = desk.way("tls-require")
    with socket.create_connection((way.host, way.port), 20) as connection:
        connection.sendall(SSL_REQUEST + injected)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    assert answer[:1] == b"E"
    assert b"bytes in the clear behind a request for encryption" in answer
    session = desk.session(way)
    assert (session["state"], session["login"], session["statements"]) == ("refused", "", 0)
    assert not server.logged("mallory")


def test_direct_tls_needs_its_application_protocol(desk: Desk, declared: None) -> None:
    """As PostgreSQL itself demands it: nothing that speaks another protocol can be led here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    way = desk.way("tls-require")
    with (
        socket.create_connection((way.host, way.port), 20) as connection,
        context.wrap_socket(connection) as encrypted,
    ):
        answer = encrypted.recv(4096)
    assert answer[:1] == b"E"
    assert b"without the application protocol postgresql" in answer
    assert desk.session(way)["state"] == "refused"
