"""Two workstations of one person: what is open in the one is not lost to the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .test_editor import editor, keys, to_editor, write
from .test_screens_behaviour import shown
from .world import PersonalShelf, world

SIZE = (100, 30)


def answers(shelf: PersonalShelf) -> dict[str, Any]:
    return {"personal.list": shelf.items, "personal.put": shelf.put, "personal.remove": shelf.remove}


def texts(shelf: PersonalShelf) -> list[str]:
    """Of the editors that the bastion keeps."""
    return sorted(json.loads(value)["text"] for (kind, _key), value in shelf.kept.items() if kind == "editor")


async def test_each_keeps_its_own_tabs_and_both_are_there_afterwards(tmp_path: Path) -> None:
    shelf = PersonalShelf()
    first, second = world(tmp_path, answers=answers(shelf)), world(tmp_path, answers=answers(shelf))
    async with first.app.run_test(size=SIZE) as one:
        await to_editor(one)
        await write(one, "select 1")
        await one.app.screen.editors.keep()  # type: ignore[attr-defined]
        async with second.app.run_test(size=SIZE) as two:
            await to_editor(two)
            assert editor(two).text == "select 1"
            await keys(two, "ctrl+k", "n")
            await write(two, "select 'of the second'")
            await keys(two, "ctrl+backslash")
        await keys(one, "ctrl+k", "n")
        await write(one, "select 'of the first'")
        # Going about changes no text, so it writes over none.
        await keys(one, "ctrl+k", "1", "ctrl+backslash")
    assert texts(shelf) == [
        "select 'of the first'", "select 'of the second'", "select 1",
    ]  # fmt: skip
    async with world(tmp_path, answers=answers(shelf)).app.run_test(size=SIZE) as again:
        await to_editor(again)
        seen = set()
        for number in ("1", "2", "3"):
            await keys(again, "ctrl+k", number)
            seen.add(editor(again).text)
        assert seen == {"select 1", "select 'of the first'", "select 'of the second'"}


async def test_the_same_tab_changed_in_both_is_there_twice(tmp_path: Path) -> None:
    shelf = PersonalShelf()
    first, second = world(tmp_path, answers=answers(shelf)), world(tmp_path, answers=answers(shelf))
    async with first.app.run_test(size=SIZE) as one:
        await to_editor(one)
        await write(one, "select 1")
        await one.app.screen.editors.keep()  # type: ignore[attr-defined]
        async with second.app.run_test(size=SIZE) as two:
            await to_editor(two)
            await keys(two, "ctrl+end")
            await write(two, " + 2")
            await keys(two, "ctrl+backslash")
        await keys(one, "ctrl+end")
        await write(one, " + 3")
        await one.app.screen.editors.keep()  # type: ignore[attr-defined]
        await keys(one, "f1", "escape")
        assert "Query 1, elsewhere" in shown(one)
        assert editor(one).text == "select 1 + 3"
        await keys(one, "ctrl+backslash")
    assert texts(shelf) == ["select 1 + 2", "select 1 + 3"]


async def test_closing_a_tab_does_not_remove_what_the_other_has_written_in_it_since(tmp_path: Path) -> None:
    shelf = PersonalShelf()
    first, second = world(tmp_path, answers=answers(shelf)), world(tmp_path, answers=answers(shelf))
    async with first.app.run_test(size=SIZE) as one:
        await to_editor(one)
        await write(one, "select 1")
        await one.app.screen.editors.keep()  # type: ignore[attr-defined]
        async with second.app.run_test(size=SIZE) as two:
            await to_editor(two)
            await keys(two, "ctrl+end")
            await write(two, " + 2")
            await keys(two, "ctrl+backslash")
        await keys(one, "ctrl+k", "w", "y", "ctrl+backslash")
    assert texts(shelf) == ["select 1 + 2"]
