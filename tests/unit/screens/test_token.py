"""The token's dialog: shown masked, counted down, copied field by field for every client, renewed, asked for in order;
and the warnings before its end, wherever the person is."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bastion.api import language
from bastion.api import messages as m
from bastion.api.refusals import Refused
from screens.token_settings import TABS, settings_for
from screens.token_watch import TokenWatch
from screens.words import parse_period, period_words

from .conftest import Compare, settled
from .test_databases import press, shown
from .world import NOW, ORDERS_TOKEN, database, state_of, token, world

SIZE = (100, 30)
SECRET = ORDERS_TOKEN.token

FULL = token(
    "orders", "app_rw", "2026-11-22T09:59:17Z", login="app_rw", catalog="orders", local_port=15432,
    lines=m.Lines(
        ssh="ssh -N -L 15432:10.20.0.15:5432 alice@bastion.example.com -p 60022",
        client='psql "host=127.0.0.1 port=15432 user=app_rw dbname=orders"',
    ),
)  # fmt: skip


def clipboard(pilot: Pilot[Any]) -> list[str]:
    """What is sent to the terminal's clipboard from here on."""
    sent: list[str] = []

    def write(data: str) -> None:
        if "\x1b]52;c;" in data:
            sent.append(base64.b64decode(data.partition("\x1b]52;c;")[2].partition("\a")[0]).decode())

    pilot.app._driver.write = write  # type: ignore[union-attr, method-assign]
    return sent


async def test_the_token_is_masked_until_it_is_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f3")
        assert "************" in shown(pilot)
        for _ in TABS:
            assert SECRET not in shown(pilot)
            await press(pilot, "right")
        await press(pilot, "v")
        assert SECRET in shown(pilot)
        await press(pilot, "v")
        assert SECRET not in shown(pilot)


async def test_any_field_can_be_copied(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers={"token.show": FULL})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "f3")
        sent = clipboard(pilot)
        await press(pilot, "c", "down", "enter", "down", "c")
        assert sent == [SECRET, "bastion.example.com", "60022"]
        await press(pilot, "s", "l")
        assert sent[3:] == [FULL.lines.ssh, FULL.lines.client]
        await press(pilot, "right", "down", "down", "c")
        assert sent[5:] == ["casemate tunnel orders --account app_rw"]
        await press(pilot, "right", *["down"] * 5, "c")
        assert "There is nothing to copy: General: Password stays empty." in shown(pilot)
        assert len(sent) == 6


async def test_f4_shows_the_lines_for_ones_own_client(tmp_path: Path) -> None:
    async with world(tmp_path, answers={"token.show": FULL}).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f4")
        text = shown(pilot)
        assert "ssh -N -L 15432:10.20.0.15:5432 alice@bastion.example.com -p 60022" in text
        assert 'psql "host=127.0.0.1 port=15432 user=app_rw dbname=orders"' in text


@pytest.mark.parametrize("engine", ["mysql", "postgresql", "sqlserver", "oracle"])
@pytest.mark.parametrize("kind", ["hosted", "token", "own"])
def test_every_tab_has_what_its_program_asks_for(engine: str, kind: str) -> None:
    shown_token = token(
        "orders", "app_rw", "2026-11-22T09:59:17Z", engine=engine, login="app_rw", local_port=15432,
        catalog="" if engine == "oracle" else "orders", service="ERP" if engine == "oracle" else "",
        hosted=kind != "own", asks_password=kind != "hosted",
    )  # fmt: skip
    for tab in TABS:
        fields = settings_for(tab, shown_token)
        for setting in fields:
            assert setting.secret == (SECRET in setting.value), setting
    for tab in ("navicat", "dbeaver"):
        values = {setting.label: setting for setting in settings_for(tab, shown_token)}
        assert values["SSH: Password"].value == SECRET
        assert values["SSH: Use SSH Tunnel"].value == "on"
        password = values["General: Password" if tab == "navicat" else "Main: Password"]
        assert password.value == (SECRET if kind == "token" else "")
    [jdbc] = [setting.value for setting in settings_for("url", shown_token) if setting.label == "JDBC"]
    assert (
        jdbc
        == {
            "mysql": "jdbc:mysql://127.0.0.1:15432/orders?user=app_rw",
            "postgresql": "jdbc:postgresql://127.0.0.1:15432/orders?user=app_rw",
            "sqlserver": "jdbc:sqlserver://127.0.0.1:15432;databaseName=orders;user=app_rw",
            "oracle": "jdbc:oracle:thin:@//127.0.0.1:15432/ERP",
        }[engine]
    )


async def test_seconds_are_counted_near_the_end_and_minutes_far_from_it(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers={"token.show": token("orders", "app_rw", "2026-11-22T03:34:05Z")})
    services = scripted.app.services
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f3")
        for passed, words in (
            (0, "00:30:00 left ·"),
            (1321, "00:07:59 left: it ends soon ·"),
            (1800, "The token has ended. + asks for a new one."),
        ):
            services.now = lambda passed=passed: NOW + timedelta(seconds=passed)  # type: ignore[misc]
            pilot.app.screen._tick()  # type: ignore[attr-defined]
            await settled(pilot)
            assert words in shown(pilot)
        text = shown(pilot)
        assert "Renew" not in text
        assert "Open console" not in text.splitlines()[-8]


async def test_one_that_cannot_be_renewed_again_is_replaced_after_asking(tmp_path: Path) -> None:
    last = token("orders", "app_rw", "2026-11-22T09:59:17Z", renewals_left=0)
    scripted = world(tmp_path, answers={"token.show": last})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f3", "r")
        assert scripted.link.asked("token.renew") == []
        await press(pilot, "plus", "y", *"INC-7", "enter")
        [asked] = scripted.link.asked("token.request")
        assert (asked.new, asked.reason) == (True, "INC-7")


