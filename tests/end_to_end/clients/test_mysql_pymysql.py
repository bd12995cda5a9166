"""PyMySQL through the bastion."""

from __future__ import annotations

from .mysql_place import INTERRUPTED, MANY, MANY_SUM, Place, done
from .mysql_statements import dbapi_record, dbapi_seen


def test_pymysql(mysql: Place) -> None:
    seen = mysql.python("mysql_pymysql")
    assert seen.pop("tls") == ("TLSv1.3" if mysql.tls else None)
    attributes = seen.pop("attributes")
    assert (attributes["_client_name"], attributes["program_name"]) == ("pymysql", "probe (alice)")
    assert attributes["casemate_user"] == "alice"
    assert seen == {
        **dbapi_seen(mysql),
        "several": [[[1], [2]], [], [["last"]]],
        "call": [[[1], [2]], [["second"]], []],
        "out": [[42]],
        "loaded": 1000,
        "streamed": MANY_SUM,
        "catalog": [["mysql"]],
        "cancelled": INTERRUPTED,
        "afterwards": [["still here"]],
    }
    [session] = mysql.sessions()
    assert session["client"] == f"probe {attributes['_client_version']}"
    assert mysql.record(session) == [
        *dbapi_record(mysql, attributes=len(attributes)),
        done("SELECT id FROM items WHERE id < 3; UPDATE items SET price = price WHERE id = 1; SELECT 'last'", 3),
        done("SET @`_two_results_0`=2,@`_two_results_1`=40", 0),
        done("CALL `two_results`(@`_two_results_0`,@`_two_results_1`)", 3),
        done("SELECT @_two_results_1", 1),
        done("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))", 0),
        done(f"LOAD DATA LOCAL INFILE '{mysql.file}' INTO TABLE loaded", 1000),
        done(MANY, 1000),
        done("USE `mysql`"),
        done("SELECT DATABASE()", 1),
        done("USE `clients`"),
        mysql.interrupted,
        done("SELECT 'still here'", 1),
    ]
    mysql.killed()
