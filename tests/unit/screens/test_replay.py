"""Replay: the time line beside the results, the recorded screen, its text; by keys alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bastion.api import language
from bastion.api import messages as m
from bastion.api.refusals import Refused
from screens.replay import ReplayRequest, ReplayScreen, open_replay
from screens.replay_screen import ScreenReplay
from screens.screen_text import ScreenTextDialog, seconds_of
from screens.widgets.screen_pane import ScreenPane
from screens.widgets.time_line import TimeLine, bar

from . import recorded
from .conftest import Compare, settled
from .reading import told
from .terminal import terminal
from .test_screens_behaviour import shown
from .world import STATEMENTS, World, statement, world

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
SMALL = (80, 24)
ATTACKS = (
    "\x1b[3J\x1bc", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b]0;owned\x07", "\x1b[?1003h", "\x9b31m", "\x90q\x9c",
    "\u202eevil\u2066", "\x1b]8;;http://evil/\x07link\x1b]8;;\x07", "\x1b[6n\x1b[c\x1bP$qm\x1b\\", "[bold red]m[/]",
)  # fmt: skip


async def until(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Waits for something that a thread or a call brings about."""
    async with asyncio.timeout(60):
        while not true():
            await pilot.pause(0.01)
    await settled(pilot)


def auditing(folder: Path, **more: Any) -> World:
    return world(folder, roles=("auditor",), answers=recorded.answers() | more)


async def replay(pilot: Pilot[Any], there: World, **request: Any) -> None:
    """Opens the replay of alice's session."""
    await settled(pilot)
    open_replay(there.app, ReplayRequest("s-0192f3", **request))
    await settled(pilot)
    await settled(pilot)


async def on_screen(pilot: Pilot[Any], there: World, **request: Any) -> ScreenPane:
    """And its screen, at the statement that was chosen, read through."""
    await replay(pilot, there, **request)
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, ScreenReplay))
    pane = pilot.app.screen.query_one(ScreenPane)
    await until(pilot, lambda: pane.problem != "" or pane.text_lines()[1])
    return pane


def of(pane: ScreenPane) -> float:
    assert pane.playback is not None
    return pane.playback.at


# -- pictures


