"""mariadb-dump and mycli through the bastion."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.servers import excuses
from tests.servers.processes import wait_for

from ..stock_clients import client_environment, run_client
from .mysql_place import CATALOG, SLOW, WHO, Place, done, failed


def _dump(host: str, port: int, user: str, tls: list[str], password: str = "") -> subprocess.CompletedProcess[str]:
    program = shutil.which("mariadb-dump")
    if program is None:
        excuses.skip("no-mariadb")
    words = ["--no-defaults", *tls, f"--host={host}", f"--port={port}", "--protocol=TCP", f"--user={user}"]
    what = ["--skip-dump-date", "--single-transaction", "--routines", "--no-tablespaces", CATALOG]
    return run_client([program, *words, *what], {"MYSQL_PWD": password})


def test_a_dump_is_the_same_as_without_the_bastion(mysql: Place) -> None:
    tls = ["--ssl-verify-server-cert", f"--ssl-ca={mysql.authority}"] if mysql.tls else ["--skip-ssl"]
    ended = _dump(mysql.host, mysql.port, mysql.login, tls)
    assert ended.returncode == 0, ended.stderr
    server = mysql.server
    directly = _dump(server.host, server.port, "clients_app", ["--ssl"], "the account's own password")
    assert directly.returncode == 0, directly.stderr
    assert ended.stdout == directly.stdout
    assert "INSERT INTO `items` VALUES\n(1,'item 1',1.50,'2026-01-01 00:00:00'),\n" in ended.stdout
    assert "PROCEDURE `two_results`" in ended.stdout
    record = mysql.record(begin="")
    assert {(state, error) for _, _, state, _, error in record} == {("done", None)}
    texts = [text for text, *_ in record]
    # All of it, in the order of the server's own log.
    ordered = [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */",
        "show create table `items`",
        "SELECT /*!40001 SQL_NO_CACHE */ `id`, `name`, `price`, `added` FROM `items`",
        f"SHOW PROCEDURE STATUS WHERE Db = '{CATALOG}'",
        "SHOW CREATE PROCEDURE `two_results`",
    ]
    assert [text for text in texts if text in ordered] == ordered
    assert done(ordered[3], 5) in record


def _mycli(place: Path, mysql: Place, *words: str) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of a mycli without a configuration of anybody's."""
    configuration = place / "myclirc"
    configuration.write_text("[main]\nless_chatty = True\nprompt = 'ready> '\nenable_pager = False\nwarnings = False\n")
    tls = ["--ssl-mode=off"]
    if mysql.tls:
        tls = ["--ssl-mode=on", f"--ssl-ca={mysql.authority}", "--ssl-verify-server-cert"]
    where = ["--host", mysql.host, "--port", str(mysql.port), "--user", mysql.login, "--password", "", *tls]
    program = Path(sys.executable).with_name("mycli")
    command = [str(program), "--myclirc", str(configuration), *where, "--database", CATALOG, *words]
    return command, client_environment({"HOME": str(place), "TERM": "xterm-256color", "MYCLI_HISTFILE": "/dev/null"})


def test_mycli_runs_a_script(mysql: Place, tmp_path: Path) -> None:
    statements = [
        WHO,
        "SELECT id, name FROM items WHERE id < 3",
        "SELECT '数据 café'",
        "SELECT no_such_column FROM items",
    ]
    script = "".join(f"{each};\n" for each in ["SELECT 'begin'", *statements])
    command, environment = _mycli(tmp_path, mysql)
    ended = subprocess.run(
        command, env=environment, input=script, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.splitlines() == [
        "begin", "begin", "ATTR_VALUE", "alice", "mycli (alice)", "id\tname", "1\titem 1", "2\titem 2",
        "数据 café", "数据 café",
    ]  # fmt: skip
    assert mysql.unknown_column in ended.stderr
    [session] = mysql.sessions()
    assert session["client"].startswith("mycli ")
    assert mysql.record(session) == [
        done(statements[0], 2),
        done(statements[1], 2),
        done(statements[2], 1),
        failed(statements[3], f"1054 (42S22): {mysql.unknown_column}"),
    ]


@pytest.mark.parametrize("mysql", ["mariadb-plain", "mysql-tls"], indirect=True)
def test_mycli_is_interrupted(mysql: Place, tmp_path: Path) -> None:
    """Ctrl-C at the prompt: mycli sends KILL QUERY on a connection of its own, and the first one goes on."""
    [program, *words], environment = _mycli(tmp_path, mysql)
    terminal = pexpect.spawn(program, words, env=environment, timeout=60, encoding="utf-8", dimensions=(40, 140))
    terminal.expect_exact("ready>")
    terminal.send(f"{SLOW};\r")
    wait_for("SLEEP(61) at work", lambda: mysql.server.running("SLEEP(61)"))
    terminal.sendintr()
    terminal.expect_exact("Query cancelled.")
    wait_for("its end there", lambda: not mysql.server.running("SLEEP(61)"))
    terminal.send("SELECT 40 + 2;\r")
    terminal.expect("│ +42 │")
    # Ahead of its next prompt mycli has not taken the terminal over, which would make another character of Ctrl-D.
    terminal.expect_exact("ready>")
    terminal.send("\x04")
    terminal.expect(pexpect.EOF)
    terminal.wait()  # closing alone gives up after a tenth of a second
    terminal.close()

    def over(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        ours = [each for each in sessions if each["login"] == mysql.login]
        return ours if all(each["state"] == "closed" for each in ours) else None

    # The first is the prompt's; completion and cancelling have connections of their own.
    ours = mysql.bastion.wait_for_sessions("mycli's sessions to end", over)
    assert {each["unattributed_bytes"] for each in ours} == {0}
    assert mysql.record(ours[0], begin="")[-2:] == [mysql.interrupted, done("SELECT 40 + 2", 1)]
    last = [mysql.record(each, begin="")[-1] for each in ours[1:]]
    [kill] = [each for each in last if each[0].startswith("KILL QUERY ")]
    assert kill[2:] == ("done", 0, None)
