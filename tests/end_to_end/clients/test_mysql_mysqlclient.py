"""mysqlclient (MySQLdb) through the bastion, built on MariaDB's C library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from tests.servers import excuses
from tests.servers.mysql import cache_folder

from .mysql_place import ACCOUNT, CATALOG, INTERRUPTED, MANY, MANY_SUM, Place, done
from .mysql_statements import dbapi_record, dbapi_seen


def built() -> Path:
    """The folder in which `make test` has built it for this Python."""
    folder = cache_folder() / f"mysqlclient-{sysconfig.get_config_var('SOABI')}"
    if not folder.is_dir():
        excuses.skip("no-mysqlclient")
    return folder


def test_mysqlclient(mysql: Place) -> None:
    seen = mysql.python("mysql_mysqlclient", path=built())
    attributes = seen.pop("attributes")
    assert (attributes["_client_name"], attributes["casemate_user"]) == ("libmariadb", "alice")
    assert seen == {
        **dbapi_seen(mysql),
        "several": [[[1], [2]], [], [["last"]]],
        "call": [[[1], [2]], [["second"]], []],
        "out": [[42]],
        "loaded": 1000,
        "streamed": MANY_SUM,
        "catalog": [["mysql"]],
        "user": [[ACCOUNT, CATALOG]],
        "cancelled": INTERRUPTED,
        "afterwards": [["still here"]],
    }
    [session] = mysql.sessions()
    assert session["client"] == f"libmariadb {attributes['_client_version']}"
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
        done(f"CHANGE USER 'another' DATABASE `{CATALOG}`"),
        done("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()", 1),
        mysql.interrupted,
        done("SELECT 'still here'", 1),
    ]
    mysql.killed()
