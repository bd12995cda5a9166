"""A statement that is run again and again; and the bell after a long one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.connection import RunEvent
from backends.interface import DatabaseError
from screens.console.running import BELL_SECONDS

from .conftest import StandingClock, settled
from .test_editor import kept, put, to_editor
from .test_screens_behaviour import press, shown
from .world import ScriptedConsole, answer_rows, fails, world

SIZE = (120, 30)


async def until(pilot: Pilot[Any], so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not so():
            await pilot.pause()
            await asyncio.sleep(0.02)
    await settled(pilot)


async def repeated(pilot: Pilot[Any], seconds: str = "1") -> None:
    await press(pilot, "ctrl+k", "r", "ctrl+u", *seconds, "enter")


async def test_a_read_is_run_until_f8(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await repeated(pilot)
        await until(pilot, lambda: len(scripted.console.ran) >= 3)
        await until(pilot, lambda: "every 1 s" in shown(pilot))
        assert "F8 stops" in shown(pilot)
        await press(pilot, "f8")
        await until(pilot, lambda: not pilot.app.screen.repeating.now)  # type: ignore[attr-defined]
        await until(pilot, lambda: "every 1 s" not in shown(pilot))
        count = len(scripted.console.ran)
        assert not [each for each in pilot.app.workers if each.group == "repeat" and each.is_running]
        await press(pilot, "f5")
        assert len(scripted.console.ran) == count + 1
        await press(pilot, "ctrl+backslash")
    assert 1 <= len(kept(scripted, "history")) <= 2, "once, and once for the run by hand"


async def test_another_statement_ends_it(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select 1")
        await repeated(pilot)
        await until(pilot, lambda: len(scripted.console.ran) >= 1 and "every 1 s" in shown(pilot))
        put(pilot, "select 2")
        await press(pilot, "f5")
        await until(pilot, lambda: not pilot.app.screen.repeating.now)  # type: ignore[attr-defined]
        assert scripted.console.ran[-1] == "select 2"


async def test_a_failure_ends_it_and_stays_in_view(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.script = fails(DatabaseError("no such table"))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await repeated(pilot)
        await until(pilot, lambda: not pilot.app.screen.repeating.now)  # type: ignore[attr-defined]
        assert len(scripted.console.ran) == 1
        assert "✗ Error" in shown(pilot)


@pytest.mark.parametrize("statement", ["update orders set status = 'paid' where id = 1", "commit", "this is no sql"])
async def test_what_may_do_more_than_read_is_not_repeated(tmp_path: Path, statement: str) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await to_editor(pilot)
        put(pilot, statement)
        await press(pilot, "ctrl+k", "r")
        await until(pilot, lambda: "Only what reads" in " ".join(shown(pilot).split()))
        assert scripted.console.ran == []


async def test_the_bell_rings_when_a_long_run_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: StandingClock
) -> None:
    scripted = world(tmp_path)
    rung: list[bool] = []
    monkeypatch.setattr(type(scripted.app), "bell", lambda self: rung.append(True))
    took = BELL_SECONDS - 1.0

    def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        clock.goes_on(took)
        answer_rows(console, text, listener)

    scripted.console.script = script
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select 1")
        await press(pilot, "f5")
        assert rung == []
        took = BELL_SECONDS
        await press(pilot, "f5")
        assert rung == [True]
