"""One pane of the console with the page for itself; and a page that says everything in the language just chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from screens.widgets.catalog_tree import CatalogTree
from screens.widgets.editor import SqlEditor
from screens.widgets.results import Results

from .conftest import settled
from .test_editor import put, to_editor
from .test_screens_behaviour import press, shown
from .world import world

NARROW = (80, 24)


def visible(pilot: Pilot[Any]) -> list[str]:
    return [kind.__name__ for kind in (CatalogTree, SqlEditor, Results) if pilot.app.screen.query_one(kind).size.width]


async def test_a_pane_takes_the_page_and_gives_it_back(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=NARROW) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await press(pilot, "f5", "f6")
        assert visible(pilot) == ["CatalogTree", "SqlEditor", "Results"]
        await press(pilot, "0")
        assert visible(pilot) == ["Results"]
        assert "created_at" in shown(pilot), "there is room for it now"
        await press(pilot, "f6")
        assert visible(pilot) == ["CatalogTree"]
        await press(pilot, "f6")
        assert visible(pilot) == ["SqlEditor"]
        await press(pilot, "f5")
        assert visible(pilot) == ["CatalogTree", "SqlEditor", "Results"], "what came of it is to be seen"
        await press(pilot, "ctrl+k", "0")
        assert visible(pilot) == ["SqlEditor"]
        await press(pilot, "escape")
        assert visible(pilot) == ["CatalogTree", "SqlEditor", "Results"]


async def test_another_language_reaches_what_stands_on_the_page_already(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(100, 30)) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await press(pilot, "f5", "f6")
        assert "60 rows, all of them" in shown(pilot)
        await press(pilot, "comma", "down", "enter", "enter", "escape")
        await settled(pilot)
        text = shown(pilot)
        assert "控制台" in text
        assert "60 行" in text
        assert "自动提交" in text
        assert "rows" not in text
        assert "tables" not in text


async def test_the_help_begins_with_what_has_the_focus(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(100, 40)) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders")
        await press(pilot, "f5", "f6", "f1")
        text = shown(pilot)
        assert "In a result table" in text
        assert "Console\n" not in text.split("In a result table")[0].replace("2 Console", "")


async def test_on_plain_pages_nothing_of_the_page_stands_beside_a_dialog(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.app.preferences.settings.plain = True
    async with scripted.app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        assert "warehouse" in shown(pilot)
        await press(pilot, "f3")
        assert "O&M token" in shown(pilot)
        assert "warehouse" not in shown(pilot)
        assert "Search" not in shown(pilot)
        await press(pilot, "escape")
        assert "warehouse" in shown(pilot)
