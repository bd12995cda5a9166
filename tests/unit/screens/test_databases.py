"""The databases page: found among thousands, grouped, kept as a favourite, and what is said where there is nothing."""

from __future__ import annotations

import time
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.link import Unreachable
from bastion.api import language, methods
from bastion.api import messages as m
from bastion.api.refusals import Refused
from screens.database_choice import Choice, found, listed
from screens.widgets.database_list import DatabaseList

from .conftest import Compare, settled
from .world import ATTACK, DATABASES, ORDERS_TOKEN, database, state_of, token, world

SIZE = (100, 30)


def shown(pilot: Pilot[Any]) -> str:
    """The screen as text, the dialogs on top of it too."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Presses them, each once what the one before brought about is done; what is typed goes in one run."""
    for typed, run in groupby(keys, key=lambda key: len(key) == 1):
        for group in [list(run)] if typed else [[key] for key in run]:
            await pilot.press(*group)
            await settled(pilot)


MANY = 10_000


def many(count: int = MANY) -> list[m.Database]:
    """Databases as a large company has them."""
    engines = ("postgresql", "mysql", "sqlserver", "oracle")
    places = ("sh", "bj", "hz", "sz")
    return [
        database(
            f"{('orders', 'billing', 'crm', 'stock', 'hr')[n % 5]}-{places[n % 4]}-{n:05}",
            engines[n % 4],
            ("rds", "self-managed", "polardb")[n % 3],
            f"rm-bp{n:05}.{engines[n % 4]}.rds.aliyuncs.com",
            3306,
            groups=["prod" if n % 3 == 0 else "test"],
        )
        for n in range(count)
    ]


def paged(databases: list[m.Database]) -> Any:
    """Answers `databases.list` in pages, as the bastion does."""
    ordered = sorted(databases, key=lambda each: each.name)

    def answer(wanted: methods.DatabaseList) -> list[m.Database]:
        rest = [each for each in ordered if each.name > wanted.after]
        return rest[: wanted.limit] if wanted.limit else rest

    return answer


def chosen(pilot: Pilot[Any]) -> str:
    line = pilot.app.screen.query_one(DatabaseList).chosen
    return "" if line is None else line.key


# ------------------------------------------------------------------------------------------------------------- search


def choices(databases: list[m.Database]) -> list[Choice]:
    return [Choice(each, account) for each in databases for account in each.accounts]


def names(lines: list[Choice]) -> list[str]:
    return [line.database.name for line in lines]


def test_words_in_any_order_over_everything_that_is_shown() -> None:
    lines = choices(
        [
            database("orders-prod", "mysql", "rds", "10.0.0.1", 3306, groups=["shanghai"], comment="the web shop"),
            database("orders-test", "postgresql", "polardb", "10.0.0.2", 5432),
            database("reorders", "mysql", "rds", "10.0.0.3", 3306),
        ]
    )
    assert names(found(lines, "mysql ord")) == ["orders-prod", "reorders"]
    assert names(found(lines, "ORD polardb")) == ["orders-test"]
    assert names(found(lines, "10.0.0.2:5432")) == ["orders-test"]
    assert names(found(lines, "shop shanghai app_rw")) == ["orders-prod"]
    assert names(found(lines, "orders")) == ["orders-prod", "orders-test", "reorders"]
    assert names(found(lines, "reorders")) == ["reorders"]
    assert names(found(lines, "ordprod")) == ["orders-prod"], "letters in their order where no word matches"
    assert names(found(lines, "xyz")) == []
    assert names(found(lines, "(")) == []


