"""The audit page by the keyboard: filters, tabs, pages, what else, saved filters, export, results behind a mask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bastion.api import language, methods
from bastion.api import messages as m
from bastion.api.refusals import Refused
from screens import audit_listing
from screens.audit_completion import suggestions

from .conftest import Compare, settled
from .test_screens_behaviour import press, shown
from .world import ATTACK, SESSIONS, STATEMENTS, World, statement, world

SIZE = (100, 30)
SMALL = (80, 24)
WIDE = (160, 48)


def audit(folder: Path, **more: Any) -> World:
    return world(folder, roles=("auditor",), **more)


def searched(scripted: World) -> m.StatementFilter:
    """The last search of statements."""
    wanted: m.StatementFilter = scripted.link.asked("audit.search")[-1]
    return wanted


async def statements_tab(pilot: Pilot[Any], line: str = "") -> None:
    await settled(pilot)
    await press(pilot, "f6")
    if line:
        await press(pilot, "slash", *line, "enter")


# ------------------------------------------------------------------------------------------------------------ filters


async def test_a_line_is_searched_with_enter_and_not_before(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        before = len(scripted.link.asked("audit.search"))
        await press(pilot, "slash", *"drop user:alice rows>10 since:2h")
        assert len(scripted.link.asked("audit.search")) == before
        await press(pilot, "enter")
        wanted = searched(scripted)
        assert (wanted.words, wanted.user, wanted.least_rows, wanted.since) == (["drop"], "alice", 11, "2h")
        assert wanted.stream == "page"
        assert "4 statements · newest first" in shown(pilot)


async def test_what_cannot_be_read_is_said_below_it_and_nothing_is_searched(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        before = len(scripted.link.asked("audit.search"))
        await press(pilot, "slash", *"usr:alice", "enter")
        text = shown(pilot)
        assert "Is user: meant?" in text
        assert "^^^^^^^^^" in text
        assert "Nothing is searched for" in text
        assert len(scripted.link.asked("audit.search")) == before
        await press(pilot, "home", "right", "right", "left", "left", *["delete"] * 4, *"user:", "enter")
        assert searched(scripted).user == "alice"
        assert "Is user: meant?" not in shown(pilot)


async def test_tab_completes_keys_and_names(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        await press(pilot, "slash", *"us")
        assert "the person who requested the token" in shown(pilot)
        await press(pilot, "tab")
        assert "alice" in shown(pilot)
        await press(pilot, "down", "tab", "enter")
        assert searched(scripted).user == "bob"


def test_suggestions_fit_what_is_typed() -> None:
    names = m.AuditNames(users=["alice", "alan", "bob"], tables=["line items"])

    def texts(line: str, what: str = "statements") -> list[str]:
        return [each.text for each in suggestions(line, len(line), names, what)]

    assert texts("user:al") == ["alice", "alan"]
    assert texts("drop user:alice,b") == ["bob"]
    assert texts("table:i") == ['"line items"']
    assert texts("-us") == ["-user:"]
    assert texts("ro") == ["rows>"]
    assert "table:" not in texts("t", "sessions")
    assert texts("sort:d") == ["duration", "oldest"]
    assert texts("nothing") == []


async def test_the_same_line_is_asked_of_both_tabs_and_what_a_tab_does_not_know_is_said(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "user:bob")
        await press(pilot, "f6")
        assert scripted.link.asked("sessions.list")[-1].user == "bob"
        await press(pilot, "slash", *"rows>5", "enter")
        assert "rows is said of statements, not of sessions." in shown(pilot)


async def test_o_goes_through_the_orders_and_they_stand_in_the_line(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "user:bob")
        for order, words in (("rows", "most rows first"), ("duration", "longest first")):
            await press(pilot, "o")
            assert searched(scripted).order == order
            assert words in shown(pilot)
            assert f"user:bob sort:{order}" in shown(pilot)
        await press(pilot, "o", "o")
        assert (searched(scripted).order, searched(scripted).newest) == ("", True)
        assert "sort:" not in shown(pilot)


async def test_the_form_makes_the_line(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "user:bob -kind:select")
        await press(pilot, "f4", *"drop table", "down", "end", *",alice", "down", "down", *"line items", "enter")
        wanted = searched(scripted)
        assert wanted.words == ["drop", "table"]
        assert wanted.any_of == {"user": ["bob", "alice"]}
        assert (wanted.table, wanted.none_of) == ("line items", {"kind": ["select"]})


# --------------------------------------------------------------------------------------------------------- the listing


def many(count: int) -> Callable[[m.StatementFilter], m.StatementPage]:
    """A record of `count` statements, in pages as they are asked for."""

    def page(wanted: m.StatementFilter) -> m.StatementPage:
        start = wanted.after or count + 1
        numbers = range(start - 1, max(start - 1 - wanted.limit, 0), -1)
        found = [statement(1, f"select {number}", session=f"s-{number}") for number in numbers]
        last = numbers[-1]
        return m.StatementPage(statements=found, cursor=last if last > 1 else None)

    return page


async def test_pages_follow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_listing, "PAGE", 60)
    answers = {"audit.search": many(150), "audit.count": m.Count(count=150, exact=True)}
    scripted = audit(tmp_path, answers=answers)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        assert "150 statements" in shown(pilot)
        for _ in range(4):
            await press(pilot, "end")
        assert "select 1 " in shown(pilot)
        assert [wanted.after for wanted in scripted.link.asked("audit.search")] == [0, 91, 31]
        await press(pilot, "home")
        assert "select 150 " in shown(pilot)


async def test_counts_are_said_honestly(tmp_path: Path) -> None:
    answers = {"audit.search": many(900), "audit.count": m.Count(count=10_000, exact=False)}
    scripted = audit(tmp_path, answers=answers)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        assert "at least 10,000 statements" in shown(pilot)


async def test_a_newer_search_is_shown_and_the_one_before_is_given_up(tmp_path: Path) -> None:
    late = asyncio.Event()

    async def answer(wanted: m.StatementFilter) -> m.StatementPage:
        if wanted.words == ["slow"]:
            await late.wait()
            raise Refused("search-replaced")
        return m.StatementPage(statements=[statement(1, "select 'quick'")], cursor=None)

    scripted = audit(tmp_path, answers={"audit.search": answer})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "slow")
        assert "searching …" in shown(pilot)
        await press(pilot, "slash", "home", *["delete"] * 5, *"quick", "enter")
        late.set()
        await settled(pilot)
        assert "select 'quick'" in shown(pilot)
        assert "given up" not in shown(pilot)


async def test_a_search_that_fails_says_why(tmp_path: Path) -> None:
    scripted = audit(tmp_path, answers={"audit.search": Refused("search-too-long", seconds=25)})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "*x")
        assert "took longer than 25 seconds" in shown(pilot)
        assert "F5 tries again" in shown(pilot)


async def test_nothing_of_the_record_drives_the_terminal(tmp_path: Path) -> None:
    hostile = [statement(1, f"select '{ATTACK}'", error=ATTACK, user=ATTACK, binds=[ATTACK])]
    scripted = audit(
        tmp_path,
        answers={
            "audit.search": m.StatementPage(statements=hostile, cursor=None),
            "audit.names": m.AuditNames(users=[ATTACK]),
            "audit.filters.list": [m.SavedFilter(name=ATTACK, owner=ATTACK, text=ATTACK)],
        },
    )
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        seen = shown(pilot)
        await press(pilot, "slash", *"user:", "tab")
        seen += shown(pilot)
        await press(pilot, "escape", "escape", "f")
        seen += shown(pilot)
        assert "[bold red]x[/]" in seen
        assert not set(seen) & {"\x1b", "\x07", "\x9b"}


# ----------------------------------------------------------------------------------------------------------- what else


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("p", "user:alice"),
        ("t", "token:t-orders-app_rw"),
        ("b", "table:orders"),
        ("a", "like:s-0192f3/1"),
        ("s", "session:s-0192f3 sort:oldest"),
    ],
)
async def test_from_a_statement_to_what_else_and_back(tmp_path: Path, key: str, line: str) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "current")
        await press(pilot, key)
        assert line in shown(pilot)
        await press(pilot, "backspace")
        assert searched(scripted).words == ["current"]


async def test_enter_on_a_session_shows_its_statements(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        text = shown(pilot)
        assert "bob" in text
        assert "every byte attributed" in text
        await press(pilot, "enter")
        wanted = searched(scripted)
        assert (wanted.session, wanted.newest) == ("s-0192f3", False)
        assert "select current_database()" in shown(pilot)


async def test_what_was_not_understood_and_messages_by_type_are_shown(tmp_path: Path) -> None:
    import msgspec

    odd = msgspec.structs.replace(
        SESSIONS[2], unattributed_bytes=12, messages={"client": {"query": 7, "bind": 2}, "server": {"rows": 30}}
    )
    scripted = audit(tmp_path, answers={"sessions.list": [odd]})
    async with scripted.app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        text = shown(pilot)
        assert "✗ 12 bytes unattributed" in text
        assert "client: query 7, bind 2 · server: rows 30" in text
        assert "the client closed the connection" in text


RESULT = m.StatementResult(
    statement=STATEMENTS[1], operation="query", kept="whole", why="", bytes_kept=120,
    results=[
        m.ResultSet(
            number=1, columns=[m.ResultColumn(name="id", type="int4"), m.ResultColumn(name="status", type="text")],
            rows=[["4711", "paid"], ["4712", None]], first_row=1, tag="SELECT 2", ended=True,
        )
    ],
)  # fmt: skip


async def test_a_statement_is_opened_with_its_result_and_unmasked_for_a_reason(tmp_path: Path) -> None:
    import copy

    def answer(wanted: methods.ShowRequest) -> m.StatementResult:
        found = copy.deepcopy(RESULT)
        if not wanted.unmask:
            found.masked = True
            found.results[0].rows = [["<int4:4>", "<text:4>"], ["<int4:4>", None]]
        return found

    scripted = audit(tmp_path, answers={"audit.show": answer})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot)
        await press(pilot, "down", "enter")
        text = shown(pilot)
        assert "select id, status from orders where customer = $1" in text
        assert "<int4:4>" in text
        assert "4712" not in text
        await press(pilot, "u", *"ticket INC-9", "enter")
        assert (scripted.link.asked("audit.show")[-1].unmask, scripted.link.asked("audit.show")[-1].reason) == (
            True, "ticket INC-9",
        )  # fmt: skip
        text = shown(pilot)
        assert "4712" in text
        assert "NULL" in text
        assert "SELECT 2" in text


async def test_an_operator_sees_no_results_and_keeps_no_shared_filters(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "3", "f6", "enter")
        assert scripted.link.asked("audit.show") == []
        assert "select current_database()" in shown(pilot)
        await press(pilot, "escape", "e", "f", "r")
        assert scripted.link.asked("audit.filters.list") == []
        assert scripted.link.asked("audit.export.begin") == []


# --------------------------------------------------------------------------------------------- saved filters, export


async def test_filters_are_kept_shared_used_and_removed(tmp_path: Path) -> None:
    kept: list[m.SavedFilter] = [m.SavedFilter(name="nightly", owner="bob", text="user:etl", shared=True)]

    def save(wanted: methods.SaveFilter) -> m.SavedFilter:
        kept[:] = [each for each in kept if (each.owner, each.name) != ("alice", wanted.name)]
        kept.append(
            m.SavedFilter(name=wanted.name, owner="alice", text=wanted.text, what=wanted.what, shared=wanted.shared)
        )
        return kept[-1]

    answers = {
        "audit.filters.list": lambda _: list(kept), "audit.filters.save": save,
        "audit.filters.remove": lambda wanted: kept.pop(),
    }  # fmt: skip
    scripted = audit(tmp_path, answers=answers)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await statements_tab(pilot, "kind:drop")
        await press(pilot, "f", "f7", *"drops", "enter")
        assert (kept[-1].name, kept[-1].text, kept[-1].shared) == ("drops", "kind:drop", False)
        await press(pilot, *"drops", "f6")
        assert kept[-1].shared
        assert "shared" in shown(pilot)
        await press(pilot, "f8", "y")
        assert [each.name for each in kept] == ["nightly"]
        await press(pilot, *["backspace"] * 5)
        assert "nightly" in shown(pilot)
        assert "of bob" in shown(pilot)
        await press(pilot, "f8", "enter")  # somebody else's is not removed, only used
        assert searched(scripted).user == "etl"


async def test_an_export_is_written_piece_by_piece_to_a_new_file(tmp_path: Path) -> None:
    pieces = [
        m.AuditExportPiece(data=b"session,seq\r\n", rows=0),
        m.AuditExportPiece(data=b"s-1,1\r\n", rows=1),
        m.AuditExportPiece(data=b"", rows=1, done=True),
    ]
    answers = {
        "audit.export.begin": m.AuditExport(id="a-1", what="statements", format="csv", state="running"),
        "audit.export.read": lambda _: pieces.pop(0),
        "audit.export.cancel": m.AuditExport(id="a-1", what="statements", format="csv", state="cancelled"),
    }
    scripted = audit(tmp_path, answers=answers)
    target = tmp_path / "drops.csv"
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await statements_tab(pilot, "kind:drop")
        await press(pilot, "e", "enter")
        await press(pilot, *["backspace"] * 120, *str(target), "enter")
        async with asyncio.timeout(60):
            while not target.exists():
                await pilot.pause()
        await settled(pilot)
        assert target.read_bytes() == b"session,seq\r\ns-1,1\r\n"
        begun = scripted.link.asked("audit.export.begin")[0]
        assert (begun.what, begun.format, begun.keep, begun.statements.kind) == ("statements", "csv", False, "drop")
        assert scripted.link.asked("audit.export.cancel") == []


async def test_where_there_is_no_disk_the_export_waits_on_the_bastion(tmp_path: Path) -> None:
    file = m.ExportFile(
        id="x-1", session="", seq=None, database="", format="csv", name="statements.csv", rows=3, bytes=99, digest="",
        begun_at="2026-11-22T03:04:05Z", until="2026-11-23T03:04:05Z",
    )  # fmt: skip
    answers = {
        "audit.export.begin": m.AuditExport(id="a-1", what="sessions", format="csv", state="running"),
        "audit.export.state": m.AuditExport(id="a-1", what="sessions", format="csv", state="whole", rows=3, file=file),
    }
    scripted = audit(tmp_path, answers=answers)
    scripted.app.services.exports_to_bastion = True
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "e", "enter")
        assert "export get x-1" in shown(pilot)
        assert scripted.link.asked("audit.export.begin")[0].keep


# ------------------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_picture_statements(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    found = [*STATEMENTS, statement(5, "update 历史订单 set 状态 = '已付' where 编号 = 7", user="王芳", rows=1_204_331,
                                    duration_ms=95_311.0, kind="update")]  # fmt: skip
    answers = {"audit.search": m.StatementPage(statements=found * 8, cursor=7),
               "audit.count": m.Count(count=10_000, exact=False)}  # fmt: skip
    scripted = audit(tmp_path, answers=answers)
    keys = ["f6", "slash", *"orders since:7d", "enter", "down", "down"]
    await picture(scripted.app, "audit-statements", size, press=keys)


async def test_picture_suggestions(picture: Compare, tmp_path: Path) -> None:
    await picture(audit(tmp_path).app, "audit-suggestions", SMALL, press=["f6", "slash", *"s"])


async def test_picture_wrong_filter(picture: Compare, tmp_path: Path) -> None:
    keys = ["f6", "slash", *"orders usr:alice", "enter"]
    await picture(audit(tmp_path).app, "audit-wrong-filter", SMALL, press=keys)


async def test_picture_no_hit(picture: Compare, tmp_path: Path) -> None:
    answers = {"audit.search": m.StatementPage(statements=[], cursor=None)}
    keys = ["f6", "slash", *"nowhere", "enter"]
    await picture(audit(tmp_path, answers=answers).app, "audit-no-hit", SMALL, press=keys)


async def test_picture_empty(picture: Compare, tmp_path: Path) -> None:
    await picture(audit(tmp_path, answers={"sessions.list": []}).app, "audit-empty", SMALL)


async def test_picture_form(picture: Compare, tmp_path: Path) -> None:
    keys = ["f6", "slash", *"drop user:alice rows>10 -db:test", "enter", "f4"]
    await picture(audit(tmp_path).app, "audit-form", SMALL, press=keys)


async def test_picture_filters(picture: Compare, tmp_path: Path) -> None:
    kept = [
        m.SavedFilter(name="drops", owner="alice", text="kind:drop,truncate since:7d", shared=True),
        m.SavedFilter(name="夜间任务", owner="bob", text="user:etl -tool:", shared=True),
    ]
    await picture(audit(tmp_path, answers={"audit.filters.list": kept}).app, "audit-filters", SMALL, press=["f6", "f"])


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_picture_statement(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    scripted = audit(tmp_path, answers={"audit.show": RESULT})
    await picture(scripted.app, "audit-statement", size, press=["f6", "down", "enter"])


async def test_picture_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    language.everywhere("zh_CN")
    keys = ["f6", "slash", *"订单 user:王", "enter"]
    await picture(audit(tmp_path).app, "audit-statements-zh", SMALL, press=keys)
