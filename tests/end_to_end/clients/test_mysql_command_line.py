"""MySQL 9.7's `mysql` and MariaDB's `mariadb` through the bastion, each on both servers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.servers import certificates, excuses
from tests.servers.mysql import client_command, tree
from tests.servers.processes import wait_for

from ..stock_clients import client_environment, run_client
from .mysql_place import ACCOUNT, CATALOG, SLOW, WHO, Place, done, failed


def _program(name: str) -> list[str]:
    """The beginning of a command line of `mysql` or `mariadb`, without anybody's option files."""
    if name == "mysql":
        found = tree()
        if found is None:
            excuses.skip("no-mysql-9.7")
        return [*client_command(found), "--commands"]
    program = shutil.which("mariadb")
    if program is None:
        excuses.skip("no-mariadb")
    return [program, "--no-defaults"]


def _tls(name: str, place: Place) -> list[str]:
    if name == "mysql":
        return ["--ssl-mode=VERIFY_IDENTITY", f"--ssl-ca={place.authority}"] if place.tls else ["--ssl-mode=DISABLED"]
    return ["--ssl-verify-server-cert", f"--ssl-ca={place.authority}"] if place.tls else ["--skip-ssl"]


def _command(name: str, place: Place, *words: str, tls: list[str] | None = None) -> list[str]:
    where = [f"--host={place.host}", f"--port={place.port}", "--protocol=TCP", f"--user={place.login}", CATALOG]
    settings = ["--default-character-set=utf8mb4", *(_tls(name, place) if tls is None else tls)]
    return [*_program(name), *settings, *where, *words]


def run(
    name: str, place: Place, *words: str, script: str | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """One run in batch mode, without column names."""
    return run_client(_command(name, place, "--batch", "--skip-column-names", *words, **more), stdin=script)


SCRIPT = """SELECT 'begin';
{who};
SELECT id, name FROM items WHERE id < 3;
SELECT no_such_column FROM items;
SELECT '数据 café 😀', NULL;
use mysql
SELECT DATABASE();
use clients
DELIMITER //
CREATE PROCEDURE three () BEGIN SELECT 1; SELECT 2; SELECT 3; END //
CALL three() //
DROP PROCEDURE three //
DELIMITER ;
PREPARE plus FROM 'SELECT ? + 1';
SET @x = 41;
EXECUTE plus USING @x;
CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20));
LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded;
/*!40101 SELECT COUNT(*) FROM loaded */;
SELECT REPEAT('y', 3000000);
"""


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_a_script(mysql: Place, name: str) -> None:
    ended = run(name, mysql, "--force", "--local-infile=1", script=SCRIPT.format(file=mysql.file, who=WHO))
    assert ended.stderr.splitlines()[-1] == f"ERROR 1054 (42S22) at line 4: {mysql.unknown_column}"
    assert ended.stdout.splitlines() == [
        "begin", "alice", "mysql (alice)", "1\titem 1", "2\titem 2", "数据 café 😀\tNULL", "mysql", "1", "2", "3",
        "42", "1000", "y" * 3_000_000,
    ]  # fmt: skip
    [session] = mysql.sessions()
    assert session["client"].startswith("mysql ")
    assert session["bytes_down"] > 3_000_000
    record = mysql.record(session)
    # Both programs ask for the schema before they change it.
    asked = done("SELECT DATABASE()", 1)
    assert record == [
        done(WHO, 2),
        done("SELECT id, name FROM items WHERE id < 3", 2),
        failed("SELECT no_such_column FROM items", f"1054 (42S22): {mysql.unknown_column}"),
        done("SELECT '数据 café 😀', NULL", 1),
        asked,
        done("USE `mysql`"),
        done("SELECT DATABASE()", 1),
        asked,
        done("USE `clients`"),
        done("CREATE PROCEDURE three () BEGIN SELECT 1; SELECT 2; SELECT 3; END", 0),
        done("CALL three()", 3),
        done("DROP PROCEDURE three", 0),
        done("PREPARE plus FROM 'SELECT ? + 1'", 0),
        done("SET @x = 41", 0),
        done("EXECUTE plus USING @x", 1),
        done("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))", 0),
        done(f"LOAD DATA LOCAL INFILE '{mysql.file}' INTO TABLE loaded", 1000),
        done("/*!40101 SELECT COUNT(*) FROM loaded */", 1),
        done("SELECT REPEAT('y', 3000000)", 1),
    ]


MODES = {
    "mysql": {
        "disabled": ["--ssl-mode=DISABLED"],
        "preferred": ["--ssl-mode=PREFERRED"],
        "required": ["--ssl-mode=REQUIRED"],
        "verify-ca": ["--ssl-mode=VERIFY_CA", "--ssl-ca={ca}"],
        "verify-identity": ["--ssl-mode=VERIFY_IDENTITY", "--ssl-ca={ca}"],
    },
    "mariadb": {
        "disabled": ["--skip-ssl"],
        "required": ["--ssl"],
        "verify-ca": ["--ssl-ca={ca}"],
        "verify-identity": ["--ssl-ca={ca}", "--ssl-verify-server-cert"],
    },
}


@pytest.mark.parametrize("mysql", ["mariadb-tls", "mysql-tls"], indirect=True)
@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, modes in MODES.items() for mode in modes])
def test_every_ssl_mode(mysql: Place, name: str, mode: str) -> None:
    """What the client says of its own connection, and whom the database sees."""
    tls = [word.format(ca=mysql.authority) for word in MODES[name][mode]]
    ended = run(name, mysql, "-e", "status", tls=tls)
    assert ended.returncode == 0, ended.stderr
    said = dict(line.split(":", 1) for line in ended.stdout.splitlines() if ":" in line)
    assert said["SSL"].strip().startswith("Not in use" if mode == "disabled" else "Cipher in use is TLS_")
    assert said["Current user"].strip() == f"{ACCOUNT}@{mysql.host}"
    # MySQL's client shows the greeting as it is, where MariaDB puts 5.5.5- before its version.
    version = str(mysql.server.execute("SELECT VERSION()")[0][0])
    assert said["Server version"].strip().removeprefix("5.5.5-").startswith(version)