@SIZES
async def test_time_line_with_a_result(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    at = auditing(tmp_path)
    await picture(at.app, "replay", size, lambda pilot: replay(pilot, at, seq=2))


async def test_time_line_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    at = auditing(tmp_path)
    await picture(at.app, "replay-zh", SMALL, lambda pilot: replay(pilot, at, seq=3))


async def test_a_masked_result(picture: Compare, tmp_path: Path) -> None:
    at = auditing(tmp_path, **{"audit.show": masked})
    await picture(at.app, "replay-masked", SMALL, lambda pilot: replay(pilot, at, seq=2))


async def test_nothing_was_recorded(picture: Compare, tmp_path: Path) -> None:
    nothing = m.StatementResult(statement=STATEMENTS[1], operation="query", kept="none", why="died", bytes_kept=0)
    at = auditing(tmp_path, **{"audit.show": nothing, "screen.of": None})
    await picture(at.app, "replay-nothing", SMALL, lambda pilot: replay(pilot, at, seq=2))


@SIZES
async def test_a_recorded_screen(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    at = auditing(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        await on_screen(pilot, at, seq=2)

    await picture(at.app, "screen", size, prepare)


async def test_a_recorded_screen_in_chinese_with_what_was_found(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    at = auditing(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        await on_screen(pilot, at, seq=1)
        await pilot.press("slash", *"statsu", "enter")
        await settled(pilot)

    await picture(at.app, "screen-zh", SMALL, prepare)


async def test_a_screen_that_is_not_there(picture: Compare, tmp_path: Path) -> None:
    at = auditing(tmp_path, **{"screen.read": Refused("screen-unknown", screen="screen-0f")})

    async def prepare(pilot: Pilot[Any]) -> None:
        await on_screen(pilot, at)

    await picture(at.app, "screen-missing", SMALL, prepare)


async def test_everything_as_text(picture: Compare, tmp_path: Path) -> None:
    at = auditing(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        await on_screen(pilot, at, seq=3)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, ScreenTextDialog))

    await picture(at.app, "screen-text", SMALL, prepare)


# -- the time line


def masked(wanted: Any) -> m.StatementResult:
    """Values only for a reason."""
    answer = recorded.result_of_orders(wanted)
    if not (wanted.unmask and wanted.reason):
        answer.masked = True
        for result in answer.results:
            result.rows = [["<int8:6>", None] for _row in result.rows]
    return answer


async def test_the_cursor_is_where_the_request_wants_it(tmp_path: Path) -> None:
    for request, seq in (({"seq": 3}, 3), ({"at": "2026-11-22T03:01:02.500Z"}, 2), ({}, 1), ({"seq": 99}, 1)):
        at = auditing(tmp_path)
        async with at.app.run_test(size=SMALL) as pilot:
            await replay(pilot, at, **request)
            chosen = at.app.screen.query_one(TimeLine).at_cursor
            assert chosen is not None
            assert chosen.seq == seq


async def test_results_are_looked_at_one_by_one(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL) as pilot:
        await replay(pilot, at)
        assert at.link.asked("audit.show") == []
        await pilot.press("down", "enter")
        await until(pilot, lambda: "100001" in shown(pilot))
        assert [(each.seq, each.unmask) for each in at.link.asked("audit.show")] == [(2, False)]
        assert "17 rows, all of them" in shown(pilot)
        await pilot.press("e")
        await pilot.press("enter")
        await until(pilot, lambda: "ERROR: column" in shown(pilot))
        assert "100001" not in shown(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert not isinstance(at.app.screen, ReplayScreen)


async def test_masked_values_are_shown_for_a_reason(tmp_path: Path) -> None:
    at = auditing(tmp_path, **{"audit.show": masked})
    async with at.app.run_test(size=SMALL) as pilot:
        await replay(pilot, at, seq=2)
        await until(pilot, lambda: "<int8:6>" in shown(pilot))
        await pilot.press("U")
        await settled(pilot)
        await pilot.press(*"case 17", "enter")
        await until(pilot, lambda: "100001" in shown(pilot))
        assert at.link.asked("audit.show")[-1].reason == "case 17"


async def test_a_search_and_errors_are_gone_through_by_keys(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL) as pilot:
        await replay(pilot, at)
        line = at.app.screen.query_one(TimeLine)
        await pilot.press("slash", *"ORDERS status", "enter")
        await settled(pilot)
        assert line.cursor == 1
        await pilot.press("slash", *["backspace"] * 13, *"4711", "enter", "e")
        await settled(pilot)
        assert line.cursor == 2
        await pilot.press("N")
        await settled(pilot)
        assert line.cursor == 1


async def test_a_long_session_comes_in_pages(tmp_path: Path) -> None:
    def numbered(seq: int) -> m.Statement:
        made = statement(seq % 60, f"select {seq}")
        made.seq = seq
        return made

    def page(wanted: m.StatementFilter) -> m.StatementPage:
        first = wanted.after + 1
        found = [numbered(seq) for seq in range(first, min(first + wanted.limit, 1301))]
        return m.StatementPage(statements=found, cursor=found[-1].seq if found[-1].seq < 1300 else None)

    at = auditing(tmp_path, **{"audit.search": page})
    async with at.app.run_test(size=SMALL) as pilot:
        await replay(pilot, at, seq=1234)
        await until(pilot, lambda: "1300 statements" in shown(pilot))
        line = at.app.screen.query_one(TimeLine)
        assert line.at_cursor is not None
        assert line.at_cursor.seq == 1234
        await pilot.press("end")
        await settled(pilot)
        assert line.at_cursor.seq == 1300
        assert "select 1300" in shown(pilot)


async def test_an_operator_sees_their_statements_and_no_results(tmp_path: Path) -> None:
    at = world(tmp_path, answers=recorded.answers())
    async with at.app.run_test(size=SMALL) as pilot:
        await replay(pilot, at, seq=2)
        assert "What statements returned is shown to auditors." in shown(pilot)
        await pilot.press("enter", "v")
        await settled(pilot)
        assert at.link.asked("audit.show") == []
        assert at.link.asked("screen.of") == []
        assert isinstance(at.app.screen, ReplayScreen)


def test_the_bar_of_a_duration() -> None:
    assert [len(bar(each)) for each in (None, 0.2, 10, 1000, 100_000, 1e9)] == [0, 0, 2, 5, 8, 8]


# -- the screen


async def test_from_a_statement_to_its_moment_and_back(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL) as pilot:
        pane = await on_screen(pilot, at, seq=2)
        assert "customer = '4711'" in shown(pilot)
        assert "17 rows" in shown(pilot)
        assert "statsu" not in shown(pilot).splitlines()[4]
        await pilot.press("e")
        await settled(pilot)
        assert of(pane) == pytest.approx(13.0)
        assert "Error 42703" in shown(pilot)
        await pilot.press("s")
        await settled(pilot)
        line = at.app.screen.query_one(TimeLine)
        assert line.at_cursor is not None
        assert line.at_cursor.seq == 3


async def test_seeking_stepping_and_a_time(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL) as pilot:
        pane = await on_screen(pilot, at, seq=1)
        await pilot.press("home")
        await settled(pilot)
        assert of(pane) == pytest.approx(0.3)
        assert "select id, status from orders" in shown(pilot)
        assert "where customer" not in shown(pilot)
        await pilot.press("full_stop")
        await settled(pilot)
        assert of(pane) == pytest.approx(10.0)
        await pilot.press("left", "right")
        await settled(pilot)
        assert of(pane) == pytest.approx(10.0)
        assert "where customer" in shown(pilot)
        await pilot.press("pagedown")
        await settled(pilot)
        assert "gone for tea" in shown(pilot)
        await pilot.press("g")
        await settled(pilot)
        await pilot.press(*"03:01:03", "enter")
        await settled(pilot)
        assert of(pane) == pytest.approx(13.0)
        assert "Error 42703" in shown(pilot)
        await pilot.press("left", "left")
        await settled(pilot)
        assert "Error" not in shown(pilot)


async def test_it_plays_and_pauses(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL) as pilot:
        pane = await on_screen(pilot, at, seq=1)
        await pilot.press("home", "plus", "plus", "plus", "plus", "space")
        await until(pilot, lambda: "gone for tea" in shown(pilot))
        assert "ENDED" in shown(pilot) or "16×" in shown(pilot)
        await until(pilot, lambda: "ENDED" in shown(pilot))
        # From the beginning again, so slowly that it is not over before it is paused.
        await pilot.press("minus", "minus", "minus", "minus", "minus", "minus", "space")
        await until(pilot, lambda: "▶ 0.25×" in shown(pilot))
        await pilot.press("space")
        await settled(pilot)
        assert "PAUSED" in shown(pilot)
        assert pane.playback is not None
        assert not pane.playback.playing


async def test_words_are_found_at_the_moment_that_they_stood_there(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL, notifications=True) as pilot:
        pane = await on_screen(pilot, at, seq=1)
        await pilot.press("slash", *"tea", "enter")
        await settled(pilot)
        assert of(pane) == pytest.approx(52.9, abs=0.2)
        await pilot.press("slash", *["backspace"] * 3, *"Error 42703", "enter")
        await settled(pilot)
        assert of(pane) == pytest.approx(12.9, abs=0.2)
        await pilot.press("slash", *["backspace"] * 11, *"never there", "enter")
        await until(pilot, lambda: "It was never on this screen." in told(pilot))


async def test_the_text_leads_to_its_moment(tmp_path: Path) -> None:
    at = auditing(tmp_path)
    async with at.app.run_test(size=SMALL) as pilot:
        pane = await on_screen(pilot, at, seq=1)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(at.app.screen, ScreenTextDialog))
        await pilot.press("slash", *"100008", "enter")
        await settled(pilot)
        assert "match 1 of 1" in shown(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert of(pane) == pytest.approx(10.4, abs=0.1)
        assert "上海贸易有限公司" in shown(pilot)


async def test_a_view_that_is_smaller_is_moved(tmp_path: Path) -> None:
    data = recorded.cast(
        (0.1, "o", recorded.picture(120, 40, recorded.at(1, 1, "top left"), recorded.at(40, 108, "bottom right"))),
        columns=120, lines=40,
    )  # fmt: skip
    at = auditing(tmp_path, **{"screen.read": recorded.read_of(data)})
    async with at.app.run_test(size=SMALL) as pilot:
        await on_screen(pilot, at)
        await pilot.press("home", "full_stop")
        await settled(pilot)
        assert "top left" in shown(pilot)
        assert "120×40, columns 1-80, lines 1-21 in view" in shown(pilot)
        await pilot.press("l", "l", "l", "j", "j", "j", "j")
        await settled(pilot)
        assert "bottom right" in shown(pilot)
        assert "columns 41-120, lines 20-40 in view" in shown(pilot)


async def test_where_results_are_masked_a_screen_asks_for_a_reason(tmp_path: Path) -> None:
    read = recorded.read_of(recorded.screen_of_orders())

    def guarded(wanted: Any) -> Any:
        if not wanted.reason:
            raise Refused("results-masked")
        return read(wanted)

    at = auditing(tmp_path, **{"screen.read": guarded})
    async with at.app.run_test(size=SMALL) as pilot:
        await replay(pilot, at, seq=2)
        await pilot.press("v")
        await until(pilot, lambda: "Why is this screen to be seen?" in shown(pilot))
        await pilot.press(*"case 17", "enter")
        await until(pilot, lambda: "17 rows" in shown(pilot))


async def test_nothing_in_a_recording_does_anything_in_the_auditors_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "".join(f"\x1b[{y};1Hline {y} {attack} end\r\n" for y, attack in enumerate(ATTACKS, 2))
    data = recorded.cast((0.1, "o", hostile), (0.1, "m", "\x1b]0;owned\x07"), (0.1, "r", "80x24\x1b[2J"))
    evil = "".join(ATTACKS)
    statements = [statement(1, evil, "failed", error=evil, binds=[evil], tool=evil), *STATEMENTS[1:]]
    answer = m.StatementResult(
        statement=statements[0], operation="query", kept="part", why=evil, bytes_kept=1, detail=evil, errors=[evil],
        said=[m.Said(severity=evil, code="", message=evil)],
        sent=m.SentData(bytes_kept=9, bytes_total=9, why=evil, form="text", data=evil),
        results=[m.ResultSet(number=1, columns=[m.ResultColumn(name=evil, type=evil)], rows=[[evil]], ended=True)],
    )  # fmt: skip
    page = m.StatementPage(statements=statements, cursor=None)
    more = {"audit.search": page, "audit.show": answer, "screen.read": recorded.read_of(data)}
    with terminal(monkeypatch, 80, 24) as written:
        at = auditing(tmp_path, **more)
        async with at.app.run_test(size=SMALL) as pilot:
            pane = await on_screen(pilot, at, seq=1)
            await pilot.press("home", "full_stop")
            await settled(pilot)
            assert of(pane) > 0
            assert "line 5" in shown(pilot)
            await pilot.press("t")
            await until(pilot, lambda: isinstance(at.app.screen, ScreenTextDialog))
            await pilot.press("escape", "escape", "f6", "m")
            await settled(pilot)
        everything = "".join(written.written)
    assert "line 11" in everything
    for harmful in ("\x1b]52", "\x1b]0;owned", "\x1b[?1003h\x1b", "\x9b", "\x90", "\u202e", "\u2066", "evil/\x07"):
        assert harmful not in everything
    for harmful in ("\x1b[6n", "\x1b[c", "\x1bP", "\x1b[3J", "\x1bc"):
        assert harmful not in everything


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("03:01:00", 10.0), ("+1:30", 90.0), ("+2:00:01", 7201.0), ("02:59", None), ("25:00", None), ("tea", None),
        ("03:05", 250.0), ("", None), ("+", None), ("1:2:3:4", None),
    ],
)  # fmt: skip
def test_a_time_is_read(text: str, seconds: float | None) -> None:
    from datetime import datetime

    began = datetime.fromisoformat("2026-11-22T03:00:50+00:00")
    found = seconds_of(text, began, local=False)
    if text == "02:59":
        assert found is not None
        assert found < 0
    else:
        assert found == seconds