def test_ten_thousand_are_filtered_within_a_frame() -> None:
    lines = choices(many())
    found(lines, "warm up the texts")
    took = []
    for query in ("o", "or", "ord", "order sh", "mysql prod 0042", "no such thing at all"):
        began = time.process_time()
        found(lines, query)
        took.append(time.process_time() - began)
    assert min(took) < 0.016
    assert sorted(took)[len(took) // 2] < 0.030, took


def test_favourites_then_recent_then_the_rest() -> None:
    lines = choices(DATABASES)
    shown_lines = listed(lines, frozenset({"crm/app_rw"}), {"billing/app_rw": 1, "orders/report": 0}, "usual")
    assert [getattr(line, "words", None) or getattr(line, "key", None) for line in shown_lines] == [
        "Favourites", "crm/app_rw",
        "Recent", "orders/report", "billing/app_rw",
        "All others", "orders/app_rw", "erp/*", "warehouse/app_rw",
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the page


async def test_ten_thousand_come_in_pages_and_are_opened_by_a_few_letters(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers={"databases.list": paged(many())})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert len(scripted.link.asked("databases.list")) == 6
        assert "10000" in shown(pilot)
        await press(pilot, *"sh 00044")
        assert "1/10000" in shown(pilot)
        assert chosen(pilot) == "hr-sh-00044/app_rw"


async def test_the_cursor_goes_over_headings_and_pages(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"crm", "f7", "escape")
        assert chosen(pilot) == "crm/app_rw"
        assert "Favourites · 1" in shown(pilot)
        await press(pilot, "down")
        assert chosen(pilot) == "orders/app_rw"
        await press(pilot, "up", "up", "up")
        assert chosen(pilot) == "crm/app_rw"
        await press(pilot, "pagedown", "pagedown")
        assert chosen(pilot) == "warehouse/app_rw"


async def test_a_favourite_is_kept_at_the_bastion_and_can_be_taken_back(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"billing", "f7")
        assert ("favourites", "billing/app_rw") in scripted.link.shelf.kept
        assert "★ billing" in shown(pilot)
        await press(pilot, "f7")
        assert scripted.link.shelf.kept == {}
        assert "★" not in shown(pilot)


async def test_what_was_kept_is_there_at_the_next_login(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")  # orders is opened, so it is recent
        await pilot.app.personal.flush()  # type: ignore[attr-defined]
    shelf = scripted.link.shelf
    assert list(shelf.kept) == [("recent", "orders/app_rw")]
    again = world(tmp_path, answers={"personal.list": shelf.items})
    async with again.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "Recent · 1" in shown(pilot)
        assert chosen(pilot) == "orders/app_rw"


async def test_a_token_that_was_renewed_elsewhere_is_seen_without_loading_everything(tmp_path: Path) -> None:
    tokens = {"orders": "2026-11-22T05:04:05Z"}
    every = [database(name, "mysql", "rds", "h", 3306) for name in ("billing", "orders")]

    def answer(wanted: methods.DatabaseList) -> list[m.Database]:
        for each in every:
            ends = tokens.get(each.name)
            each.tokens = [state_of(token(each.name, "app_rw", ends))] if ends else []
        return [each for each in every if wanted.name in (None, each.name)]

    scripted = world(tmp_path, answers={"databases.list": answer})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "2h 00m" in shown(pilot)
        tokens["orders"] = "2026-11-22T09:04:05Z"
        data = {name: getattr(state_of(ORDERS_TOKEN), name) for name in m.TokenState.__struct_fields__}
        scripted.link.listeners[0](m.Event(topic="tokens", kind="renewed", data=data))
        await settled(pilot)
        assert "6h 00m" in shown(pilot)
        assert [wanted.name for wanted in scripted.link.asked("databases.list")] == [None, "orders"]


async def test_lines_are_grouped_and_the_way_is_kept(tmp_path: Path) -> None:
    grouped = [
        database("orders", "postgresql", "self-managed", "10.0.0.1", 5432, groups=["prod", "shanghai"]),
        database("crm", "mysql", "rds", "10.0.0.2", 3306),
    ]
    scripted = world(tmp_path, answers={"databases.list": paged(grouped)})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f6")
        text = shown(pilot)
        assert "prod · 1" in text
        assert "shanghai · 1" in text
        assert "in no group · 1" in text
        assert text.count("10.0.0.1:5432") >= 2
        await press(pilot, *"orders")
        assert "1/2" in shown(pilot), "a search shows each line once, whatever its groups"
        await press(pilot, "escape", "f6")
        assert "MySQL RDS · 1" in shown(pilot)
    assert b'"engine"' in scripted.link.shelf.kept["preferences", "databases"].encode()


async def test_without_personal_state_the_page_works_and_says_so_once(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers={"personal.list": Unreachable("gone"), "personal.put": Unreachable("gone")})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "f7", "f7", "f7")
        assert shown(pilot).count("What you keep here") == 1
        assert "★ orders" in shown(pilot)


async def test_lines_are_numbered_for_a_screen_reader(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        scripted.app.use_plain(True)
        await press(pilot, *"crm", "f7", "escape")
        lines = [line.strip() for line in shown(pilot).splitlines()]
        assert "Favourites · 1" in lines
        assert any(line.startswith("1. favourite crm") for line in lines)
        assert any(line.startswith("2. orders") for line in lines)


# --------------------------------------------------------------------------------------------------------- empty states


async def test_no_grant_says_whom_to_ask_and_for_what(tmp_path: Path) -> None:
    async with world(tmp_path, answers={"databases.list": []}).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        text = shown(pilot)
        assert "You are not authorized for any database yet." in text
        assert "Ask root, carol for a grant. Say that your user name is alice" in text
        assert "F3 Token" not in text, "no key is offered that does nothing"
        assert "Open console" not in text


async def test_no_match_says_how_to_clear_and_why_it_may_not_be_here(tmp_path: Path) -> None:
    explanation = m.Explanation(
        user="alice", database="payroll", account=None, open=False,
        checks=[m.Check(stage="grant", state="no", code="database-not-authorized",
                        params={"database": "payroll", "ask": "root, carol", "like": ""})],
    )  # fmt: skip
    scripted = world(tmp_path, answers={"access.explain": explanation})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"payroll")
        assert "No database of yours matches “payroll”." in shown(pilot)
        await press(pilot, "f8")
        assert "Ask root, carol for a grant for payroll." in shown(pilot)
        await press(pilot, "escape", "escape")
        assert chosen(pilot) == "orders/app_rw"


async def test_what_cannot_be_loaded_says_so_and_f5_tries_again(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers={"databases.list": Refused("internal", reference="ab12")})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "The databases could not be loaded." in shown(pilot)
        assert "ab12" in shown(pilot)
        scripted.link.answers["databases.list"] = DATABASES
        await press(pilot, "f5")
        assert chosen(pilot) == "orders/app_rw"


async def test_names_from_outside_are_shown_as_they_are_and_obeyed_by_nothing(tmp_path: Path) -> None:
    hostile = [database(f"db{ATTACK}", "mysql", "rds", f"h{ATTACK}", 1, groups=[ATTACK], comment=ATTACK)]
    async with world(tmp_path, answers={"databases.list": paged(hostile)}).app.run_test(size=(160, 30)) as pilot:
        await settled(pilot)
        text = shown(pilot)
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert "[bold red]x[/]" in text


# ------------------------------------------------------------------------------------------------------------ pictures

GROUPED = [
    database(
        "orders", "postgresql", "self-managed", "10.20.0.15", 5432, groups=["web shop"], production=True,
        accounts=[m.Account(name="app_rw", hosted=True), m.Account(name="report", hosted=False)],
        tokens=[state_of(token("orders", "app_rw", "2026-11-22T09:59:17Z"))],
        comment="answers for the web shop", until="2027-11-01T00:00:00Z",
    ),
    database("orders-test", "postgresql", "self-managed", "10.20.7.15", 5432, groups=["web shop", "test"]),
    database("billing", "mysql", "rds", "rm-bp1example.mysql.rds.aliyuncs.com", 3306, domain="shanghai-vpc",
             groups=["finance"], production=True),
    database("crm", "mysql", "polardb", "pc-bp1example.rwlb.rds.aliyuncs.com", 3306, groups=["sales"],
             tokens=[state_of(token("crm", "app_rw", "2026-11-22T03:08:00Z"))]),
    database("erp", "oracle", "self-managed", "erp.internal", 1521, accounts=[m.Account(name="*", hosted=False)]),
    database("warehouse", "sqlserver", "rds", "rm-example.sqlserver.rds.aliyuncs.com", 1433, groups=["finance"]),
    database("客户关系", "mysql", "self-managed", "10.30.1.8", 3306, groups=["销售"]),
]  # fmt: skip


def kept_world(folder: Path) -> Any:
    """With favourites and recent ones."""
    scripted = world(folder, answers={"databases.list": GROUPED})

    def items(wanted: methods.PersonalList) -> m.PersonalPage:
        keys = {"favourites": ["orders/app_rw", "crm/app_rw"], "recent": ["billing/app_rw", "orders/app_rw"]}
        return m.PersonalPage(
            items=[
                m.PersonalItem(kind=wanted.kind, key=key, value="{}", updated_at="2026-11-22T03:04:05.000000Z")
                for key in keys.get(wanted.kind, [])
                if wanted.key is None
            ]
        )

    answers = {"databases.list": GROUPED, "personal.list": items}
    scripted = world(folder, answers=answers)
    return scripted.app


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
@pytest.mark.parametrize("tongue", ["en", "zh_CN"])
async def test_picture_with_favourites(picture: Compare, tmp_path: Path, size: tuple[int, int], tongue: str) -> None:
    language.use(tongue)
    await picture(kept_world(tmp_path), "databases-favourites" + ("-zh" if tongue != "en" else ""), size)


async def test_picture_grouped(picture: Compare, tmp_path: Path) -> None:
    await picture(kept_world(tmp_path), "databases-grouped", (160, 48), press=["f6"])


async def test_picture_without_a_grant(picture: Compare, tmp_path: Path) -> None:
    await picture(world(tmp_path, answers={"databases.list": []}).app, "databases-none", (80, 24))


async def test_picture_without_a_match(picture: Compare, tmp_path: Path) -> None:
    await picture(world(tmp_path).app, "databases-no-match", (80, 24), press=[*"payroll"])


async def test_picture_of_ten_thousand(picture: Compare, tmp_path: Path) -> None:
    answers = {"databases.list": paged(many())}
    await picture(world(tmp_path, answers=answers).app, "databases-many", (160, 48), press=[*"mysql bj 12"])
