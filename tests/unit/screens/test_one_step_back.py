"""Esc on the pages: it closes what lies on top, takes back what is selected or filtered, then goes to where work is
done; and the line of keys begins with those of what has the focus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from screens.widgets.catalog_tree import CatalogTree
from screens.widgets.editor import SqlEditor
from screens.widgets.frame import key_text
from screens.widgets.result_table import ResultTable

from .conftest import settled
from .test_editor import put, to_editor
from .test_screens_behaviour import press, shown
from .world import world

NARROW = (80, 24)


def focused(pilot: Pilot[Any]) -> type:
    return type(pilot.app.focused)


async def test_in_a_result_the_selection_goes_then_the_filter_then_the_keys_go_to_the_editor(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(100, 30)) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await press(pilot, "f5", "f6", "slash", *"status ~ paid", "enter")
        await pilot.app.workers.wait_for_complete(
            [worker for worker in pilot.app.workers if worker.group.startswith("arrange")]
        )
        await press(pilot, "space", "down")
        assert "selected: 2 rows" in shown(pilot)
        assert "match status ~ paid" in shown(pilot)
        await press(pilot, "escape")
        assert "selected:" not in shown(pilot)
        assert "match status ~ paid" in shown(pilot)
        await press(pilot, "escape")
        assert "match status ~ paid" not in shown(pilot)
        assert focused(pilot) is ResultTable
        await press(pilot, "escape")
        assert focused(pilot) is SqlEditor
        await press(pilot, "escape")
        assert focused(pilot) is SqlEditor
        assert pilot.app.screen.query_one(SqlEditor).text == "select * from orders", "Esc never costs work"


async def test_from_the_messages_to_the_result_and_from_a_dialog_to_what_is_below_it(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(100, 30)) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await press(pilot, "f5", "f6", "m")
        assert focused(pilot) is not ResultTable
        await press(pilot, "escape")
        assert focused(pilot) is ResultTable
        await press(pilot, "enter", "escape")
        assert focused(pilot) is ResultTable


async def test_in_the_catalog_the_filter_goes_first(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(100, 30)) as pilot:
        await to_editor(pilot)
        await press(pilot, "f6", "f6", "slash", *"orders", "enter")
        assert focused(pilot) is CatalogTree
        assert pilot.app.screen.query_one("#catalog-filter", Input).value == "orders"
        await press(pilot, "escape")
        assert pilot.app.screen.query_one("#catalog-filter", Input).value == ""
        assert focused(pilot) is CatalogTree
        await press(pilot, "escape")
        assert focused(pilot) is SqlEditor


async def test_on_the_databases_page_it_empties_the_search(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await press(pilot, *"crm", "escape")
        assert pilot.app.screen.query_one("#search", Input).value == ""
        assert "orders" in shown(pilot)


async def test_at_80_columns_the_keys_of_what_has_the_focus_come_first(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=NARROW) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")

        def keys() -> str:
            return key_text(pilot.app.screen, 80)[0].plain

        assert keys().strip().startswith("F5 Run")
        await press(pilot, "f5", "f6")
        assert keys().strip().startswith("Enter View")
        assert "s Sort" in keys()
        await press(pilot, "f6")
        assert keys().strip().startswith("/ Filter")
        assert keys().index("i Insert") < keys().index("F5 Run")
        assert "F1 Help" in keys()


async def test_on_plain_pages_the_catalog_s_lines_have_numbers_too(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.app.preferences.settings.plain = True
    async with scripted.app.run_test(size=NARROW) as pilot:
        await to_editor(pilot)
        await press(pilot, "f6", "f6")
        lines = [line.strip() for line in shown(pilot).splitlines()]
        numbered = [line.split(" ")[0] for line in lines if line[:1].isdigit() and line[1:2] == "."]
        assert numbered[:4] == ["1.", "2.", "3.", "4."]
        assert any("3." in line and "customer" in line for line in lines)
