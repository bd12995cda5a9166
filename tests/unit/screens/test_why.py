"""Why a database cannot be worked with, as the workstation shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.interface import DatabaseError
from bastion.api import language
from bastion.api import messages as m
from bastion.api.refusals import Refused

from .conftest import Compare, settled
from .test_databases import press, shown
from .world import ATTACK, world

SIZE = (100, 30)


def check(stage: str, state: str, code: str, **params: Any) -> m.Check:
    return m.Check(stage=stage, state=state, code=code, params=params)


STORED = [
    check("person", "ok", "person-fit", user="alice", until=""),
    check("grant", "ok", "grant-holds", grants="dba-orders", until="2027-11-01T00:00:00Z"),
    check("account", "ok", "account-hosted", account="app_rw"),
    check("token", "ok", "token-live", until="2026-11-22T09:59:17Z", renewals=3),
    check("limit", "ok", "limit-free", used=12, limit=500),
]
REACHED = [
    check("name", "ok", "name-found", host="10.20.0.15", addresses="10.20.0.15"),
    check("tcp", "ok", "tcp-answers", host="10.20.0.15", port=5432, ms=2),
    check("tls", "ok", "tls-on", host="10.20.0.15", mode="require", version="TLSv1.3", said=""),
]
CLOSED = [
    REACHED[0],
    check("tcp", "no", "tcp-failed", host="10.20.0.15", port=5432,
          detail="the connection was refused: nothing listens on that port"),
]  # fmt: skip


def explaining(*dialled: m.Check) -> Any:
    """The bastion's answers: what it knows at once, and what it finds when it tries."""

    def answer(wanted: Any) -> m.Explanation:
        checks = [*STORED, *(dialled if wanted.dial else ())]
        return m.Explanation(
            user="alice", database=wanted.database, account=wanted.account, checks=checks,
            open=all(each.state != "no" for each in checks),
        )  # fmt: skip

    return {"access.explain": answer}


async def test_the_stage_that_fails_is_told_with_what_to_do(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers=explaining(*CLOSED))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f8")
        text = shown(pilot)
        assert "The bastion does not get through to 10.20.0.15:5432" in text
        assert "→ Check that the database runs, then the firewall between the bastion and it." in text
        assert "In the way: TCP." in text
        assert "Try the login" not in text
        assert [params.dial for params in scripted.link.asked("access.explain")] == [False, True]


async def test_what_is_refused_is_not_dialled(tmp_path: Path) -> None:
    ended = check("grant", "no", "grant-ended", database="orders", at="2026-11-01T00:00:00Z", ask="carol", like="")
    explanation = m.Explanation(user="alice", database="orders", account=None, open=False, checks=[STORED[0], ended])
    scripted = world(tmp_path, answers={"access.explain": explanation})
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f8")
        text = shown(pilot)
        assert "Your grant for orders ended at 2026-11-01 00:00 UTC (21 days ago)." in text
        assert "→ Ask carol to renew the grant." in text
        assert len(scripted.link.asked("access.explain")) == 1


async def test_the_login_itself_can_be_tried_and_the_servers_words_are_shown(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers=explaining(*REACHED))
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f8")
        assert "Nothing is in the way so far. F9 tries the login too." in shown(pilot)
        await press(pilot, "f9")
        assert "The login works: postgresql 18.1." in shown(pilot)
        assert scripted.console.closed

        async def refuse(*_: Any) -> Any:
            raise DatabaseError(f'FATAL: role "app_rw" is not permitted to log in {ATTACK}')

        scripted.app.services.open_console = refuse
        await press(pilot, "f9")
        text = shown(pilot)
        assert 'said: FATAL: role "app_rw"' in text
        assert "\x1b" not in text
        assert "In the way: Login." in text
        assert "The login works" not in text


async def test_a_bastion_that_does_not_know_the_question_says_so(tmp_path: Path) -> None:
    answers = {"access.explain": Refused("unknown-method", method="access.explain")}
    async with world(tmp_path, answers=answers).app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "f8")
        assert "The bastion does not know the call access.explain." in shown(pilot)
        await press(pilot, "escape")
        assert "Search" in shown(pilot)


async def test_a_console_that_does_not_connect_leads_there(tmp_path: Path) -> None:
    scripted = world(tmp_path, answers=explaining(*CLOSED))

    async def refuse(*_: Any) -> Any:
        raise DatabaseError("connection refused")

    scripted.app.services.open_console = refuse
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        text = shown(pilot)
        assert "connection refused" in text
        assert "F8 says why" in text
        await press(pilot, "f8")
        assert "In the way: TCP." in shown(pilot)


@pytest.mark.parametrize(("size", "tongue"), [((80, 24), "en"), ((80, 24), "zh_CN"), ((160, 48), "en")])
async def test_picture(picture: Compare, tmp_path: Path, size: tuple[int, int], tongue: str) -> None:
    language.use(tongue)
    app = world(tmp_path, answers=explaining(*CLOSED)).app
    await picture(app, "why" + ("-zh" if tongue != "en" else ""), size, press=["f8"])
