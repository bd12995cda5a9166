"""PostgreSQL's JDBC driver (what DBeaver and DataGrip use) through the bastion, in both TLS modes."""

from __future__ import annotations

from pathlib import Path

from tests.servers import excuses

from .java import run_java
from .postgres_place import DATABASE, Place, cancelled, done, failed

DRIVER = Path("/usr/share/java/postgresql.jar")


def test_jdbc(postgres: Place) -> None:
    if not DRIVER.exists():
        excuses.skip("no-jdbc-postgresql")
    url = f"jdbc:postgresql://{postgres.host}:{postgres.port}/{DATABASE}"
    ended = run_java("PostgresClient", DRIVER, [url, str(postgres.authority) if postgres.tls else "-"])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "server 18",
        "item item 1 1.50",
        "item item 2 3.00",
        "item item 3 4.50",
        "item item 4 6.00",
        "item none",
        "item none",
        'error 42703 ERROR: column "nothing" does not exist',
        "batch 1000",
        "batch error 23505",
        "pages 21",
        "call CALLED",
        "copy 2 three drei",
        "cancel 57014 ERROR: canceling statement due to user request",
        "after 42",
        "seen as clients_app ledger (alice)",
    ]
    first, second = postgres.sessions(2, cancels=1)
    # By itself the driver tells its name in a statement, which takes the person's off again; the record follows.
    assert (first["client"], second["client"]) == ("ledger", "ledger")
    record = postgres.record(first)
    inserts = [each for each in record if each[0].startswith("INSERT INTO batch")]
    insert, again = "INSERT INTO batch VALUES ($1, $2)", "INSERT INTO batch VALUES ($1, 'again')"
    # Before a batch the driver has the server say the types of the placeholders.
    assert [each for each in inserts if each[1] is None] == [done(insert), done(again)]
    assert [each for each in inserts if each[1] is not None] == [
        *(done(insert, 1, [str(n), None if n == 500 else f"row {n}"]) for n in range(1000)),
        done(again, 1, ["2000"]),
        failed(again, '23505: duplicate key value violates unique constraint "batch_pkey"', ["7"]),
        (again, ["2001"], "skipped", None, None),
    ]
    by_price = "SELECT name, price FROM items WHERE id = $1 AND price < $2"
    pages = "SELECT n FROM batch ORDER BY n LIMIT 7"
    assert [each for each in record if each not in inserts] == [
        done("SET extra_float_digits = 3", None, []),
        done("SET application_name = 'ledger'", None, []),
        *(done(by_price, int(n < 5), [str(n), "7.00"]) for n in range(1, 7)),
        failed("SELECT nothing FROM items", '42703: column "nothing" does not exist', []),
        done("BEGIN", None, []),
        done("CREATE TEMPORARY TABLE batch (n int PRIMARY KEY, what text)", None, []),
        done("COMMIT", None, []),
        done("BEGIN", None, []),
        done("ROLLBACK", None, []),
        done("BEGIN", None, []),
        done(pages, 3, []),
        done(pages, 3, []),
        done("SELECT 'in between'", 1, []),
        done(pages, 1, []),
        done("COMMIT", None, []),
        done("select * from upper($1,$2) as result", 1, [None, "called"]),
        done("COPY batch FROM STDIN", 2),
        done("COPY (SELECT what FROM batch WHERE n >= 3000 ORDER BY n) TO STDOUT", 2),
        cancelled("SELECT pg_sleep(70)", []),
        done("SELECT 42", 1, []),
    ]
