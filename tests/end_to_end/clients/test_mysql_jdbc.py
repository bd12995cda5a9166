"""MariaDB's JDBC driver through the bastion: prepared on the server, batches as bulk execution, streamed results."""

from __future__ import annotations

from pathlib import Path

from tests.servers import excuses
from tests.servers.processes import wait_for

from .java import run_java
from .mysql_place import CATALOG, MANY, MANY_SUM, Place, done, failed
from .mysql_statements import ATTRIBUTES

JAR = Path("/usr/share/java/mariadb-java-client.jar")

SELECT = "SELECT id, name, price FROM items WHERE id <= ? AND (name LIKE ? OR ? IS NULL) ORDER BY id"
INSERT = "INSERT INTO basket VALUES (?, ?, ?, ?)"
BATCH = [[str(n), None if n == 2 else f"数据 {n}", f"{n}.25", "2026-02-03 04:05:06.000000"] for n in (1, 2, 3)]


def test_jdbc(mysql: Place) -> None:
    if not JAR.exists():
        excuses.skip("no-jdbc-mariadb")
    ended = run_java("MysqlJdbc", JAR, mysql.arguments())
    assert ended.returncode == 0, ended.stderr
    seen = dict(line.split("\t", 1) for line in ended.stdout.splitlines())
    attributes = dict(pair.split("|") for pair in seen.pop("attributes").split(";"))
    assert (attributes["_client_name"], attributes["program_name"]) == ("MariaDB Connector/J", "probe (alice)")
    assert attributes["casemate_user"] == "alice"
    assert seen == {
        "rows": ";".join(f"{n}|item {n}|{n}.50|2026-01-01 00:00:00.0" for n in (1, 2, 3)),
        "error": f"1054 42S22 {mysql.unknown_column}",
        "prepared 2": "1|item 1|1.50;2|item 2|2.50",
        "prepared 1": "1|item 1|1.50",
        "prepared error": "no error",  # the driver then prepares on its own side, and says nothing before it executes
        "batch": "3",
        "kept": "1|数据 1|1.25;2|null|2.25;3|数据 3|3.25",
        "several": "[1;2, ok, last]",
        "call": "[1;2, second]",
        "out": "42",
        "loaded": "1000",
        "streamed": str(MANY_SUM),
        "valid": "true",
        "catalog": "mysql",
        "cancelled": "1317 70100 Query execution was interrupted",
        "afterwards": "still here",
    }
    # MariaDB's server takes all rows of a batch in one bulk execution.
    batch = [done(INSERT, 3, [bind for row in BATCH for bind in row])] if mysql.is_mariadb else [
        done(INSERT, 1, row) for row in BATCH
    ]  # fmt: skip
    error = f"1054 (42S22): {mysql.unknown_column}"
    # The driver's `cancel` opens a connection of its own, with the same login.
    session, canceller = mysql.sessions(count=2)
    assert session["client"] == f"probe {attributes['_client_version']}"
    assert mysql.record(session) == [
        done(ATTRIBUTES, len(attributes)),
        done("SELECT id, name, price, added FROM items WHERE id <= 3 ORDER BY id", 3),
        failed("SELECT no_such_column FROM items", error),
        done(SELECT),
        done(SELECT, 2, ["2", "item%", None]),
        done(SELECT, 1, ["1", "item%", None]),
        failed("SELECT no_such_column FROM items WHERE id = ?", error),
        done("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40), price DECIMAL(8,2), at DATETIME)", 0),
        done(INSERT),
        *batch,
        done("SELECT id, what, price FROM basket ORDER BY id", 3),
        done("SELECT id FROM items WHERE id < 3; DO 1; SELECT 'last'", 3),
        done("call two_results(?, ?)"),
        done("call two_results(?, ?)", 3, ["2", "40"]),
        done("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))", 0),
        done(f"LOAD DATA LOCAL INFILE '{mysql.file}' INTO TABLE loaded", 1000),
        done(MANY, 1000),
        done("set autocommit=0", 0),
        done("UPDATE basket SET what = 'changed'", 3),
        done("ROLLBACK", 0),
        done("set autocommit=1", 0),
        done("USE `mysql`"),
        done("SELECT DATABASE()", 1),
        done(f"USE `{CATALOG}`"),
        done("SELECT CONNECTION_ID()", 1),
        mysql.interrupted,
        done("SELECT 'still here'", 1),
    ]
    [kill] = mysql.record(canceller, begin="")
    assert kill[0].startswith("KILL QUERY ")
    wait_for("its end there", lambda: not mysql.server.running("SLEEP(61)"))
