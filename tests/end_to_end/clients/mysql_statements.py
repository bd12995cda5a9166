"""What every DB-API driver sees and leaves on record of the steps that `programs/mysql_steps.py` makes it take."""

from __future__ import annotations

from typing import Any

from .mysql_place import Brief, Place, done, failed

ATTRIBUTES = (
    "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_connect_attrs "
    "WHERE PROCESSLIST_ID = CONNECTION_ID() ORDER BY ATTR_NAME"
)


def dbapi_seen(place: Place) -> dict[str, Any]:
    """What the driver's user sees, but the connection attributes."""
    return {
        "rows": [[n, f"item {n}", f"{n}.50", "2026-01-01 00:00:00"] for n in (1, 2, 3)],
        "text": [["数据 café 😀", None]],
        "error": [1054, place.unknown_column],
        "inserted": 3,
        "updated": 2,
        "kept": [[1, "one"], [2, None], [3, "three"]],
    }


def dbapi_record(place: Place, *, attributes: int, ends: tuple[str, str] = ("COMMIT", "ROLLBACK")) -> list[Brief]:
    """The statements on record: `attributes` is the number of them, `ends` how the driver ends a transaction."""
    commit, rollback = ends
    return [
        done(ATTRIBUTES, attributes),
        done("SELECT id, name, price, added FROM items WHERE id <= 3 ORDER BY id", 3),
        done("SELECT '数据 café 😀', NULL", 1),
        failed("SELECT no_such_column FROM items", f"1054 (42S22): {place.unknown_column}"),
        done("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40))", 0),
        done("INSERT INTO basket VALUES (1, 'one'),(2, NULL),(3, 'three')", 3),
        done(commit, 0),
        done("UPDATE basket SET what = 'changed' WHERE id > 1", 2),
        done(rollback, 0),
        done("SELECT id, what FROM basket ORDER BY id", 3),
    ]