def test_periods_are_written_as_they_are_typed() -> None:
    for seconds, words in ((60, "1m"), (8 * 3600, "8h"), (9000, "2h30m"), (86400, "1d"), (90000, "25h")):
        assert period_words(seconds) == words
        assert parse_period(words) == seconds


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["tab", *"soon", "enter"], "The period is written like 30m, 2h or 1d."),
        (["tab", *"90d", "enter"], "A token may live 1d at most; 90d was asked."),
    ],
)
async def test_a_period_that_is_not_in_order_is_said_at_its_field(tmp_path: Path, keys: list[str], said: str) -> None:
    answers = {"token.request": Refused("period-too-long", longest="1d", asked="90d")}
    async with world(tmp_path, answers=answers).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"billing", "f3", *keys)
        assert said in shown(pilot)
        assert pilot.app.focused is not None
        assert pilot.app.focused.id == "period"


async def test_user_and_password_come_first_and_are_needed_for_the_console(tmp_path: Path) -> None:
    any_login = database("erp", "mysql", "self-managed", "erp.internal", 3306,
                         accounts=[m.Account(name="*", hosted=False)])  # fmt: skip
    scripted = world(tmp_path, answers={"databases.list": [any_login]})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter", "enter")
        assert "Say as whom to log in to the database." in shown(pilot)
        await press(pilot, *"scott", "enter")
        assert "The console needs the account's password." in shown(pilot)
        await press(pilot, *"tiger", "enter")
        [asked] = scripted.link.asked("token.request")
        assert (asked.login, asked.password) == ("scott", "tiger")


async def test_where_the_token_has_ended_meanwhile_another_is_asked_for_on_the_way_to_the_console(
    tmp_path: Path,
) -> None:
    answers = {"token.show": Refused("token-expired", at="2026-11-22T03:00:00Z", database="orders")}
    scripted = world(tmp_path, answers=answers)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        assert "Request the token" in shown(pilot)
        assert "The token ended at 2026-11-22 03:00 UTC (4 min ago)" in " ".join(shown(pilot).split())
        await press(pilot, *"INC-1", "enter")
        assert len(scripted.opened) == 1


# -------------------------------------------------------------------------------------------- before a token's end


def test_each_warning_comes_once_until_it_is_renewed() -> None:
    watch = TokenWatch()
    watch.use(token("orders", "app_rw", "2026-11-22T03:34:05Z"))

    def due(minutes: float) -> list[str]:
        return [ending.token.database for ending in watch.due(NOW + timedelta(minutes=minutes))]

    assert [due(minutes) for minutes in (0, 19, 20, 21, 25, 25.5, 29, 29.5)] == [
        [], [], ["orders"], [], ["orders"], [], ["orders"], [],
    ]  # fmt: skip
    watch.changed("renewed", state_of(token("orders", "app_rw", "2026-11-22T04:34:05Z")))
    assert due(29.6) == []
    assert due(88) == ["orders"], "two were slept through: only the last is said"
    assert due(89.5) == ["orders"]
    assert due(91) == []
    assert watch.ending(NOW + timedelta(minutes=80)) == [], "it has ended and is forgotten"


def test_a_token_that_is_not_in_use_is_not_warned_of() -> None:
    watch = TokenWatch()
    watch.changed("renewed", state_of(token("orders", "app_rw", "2026-11-22T03:05:05Z")))
    assert watch.due(NOW) == []
    watch.use(token("crm", "app_rw", "2026-11-22T03:05:05Z"))
    watch.changed("revoked", state_of(token("crm", "app_rw", "2026-11-22T03:05:05Z")))
    assert watch.due(NOW) == []


async def test_the_warning_is_seen_wherever_the_person_is_and_renewed_at_one_key(tmp_path: Path) -> None:
    soon = token("orders", "app_rw", "2026-11-22T03:09:00Z")
    scripted = world(tmp_path, answers={"token.show": soon})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "f3", "escape", "3")  # it was shown, for a client of one's own; now the audit page
        pilot.app._warn_of_tokens()  # type: ignore[attr-defined]
        await settled(pilot)
        text = " ".join(shown(pilot).split())
        assert "The token for orders as app_rw ends in 4m." in text
        assert "Ctrl+O renews" in text
        await press(pilot, "ctrl+o")
        assert [params.id for params in scripted.link.asked("token.renew")] == [soon.id]
        assert "is renewed: 8h 00m left." in " ".join(shown(pilot).split())
        await press(pilot, "ctrl+o")
        assert len(scripted.link.asked("token.renew")) == 1, "there is nothing to renew now"


async def test_the_token_of_the_console_is_renewed_at_the_same_key_from_the_editor(tmp_path: Path) -> None:
    soon = token("orders", "app_rw", "2026-11-22T03:09:00Z")
    scripted = world(tmp_path, answers={"token.show": soon})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        pilot.app._warn_of_tokens()  # type: ignore[attr-defined]
        await settled(pilot)
        assert "The token for orders" not in shown(pilot), "the console says it in its own words"
        await press(pilot, "ctrl+o")
        assert [params.id for params in scripted.link.asked("token.renew")] == [soon.id]


# ------------------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("tab", list(TABS))
async def test_picture_of_each_tab(picture: Compare, tmp_path: Path, tab: str) -> None:
    app = world(tmp_path, answers={"token.show": FULL}).app
    steps = list(TABS).index(tab)
    await picture(app, f"token-{tab}", (80, 24), press=["f3", *["right"] * steps])


async def test_picture_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    app = world(tmp_path, answers={"token.show": FULL}).app
    await picture(app, "token-zh", (80, 24), press=["f4", "right", "right"])
