"""PostgreSQL 18's own programs and pgcli through the bastion, in both TLS modes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.servers import debian_postgres, excuses
from tests.servers.postgres import PROGRAMS
from tests.servers.processes import wait_for

from ..stock_clients import client_environment, run_client
from .postgres_place import DATABASE, Place, cancelled, done, failed


def command(place: Place, program: str, *words: str) -> list[str]:
    """A program of PostgreSQL 18: Debian's out of its tree, or where it needs no TLS the wheel's, which has none."""
    found = debian_postgres.tree()
    if found is not None:
        return [*debian_postgres.client(found, program), *words]
    if place.tls:
        excuses.skip("no-postgresql-18")
    return [str(PROGRAMS / program), *words]


def run(place: Place, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return run_client(command(place, program, *words), place.libpq())


def test_psql_18_with_what_is_new_in_its_protocol(postgres: Place) -> None:
    """Version 3.2 with its longer cancel keys, and TLS from the first byte (`sslnegotiation=direct`)."""
    more = {"PGMAXPROTOCOLVERSION": "3.2", "PGMINPROTOCOLVERSION": "3.2", "TERM": "dumb", "PAGER": ""}
    if postgres.tls:
        more["PGSSLNEGOTIATION"] = "direct"
    words = command(postgres, "psql", "-X", "-w", "-A", "-t", "--no-readline", "-v", "PROMPT1=ready> ")
    environment = client_environment(postgres.libpq(**more))
    terminal = pexpect.spawn(words[0], words[1:], env=environment, timeout=60, encoding="utf-8")
    terminal.expect_exact("ready> ")
    terminal.sendline("\\conninfo")
    terminal.expect(r"Protocol Version\|3\.2\r\n")
    terminal.expect(r"SSL Connection\|(true|false)\r\n")
    assert terminal.match[1] == ("true" if postgres.tls else "false")
    terminal.expect_exact("ready> ")
    terminal.sendline("SELECT pg_sleep(64);")
    wait_for("pg_sleep(64) at work", lambda: postgres.server.running("pg_sleep(64)"))
    terminal.sendintr()
    terminal.expect_exact("ERROR:  canceling statement due to user request")
    terminal.expect_exact("ready> ")
    terminal.sendline("SELECT $1 || $2 \\bind 'b' 'c' \\g")
    terminal.expect_exact("\r\nbc\r\n")
    terminal.sendline("\\q")
    terminal.expect(pexpect.EOF)
    terminal.wait()  # closing alone gives up after a tenth of a second
    terminal.close()
    assert postgres.record(postgres.session(cancels=1)) == [
        cancelled("SELECT pg_sleep(64);"),
        done("SELECT $1 || $2 ", 1, ["b", "c"]),
    ]


def test_pg_dump_and_pg_restore(postgres: Place, tmp_path: Path) -> None:
    """A dump through the bastion, restored through it into another schema's place, is the same data again."""
    with postgres.server.admin(DATABASE) as admin:
        admin.execute("DROP SCHEMA IF EXISTS moved CASCADE")
        admin.execute("CREATE SCHEMA moved AUTHORIZATION clients_app")
        admin.execute(
            "CREATE TABLE moved.things AS SELECT n AS id, repeat(md5(n::text), 20) AS body, now() AS at, "
            "CASE n % 7 WHEN 0 THEN NULL ELSE n / 7.0 END AS share FROM generate_series(1, 3000) AS n"
        )
        admin.execute("ALTER TABLE moved.things ADD PRIMARY KEY (id)")
        admin.execute("CREATE VIEW moved.few AS SELECT id FROM moved.things WHERE id < 10")
        for kind, name in (("TABLE", "things"), ("VIEW", "few")):
            admin.execute(f"ALTER {kind} moved.{name} OWNER TO clients_app")
        before = admin.execute("SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM moved.things t").fetchone()
        file = tmp_path / "moved.dump"
        dumped = run(postgres, "pg_dump", "--format=custom", "--schema=moved", f"--file={file}")
        assert (dumped.returncode, dumped.stderr) == (0, "")
        session = postgres.session()
        assert session["client"] == "pg_dump"
        record = postgres.record(session)
        assert done("COPY moved.things (id, body, at, share) TO stdout;", 3000) in record
        assert {state for _, _, state, _, _ in record} == {"done"}
        admin.execute("DROP SCHEMA moved CASCADE")

        restored = run(postgres, "pg_restore", "--exit-on-error", f"--dbname={DATABASE}", str(file))
        assert (restored.returncode, restored.stderr) == (0, "")
        [_, session] = postgres.sessions(2)
        assert session["client"] == "pg_restore"
        record = postgres.record(session)
        assert done("COPY moved.things (id, body, at, share) FROM stdin;\n", 3000) in record
        assert {state for _, _, state, _, _ in record} == {"done"}
        after = admin.execute("SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM moved.things t").fetchone()
        assert after == before
        assert admin.execute("SELECT count(*) FROM moved.few").fetchone() == (9,)
        admin.execute("DROP SCHEMA moved CASCADE")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(postgres: Place, mode: str, tmp_path: Path) -> None:
    """Two clients, twenty transactions each: every statement of every transaction is on record with its binds."""
    script = tmp_path / "script.sql"
    script.write_text("\\set n 1 + :client_id\nSELECT name FROM items WHERE id = :n;\nSELECT 'second', :n;\n")
    ended = run(postgres, "pgbench", "-n", "-M", mode, "-c", "2", "-t", "20", "-f", str(script), DATABASE)
    assert ended.returncode == 0, ended.stderr
    assert "number of transactions actually processed: 40/40" in ended.stdout
    assert "number of failed transactions: 0 (0.000%)" in ended.stdout
    first, *sessions = postgres.sessions(3)
    assert {each["client"] for each in (first, *sessions)} == {"pgbench"}
    assert first["statements"] == 0
    for each in sessions:
        record = postgres.record(each)
        number = record[0][0].split()[-1].rstrip(";") if mode == "simple" else record[1][1][0]
        first = done("SELECT name FROM items WHERE id = $1;", 1, [number])
        second = done("SELECT 'second', $1;", 1, [number])
        if mode == "simple":
            first, second = (done(text.replace("$1", number), rows) for text, _, _, rows, _ in (first, second))
        if mode == "prepared":
            assert record.pop(2) == done(second[0])
            assert record.pop(0) == done(first[0])
        assert record == [first, second] * 20