@pytest.mark.parametrize("mysql", ["mysql-tls"], indirect=True)
@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_the_certificate_is_the_bastions_own(mysql: Place, name: str, tmp_path: Path) -> None:
    """With another authority the client refuses to go on, so what the other tests accept was really checked."""
    other = f"--ssl-ca={certificates.make(tmp_path).authority}"
    tls = ["--ssl-mode=VERIFY_CA", other] if name == "mysql" else ["--ssl-verify-server-cert", other]
    ended = run(name, mysql, "-e", "SELECT 1", tls=tls)
    assert ended.returncode == 1
    assert "ERROR 2026 (HY000)" in ended.stderr


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_ctrl_c(mysql: Place, name: str) -> None:
    """An interactive client that is interrupted sends KILL QUERY on a second connection and goes on with the first."""
    words = _command(name, mysql, "--prompt=ready> ", "--skip-pager", "--disable-auto-rehash")
    terminal = pexpect.spawn(
        words[0], words[1:], env=client_environment({"TERM": "dumb"}), timeout=60, encoding="utf-8", echo=False
    )
    terminal.expect_exact("ready> ")
    terminal.sendline(f"{SLOW};")
    wait_for("SLEEP(61) at work", lambda: mysql.server.running("SLEEP(61)"))
    terminal.sendintr()
    terminal.expect_exact("ERROR 1317 (70100): Query execution was interrupted")
    wait_for("its end there", lambda: not mysql.server.running("SLEEP(61)"))
    terminal.expect_exact("ready> ")
    terminal.sendline("SELECT 40 + 2;")
    terminal.expect_exact("42")
    terminal.expect_exact("ready> ")
    terminal.sendline("quit")
    terminal.expect(pexpect.EOF)
    terminal.wait()  # closing alone gives up after a tenth of a second
    terminal.close()
    first, second = mysql.sessions(count=2)
    assert mysql.record(first, begin="")[-2:] == [mysql.interrupted, done("SELECT 40 + 2", 1)]
    [kill] = [each for each in mysql.record(second, begin="") if each[0].startswith("KILL")]
    assert kill[2:] == ("done", 0, None)
