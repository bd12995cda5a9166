"""With another authority than the bastion's own every driver refuses to go on: what other tests accept was checked."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tests.servers import certificates, excuses

from ..stock_clients import run_client
from .java import run_java
from .mysql_place import PROGRAMS, Place
from .node import run_node
from .test_mysql_jdbc import JAR
from .test_mysql_mysqlclient import built

REFUSALS = (
    "certificate verify failed",
    "TLS/SSL error: ",
    "self-signed certificate in certificate chain",
    "unable to find valid cert",
)


@pytest.mark.parametrize("mysql", ["mysql-tls"], indirect=True)
@pytest.mark.parametrize(
    "driver", ["pymysql", "asyncmy", "connector pure", "connector c", "mysqlclient", "node", "jdbc"]
)
def test_another_authority_is_refused(mysql: Place, driver: str, tmp_path: Path) -> None:
    place = dataclasses.replace(mysql, authority=certificates.make(tmp_path).authority)
    if driver == "node":
        ended = run_node("mysql2", place.arguments())
    elif driver == "jdbc":
        if not JAR.exists():
            excuses.skip("no-jdbc-mariadb")
        ended = run_java("MysqlJdbc", JAR, place.arguments())
    else:
        program, *words = driver.split()
        environment = {"PYTHONPATH": str(built())} if program == "mysqlclient" else None
        ended = run_client(
            [sys.executable, str(PROGRAMS / f"mysql_{program}.py"), *place.arguments(), *words], environment
        )
    assert ended.returncode == 1
    assert any(words in ended.stderr for words in REFUSALS), ended.stderr
    assert "'begin'" not in ended.stdout
    [session] = [each for each in mysql.bastion.sessions() if each["database"] == mysql.tunnel.database][-1:]
    assert session["statements"] == 0
