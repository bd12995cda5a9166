"""The filter line of the audit: what it means, how it is written again, and what is said of one that cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bastion.api.audit_filter import (
    LONGEST,
    FilterUnreadable,
    joined,
    read_sessions,
    read_statements,
    terms,
    with_term,
)

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
CHINA = timezone(timedelta(hours=8))


def said(line: str, **more: Any) -> dict[str, Any]:
    """The fields that a line sets, but for the order of the record."""
    wanted = read_statements(line, now=NOW, **more)
    values = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    values.pop("newest")
    return {name: value for name, value in values.items() if value not in (None, [], {}, "", 0) or value is False}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("", {}),
        ("drop orders", {"words": ["drop", "orders"]}),
        ('"drop table"', {"words": ["drop table"]}),
        ('"he said ""no"""', {"words": ['he said "no"']}),
        ("user:alice db:orders", {"user": "alice", "database": "orders"}),
        ("who:alice database:orders on:customers", {"user": "alice", "database": "orders", "table": "customers"}),
        ("kind:DROP,alter", {"any_of": {"kind": ["drop", "alter"]}}),
        ("-user:etl,batch -tmp", {"none_of": {"user": ["etl", "batch"], "words": ["tmp"]}}),
        ('client:"DBeaver 24"', {"client": "DBeaver 24"}),
        ("error:", {"error": True}),
        ("error:no", {"error": False}),
        ("-error:", {"error": False}),
        ("tool:no", {"tools": False}),
        ("rows>1000", {"least_rows": 1001}),
        ("rows>=10k rows<2m", {"least_rows": 10_000, "most_rows": 1_999_999}),
        ("rows:0", {"least_rows": 0, "most_rows": 0}),
        ("ms>=500", {"least_ms": 500.0}),
        ("time<=2s", {"most_ms": 2000.0}),
        ("since:2h", {"since": "2h"}),
        ("since:today", {"since": "2026-11-22T00:00:00.000000Z"}),
        ("until:09:30", {"until": "2026-11-22T09:30:00.000000Z"}),
        ("since:2026-11-01 until:2026-11-02T10:00+08:00",
         {"since": "2026-11-01T00:00:00.000000Z", "until": "2026-11-02T02:00:00.000000Z"}),
        ("like:s-1/12", {"like": "s-1/12"}),
        ("sort:rows", {"order": "rows"}),
        ("sort:ms", {"order": "duration"}),
        ("x::int 12:30 --", {"words": ["x::int", "12:30", "--"]}),
        ('"user:alice"', {"words": ["user:alice"]}),
        ("user：alice 订单 db:a，b", {"user": "alice", "words": ["订单"], "any_of": {"database": ["a", "b"]}}),
    ],
)  # fmt: skip
def test_what_a_line_means(line: str, fields: dict[str, Any]) -> None:
    if fields.get("least_rows") == 0:
        fields = {"most_rows": 0} | {"least_rows": 0}
        wanted = read_statements(line, now=NOW)
        assert (wanted.least_rows, wanted.most_rows) == (0, 0)
        return
    assert said(line) == fields
    # Written again it means the same.
    assert said(joined(terms(line))) == fields


def test_times_without_a_zone_are_the_readers() -> None:
    assert said("since:today", zone=CHINA) == {"since": "2026-11-21T16:00:00.000000Z"}
    assert said("since:2026-11-22T08:00", zone=CHINA) == {"since": "2026-11-22T00:00:00.000000Z"}


def test_newest_first_unless_it_says_otherwise() -> None:
    assert read_statements("x", now=NOW).newest
    assert not read_statements("sort:oldest", now=NOW).newest


@pytest.mark.parametrize(
    ("line", "sentence", "place"),
    [
        ("usr:alice", "Is user: meant?", (0, 9)),
        ("x foobar:1", "There is no filter foobar.", (2, 10)),
        ("user:", "Say which: user:NAME.", (0, 5)),
        ("user:a user:b", "user is there twice.", (7, 13)),
        ("rows>many", "rows takes a number", (0, 9)),
        ("ms>2h", "ms takes milliseconds", (0, 5)),
        ("since:soon", "soon is no time.", (0, 10)),
        ("since:2026-13-01", "2026-13-01 is no time.", (0, 16)),
        ("state:gone", "There is no state gone", (0, 10)),
        ("sort:size", "There is no order size", (0, 9)),
        ("error:maybe", "error is yes or no", (0, 11)),
        ('orders "drop', "A quote is not closed.", (7, 12)),
        ("-table:x", "take the - away", (0, 8)),
        ("unread:", "said of sessions", (0, 7)),
        ("like:x", "SESSION/NUMBER", (0, 6)),
        ("x" * (LONGEST + 1), "longer than", (LONGEST, LONGEST + 1)),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(line: str, sentence: str, place: tuple[int, int]) -> None:
    with pytest.raises(FilterUnreadable, match=sentence.replace("?", r"\?")) as raised:
        read_statements(line, now=NOW)
    assert (raised.value.start, raised.value.end) == place


def test_sessions_have_filters_of_their_own() -> None:
    wanted = read_sessions("psql user:alice session:s-1 unread: sort:bytes -state:live", now=NOW)
    assert (wanted.words, wanted.user, wanted.id, wanted.unattributed) == (["psql"], "alice", "s-1", True)
    assert (wanted.order, wanted.none_of) == ("bytes", {"state": ["live"]})
    with pytest.raises(FilterUnreadable, match="rows is said of statements, not of sessions"):
        read_sessions("user:alice rows>10", now=NOW)


def test_a_key_is_put_in_the_place_of_what_it_said() -> None:
    assert with_term("drop user:alice since:2h", "user", "bob smith") == 'drop since:2h user:"bob smith"'
    assert with_term("drop user:alice", "user") == "drop"
    assert with_term("", "db", "a", "b,c") == 'db:a,"b,c"'
