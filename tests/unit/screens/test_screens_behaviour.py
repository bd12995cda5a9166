"""What a person sees after what they do, with the bastion and the database scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends import arrow
from backends.connection import ResultBegan, ResultEnded, RowsArrived, RunEvent, RunFailed
from backends.host_keys import OfferedKey
from backends.interface import Column, DatabaseError, Kind, Notice, TransactionState
from backends.link import HostKeyUnknown, LoginRefused
from bastion.api import messages as m
from bastion.api.refusals import Refused
from screens.login import LoginScreen
from screens.widgets.editor import SqlEditor
from screens.widgets.results import Results

from .conftest import settled
from .world import ATTACK, ORDERS_TOKEN, ScriptedConsole, fails, token, world

SIZE = (100, 30)


def shown(pilot: Pilot[Any]) -> str:
    """The screen as text, the dialogs on top of it too."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


def write(pilot: Pilot[Any], text: str, row: int = 0, column: int = 0) -> SqlEditor:
    editor = pilot.app.screen.query_one(SqlEditor)
    editor.load_text(text)
    editor.move_cursor((row, column))
    return editor


async def run_in_console(pilot: Pilot[Any], text: str, *keys: str) -> None:
    await settled(pilot)
    await press(pilot, "enter")
    write(pilot, text)
    await press(pilot, *(keys or ("f5",)))


# ---------------------------------------------------------------------------------------------------------- the login


async def test_a_wrong_password_is_said_and_emptied(tmp_path: Path) -> None:
    scripted = world(tmp_path, refuse=lambda *_: LoginRefused("Login failed: ask an administrator."))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "Login failed: ask an administrator." in shown(pilot)
        assert pilot.app.screen.query_one("#password").value == ""  # type: ignore[attr-defined]


async def test_an_unknown_key_is_kept_only_after_yes(tmp_path: Path) -> None:
    line = "[bastion.example.com]:60022 ssh-ed25519 AA"
    key = OfferedKey("bastion.example.com", 60022, "ssh-ed25519", "SHA256:abc", line)

    def refuse(target: Any, credentials: Any, keys: Any) -> Exception | None:
        return None if key.line in keys.accepted else HostKeyUnknown(key)

    scripted = world(tmp_path, refuse=refuse)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "SHA256:abc" in shown(pilot)
        await press(pilot, "n")
        assert "the host key was not accepted" in shown(pilot)
        assert not (tmp_path / "known_hosts").exists()
        await press(pilot, "f5", "y")
        assert "1 Databases" in shown(pilot)
        assert (tmp_path / "known_hosts").read_text() == key.line + "\n"


async def test_a_lost_connection_leads_back_to_the_login_with_the_reason(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        scripted.link.on_lost[0]("The connection to the bastion was lost: timeout.")
        await settled(pilot)
        assert isinstance(pilot.app.screen, LoginScreen)
        assert "The connection to the bastion was lost: timeout." in shown(pilot)


# -------------------------------------------------------------------------------------------------------- the databases


async def test_search_as_you_type_and_open(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"ord app")
        text = shown(pilot)
        assert "1/6" in text
        assert "billing" not in text
        await press(pilot, "enter")
        assert scripted.opened == [(ORDERS_TOKEN, "orders")]
        assert "autocommit" in shown(pilot)


async def test_without_a_token_enter_asks_for_one_and_opens(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"billing", "enter", *"INC-9", "tab", *"2h", "enter")
        [asked] = scripted.link.asked("token.request")
        assert (asked.database, asked.account, asked.reason, asked.period) == ("billing", "app_rw", "INC-9", 7200)
        assert len(scripted.opened) == 1


async def test_a_refused_token_says_why(tmp_path: Path) -> None:
    answers = {"token.request": Refused("grant-ended", database="billing", at="2026-11-01T00:00:00Z")}
    scripted = world(tmp_path, answers=answers)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"billing", "f3", "enter")
        assert "Your grant for billing ended at 2026-11-01 00:00 UTC (21 days ago)" in shown(pilot)


async def test_an_account_that_is_not_hosted_asks_for_its_login(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"report", "f3", "tab", *"s3cret", "enter")
        [asked] = scripted.link.asked("token.request")
        assert (asked.login, asked.password) == ("report", "s3cret")
        assert "s3cret" not in shown(pilot)


async def test_an_auditor_is_offered_the_audit_alone(tmp_path: Path) -> None:
    async with world(tmp_path, roles=["auditor"]).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        text = shown(pilot)
        assert "4 sessions" in text
        assert "2 Console" not in text


