"""mysql-connector-python through the bastion: its pure Python half and its C half."""

from __future__ import annotations

import pytest

from .mysql_place import ACCOUNT, CATALOG, INTERRUPTED, MANY, MANY_SUM, Place, done, failed
from .mysql_statements import dbapi_record, dbapi_seen

SELECT = "SELECT id, name FROM items WHERE id <= ? AND (name LIKE ? OR ? IS NULL) ORDER BY id"


@pytest.mark.parametrize("half", ["pure", "c"])
def test_mysql_connector(mysql: Place, half: str) -> None:
    seen = mysql.python("mysql_connector", half)
    assert seen.pop("half") == {"pure": "MySQLConnection", "c": "CMySQLConnection"}[half]
    attributes = seen.pop("attributes")
    assert (attributes["program_name"], attributes["casemate_user"]) == ("probe (alice)", "alice")
    assert seen.pop("prepared error")[1].endswith(mysql.unknown_column)
    expected = dbapi_seen(mysql)
    # The pure half puts the error's number and state before its words.
    assert seen["error"][1].endswith(expected["error"][1])
    assert seen.pop("error")[0] == expected.pop("error")[0]
    assert seen.pop("cancelled")[0] == INTERRUPTED[0]
    assert seen == {
        **expected,
        "prepared": [[[1, "item 1"], [2, "item 2"]], [[1, "item 1"]]],
        "prepared insert": 1,
        "with attributes": [["with attributes"]],
        "several": [[[1], [2]], [], [["last"]]],
        "out": [[2, 42]],
        "call": [[[1], [2]], [["second"]]],
        "loaded": 1000,
        "streamed": MANY_SUM,
        "catalog": [["mysql"]],
        "user": [[ACCOUNT, CATALOG]],
        "reset": [[None]],
        "afterwards": [["still here"]],
    }
    [session] = mysql.sessions()
    assert session["client"].startswith("probe ")
    # Settings that the driver makes by itself, again after each reset.
    record = [
        each
        for each in mysql.record(session)
        if not each[0]
        .lower()
        .startswith(("set names", "set @@session.", "set autocommit", "select @@session.sql_mode"))
    ]
    assert record == [
        *dbapi_record(
            mysql, attributes=len(attributes), ends=("COMMIT", "ROLLBACK") if half == "pure" else ("commit", "rollback")
        ),
        done(SELECT),
        done(SELECT, 2, ["2", "item%", None]),
        done(SELECT, 1, ["1", "item%", "x"]),
        done("INSERT INTO basket VALUES (?, ?)"),
        done("INSERT INTO basket VALUES (?, ?)", 1, ["9", "x" * 40]),
        failed("SELECT no_such_column FROM items WHERE id = ?", f"1054 (42S22): {mysql.unknown_column}"),
        # MariaDB knows no query attributes, and the driver keeps them to itself there.
        done("SELECT 'with attributes'", 1, None if mysql.is_mariadb else ["traceparent=00-1-2-01", "attempt=2"]),
        done("SELECT id FROM items WHERE id < 3; UPDATE items SET price = price WHERE id = 1; SELECT 'last'", 3),
        done("SET @_two_results_arg1=2,@_two_results_arg2=40", 0),
        done("CALL two_results(@_two_results_arg1,@_two_results_arg2)", 3),
        done("SELECT @_two_results_arg1 AS two_results_arg1,@_two_results_arg2 AS two_results_arg2", 1),
        done("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))", 0),
        done(f"LOAD DATA LOCAL INFILE '{mysql.file}' INTO TABLE loaded", 1000),
        done(MANY, 1000),
        done("USE `mysql`"),
        done("SELECT DATABASE()", 1),
        done(f"CHANGE USER 'another' DATABASE `{CATALOG}`"),
        done("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()", 1),
        done("SET @kept = 1", 0),
        done("RESET CONNECTION"),
        done("SELECT @kept", 1),
        mysql.interrupted,
        done("SELECT 'still here'", 1),
    ]
    mysql.killed()