def test_pgcli(postgres: Place, tmp_path: Path) -> None:
    """pgcli, with the second connection from which it fills its completion."""
    settings = tmp_path / "settings"
    settings.write_text("[main]\nkeyring = False\nless_chatty = True\n")
    program = Path(sys.executable).with_name("pgcli")
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "TERM": "dumb", "PAGER": "cat"}
    terminal = pexpect.spawn(
        str(program),
        ["--pgclirc", str(settings), "--prompt", "ready> ", "--warn", "off"],
        env=client_environment(postgres.libpq(**home)),
        timeout=60,
        encoding="utf-8",
        dimensions=(50, 160),
        # Where the tests run in the background, an interrupt is ignored, and what they start would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    terminal.expect_exact("ready> ")
    terminal.sendline("SELECT id, name FROM items WHERE id = 2;")
    terminal.expect_exact("| 2  | item 2 |")
    terminal.sendline("SELECT 1/0;")
    terminal.expect_exact("division by zero")
    terminal.sendline("SELECT pg_sleep(65);")
    wait_for("pg_sleep(65) at work", lambda: postgres.server.running("pg_sleep(65)"))
    terminal.sendintr()
    terminal.expect_exact("cancelled query")
    wait_for("its end there", lambda: not postgres.server.running("pg_sleep(65)"), 30)
    terminal.sendline("\\q")
    terminal.expect(pexpect.EOF)
    terminal.wait()  # closing alone gives up after a tenth of a second
    terminal.close()
    sessions = postgres.sessions(2, cancels=1)
    assert {each["client"] for each in sessions} == {"pgcli"}
    records = [postgres.record(each) for each in sessions]
    [typed] = [record for record in records if done("SELECT id, name FROM items WHERE id = 2", 1) in record]
    assert typed[-3:] == [
        done("SELECT id, name FROM items WHERE id = 2", 1),
        failed("SELECT 1/0", "22012: division by zero"),
        cancelled("SELECT pg_sleep(65)"),
    ]
    [completion] = [record for record in records if record is not typed]
    assert {(state, error) for _, _, state, _, error in completion} == {("done", None)}
    assert sum("pg_catalog." in text for text, *_ in completion) > 5
