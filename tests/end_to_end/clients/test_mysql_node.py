"""mysql2 for Node.js through the bastion."""

from __future__ import annotations

from .mysql_place import ACCOUNT, CATALOG, INTERRUPTED, MANY, MANY_SUM, Place, done, failed, report_of
from .mysql_statements import ATTRIBUTES, dbapi_seen
from .node import run_node

SELECT = "SELECT id, name, price, added FROM items WHERE id <= ? AND (name LIKE ? OR ? IS NULL) ORDER BY id"


def test_mysql2(mysql: Place) -> None:
    seen = report_of(run_node("mysql2", mysql.arguments()))
    assert seen.pop("tls", None) == ("TLSv1.3" if mysql.tls else None)
    attributes = seen.pop("attributes")
    assert (attributes["_client_name"], attributes["program_name"]) == ("Node-MySQL-2", "probe (alice)")
    assert attributes["casemate_user"] == "alice"
    common = dbapi_seen(mysql)
    assert seen == {
        "rows": common["rows"],
        "text": common["text"],
        "error": common["error"],
        "prepared": [common["rows"][:2], common["rows"][:1]],
        "preparedError": common["error"],
        "inserted": 1,
        "bulk": 2,
        "several": [[[1], [2]], "ok", [["last"]]],
        "call": [[[1], [2]], [["second"]], "ok"],
        "loaded": 1000,
        "streamed": MANY_SUM,
        "user": [[ACCOUNT, CATALOG]],
        "cancelled": INTERRUPTED,
        "afterwards": [["still here"]],
    }
    error = f"1054 (42S22): {mysql.unknown_column}"
    assert mysql.record() == [
        done(ATTRIBUTES, len(attributes)),
        done("SELECT id, name, price, added FROM items WHERE id <= 3 ORDER BY id", 3),
        done("SELECT '数据 café 😀', NULL", 1),
        failed("SELECT no_such_column FROM items", error),
        done(SELECT),
        done(SELECT, 2, ["2", "item%", None]),
        done(SELECT, 1, ["1", "%数据", None]),
        failed("SELECT no_such_column FROM items WHERE id = ?", error),
        done("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40), at DATETIME(6))", 0),
        done("INSERT INTO basket VALUES (?, ?, ?)"),
        done("INSERT INTO basket VALUES (?, ?, ?)", 1, ["1", "one", "2026-02-03 04:05:06.789"]),
        done("INSERT INTO basket (id, what) VALUES (2, 'two'), (3, NULL)", 2),
        done("SELECT id FROM items WHERE id < 3; DO 1; SELECT 'last'", 3),
        done("CALL two_results(2, @total)", 3),
        done("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))", 0),
        done(f"LOAD DATA LOCAL INFILE '{mysql.file}' INTO TABLE loaded", 1000),
        done(MANY, 1000),
        done(f"CHANGE USER 'another' DATABASE `{CATALOG}`"),
        done("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()", 1),
        mysql.interrupted,
        done("SELECT 'still here'", 1),
    ]
    mysql.killed()
