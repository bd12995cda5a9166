"""Transactions and the write guard on the console: what a person sees, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.connection import ResultEnded, RunEvent, RunFailed
from backends.interface import DatabaseError, TransactionState

from .conftest import Compare, StandingClock, settled
from .reading import read, told
from .test_screens_behaviour import press, run_in_console, shown, write
from .world import NOW, ScriptedConsole, World, answer_rows, token, world

SIZE = (100, 30)
PRODUCTION = token("orders", "app_rw", "2026-11-22T09:59:17Z", production=True)
ENDS = NOW + timedelta(hours=6, minutes=55, seconds=12)
UPDATE = "update orders set status = 'paid' where id < 4"


def changes(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
    """Reads give rows; a write changes three; a wrong one fails its transaction."""
    if text.startswith("select"):
        answer_rows(console, text, listener)
    elif text in ("begin", "commit"):
        console.state = TransactionState.OPEN if text == "begin" else TransactionState.NONE
        listener(ResultEnded(text.upper(), None, None, 0.1))
    elif "wrong" in text:
        if console.state is TransactionState.OPEN:
            console.state = TransactionState.FAILED
        listener(RunFailed(DatabaseError("no such column", code="42703", position=7), 0.1))
    else:
        if not console.autocommit:
            console.state = TransactionState.OPEN
        listener(ResultEnded("UPDATE 3", 3, None, 0.1))


def before_the_end(seconds: int) -> Callable[[], datetime]:
    """A clock that stands so long before the token's end."""
    return lambda: ENDS - timedelta(seconds=seconds)


def production(tmp_path: Path, **more: Any) -> World:
    return world(tmp_path, script=changes, answers={"token.show": more.pop("shown", PRODUCTION)}, **more)


# ------------------------------------------------------------------------------------------------------- the guard


async def test_a_write_on_production_is_tried_and_kept_only_when_asked(tmp_path: Path) -> None:
    scripted = production(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, UPDATE)
        text = shown(pilot)
        assert "PRODUCTION · orders · writes ask whether they are kept" in text
        assert "nothing is kept yet. Keep it?" in text
        assert "3 rows affected  update orders set status = 'paid'" in text
        assert scripted.console.orders == ["begin"]
        await press(pilot, "k")
        assert scripted.console.orders == ["begin", "commit"]
        assert "✓ Committed." in shown(pilot)


async def test_undo_is_where_the_focus_is_and_what_leaving_means(tmp_path: Path) -> None:
    scripted = production(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, UPDATE, "f5", "u", "f5", "escape", "f5", "enter")
        assert scripted.console.orders == ["begin", "rollback"] * 3
        assert "✓ Rolled back." in shown(pilot)
        assert "TRANSACTION" not in shown(pilot)
        write(pilot, "select * from orders")
        await press(pilot, "f5")
        assert "60 rows" in shown(pilot)
        assert len(scripted.console.orders) == 6


async def test_elsewhere_the_guard_is_off_until_it_is_chosen(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=changes)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, UPDATE)
        assert scripted.console.orders == []
        assert "PRODUCTION" not in shown(pilot)
        await press(pilot, "f10", "w")
        assert "guard: writes" in shown(pilot)
        await press(pilot, "f5", "u")
        assert scripted.console.orders == ["begin", "rollback"]
        await press(pilot, "f10", "e")
        write(pilot, "select 1")
        await press(pilot, "f5")
        assert "Send this statement?" in shown(pilot)
        await press(pilot, "n")
        assert "select 1" not in scripted.console.ran
        assert [(kept.key, kept.value) for kept in await scripted.app.personal.items("guard", str)] == [
            ("orders", "everything")
        ]
        await press(pilot, "f10", "o")
        assert await scripted.app.personal.items("guard", str) == []


async def test_a_missing_where_is_sent_only_after_its_word_was_typed(tmp_path: Path) -> None:
    scripted = production(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "delete from orders")
        assert "There is no WHERE: every row of orders is meant." in shown(pilot)
        await press(pilot, "y", "enter")
        assert "That is not DELETE." in shown(pilot)
        assert scripted.console.ran == []
        await press(pilot, "escape")
        assert scripted.console.ran == []
        assert "Not sent." in shown(pilot)
        await press(pilot, "f5", *"delete", "enter")
        assert scripted.console.ran == ["delete from orders"]
        await press(pilot, "u")
        assert scripted.console.orders == ["begin", "rollback"]


async def test_what_no_rollback_takes_back_asks_before(tmp_path: Path) -> None:
    shown_token = token("orders", "app_rw", "2026-11-22T09:59:17Z", production=True, engine="mysql")
    scripted = production(tmp_path, shown=shown_token)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "alter table orders add note text")
        assert "ALTER takes effect at once here: no rollback takes it back." in shown(pilot)
        await press(pilot, "n")
        assert scripted.console.ran == []
        await press(pilot, "f5", "y")
        assert scripted.console.ran == ["alter table orders add note text"]
        assert "begin" not in scripted.console.orders


