"""asyncmy through the bastion."""

from __future__ import annotations

from .mysql_place import CATALOG, INTERRUPTED, MANY, MANY_SUM, Place, done
from .mysql_statements import dbapi_record, dbapi_seen


def test_asyncmy(mysql: Place) -> None:
    seen = mysql.python("mysql_asyncmy")
    attributes = seen.pop("attributes")
    assert (attributes["program_name"], attributes["casemate_user"]) == ("probe (alice)", "alice")
    assert seen == {
        **dbapi_seen(mysql),
        "call": [[[1], [2]], [["second"]], []],
        "streamed": MANY_SUM,
        "catalog": [["mysql"]],
        "cancelled": INTERRUPTED,
        "afterwards": [["still here"]],
    }
    assert mysql.record() == [
        *dbapi_record(mysql, attributes=len(attributes)),
        done("SET @_two_results_0=2,@_two_results_1=40", 0),
        done("CALL two_results(@_two_results_0,@_two_results_1)", 3),
        done(MANY, 1000),
        done("USE `mysql`"),
        done("SELECT DATABASE()", 1),
        done(f"USE `{CATALOG}`"),
        mysql.interrupted,
        done("SELECT 'still here'", 1),
    ]
    mysql.killed()
