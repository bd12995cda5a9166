"""Node.js's `pg` with its cursors and streams through the bastion, in both TLS modes."""

from __future__ import annotations

from .node import run_node
from .postgres_place import DATABASE, Place, cancelled, done, failed


def test_node_pg(postgres: Place) -> None:
    authority = str(postgres.authority) if postgres.tls else "-"
    ended = run_node("postgres_client", [postgres.host, str(postgres.port), DATABASE, authority])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        f"encrypted {'true' if postgres.tls else 'false'}",
        "seen as clients_app website (alice)",
        'bound [{"n":42,"t":"naïve 数","b":{"type":"Buffer","data":[0,255]},"nothing":null}]',
        "named 1",
        "named 1",
        "named 0",
        "several 1 1",
        'error 42703 column "nothing" does not exist',
        "error 23505 Key (id)=(1) already exists.",
        "cursor 3 6",
        "stream 31375",
        "heard rings",
        "cancel 57014 canceling statement due to user request",
        "after 42",
        "pool 2 4 6 8",
    ]
    first, watching, *pool = postgres.sessions(4, cancels=0 if postgres.tls else 1)
    assert {each["client"] for each in (first, watching, *pool)} == {"website"}
    duplicate = '23505: duplicate key value violates unique constraint "items_pkey"'
    by_id, pages = "SELECT name FROM items WHERE id = $1", "SELECT n FROM generate_series(1, $1::int) AS n"
    stream = "SELECT n FROM generate_series(1, 250) AS n"
    slept = cancelled("SELECT pg_sleep(71)")
    assert postgres.record(first) == [
        done("SELECT current_user, current_setting('application_name') AS name", 1),
        done(
            "SELECT $1::int + 1 AS n, $2::text AS t, $3::bytea AS b, $4::text AS nothing",
            1,
            ["41", "naïve 数", "\\x00ff", None],
        ),
        done(by_id, 1, ["1"]),
        done(by_id, 1, ["4"]),
        done(by_id, 0, ["99"]),
        done("SELECT 'one' AS a; SELECT 'two' AS b", 2),
        failed("SELECT nothing FROM items", '42703: column "nothing" does not exist'),
        failed("INSERT INTO items (id) VALUES ($1)", duplicate, ["1"]),
        done("BEGIN"),
        done(pages, 3, ["7"]),
        done(pages, 3, ["7"]),
        done(stream, 100, []),
        done(stream, 100, []),
        done(stream, 50, []),
        done("COMMIT"),
        done("LISTEN bell"),
        done("SELECT pg_notify('bell', $1)", 1, ["rings"]),
        # Cancelled by the request that libpq and others send, or from another session.
        failed(slept[0], slept[4] or "") if postgres.tls else slept,
        done("SELECT 42 AS n", 1),
    ]
    if postgres.tls:
        assert postgres.record(watching)[-1][0] == "SELECT pg_cancel_backend($1)"
    doubled = sorted(each for session in pool for each in postgres.record(session))
    assert doubled == [done("SELECT $1::int * 2 AS n", 1, [str(n)]) for n in (1, 2, 3, 4)]