async def test_several_writes_are_kept_or_undone_together(tmp_path: Path) -> None:
    scripted = production(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, f"{UPDATE};\nselect 1;\ninsert into log values (1);", "f9")
        text = shown(pilot)
        assert "update orders" in text
        assert "insert into log" in text
        await press(pilot, "ctrl+backslash")
        assert "A transaction is open. It is rolled back." in read(pilot)
        await press(pilot, "n", "u")
        assert scripted.console.orders == ["begin", "rollback"]
        write(pilot, f"{UPDATE};\n\nupdate wrong set a = 1 where b = 1;\nselect 1")
        await press(pilot, "f9")
        text = read(pilot)
        assert "Error 42703: no such column" in text
        assert "Statement 2 of 3, line 3: It failed. 1 statement after it was not run." in text
        assert "Nothing was kept: Rolled back." in text
        assert scripted.console.orders == ["begin", "rollback"] * 2
        assert len(scripted.console.ran) == 5
        # A script with a transaction of its own is not put into another.
        write(pilot, f"begin; {UPDATE}; commit")
        await press(pilot, "f9")
        assert scripted.console.orders == ["begin", "rollback"] * 2
        assert scripted.console.ran[-3:] == ["begin", UPDATE, "commit"]


# ---------------------------------------------------------------------------------------------------- transactions


async def test_a_manual_transaction_shows_its_age_and_is_ended_by_a_key(tmp_path: Path, clock: StandingClock) -> None:
    scripted = world(tmp_path, script=changes)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, UPDATE, "f10", "m")
        assert "manual commit" in shown(pilot)
        assert scripted.console.autocommit is False
        await press(pilot, "f5")
        page = pilot.app.screen
        clock.goes_on(192.5)
        page._time_passed()  # type: ignore[attr-defined]
        await settled(pilot)
        text = shown(pilot)
        assert "TRANSACTION OPEN 3 min 12 s" in text
        assert "F10 Transaction" in text
        await press(pilot, "f10", "r")
        assert scripted.console.orders == ["rollback"]
        assert "TRANSACTION" not in shown(pilot)


async def test_leaving_an_open_transaction_is_warned_of_or_asked_about(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=changes)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await run_in_console(pilot, UPDATE, "f10", "m", "f5")
        await press(pilot, "ctrl+backslash")
        assert "A transaction is open. It is rolled back." in shown(pilot)
        assert "stay and commit it with F10" in shown(pilot)
        await press(pilot, "n")
        pilot.app.open_console(token("crm", "app_rw", "2026-11-22T09:59:17Z"), "crm")  # type: ignore[attr-defined]
        await settled(pilot)
        assert "Leave this connection?" in shown(pilot)
        await press(pilot, "n")
        assert len(scripted.opened) == 1
        await press(pilot, "ctrl+g")
        assert pilot.app.current_mode != "console"
        assert "A transaction is still open on the console" in told(pilot)


async def test_a_failed_transaction_says_what_to_do(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=changes)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, UPDATE, "f10", "m", "f5")
        write(pilot, "select wrong")
        scripted.console.script = lambda console, text, listener: changes(console, "wrong", listener)
        await press(pilot, "f5")
        text = shown(pilot)
        assert "TRANSACTION FAILED: roll back" in text
        assert "F10, then r, rolls it back; then run it again." in read(pilot)


async def test_the_tokens_end_is_announced_and_the_transaction_rolled_back_before_it(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=changes)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await run_in_console(pilot, UPDATE, "f10", "m", "f5")
        for seconds, said in ((570, "9m"), (270, "4m"), (30, "<1m")):
            scripted.app.services.now = before_the_end(seconds)
            pilot.app.screen._time_passed()  # type: ignore[attr-defined]
            await settled(pilot)
            assert f"The token ends in {said}, and the open transaction is rolled back then." in told(pilot)
        assert scripted.console.orders == []
        scripted.app.services.now = before_the_end(3)
        pilot.app.screen._time_passed()  # type: ignore[attr-defined]
        await settled(pilot)
        assert scripted.console.orders == ["rollback"]
        assert "The token ends: Rolled back." in shown(pilot)


@pytest.mark.parametrize("above", [False, True], ids=["alone", "below another"])
async def test_an_open_question_is_answered_with_no_before_the_token_ends(tmp_path: Path, above: bool) -> None:
    scripted = production(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, UPDATE)
        page = pilot.app.screen_stack[0]
        if above:
            await press(pilot, "ctrl+backslash")
        scripted.app.services.now = before_the_end(3)
        page._time_passed()  # type: ignore[attr-defined]
        await settled(pilot)
        assert scripted.console.orders == ["begin", "rollback"]
        if above:
            await press(pilot, "n", "k")
            assert scripted.console.orders == ["begin", "rollback"]
        assert "The token ends: Rolled back." in read(pilot)


# -------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_picture_of_the_guards_question(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def prepare(pilot: Any) -> None:
        write(pilot, f"{UPDATE};\n\nselect * from orders;")
        await pilot.press("f5")
        await settled(pilot)

    await picture(production(tmp_path).app, "console-guard", size, prepare, press=["enter"])


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_picture_of_a_manual_transaction_on_production(
    picture: Compare, tmp_path: Path, size: tuple[int, int], clock: StandingClock
) -> None:
    scripted = production(tmp_path)

    async def prepare(pilot: Any) -> None:
        await pilot.press("f10", "m")
        await settled(pilot)
        write(pilot, f"{UPDATE};\n\nselect * from orders;")
        await pilot.press("f5")
        await settled(pilot)
        write(pilot, f"{UPDATE};\n\nselect * from orders;", 2)
        clock.goes_on(48.0)
        await pilot.press("f5")
        await settled(pilot)

    await picture(scripted.app, "console-transaction", size, prepare, press=["enter"])


async def test_picture_of_a_missing_where(picture: Compare, tmp_path: Path) -> None:
    async def prepare(pilot: Any) -> None:
        write(pilot, "delete from orders")
        await pilot.press("f5")
        await settled(pilot)

    await picture(production(tmp_path).app, "console-without-where", (80, 24), prepare, press=["enter"])
