"""`casemate why`: a real bastion tries real servers and says at which stage, in whose words, and what to do."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.servers.bastion_process import ADMINISTRATOR, AUDITOR, BastionProcess, CommandFailed
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port

from .stock_clients import askpass, ssh_command

PASSWORD = "hosted-secret"


@pytest.fixture(scope="module")
def places(bastion: BastionProcess, postgres_server: PostgresServer, mariadb_server: MariadbServer) -> BastionProcess:
    """Databases that answer, and ones that fail at each stage."""
    closed_port = free_port()  # and nobody else is given it
    pg, maria = postgres_server, mariadb_server

    def database(name: str, engine: str, host: str, port: int, tls: str = "prefer") -> dict[str, object]:
        return {
            "name": name, "engine": engine, "host": host, "port": port, "tls": {"mode": tls},
            "accounts": [{"name": "app", "password": {"env": "APP"}}],
        }  # fmt: skip

    bastion.apply(
        {
            "databases": [
                database("good-pg", "postgresql", pg.host, pg.port),
                database("good-maria", "mysql", maria.host, maria.port),
                database("no-name", "postgresql", "no-such-host.invalid", 5432),
                database("no-listener", "mysql", "127.0.0.1", closed_port),
                database("no-tls", "postgresql", pg.host, pg.port, "require"),
                database("of-bob", "postgresql", pg.host, pg.port),
            ],
            "grants": [
                {"name": "all-but-one", "to": ["alice"], "on": [
                    "good-pg", "good-maria", "no-name", "no-listener", "no-tls",
                ]},
                {"name": "bobs", "to": ["bob"], "on": ["of-bob"]},
            ],
        },
        {"APP": PASSWORD},
    )  # fmt: skip
    return bastion


def why(bastion: BastionProcess, database: str, *words: str, person: str = "alice") -> str:
    """What it prints, whatever its exit code."""
    where = ["--bastion", f"{person}@{bastion.address[0]}:{bastion.address[1]}"]
    secret = {"CASEMATE_PASSWORD": bastion.password_of(person)}
    try:
        return bastion.run("why", database, *words, *where, environment=secret)
    except CommandFailed as failed:
        return f"exit {failed.exit_code}"


def checks(bastion: BastionProcess, database: str, person: str = "alice") -> dict[str, tuple[str, str]]:
    """Stage to state and code, as scripts read them."""
    options = ssh_command(person, *bastion.address, bastion.known_hosts, {})
    done = subprocess.run(
        [*options, f"why {database} --json"], env=askpass(bastion.folder, bastion.password_of(person)),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    explanation = json.loads(done.stdout)
    assert explanation["open"] is (done.returncode == 0)
    assert PASSWORD not in done.stdout
    return {check["stage"]: (check["state"], check["code"]) for check in explanation["checks"]}


def test_nothing_is_in_the_way(places: BastionProcess) -> None:
    said = why(places, "good-pg")
    assert "✓ Grant    Granted by all-but-one, without an end." in said
    assert "✓ TCP      Port" in said
    assert "✓ TLS      In the clear, as its setting prefer allows." in said
    found = checks(places, "good-maria")
    assert found["tls"] == ("ok", "tls-on") or found["tls"] == ("ok", "tls-off")


@pytest.mark.parametrize(
    ("database", "stage", "code"),
    [
        ("no-name", "name", "name-unknown"),
        ("no-listener", "tcp", "tcp-failed"),
        ("no-tls", "tls", "server-refused"),
        ("of-bob", "grant", "database-not-authorized"),
    ],
)
def test_the_stage_that_fails_is_the_last_one_that_is_told(
    places: BastionProcess, database: str, stage: str, code: str
) -> None:
    found = checks(places, database)
    assert found[stage] == ("no", code)
    assert [name for name, (state, _code) in found.items() if state == "no"] == [stage]
    after = ["name", "tcp", "tls"]
    if stage in after:
        assert not set(after[after.index(stage) + 1 :]) & set(found)
    else:
        assert "name" not in found, "what is not granted is not dialled"


def test_the_last_sessions_own_words_are_told(places: BastionProcess) -> None:
    with pytest.raises(CommandFailed):
        places.casemate("alice", "sql", "good-maria", "-c", "select 1")  # the account is not there
    assert checks(places, "good-maria")["last"] == ("note", "last-refused")
    assert "Access denied" in why(places, "good-maria")


def test_only_those_who_watch_over_all_ask_about_others(places: BastionProcess) -> None:
    assert "bob may work here" in why(places, "of-bob", "--user", "bob", person=AUDITOR)
    assert "bob may work here" in why(places, "of-bob", "--user", "bob", "--no-dial", person=ADMINISTRATOR)
    with pytest.raises(CommandFailed, match="role administrator or auditor"):
        places.casemate("alice", "why", "of-bob", "--user", "bob", "--json")


def test_what_was_tried_is_on_record(places: BastionProcess) -> None:
    checks(places, "good-pg")
    acts = [record for record in places.journal() if record.get("act") == "database-tried"]
    assert acts[-1]["user"] == "alice"
    assert acts[-1]["subject"] == "good-pg"
