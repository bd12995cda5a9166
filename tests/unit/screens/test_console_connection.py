"""Cancelling in stages, losing the connection and connecting again, and what is said of what lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends import arrow
from backends.connection import ResultBegan, ResultEnded, RowsArrived, RunEvent, RunFailed
from backends.interface import Column, DatabaseError, Kind, TransactionState
from bastion.api.refusals import Refused
from screens.console import cancelling

from .conftest import StandingClock, settled
from .reading import read
from .test_screens_behaviour import press, run_in_console, shown, write
from .world import ScriptedConsole, World, fails, world

SIZE = (100, 30)
GONE = DatabaseError("server closed the connection unexpectedly", connection_lost=True)
CANCELLED = DatabaseError("canceling statement due to user request", code="57014", cancelled=True)


async def later(pilot: Any, clock: StandingClock, seconds: float) -> None:
    """The console's clock goes on, and its line is drawn."""
    clock.goes_on(seconds)
    pilot.app.screen_stack[0]._time_passed()
    await settled(pilot)


def hanging(answer: asyncio.Event, event: RunEvent) -> Callable[..., Any]:
    """A statement that gives `event` once `answer` is set."""

    async def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        await answer.wait()
        listener(event)

    return script


# -------------------------------------------------------------------------------------------------------- cancelling


async def test_each_stage_of_a_cancel_is_said(tmp_path: Path) -> None:
    answer, taken = asyncio.Event(), asyncio.Event()
    scripted = world(tmp_path, script=hanging(answer, RunFailed(CANCELLED, 1.0)))

    async def cancel() -> bool:
        await taken.wait()
        return True

    scripted.console.cancel = cancel  # type: ignore[method-assign]
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select pg_sleep(100)", "f5", "f8")
        assert "Cancelling: sent to the bastion" in shown(pilot)
        taken.set()
        await settled(pilot)
        assert "Cancelling: the database took the order" in shown(pilot)
        answer.set()
        await settled(pilot)
        assert "Cancelled, the database confirmed it; the connection is kept." in shown(pilot)
        write(pilot, "select 1")
        scripted.console.script = lambda console, text, listener: listener(ResultEnded("OK", None, None, 0.1))
        await press(pilot, "f5")
        assert scripted.console.ran[-1] == "select 1"


async def test_a_statement_that_was_over_first_is_not_called_cancelled(tmp_path: Path) -> None:
    answer = asyncio.Event()
    scripted = world(tmp_path, script=hanging(answer, ResultEnded("SELECT 0", 0, None, 1.0)))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select pg_sleep(1)", "f5", "f8")
        answer.set()
        await settled(pilot)
        assert "It was over before the order to cancel arrived." in shown(pilot)


async def test_an_answer_that_comes_behind_the_end_that_it_brought_about_says_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, answer = asyncio.Event(), asyncio.Event()

    async def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        await console.cancelled.wait()
        listener(RunFailed(CANCELLED, 1.0))
        await ended.wait()  # the run is not over yet

    async def cancel(console: ScriptedConsole) -> bool:
        console.cancelled.set()
        await answer.wait()
        return True

    monkeypatch.setattr(ScriptedConsole, "cancel", cancel)
    confirmed = "Cancelled, the database confirmed it; the connection is kept."
    scripted = world(tmp_path, script=script)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select pg_sleep(1)", "f5", "f8")
        assert confirmed in shown(pilot)
        answer.set()
        await settled(pilot)
        assert confirmed in shown(pilot)
        ended.set()
        await settled(pilot)
        assert confirmed in shown(pilot)


