"""An auditor and an operator, both at served workstations: what one does, the other sees, the database and the record.

And the same acts as commands: in the program, and over plain SSH.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.end_to_end.served_desk import Desk
from tests.end_to_end.stock_clients import askpass, open_tunnel, ssh_command
from tests.end_to_end.supervision import psql
from tests.servers.bastion_process import BastionProcess, CommandFailed, program
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_folder, wait_for

DATABASE = "watched"


@pytest.fixture(scope="module")
def bastion(postgres_server: PostgresServer) -> Iterator[BastionProcess]:
    postgres_server.create_user("watched_app", "a password of its own")
    postgres_server.create_database(DATABASE, "watched_app")
    process = BastionProcess(server_folder("supervised"), workstation=True)
    process.apply(
        {
            "databases": [{
                "name": DATABASE, "engine": "postgresql", "host": postgres_server.host, "port": postgres_server.port,
                "databases": [DATABASE], "accounts": [{"name": "watched_app", "password": {"env": "ACCOUNT"}}],
            }],
            "grants": [{"name": "watched", "to": ["alice"], "on": [DATABASE]}],
        },
        {"ACCOUNT": "a password of its own"},
    )  # fmt: skip
    yield process
    process.remove()


@pytest.fixture
def desk(bastion: BastionProcess, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(person: str, columns: int = 130, lines: int = 36) -> Desk:
        made.append(Desk(bastion, tmp_path / person, person, columns, lines))
        return made[-1]

    yield make
    for each in made:
        each.close()


def agree(at: Desk, *fields: str) -> None:
    """Fills in the dialog in view and agrees; the last field is the reason."""
    at.terminal.wait("Reason (required")
    for number, text in enumerate(fields):
        if number:
            at.terminal.press("Down")
        at.terminal.press("C-e", "C-u")
        at.terminal.type(text)
        at.terminal.wait(text)
    at.terminal.press("Enter")
    at.terminal.wait(lambda shown: "Reason (required" not in shown)


def run_sql(at: Desk, text: str) -> None:
    at.terminal.press("End", "C-u")
    at.terminal.type(text)
    at.terminal.wait(text)
    at.terminal.press("F5")


def test_both_at_their_workstations(
    bastion: BastionProcess, postgres_server: PostgresServer, desk: Callable[..., Desk]
) -> None:
    alice, auditor = desk("alice"), desk("auditor")
    alice.open()
    alice.terminal.wait(lambda shown: f"{DATABASE} " in shown)
    alice.terminal.press("Enter")
    alice.terminal.wait("Request the token")
    alice.terminal.type("INC-1")
    alice.terminal.press("Enter")
    alice.terminal.wait("public")
    run_sql(alice, "select 6 * 7 as answer")
    alice.terminal.wait("42")

    auditor.log_in()
    auditor.terminal.wait(lambda shown: "4 Live" in shown)
    auditor.terminal.press("4")
    auditor.terminal.wait(lambda shown: "live session" in shown and "alice" in shown and "casemate" in shown)
    # The catalog's side connection is in the list too: the filter leaves it out.
    auditor.terminal.press("/")
    auditor.terminal.type("alice casemate !catalog")
    auditor.terminal.press("Enter")
    auditor.terminal.wait(lambda shown: re.search(r"1 of \d+ live sessions", shown) is not None)

    auditor.terminal.press("M")
    agree(auditor, "what is this for?", "a question")
    alice.terminal.wait(lambda shown: "The auditor auditor, about your session" in shown and "is this for?" in shown)

    auditor.terminal.press("H")
    agree(auditor, "300", "looks odd")
    run_sql(alice, "select 'it went' || ' on' as said")
    auditor.terminal.wait(lambda shown: "held by auditor" in shown)
    assert not postgres_server.running("it went")
    auditor.terminal.press("H")
    agree(auditor, "it is fine")
    alice.terminal.wait("it went on")

    run_sql(alice, "select pg_sleep(600)")
    auditor.terminal.wait(lambda shown: "select pg_sleep(600)" in shown and "running" in shown)
    auditor.terminal.press("x")
    agree(auditor, "no sleeping here")
    alice.terminal.wait(lambda shown: "An auditor (auditor) ended this session" in shown and "sleeping here." in shown)
    wait_for("the statement is gone", lambda: not postgres_server.running("pg_sleep(600)"))
    acts = [each["act"] for each in bastion.journal() if each["kind"] == "act" and each["user"] == "auditor"]
    assert [act for act in acts if act in EXPECTED] == EXPECTED


EXPECTED = ["message-sent", "hold-ordered", "statement-held", "statement-released", "session-end-ordered"]


def over_ssh(bastion: BastionProcess, place: Path, person: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command over plain SSH."""
    command = ssh_command(person, *bastion.address, bastion.known_hosts, {})
    return subprocess.run(
        [*command, shlex.join(words)], env=askpass(place, bastion.password_of(person)), capture_output=True,
        text=True, timeout=90, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_tunnel_command_says_what_an_auditor_says(bastion: BastionProcess, tmp_path: Path) -> None:
    host, port = bastion.address
    with (tmp_path / "said").open("w") as said:
        tunnel = subprocess.Popen(
            [*program(), "tunnel", DATABASE, "--listen", str(tmp_path / ".s.PGSQL.5432"), "--json",
             "--bastion", f"alice@{host}:{port}"],
            env={**os.environ, "CASEMATE_KNOWN_HOSTS": str(bastion.known_hosts),
                 "CASEMATE_PASSWORD": bastion.password_of("alice"), "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
        )  # fmt: skip
        try:
            assert tunnel.stdout is not None
            assert json.loads(tunnel.stdout.readline())["database"] == DATABASE
            with psycopg.connect(host=str(tmp_path), user="me", dbname=DATABASE, password="") as connection:
                live = bastion.casemate("auditor", "sessions", "--live", "--json")
                session = max(live, key=lambda each: each["started_at"])["id"]
                bastion.casemate("auditor", "message", session, "a word", "--reason", "a question", "--json")
                words = f"The auditor auditor, about your session on {DATABASE}: a word"
                wait_for("what the auditor says", lambda: words in (tmp_path / "said").read_text(), 30)
                assert connection.execute("select 1").fetchone() == (1,)
        finally:
            tunnel.terminate()
            tunnel.wait(30)


def test_the_same_as_commands(bastion: BastionProcess, postgres_server: PostgresServer, tmp_path: Path) -> None:
    with open_tunnel(bastion, "alice", DATABASE) as tunnel:
        client = psql(tunnel, DATABASE)
        client.type("begin;", "select 'here I am';")
        client.until("here I am")

        def ours() -> dict[str, Any] | None:
            found = [each for each in bastion.casemate("auditor", "sessions", "--live", "--json") if each["client"]]
            return next((each for each in found if each["activity"] == "transaction"), None)

        seen = wait_for("the live session", ours, 30)
        assert seen is not None
        assert (seen["user"], seen["database"], seen["state"], seen["transaction"]) == (
            "alice", DATABASE, "live", "open",
        )  # fmt: skip
        session = seen["id"]
        watching = subprocess.Popen(
            [*ssh_command("auditor", *bastion.address, bastion.known_hosts, {}), f"watch {session} --json"],
            env=askpass(tmp_path, bastion.password_of("auditor")), stdout=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(
            "the watch on record",
            lambda: any(
                each.get("act") == "session-watched" and each["subject"] == session for each in bastion.journal()
            ),
        )  # fmt: skip
        [told] = bastion.casemate("auditor", "message", session, "a word", "--reason", "a question", "--json")
        assert (told["protocol"], told["ssh"]) == (True, True)
        held = over_ssh(bastion, tmp_path, "auditor", "hold", session, "--reason", "odd", "--for", "5m", "--json")
        assert held.returncode == 0
        assert json.loads(held.stdout)["by"] == "auditor"
        client.type("drop table everything;")

        def is_held() -> bool:
            listed = bastion.casemate("auditor", "sessions", "--live", "--json")
            return any(each["activity"] == "held" for each in listed)

        wait_for("the held statement", is_held, 30)
        [was] = bastion.casemate("auditor", "release", session, "--reason", "not today", "--refuse", "--json")
        assert (was["by"], was["reason"]) == ("auditor", "odd")
        assert "not today" in client.until("not today")
        assert over_ssh(bastion, tmp_path, "alice", "hold", session, "--reason", "x").returncode == 1
        with pytest.raises(CommandFailed) as failed:
            bastion.casemate("auditor", "end", session, "--json")
        assert failed.value.exit_code == 1
        bastion.casemate("auditor", "end", session, "--reason", "over", "--json")
        lines = [json.loads(line) for line in watching.stdout or ()]
        assert watching.wait(60) == 0
        client.close()
    assert [line["kind"] for line in lines if line["seq"] == lines[0]["seq"]] == ["sent", "held", "done", "refused"]
    assert lines[0]["statement"]["text"] == "drop table everything;"

    [lock] = bastion.casemate("auditor", "lock", "bob", "--for", "2h", "--reason", "an inquiry", "--json")
    assert (lock["user"], lock["by"], lock["reason"]) == ("bob", "auditor", "an inquiry")
    refused = over_ssh(bastion, tmp_path, "bob", "databases")
    assert refused.returncode == 255
    assert "bob is locked until" in refused.stderr
    assert [each["user"] for each in bastion.casemate("auditor", "locks", "--json")] == ["bob"]
    assert over_ssh(bastion, tmp_path, "auditor", "unlock", "bob", "--reason", "over").returncode == 0
    assert over_ssh(bastion, tmp_path, "bob", "databases").returncode == 0
    assert bastion.casemate("auditor", "locks", "--json") == []
