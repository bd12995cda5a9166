"""`psql` through the bastion: what it prints and how it ends, and what is on record, in both TLS modes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.servers import certificates, excuses
from tests.servers.processes import wait_for

from ..stock_clients import client_environment, run_client
from .postgres_place import Place, cancelled, done, failed


def _command(*words: str) -> list[str]:
    program = shutil.which("psql")
    if program is None:
        excuses.skip("no-psql")
    return [program, "-X", "-w", "-A", "-t", *words]


def psql(place: Place, *words: str, script: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """psql without a start-up file; output without decoration."""
    return run_client(_command(*words), place.libpq(**settings), script)


def test_the_connection_is_what_was_asked_for(postgres: Place) -> None:
    ended = psql(postgres, "-c", "\\conninfo", "-c", "SELECT current_user, current_setting('application_name')")
    assert ended.returncode == 0, ended.stderr
    assert ("TLSv1.3" in ended.stdout) is postgres.tls
    assert ended.stdout.splitlines()[-1] == "clients_app|psql (alice)"
    session = postgres.session()
    assert (session["client"], session["server_version"][:2]) == ("psql", "18")


@pytest.mark.parametrize("postgres", ["tls"], indirect=True)
def test_every_sslmode(postgres: Place) -> None:
    modes = ["allow", "prefer", "require", "verify-ca", "verify-full"]
    ended = [psql(postgres, "-c", "\\conninfo", PGSSLMODE=mode, PGHOST="localhost") for mode in modes]
    assert [each.returncode for each in ended] == [0] * 5
    assert ["TLSv1.3" in each.stdout for each in ended] == [False, True, True, True, True]
    postgres.sessions(5)


@pytest.mark.parametrize("postgres", ["tls"], indirect=True)
def test_the_certificate_is_the_bastions_own(postgres: Place, tmp_path: Path) -> None:
    """With another authority psql refuses to go on, so what the other tests accept was really checked."""
    ended = psql(postgres, "-c", "SELECT 1", PGSSLROOTCERT=str(certificates.make(tmp_path).authority))
    assert ended.returncode == 2
    assert "certificate verify failed" in ended.stderr


def test_a_script(postgres: Place, tmp_path: Path) -> None:
    """Rows, errors in the server's words, a failed transaction, COPY both ways, paging, describing, notifications."""
    data = tmp_path / "new items.csv"
    data.write_text("6,six,9.50\n7,sieben,10.25\n")
    script = rf"""\set VERBOSITY verbose
SELECT id, name FROM items WHERE id < 3 ORDER BY id;
SELECT nothing FROM items;
BEGIN;
CREATE TEMPORARY TABLE loaded (id int, name text, price numeric);
\copy loaded FROM '{data}' WITH (FORMAT csv)
COPY loaded TO STDOUT;
SAVEPOINT here;
SELECT 1/0;
SELECT 'never run';
ROLLBACK TO here;
DECLARE pages CURSOR FOR SELECT id FROM items ORDER BY id;
FETCH 2 FROM pages;
FETCH ALL FROM pages;
COMMIT;
SELECT id, price FROM items \gdesc
SELECT 'one' \; SELECT 'two' \; SELECT 'three';
LISTEN bell;
NOTIFY bell, 'rings';
/* only a comment */;
"""
    ended = psql(postgres, "-q", script=script)
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[:-1] == [
        "1|item 1", "2|item 2", "6\tsix\t9.50", "7\tsieben\t10.25", "1", "2", "3", "4", "5", "id|integer",
        "price|numeric(8,2)", "one", "two", "three",
    ]  # fmt: skip
    assert ended.stdout.splitlines()[-1].startswith('Asynchronous notification "bell" with payload "rings" received')
    assert [line for line in ended.stderr.splitlines() if "ERROR" in line] == [
        'ERROR:  42703: column "nothing" does not exist',
        "ERROR:  22012: division by zero",
        "ERROR:  25P02: current transaction is aborted, commands ignored until end of transaction block",
    ]
    record = postgres.record(postgres.session())
    [described] = [at for at, (text, *_) in enumerate(record) if text.startswith("SELECT name AS")]
    assert record.pop(described)[2:] == ("done", 2, None)
    assert record == [
        done("SELECT id, name FROM items WHERE id < 3 ORDER BY id;", 2),
        failed("SELECT nothing FROM items;", '42703: column "nothing" does not exist'),
        done("BEGIN;"),
        done("CREATE TEMPORARY TABLE loaded (id int, name text, price numeric);"),
        done("COPY  loaded FROM STDIN WITH (FORMAT csv)", 2),
        done("COPY loaded TO STDOUT;", 2),
        done("SAVEPOINT here;"),
        failed("SELECT 1/0;", "22012: division by zero"),
        failed(
            "SELECT 'never run';",
            "25P02: current transaction is aborted, commands ignored until end of transaction block",
        ),
        done("ROLLBACK TO here;"),
        done("DECLARE pages CURSOR FOR SELECT id FROM items ORDER BY id;"),
        done("FETCH 2 FROM pages;", 2),
        done("FETCH ALL FROM pages;", 3),
        done("COMMIT;"),
        # \gdesc: prepared, described, never run; then psql asks the catalog for the types' names.
        done("SELECT id, price FROM items "),
        done("SELECT 'one' ; SELECT 'two' ; SELECT 'three';", 3),
        done("LISTEN bell;"),
        done("NOTIFY bell, 'rings';"),
        done("/* only a comment */;"),
    ]


def test_cancel(postgres: Place) -> None:
    """Ctrl-C in an interactive psql."""
    words = _command("--no-readline", "-v", "PROMPT1=ready> ")
    terminal = pexpect.spawn(
        words[0], words[1:], env=client_environment(postgres.libpq(TERM="dumb")), timeout=60, encoding="utf-8"
    )  # fmt: skip
    terminal.expect_exact("ready> ")
    terminal.sendline("SELECT pg_sleep(62);")
    wait_for("pg_sleep(62) at work", lambda: postgres.server.running("pg_sleep(62)"))
    terminal.sendintr()
    terminal.expect_exact("ERROR:  canceling statement due to user request")
    terminal.expect_exact("ready> ")  # psql shows the error before the server is ready for the next statement
    assert postgres.server.running("pg_sleep(62)") == []
    terminal.sendline("SELECT 40 + 2;")
    terminal.expect_exact("\r\n42\r\n")
    terminal.sendline("\\q")
    terminal.expect(pexpect.EOF)
    terminal.wait()  # closing alone gives up after a tenth of a second
    terminal.close()
    assert postgres.record(postgres.session(cancels=1)) == [
        cancelled("SELECT pg_sleep(62);"),
        done("SELECT 40 + 2;", 1),
    ]


def test_a_large_object(postgres: Place, tmp_path: Path) -> None:
    """`\\lo_import` and `\\lo_export` use function calls, the one part of the protocol that has no SQL."""
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(b"\x00\x01large\xff")
    words = [f"\\lo_import '{sent}'", f"\\lo_export :LASTOID '{got}'", "\\lo_unlink :LASTOID"]
    ended = psql(postgres, "-q", *(word for line in words for word in ("-c", line)))
    assert ended.returncode == 0, ended.stderr
    assert got.read_bytes() == sent.read_bytes()
    record = [text.split()[0] for text, *_ in postgres.record(postgres.session())]
    assert record == [
        "BEGIN",
        "select",
        *["function"] * 4,
        "COMMIT",
        "BEGIN",
        *["function"] * 4,
        "COMMIT",
        "BEGIN",
        "function",
        "COMMIT",
    ]
