"""The login: bastions used before, keys before passwords, and connecting again by itself after the link was lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from backends.link import Credentials, LoginRefused, Target, Unreachable
from backends.recent_bastions import RecentBastions
from screens import login
from screens.login import LoginScreen

from .conftest import Compare, settled
from .test_databases import press, shown
from .world import world

SIZE = (100, 30)


@pytest.fixture
def recent(tmp_path: Path) -> RecentBastions:
    known = RecentBastions(tmp_path / "state" / "recent")
    for name in ("carol@lab.example.com:60022", "alice@old.example.com:60022", "alice@bastion.example.com:60022"):
        known.add(Target.parse(name))
    return known


def test_the_last_used_comes_first_and_bad_lines_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "recent"
    known = RecentBastions(file)
    assert known.names() == []
    for number in range(25):
        known.add(Target.parse(f"alice@b{number}"))
    known.add(Target.parse("alice@b20"))
    assert known.names()[:3] == ["alice@b20:60022", "alice@b24:60022", "alice@b23:60022"]
    assert len(known.names()) == 20
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"no target\n\xff\xfe\nbob@x:99999\nalice@\x1b[31mred\nalice@good\n")
    assert known.names() == ["alice@good:60022"]
    RecentBastions(Path("/proc/no/such/folder")).add(Target.parse("alice@b"))
    RecentBastions().add(Target.parse("alice@b"))


async def test_bastions_used_before_are_stepped_through_and_chosen(tmp_path: Path, recent: RecentBastions) -> None:
    scripted = world(tmp_path, signed_in=False)
    scripted.app.services.recent_bastions = recent
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert "those that you used before (2)" in shown(pilot)
        await press(pilot, "shift+tab", "down")
        assert "alice@old.example.com:60022" in shown(pilot)
        await press(pilot, "down", "down", "up")
        assert "alice@old.example.com:60022" in shown(pilot)
        await press(pilot, "f6", *"carol", "enter")
        assert "carol@lab.example.com:60022" in shown(pilot)
        await press(pilot, *"secret", "enter")
        assert str(scripted.login[-1][0]) == "carol@lab.example.com:60022"
        assert recent.names()[0] == "carol@lab.example.com:60022"


async def test_where_no_key_was_accepted_the_password_is_asked_for(tmp_path: Path) -> None:
    def refuse(_target: Any, credentials: Credentials, _keys: Any) -> Exception | None:
        return LoginRefused("Login failed.") if credentials.password is None else None

    scripted = world(tmp_path, refuse=refuse, signed_in=False)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        assert "None of your keys was accepted: give the password." in shown(pilot)
        await press(pilot, *"secret", "enter")
        assert "1 Databases" in shown(pilot)


async def test_after_a_login_by_key_a_lost_link_comes_back_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    tries: list[bool] = []

    def refuse(_target: Any, credentials: Credentials, _keys: Any) -> Exception | None:
        tries.append(credentials.password is None)
        return Unreachable("nobody there") if 1 < len(tries) < 4 else None

    async def wait(_seconds: float) -> None:
        await gate.wait()

    monkeypatch.setattr(login, "sleep", wait)
    scripted = world(tmp_path, refuse=refuse, signed_in=False)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter", "enter")  # in with the keys, and a console is open
        scripted.link.on_lost[0]("The connection to the bastion was lost: timeout.")
        await settled(pilot)
        text = shown(pilot)
        assert "The connection to the bastion was lost: timeout." in text
        assert "The session on orders ended with it" in text
        assert "Not reached. The next try is in 1 s" in text
        gate.set()
        await settled(pilot)
        assert not isinstance(pilot.app.screen, LoginScreen)
        assert tries == [True] * 4
        assert len(scripted.links) == 2


async def test_after_a_login_by_password_it_is_asked_for_again(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        scripted.link.on_lost[0]("The connection to the bastion was lost: timeout.")
        await settled(pilot)
        assert isinstance(pilot.app.screen, LoginScreen)
        assert len(scripted.links) == 1
        await press(pilot, *"correct horse", "enter")
        assert "1 Databases" in shown(pilot)


async def test_picture_after_the_link_was_lost(picture: Compare, tmp_path: Path, recent: RecentBastions) -> None:
    scripted = world(tmp_path)
    scripted.app.services.recent_bastions = recent

    async def prepare(pilot: Any) -> None:
        scripted.link.on_lost[0]("The connection to the bastion was lost: timeout.")
        await settled(pilot)

    await picture(scripted.app, "login-lost", (80, 24), prepare, press=["enter"])