# ------------------------------------------------------------------------------------------------------------ the token


async def test_the_token_is_copied_as_osc_52_and_the_message_is_honest(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "f3")
        sent: list[str] = []
        pilot.app._driver.write = sent.append  # type: ignore[union-attr, method-assign]
        await press(pilot, "c")
        assert any(piece.startswith("\x1b]52;c;Y210X2FiY2Rl") for piece in sent)
        assert "Sent the token to your terminal's clipboard." in shown(pilot)
        assert "copied" not in shown(pilot).lower()


async def test_renewing_shows_the_new_end(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f3")
        assert "6h 55m left · until 2026-11-22 09:59 · 3 renewals left" in shown(pilot)
        await press(pilot, "r")
        assert "8h 00m left · until 2026-11-22 11:04 · 2 renewals left" in shown(pilot)


async def test_revoking_asks_first(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f3", "x", "n")
        assert scripted.link.asked("token.revoke") == []
        await press(pilot, "x", "y")
        assert [params.id for params in scripted.link.asked("token.revoke")] == ["t-orders-app_rw"]


# ---------------------------------------------------------------------------------------------------------- the console


async def test_the_statement_at_the_cursor_runs(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        write(pilot, "select 1;\nselect ';' as two;\nselect 3", 1, 4)
        await press(pilot, "ctrl+j")
        assert scripted.console.ran == ["select ';' as two"]
        assert "60 rows, all of them" in shown(pilot)


async def test_the_palette_leads_to_the_other_pages_from_the_editor(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        write(pilot, "select 1", 0, 0)
        await press(pilot, "f2", *"audit")
        await press(pilot, "enter")
        assert pilot.app.current_mode == "audit"


async def test_keys_typed_before_run_are_in_the_statement(tmp_path: Path) -> None:
    """Run must not overtake the keys before it: half a statement may be a very different one."""
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        await pilot.press(*"delete from t where id = 1", "f5")
        await settled(pilot)
        assert scripted.console.ran == ["delete from t where id = 1"]


async def test_an_error_is_marked_in_the_editor(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=fails(DatabaseError("no such column", code="42703", position=7)))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        editor = write(pilot, "select 1;\nselect wrng from t;", 1, 0)
        await press(pilot, "f5")
        assert editor.cursor_location == (1, 7)
        assert (7, 11, "error") in editor._highlights[1]
        assert "Error 42703: no such column" in shown(pilot)


async def test_run_all_stops_at_the_first_error(tmp_path: Path) -> None:
    def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        if "bad" in text:
            listener(RunFailed(DatabaseError("bad"), 0.1))
        else:
            listener(ResultEnded("UPDATE 1", 1, None, 0.1))

    scripted = world(tmp_path, script=script)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update a; bad; update c", "f9")
        assert scripted.console.ran == ["update a", "bad"]
        assert "✓ UPDATE 1" in shown(pilot)


async def test_cancel_goes_through_the_bastion_in_visible_stages(tmp_path: Path) -> None:
    answered = asyncio.Event()

    async def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        await console.cancelled.wait()
        await answered.wait()
        listener(RunFailed(DatabaseError("canceling statement due to user request", code="57014", cancelled=True), 1.0))

    async with world(tmp_path, script=script).app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select pg_sleep(100)")
        assert "Running" in shown(pilot)
        assert "F8 Cancel" in shown(pilot)
        await press(pilot, "f8")
        assert "the database took the order" in shown(pilot)
        answered.set()
        await settled(pilot)
        text = shown(pilot)
        assert "Cancelled, the database confirmed it" in text
        assert "F8 Cancel" not in text
        assert "F5 Run" in text


async def test_first_rows_are_shown_while_the_rest_is_on_its_way(tmp_path: Path) -> None:
    columns = (Column("n", "int4", Kind.NUMBER),)
    more = asyncio.Event()

    async def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        listener(ResultBegan(columns))
        listener(RowsArrived(arrow.batch(columns, [("41",), ("42",)])))
        await more.wait()
        listener(RowsArrived(arrow.batch(columns, [("43",)])))
        listener(ResultEnded("", None, 3, 2.5, truncated=True, cancelled=True))

    async with world(tmp_path, script=script).app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select n from t")
        text = shown(pilot)
        assert "2 rows so far, still running" in text
        assert "42" in text
        more.set()
        await settled(pilot)
        assert "TRUNCATED: the first 3 rows" in shown(pilot)
        assert "43" in shown(pilot)


async def test_an_open_transaction_is_shown_and_asked_about_before_quitting(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.state = TransactionState.OPEN
    async with scripted.app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "update t set a = 1")
        assert "TRANSACTION OPEN" in shown(pilot)
        await press(pilot, "ctrl+q")
        assert "A transaction is open. It is rolled back." in shown(pilot)
        await press(pilot, "n", "f10", "c")
        assert scripted.console.orders == ["commit"]
        assert "TRANSACTION OPEN" not in shown(pilot)


async def test_history_gives_a_statement_back(tmp_path: Path) -> None:
    async with world(tmp_path).app.run_test(size=SIZE) as pilot:
        await run_in_console(pilot, "select 'first'")
        editor = write(pilot, "")
        await press(pilot, "f7", *"first", "enter")
        assert editor.text == "select 'first';"


async def test_one_database_name_beside_postgres_is_opened_by_itself(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.names = ["shop", "postgres"]
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, *"crm", "enter")
        assert [catalog for _token, catalog in scripted.opened] == ["", "shop"]


async def test_nothing_from_the_database_is_interpreted(tmp_path: Path) -> None:
    columns = (Column(ATTACK, "text", Kind.TEXT),)

    def script(console: ScriptedConsole, text: str, listener: Callable[[RunEvent], None]) -> None:
        listener(Notice("NOTICE", ATTACK))
        listener(ResultBegan(columns))
        listener(RowsArrived(arrow.batch(columns, [(ATTACK,)])))
        listener(RunFailed(DatabaseError(ATTACK, code=ATTACK, detail=ATTACK, hint=ATTACK), 0.1))

    async with world(tmp_path, script=script).app.run_test(size=(160, 48)) as pilot:
        await run_in_console(pilot, "select 1")
        rows = shown(pilot)
        await press(pilot, "f6", "enter")
        view = shown(pilot)
        await press(pilot, "escape")
        pilot.app.screen.query_one(Results).action_messages()
        await settled(pilot)
        for text in (rows, view, shown(pilot)):
            assert "[bold red]x[/]" in text
            assert not set(text) & {"\x1b", "\x07", "\x9b"}


# ------------------------------------------------------------------------------------------------------------ the audit


async def test_the_audit_follows_notifications(tmp_path: Path) -> None:
    scripted = world(tmp_path, roles=["operator", "auditor"])
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "3")
        asked = len(scripted.link.asked("sessions.list"))
        for listener in scripted.link.listeners:
            listener(m.Event(topic="sessions", kind="opened", data={}))
        await settled(pilot)
        pilot.app.screen._settle()  # type: ignore[attr-defined]
        await settled(pilot)
        assert len(scripted.link.asked("sessions.list")) == asked + 1


async def test_an_operator_ends_no_session_of_another(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "3", "down")
        assert "x End session" not in shown(pilot)
        await press(pilot, "x")
        await press(pilot, "up")
        assert "x End session" in shown(pilot)
        await press(pilot, "x", *"stuck", "enter")
        assert [(params.id, params.reason) for params in scripted.link.asked("session.end")] == [("s-0192f3", "stuck")]


async def test_the_console_warns_before_the_token_ends(tmp_path: Path) -> None:
    soon = token("orders", "app_rw", "2026-11-22T03:08:00Z")
    scripted = world(tmp_path, answers={"token.show": soon})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        pilot.app.screen._time_passed()  # type: ignore[attr-defined]
        await settled(pilot)
        assert "The token ends in 3m. Ctrl+O renews it." in shown(pilot)


@pytest.mark.parametrize("key", ["f1", "question_mark"])
async def test_help_lists_the_keys_of_the_page(tmp_path: Path, key: str) -> None:
    async with world(tmp_path, roles=["auditor"]).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, key)
        assert "Live only / all" in shown(pilot)


async def test_a_failure_shows_a_sentence_and_no_value_of_any_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tui.failure.user_log_path", lambda *_, **__: tmp_path)
    scripted = world(tmp_path)

    def fail() -> None:
        secret = "hunter2-local"
        raise RuntimeError(f"said of {secret}")

    with pytest.raises(RuntimeError):
        async with scripted.app.run_test(size=SIZE) as pilot:
            await settled(pilot)
            scripted.app.call_later(fail)
            await settled(pilot)
    printed = "".join(capsys.readouterr())
    assert "The workstation failed and had to stop" in printed
    log = (tmp_path / "workstation.log").read_text()
    assert "in fail" in log
    assert "hunter2-local" not in printed + log
