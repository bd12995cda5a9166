"""The SQL editor, keyboard only: completion, find, tabs, history, saved queries, keys of two strokes."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from backends.catalog import ForeignKey, TableName
from backends.interface import DatabaseError
from backends.link import LinkError
from backends.metadata import FunctionMetadata, SchemaMetadata, TableMetadata
from screens.console.editors import KeptEditor
from screens.widgets.editor import SqlEditor

from .conftest import Compare, settled
from .test_screens_behaviour import press, shown
from .test_vim_keys import EditorApp
from .world import World, fails, world

SIZE = (100, 30)


def table(schema: str, name: str, *columns: str, kind: str = "table") -> TableMetadata:
    names, types = zip(*(column.split(" ", 1) for column in columns), strict=True)
    return TableMetadata(schema, name, kind, False, "\0".join(names), "\0".join(types))


METADATA = SchemaMetadata(
    schemas=["public", "archive"],
    search_path=["public"],
    tables=[
        table("public", "orders", "id bigint", "customer_id bigint", "status text", "total numeric"),
        table("public", "customer", "id bigint", "name text", "city text"),
        table("public", "order line", "id bigint", "order text"),
        table("public", "open_orders", "id bigint", kind="view"),
        table("archive", "orders_2024", "id bigint", "moved_at date"),
    ],
    functions=[FunctionMetadata("public", "order_total", "function", "p_id bigint", "numeric")],
    foreign_keys=[
        ForeignKey("fk", TableName("public", "orders"), ("customer_id",), TableName("public", "customer"), ("id",))
    ],
)


def editor(pilot: Pilot[Any]) -> SqlEditor:
    return pilot.app.screen.query_one(SqlEditor)


async def to_editor(pilot: Pilot[Any]) -> None:
    """Opens the database at the top, as a person does."""
    await settled(pilot)
    await press(pilot, "enter")
    editor(pilot).metadata = METADATA
    editor(pilot).engine = "postgresql"


NAMES = {"\n": "enter", "\t": "tab", " ": "space"}


async def write(pilot: Pilot[Any], text: str) -> None:
    """Types it, as fast as keys can come."""
    for character in text:
        name = NAMES.get(character) or _character_to_key(character)
        pilot.app.post_message(events.Key(name, character if character.isprintable() else None))
    await settled(pilot)


async def keys(pilot: Pilot[Any], *names: str) -> None:
    """Presses keys by name, one after the other, as fast as they can come."""
    for name in names:
        pilot.app.post_message(events.Key(name, name if len(name) == 1 else None))
        await pilot.pause()
        await pilot.pause()
    await settled(pilot)


def put(pilot: Pilot[Any], text: str, row: int = 0, column: int = 0) -> None:
    """A text that is there to begin with."""
    editor(pilot).load_text(text)
    editor(pilot).move_cursor((row, column))


def kept(scripted: World, kind: str) -> list[dict[str, Any]]:
    """What the bastion keeps of a kind."""
    shelf = scripted.link.shelf.kept
    return [msgspec.json.decode(value) for (of, _key), value in shelf.items() if of == kind]


# ---------------------------------------------------------------------------------------------------------- completion


async def test_completion_is_offered_as_one_types_and_tab_takes_it(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from ord")
        assert "Tab takes it" in shown(pilot)
        assert "archive.orders_2024" in shown(pilot)
        await keys(pilot, "tab")
        assert editor(pilot).text == "select * from orders"
        assert "Tab takes it" not in shown(pilot)


async def test_enter_and_tab_are_not_taken_by_surprise(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from ord\n")
        assert editor(pilot).text == "select * from ord\n"
        await write(pilot, "where x = 1 \t")
        assert editor(pilot).text == "select * from ord\nwhere x = 1   "


async def test_enter_takes_from_the_list_once_one_is_in_it(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from cu")
        await keys(pilot, "down", "enter")
        assert editor(pilot).text == "select * from customer"


async def test_completion_by_key_in_an_unfinished_statement(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from orders o join customer c on ")
        await keys(pilot, "ctrl+@")
        assert "o.customer_id = c.id" in shown(pilot)
        await keys(pilot, "escape", "ctrl+k", "space")
        assert "o.customer_id = c.id" in shown(pilot)
        await keys(pilot, "enter")
        assert editor(pilot).text.endswith("on o.customer_id = c.id")


async def test_escape_closes_the_list_and_stays_in_the_editor(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from cu")
        await keys(pilot, "escape")
        assert "Tab takes it" not in shown(pilot)
        await write(pilot, " x")
        assert editor(pilot).text == "select * from cu x"


async def test_a_statement_that_is_run_closes_the_list(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from ord")
        assert "Tab takes it" in shown(pilot)
        await keys(pilot, "f5")
        assert "Tab takes it" not in shown(pilot)


async def test_names_are_quoted_where_they_need_it(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select * from line\t")
        assert editor(pilot).text == 'select * from "order line"'


# ---------------------------------------------------------------------------------------------------------- the lines


async def test_which_statement_would_run_is_shown_beside_it(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select 1;\n\nselect 2\nfrom t;\nselect 3", 3)
        await settled(pilot)
        marked = [line for line in shown(pilot).splitlines() if "▎" in line]
        assert len(marked) == 2
        assert "select 2" in marked[0]
        await keys(pilot, "f5")
        assert scripted.console.ran == ["select 2\nfrom t"]


LINES = [
    ("a\nb", 0, ["ctrl+k", "c"], "-- a\nb"),
    ("-- a\nb", 0, ["ctrl+underscore"], "a\nb"),
    ("a\nb", 1, ["ctrl+k", "d"], "a\nb\nb"),
    ("a\nb", 1, ["ctrl+k", "up"], "b\na"),
    ("a\nb", 0, ["ctrl+k", "down"], "b\na"),
    ("a\nb", 0, ["ctrl+k", "a", "tab"], "  a\n  b"),
    ("  a\n b", 0, ["ctrl+k", "a", "shift+tab"], "a\nb"),
    ("a\nb\n", 0, ["ctrl+k", "a", "ctrl+k", "c"], "-- a\n-- b\n"),
    ("a\nb", 0, ["ctrl+k", "x"], "b"),
    ("a\nb", 0, ["ctrl+k", "d", "ctrl+z"], "a\nb"),
    ("a\nb", 0, ["ctrl+k", "q"], "a\nb"),
]


async def test_lines() -> None:
    wrong = []
    async with EditorApp().run_test() as pilot:
        editor(pilot).focus()
        for before, row, pressed, after in LINES:
            put(pilot, before, row)
            await keys(pilot, *pressed)
            if editor(pilot).text != after:
                wrong.append((before, pressed, editor(pilot).text))
    assert wrong == []


async def test_the_other_bracket() -> None:
    async with EditorApp().run_test() as pilot:
        pilot.app.query_one(SqlEditor).focus()
        put(pilot, "select f(')', (1))", 0, 8)
        await keys(pilot, "ctrl+k", "b")
        assert editor(pilot).cursor_location == (0, 17)


async def test_what_is_pasted_obeys_nobody_and_keeps_its_lines() -> None:
    async with EditorApp().run_test() as pilot:
        pilot.app.query_one(SqlEditor).focus()
        pilot.app.post_message(events.Paste("select 1\r\n\x1b]52;c;eA==\x07\u2028x"))
        await settled(pilot)
        assert editor(pilot).text == "select 1\n\u241b]52;c;eA==\u2407\u2028x"
        assert editor(pilot).document.line_count == 2


async def test_go_to_a_line_and_format(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE, notifications=True) as pilot:
        await to_editor(pilot)
        put(pilot, "select 1;\nselect a,b from t where x=1;\nvacuum t")
        await keys(pilot, "ctrl+l")
        await write(pilot, "2\n")
        assert editor(pilot).cursor_location == (1, 0)
        await keys(pilot, "ctrl+k", "f")
        await pilot.app.workers.wait_for_complete()
        await settled(pilot)
        formatted = "select\n  a,\n  b\nfrom t\nwhere\n  x = 1"
        assert editor(pilot).text == f"select 1;\n{formatted};\nvacuum t"
        await keys(pilot, "ctrl+end", "ctrl+k", "f")
        await pilot.app.workers.wait_for_complete()
        await settled(pilot)
        assert "not known well enough" in " ".join(shown(pilot).split())
        assert editor(pilot).text.endswith(";\nvacuum t")


# --------------------------------------------------------------------------------------------------- find and replace


async def test_find_counts_as_one_types_and_walks(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select x from Orders;\nselect y from orders;\n-- orders")
        await keys(pilot, "ctrl+f")
        await write(pilot, "orders")
        assert "1/3" in shown(pilot)
        await keys(pilot, "enter")
        assert "2/3" in shown(pilot)
        await keys(pilot, "up", "up")
        assert "3/3" in shown(pilot)
        await keys(pilot, "escape")
        assert editor(pilot).has_focus
        assert editor(pilot).selected_text == "orders"


async def test_find_with_case_and_patterns(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "Orders orders o1 o22")
        await keys(pilot, "ctrl+f")
        await write(pilot, "orders")
        await keys(pilot, "tab", "space")
        assert "1/1" in shown(pilot)
        await keys(pilot, "tab", "space", "shift+tab", "shift+tab")
        await keys(pilot, "ctrl+u")
        await write(pilot, "o(\\d+")
        assert "not a pattern" in shown(pilot)
        await write(pilot, ")")
        assert "1/2" in shown(pilot)


async def test_replace_one_and_all(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "a1 a2 a3 a4")
        await keys(pilot, "ctrl+r")
        await write(pilot, "a")
        await keys(pilot, "tab", "tab", "tab")
        await write(pilot, "bb\n")
        assert editor(pilot).text == "bb1 a2 a3 a4"
        await keys(pilot, "tab", "enter")
        assert editor(pilot).text == "bb1 bb2 bb3 bb4"
        assert "3 replaced" in shown(pilot)
        await keys(pilot, "escape", "ctrl+z")
        assert editor(pilot).text == "bb1 a2 a3 a4"


# --------------------------------------------------------------------------------------------------------------- tabs


async def test_editors_are_kept_and_there_again(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select 1")
        await keys(pilot, "ctrl+k", "n")
        await write(pilot, "select 2")
        await keys(pilot, "ctrl+k", "m", "ctrl+u")
        await write(pilot, "month end\n")
        assert "2 month end" in shown(pilot)
        await keys(pilot, "ctrl+k", "1")
        assert editor(pilot).text == "select 1"
        await keys(pilot, "ctrl+k", "right")
        assert editor(pilot).text == "select 2"
        await keys(pilot, "ctrl+z")
        assert editor(pilot).text != "select 2"
        await keys(pilot, "ctrl+y", "ctrl+backslash")
    assert sorted(item.get("text", "") for item in kept(scripted, "editor")) == ["select 1", "select 2"]
    shelf = scripted.link.shelf
    answers = {
        "personal.list": shelf.items,
        "personal.put": shelf.put,
        "personal.remove": shelf.remove,
    }
    async with world(tmp_path, answers=answers).app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        assert editor(pilot).text == "select 2"
        assert "2 month end" in shown(pilot)
        await keys(pilot, "ctrl+k", "1")
        assert editor(pilot).text == "select 1"


async def test_what_could_not_be_kept_is_kept_later(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put_away = scripted.link.answers["personal.put"]
        scripted.link.answers["personal.put"] = LinkError("The connection to the bastion was lost.")
        await write(pilot, "select 1")
        await pilot.app.screen.editors.keep()  # type: ignore[attr-defined]
        assert kept(scripted, "editor") == []
        scripted.link.answers["personal.put"] = put_away
        await keys(pilot, "ctrl+backslash")
    assert [item["text"] for item in kept(scripted, "editor")] == ["select 1"]


async def test_closing_an_editor_asks_where_there_is_something_in_it(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "select 1")
        await keys(pilot, "ctrl+k", "n", "ctrl+k", "w")
        assert editor(pilot).text == "select 1"
        await keys(pilot, "ctrl+k", "w", "n")
        assert editor(pilot).text == "select 1"
        await keys(pilot, "ctrl+k", "w", "y")
        assert editor(pilot).text == ""
    assert kept(scripted, "editor") == []


async def test_a_long_text_is_kept_whole(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    text = "\n".join(f"select {number} from orders where id = {number};" for number in range(3_000))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, text)
        await settled(pilot)
        await keys(pilot, "ctrl+backslash")
    [item] = kept(scripted, "editor")
    assert len(msgspec.json.encode(item)) < 60_000
    assert msgspec.convert(item, KeptEditor).whole() == text


# ------------------------------------------------------------------------------------------- history and saved queries


async def test_history_says_where_and_what_came_of_it(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select 1;\nselect broken")
        await keys(pilot, "f5")
        scripted.console.script = fails(DatabaseError("no such thing"))
        await keys(pilot, "down", "f5")
        await keys(pilot, "f7")
        text = shown(pilot)
        assert "✗ 11-22 03:04:05  orders/orders  select broken" in text
        assert "failed" in text
        await write(pilot, "done")
        assert "1/2" in shown(pilot)
        assert "60 rows" in shown(pilot)
        await keys(pilot, "enter")
        assert editor(pilot).text == "select 1;\nselect broken;\n\nselect 1;"
    entries = kept(scripted, "history")
    assert [(entry["text"], entry["engine"], entry.get("outcome", "done")) for entry in entries] == [
        ("select 1", "postgresql", "done"),
        ("select broken", "postgresql", "failed"),
    ]


async def test_history_runs_again_and_forgets(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select 7")
        await keys(pilot, "f5", "f7", "f5")
        assert scripted.console.ran == ["select 7", "select 7"]
        await keys(pilot, "f7")
        assert "History  1" in shown(pilot)
        await keys(pilot, "f8", "y", "escape")
        assert "Enter inserts" not in shown(pilot)
        await keys(pilot, "f7")
        assert "History  0" in shown(pilot)
        assert "Nothing was run yet" in shown(pilot)


async def test_a_saved_query_asks_for_its_parameters_and_shows_what_is_run(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select * from orders where id = :id and status = {{status}}")
        await keys(pilot, "ctrl+k", "s")
        await write(pilot, "by status\n")
        put(pilot, "")
        await keys(pilot, "ctrl+k", "o")
        assert "asks for id, status" in shown(pilot)
        await keys(pilot, "f5")
        await write(pilot, "7\n")
        await write(pilot, "it's")
        assert "where id = 7 and status = 'it''s'" in " ".join(shown(pilot).split())
        await keys(pilot, "f5")
        assert scripted.console.ran == ["select * from orders where id = 7 and status = 'it''s'"]
        assert ":id" in editor(pilot).text


async def test_parameters_given_up_run_nothing(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select :a")
        await keys(pilot, "f5", "escape")
        assert scripted.console.ran == []


async def test_vim_keys_are_off_until_asked_for_and_then_kept(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        await write(pilot, "dd")
        assert editor(pilot).text == "dd"
        await keys(pilot, "ctrl+k", "v", "d", "d")
        assert editor(pilot).text == ""
        assert "NORMAL" in shown(pilot)
    assert [msgspec.json.decode(v) for (kind, key), v in scripted.link.shelf.kept.items() if key == "vim"] == [True]


async def test_an_editor_of_ones_own_is_refused_where_the_workstation_is_served(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.app.services.exports_to_bastion = True
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await to_editor(pilot)
        await keys(pilot, "ctrl+k", "e")
        assert "served by the bastion" in " ".join(shown(pilot).split())


async def test_an_editor_of_ones_own_gives_its_text_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my editor"
    program.write_text('#!/bin/sh\nprintf "select 2\\n" >> "$1"\n')
    program.chmod(0o755)
    monkeypatch.setenv("EDITOR", f"'{program}'")
    monkeypatch.delenv("VISUAL", raising=False)
    scripted = world(tmp_path)
    monkeypatch.setattr(type(scripted.app), "suspend", lambda app: nullcontext())
    async with scripted.app.run_test(size=SIZE) as pilot:
        await to_editor(pilot)
        put(pilot, "select 1;\n")
        await keys(pilot, "ctrl+k", "e")
        await pilot.app.workers.wait_for_complete()
        await settled(pilot)
        assert editor(pilot).text == "select 1;\nselect 2\n"


async def test_every_chord_is_in_the_help_and_its_hint(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=(100, 60)) as pilot:
        await to_editor(pilot)
        await keys(pilot, "ctrl+k")
        assert "Format the statement" in shown(pilot)
        await keys(pilot, "escape")
        assert "Format the statement" not in shown(pilot)


async def test_typing_in_a_long_text_reads_no_more_than_in_a_short_one() -> None:
    """What is drawn and read for one key does not depend on the length of the text: counted, not timed."""
    counts = {}
    for lines in (100, 30_000):
        text = "\n".join(f"select {number} from orders;" for number in range(lines))
        async with EditorApp().run_test(size=(100, 20)) as pilot:
            area = editor(pilot)
            area.focus()
            put(pilot, text, lines // 2)
            await settled(pilot)
            calls = 0

            def count(frame: Any, event: str, argument: Any) -> None:
                nonlocal calls
                calls += event in ("call", "c_call")

            sys.setprofile(count)
            await write(pilot, "x")
            sys.setprofile(None)
            counts[lines] = calls
    assert counts[30_000] < 2 * counts[100]


# ----------------------------------------------------------------------------------------------------------- pictures


COMPLETING = "-- the open ones\nselect o.id, o.total from orders o\nwhere o.status = 'open';\n\n"


async def completing(pilot: Pilot[Any]) -> None:
    await to_editor(pilot)
    put(pilot, COMPLETING, 4)
    await write(pilot, "select * from orders o\njoin customer c on ")
    await keys(pilot, "ctrl+@")


async def finding(pilot: Pilot[Any]) -> None:
    await to_editor(pilot)
    put(pilot, "select * from orders;\nselect id from orders where id = 1;\nupdate Orders set status = 'paid';\n")
    await keys(pilot, "ctrl+r")
    await write(pilot, "orders")


async def tabbed(pilot: Pilot[Any]) -> None:
    await to_editor(pilot)
    await write(pilot, "select 1")
    await keys(pilot, "ctrl+k", "n", "ctrl+k", "m", "ctrl+u")
    await write(pilot, "月末对账\n")
    put(pilot, "select '上海贸易有限公司' as 客户名称 -- 注释\nfrom 客户 where 城市 = '北京' and x in (1, 2);", 1, 5)


async def remembering(pilot: Pilot[Any]) -> None:
    await to_editor(pilot)
    put(pilot, "select 1;\nselect '上海' from customer;\nupdate orders set status = 'paid' where id = 9;")
    for row in range(3):
        editor(pilot).move_cursor((row, 0))
        await keys(pilot, "f5")
    await keys(pilot, "f7")


async def asking(pilot: Pilot[Any]) -> None:
    await to_editor(pilot)
    put(pilot, "select * from orders\nwhere id = :id and status = {{status}} and note like '%{{word}}%'")
    await keys(pilot, "f5")
    await write(pilot, "7\n")
    await write(pilot, "it's")


PICTURES = {
    "editor-completion": completing,
    "editor-find": finding,
    "editor-tabs": tabbed,
    "editor-history": remembering,
    "editor-parameters": asking,
}


SHOWN = [(name, (80, 24)) for name in PICTURES] + [
    (name, (160, 48)) for name in ("editor-completion", "editor-history")
]


@pytest.mark.parametrize(("name", "size"), SHOWN, ids=[f"{name}-{size[0]}x{size[1]}" for name, size in SHOWN])
async def test_pictures(picture: Compare, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    await picture(world(tmp_path).app, name, size, PICTURES[name])