async def test_a_database_that_does_not_answer_can_be_left(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(cancelling, "ANSWER_SECONDS", 0.01)
    scripted = world(tmp_path, script=hanging(asyncio.Event(), RunFailed(CANCELLED, 1.0)))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update orders set a = 1", "f5", "f8")
        page: Any = pilot.app.screen
        page.cancelling._no_answer(page.running.number)
        await settled(pilot)
        assert "The database has not answered the cancel." in shown(pilot)
        await press(pilot, "f8")
        assert "Close the connection?" in shown(pilot)
        await press(pilot, "y")
        text = read(pilot)
        assert scripted.console.closed
        assert "may have taken effect or not: look before you run it again." in text
        assert "F5 Connect again" in text


# -------------------------------------------------------------------------------------------------- losing, and again


async def test_a_lost_connection_is_opened_again_by_one_key_and_nothing_is_repeated(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=fails(GONE))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update orders set a = 1 where id = 3")
        text = read(pilot)
        assert "The connection was lost. F5 connects again." in text
        assert "may have taken effect or not: look before you run it again." in text
        await press(pilot, "f5")
        assert len(scripted.opened) == 2
        assert scripted.opened[0] == scripted.opened[1]
        assert scripted.console.ran == ["update orders set a = 1 where id = 3"]
        assert "Connected again. Nothing was run again" in shown(pilot)
        write(pilot, "select * from orders")
        await press(pilot, "f5")
        assert "The running statement was cancelled by the bastion." in read(pilot)


async def test_the_console_is_connected_again_after_the_next_login(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.state = TransactionState.OPEN
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update a set b = 1")
        scripted.link.on_lost[0]("The connection to the bastion was lost: timeout.")
        await settled(pilot)
        scripted.console.state = TransactionState.NONE
        await press(pilot, *"secret", "enter")
        text = read(pilot)
        assert "The open transaction was rolled back." in text
        assert "Connected again. Nothing was run again" in text
        assert len(scripted.opened) == 2
        assert scripted.console.ran == ["update a set b = 1"]


async def test_manual_commit_is_manual_again_after_connecting_again(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update a set b = 1", "f10", "m")
        scripted.console.script = fails(GONE)
        await press(pilot, "f5")
        assert "The open transaction was rolled back." in read(pilot)
        scripted.console.autocommit = True
        await press(pilot, "f5")
        assert scripted.console.autocommit is False
        assert "manual commit" in shown(pilot)


async def test_a_lost_commit_says_that_its_outcome_is_not_known(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.state = TransactionState.OPEN

    async def commit() -> None:
        raise GONE

    scripted.console.commit = commit  # type: ignore[method-assign]
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update a set b = 1", "f5", "f10", "c")
        assert "Whether the commit took effect is not known" in read(pilot)


async def test_a_connection_that_cannot_be_had_again_says_why(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=fails(GONE))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select 1")
        scripted.app.services.open_console = refusing
        await press(pilot, "f5")
        text = read(pilot)
        assert "Not connected. F5 tries again, F8 says why." in text
        assert "expired" in text


async def refusing(*_: Any) -> Any:
    raise Refused("token-expired", expired_at="2026-11-22T03:00:00Z")


# ----------------------------------------------------------------------------------------------------------- progress


async def test_what_lasts_shows_its_time_and_its_rows(tmp_path: Path, clock: StandingClock) -> None:
    columns = (Column("n", "int4", Kind.NUMBER),)
    more = asyncio.Event()

    async def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        listener(ResultBegan(columns))
        listener(RowsArrived(arrow.batch(columns, [(str(n),) for n in range(1204)])))
        await more.wait()
        listener(ResultEnded("", 1204, 1204, 2.5))

    async with world(tmp_path, script=script).app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select n from t")
        assert "Running … ·" not in shown(pilot)
        await later(pilot, clock, 83.0)
        assert "Running … · 1 min 23 s · 1,204 rows so far" in shown(pilot)
        more.set()
        await settled(pilot)
        assert "Running" not in shown(pilot)


async def test_the_time_of_running_is_seen_on_a_narrow_screen_too(tmp_path: Path, clock: StandingClock) -> None:
    answer = asyncio.Event()
    scripted: World = world(tmp_path, script=hanging(answer, ResultEnded("OK", None, None, 0.1)))
    scripted.console.state = TransactionState.OPEN
    async with scripted.app.run_test(size=(80, 24)) as pilot:
        await run_in_console(pilot, "select 1")
        await later(pilot, clock, 65.0)
        assert "Running … · 1 min 05 s" in shown(pilot)
        answer.set()
        await settled(pilot)
