"""Every screen at 80x24 and at 160x48, as it is kept in snapshots/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.host_keys import OfferedKey
from backends.interface import DatabaseError, TransactionState
from backends.link import HostKeyChanged, HostKeyUnknown
from screens.widgets.editor import SqlEditor

from .conftest import Compare, settled
from .world import fails, world

SIZES = [(80, 24), (160, 48)]

SCRIPT = """-- orders of today
select o.id, c.name as customer, o.status, o.total
from orders o
join customer c on c.id = o.customer_id
where o.created_at > now() - interval '1 day'
order by o.id;

update orders set status = 'paid' where id = 9;
"""

small = pytest.mark.parametrize("size", SIZES[:1], ids=["80x24"])
"""Where a larger screen shows the same with more room."""
both_sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])


def edit(pilot: Pilot[Any], text: str, row: int = 0) -> None:
    editor = pilot.app.screen.query_one(SqlEditor)
    editor.load_text(text)
    editor.move_cursor((row, 0))


@both_sizes
async def test_login(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    await picture(world(tmp_path, signed_in=False).app, "login", size)


@small
async def test_login_with_an_unknown_host_key(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    key = OfferedKey(
        "bastion.example.com", 60022, "ssh-ed25519", "SHA256:O5ZEXkq1Q8lG0Zs0m6Wl9vQW2i3pJd2m2WnQXf0mYwE", "line"
    )
    await picture(world(tmp_path, refuse=lambda *_: HostKeyUnknown(key)).app, "login-unknown-key", size)


@small
async def test_login_with_a_changed_host_key(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    changed = HostKeyChanged("bastion.example.com", 60022, None, (Path("/home/alice/.ssh/known_hosts"),))
    await picture(world(tmp_path, refuse=lambda *_: changed).app, "login-changed-key", size)


@small
async def test_token_is_asked_for(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    await picture(world(tmp_path).app, "token-request", size, press=["down", "f3"])


@both_sizes
async def test_console_with_rows(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        edit(pilot, SCRIPT, 3)
        await pilot.press("f5")
        await settled(pilot)
        # The catalog, with a table open.
        await pilot.press("f6", "f6", "down", "down", "down", "down", "enter")
        await settled(pilot)

    await picture(world(tmp_path).app, "console", size, prepare, press=["enter"])


@small
async def test_console_with_an_error(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    error = DatabaseError(
        'column o.statsu does not exist', code="42703", position=28,
        hint='Perhaps you meant to reference the column "o.status".',
    )  # fmt: skip
    scripted = world(tmp_path, script=fails(error))
    scripted.console.state = TransactionState.FAILED

    async def prepare(pilot: Pilot[Any]) -> None:
        edit(pilot, SCRIPT.replace("o.status", "o.statsu"), 1)
        await pilot.press("f5")

    await picture(scripted.app, "console-error", size, prepare, press=["enter"])


@both_sizes
async def test_audit(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    await picture(world(tmp_path, roles=["operator", "auditor"]).app, "audit", size, press=["3"])


@small
async def test_help(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    await picture(world(tmp_path).app, "help", size, press=["enter", "f1"])


@small
async def test_palette(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await pilot.press("f2")
        await pilot.press(*"open")

    await picture(world(tmp_path).app, "palette", size, prepare)
