"""What the status line keeps where there is little room."""

from __future__ import annotations

from datetime import UTC, datetime

from backends.interface import TransactionState
from screens.widgets.status_line import Status

from .world import token


def test_what_happens_now_is_cut_rather_than_left_out() -> None:
    words = "Cancelled, the database confirmed it; the connection is kept."
    mine = token("orders", "app", "2026-11-22T18:00:00Z")
    status = Status(mine, "orders", True, False, True, TransactionState.NONE, words, bad=False)
    assert "Cancelled, the database confirmed it" in status.line(datetime(2026, 11, 22, 17, tzinfo=UTC), 60).plain
