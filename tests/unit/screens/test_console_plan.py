"""The plan of a statement as a person sees it, and what is asked before one is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends import mysql_plan, postgres_plan
from backends.interface import DatabaseError, TransactionState
from backends.plan import Plan

from .conftest import Compare, settled
from .reading import read, told
from .test_screens_behaviour import press, run_in_console, shown, write
from .world import ATTACK, World, world

SIZE = (100, 30)
SAMPLES = Path(__file__).parent / "plans"
STATEMENT = "select c.name, sum(o.total) from orders o join customer c on c.id = o.customer_id group by 1"


def sample(name: str, *, measured: bool) -> Plan:
    text = (SAMPLES / f"{name}-{'measured' if measured else 'estimated'}.txt").read_text()
    if name == "postgresql":
        return postgres_plan.read(text, measured=measured)
    return (mysql_plan.read_tree if name == "mysql" else mysql_plan.read_json)(text, measured=measured)


def planned(tmp_path: Path, name: str = "postgresql") -> World:
    scripted = world(tmp_path)
    scripted.console.plan = lambda measured: sample(name, measured=measured)
    return scripted


async def test_the_plan_is_a_tree_with_its_expensive_step_marked(tmp_path: Path) -> None:
    scripted = planned(tmp_path)
    async with scripted.app.run_test(size=(120, 30)) as pilot:
        await run_in_console(pilot, STATEMENT, "ctrl+e")
        assert scripted.console.orders == [f"explain {STATEMENT}"]
        text = shown(pilot)
        assert "Plan, estimated" in text
        [dear] = [line for line in text.splitlines() if "● Seq Scan orders o" in line]
        assert dear.replace("│", " ").split()[-4:] == ["39", "%", "16,994", "897,225"]
        await press(pilot, "n")
        assert "Filter: (total > '10'::numeric)" in shown(pilot)
        await press(pilot, "escape")
        assert "Plan, estimated" not in shown(pilot)


async def test_why_there_is_no_plan_is_seen_where_a_result_was_in_view(tmp_path: Path) -> None:
    scripted = planned(tmp_path)
    async with scripted.app.run_test(size=(120, 30)) as pilot:
        await run_in_console(pilot, STATEMENT)
        assert "all of them" in shown(pilot)

        def fails(measured: bool) -> Plan:
            raise DatabaseError("no such relation", code="42P01")

        scripted.console.plan = fails
        await press(pilot, "ctrl+e")
        assert "42P01: no such relation" in shown(pilot)


async def test_measuring_a_read_asks_nothing_and_marks_what_was_misjudged(tmp_path: Path) -> None:
    scripted = planned(tmp_path)
    async with scripted.app.run_test(size=(160, 40)) as pilot:
        await run_in_console(pilot, f"explain analyze\n{STATEMENT}", "ctrl+e", "f5")
        assert scripted.console.orders == [f"explain {STATEMENT}", f"measure {STATEMENT}"]
        text = shown(pilot)
        assert "Plan, measured" in text
        assert "≠ 204 times more rows than expected" in text
        assert "Execution Time" in text


async def test_measuring_a_write_asks_and_is_rolled_back(tmp_path: Path) -> None:
    scripted = planned(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "delete from orders where id < 10", "ctrl+e", "f5")
        text = read(pilot)
        assert "Run this write for its plan?" in text
        assert "DELETE really writes. It is rolled back afterwards" in text
        await press(pilot, "n")
        assert scripted.console.orders == ["explain delete from orders where id < 10"]
        assert "Plan, estimated" in shown(pilot)
        await press(pilot, "f5", "y")
        assert scripted.console.orders[1:] == ["begin", "measure delete from orders where id < 10", "rollback"]
        await press(pilot, "escape")
        assert "ran for its plan and was rolled back" in shown(pilot)
        scripted.console.state = TransactionState.OPEN
        await press(pilot, "ctrl+e", "f5")
        assert "becomes part of the transaction that is open" in read(pilot)
        await press(pilot, "y")
        assert scripted.console.orders[-1].startswith("measure")


async def test_what_has_no_plan_says_so_and_an_error_is_marked(tmp_path: Path) -> None:
    scripted = world(tmp_path)

    def plan(measured: bool) -> Plan:
        raise DatabaseError("no such column", code="42703", position=7)

    scripted.console.plan = plan
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await run_in_console(pilot, "create table a (b int)", "ctrl+e")
        assert scripted.console.orders == []
        assert "There is no plan for this" in told(pilot)
        editor = write(pilot, "select 1;\nselect wrng from t;", 1, 0)
        await press(pilot, "ctrl+e")
        assert "Error 42703: no such column" in shown(pilot)
        assert editor.cursor_location == (1, 7)


async def test_nothing_in_a_plan_is_interpreted(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    text = (SAMPLES / "postgresql-estimated.txt").read_text()
    attack = ATTACK.encode("unicode_escape").decode().replace("\\x", "\\u00")
    scripted.console.plan = lambda measured: postgres_plan.read(
        text.replace('"orders"', f'"{attack}"').replace("(total > '10'::numeric)", attack), measured=False
    )
    async with scripted.app.run_test(size=(160, 40)) as pilot:
        await run_in_console(pilot, STATEMENT, "ctrl+e", "n")
        text = shown(pilot)
        assert text.count("[bold red]x[/]") == 3
        assert not set(text) & {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize(
    ("name", "measured", "size"),
    [("postgresql", True, (160, 48)), ("mysql", False, (160, 48)), ("postgresql", True, (80, 24))],
    ids=["postgresql", "mysql", "narrow"],
)
async def test_picture_of_a_plan(
    picture: Compare, tmp_path: Path, name: str, measured: bool, size: tuple[int, int]
) -> None:
    async def prepare(pilot: Any) -> None:
        write(pilot, STATEMENT)
        await pilot.press("ctrl+e")
        await settled(pilot)
        if measured:
            await pilot.press("f5")
            await settled(pilot)
        await pilot.press("n")

    await picture(planned(tmp_path, name).app, f"console-plan-{name}", size, prepare, press=["enter"])
