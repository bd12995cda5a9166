"""Why somebody can or cannot work with a database: each reason, what is said of it, and what is not given away."""

from __future__ import annotations

import string
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bastion.access.explain import Judged
from bastion.api import explanations, language, moments
from bastion.api import messages as m
from bastion.api.methods import DatabaseList
from bastion.api.refusals import SENTENCES
from bastion.gateway.explain import limit_check
from tests.unit.bastion_state import ADMIN, ALICE, DOCUMENT, HERE, BastionState


@pytest.fixture
async def declared(state: BastionState) -> AsyncIterator[BastionState]:
    await state.declare(DOCUMENT)
    moments.everywhere(local=False, clock=state.clock)
    yield state
    moments.everywhere(local=False)


async def judged(state: BastionState, database: str = "orders", user: str = "alice", account: Any = None) -> Judged:
    return await state.access.explain(user, database, account)


def words(found: Judged) -> list[str]:
    """Stage, state, sentence and next step of each check."""
    return [
        f"{check.stage} {check.state}: {explanations.text(check)} {explanations.next_step(check)}".strip()
        for check in found.checks
    ]


async def test_all_is_well_with_a_live_token(declared: BastionState) -> None:
    await declared.token()
    found = await judged(declared)
    assert words(found) == [
        "person ok: alice may work here.",
        "grant ok: Granted by dba-orders, without an end.",
        "account ok: app_rw: the bastion has what it logs in with.",
        "token ok: Live until 2026-11-22 17:30 UTC (in 8 h 00 min).",
    ]
    assert found.place is not None
    assert (found.place.host, found.place.port, found.account) == ("rm-example.test", 3306, "app_rw")


async def test_a_token_that_is_not_there_or_over_is_told_with_the_next_step(declared: BastionState) -> None:
    step = "Request a new one: F3 on the databases page, or casemate token orders."
    assert words(await judged(declared))[3] == (
        "token note: There is none yet. Request one: F3 on the databases page, or casemate token orders."
    )
    token = await declared.token()
    declared.clock.advance(hours=9)
    assert words(await judged(declared))[3] == f"token note: It ended at 2026-11-22 17:30 UTC (1 h 00 min ago). {step}"
    token = await declared.token()
    await declared.access.revoke_token(ADMIN, token.id, "", HERE)
    assert (
        words(await judged(declared))[3]
        == f"token note: It was revoked at 2026-11-22 18:30 UTC (just now) by admin. {step}"
    )


async def test_without_a_grant_it_is_said_whom_to_ask_and_nothing_else(declared: BastionState) -> None:
    for name in ("billing", "no-such-database"):  # one that is there, and one that is not
        found = await judged(declared, name)
        assert words(found)[1:] == [
            f"grant no: There is no database {name} that you are authorized for. `casemate databases` lists yours; "
            f"ask an administrator for a grant. Ask admin for a grant for {name}."
        ]
        assert found.place is None
        assert not found.known
    assert words(await judged(declared, "order"))[1].endswith(
        "Is it orders that you mean? Otherwise ask admin for a grant."
    )


async def test_dates_of_a_grant(declared: BastionState) -> None:
    grant = DOCUMENT["grants"][0]
    await declared.declare({"grants": [grant | {"from": "2027-01-01", "until": "2027-02-01"}]})
    assert words(await judged(declared))[1] == (
        "grant no: Your grant for orders starts at 2027-01-01 00:00 UTC (in 39 days). "
        "Wait until then, or ask admin to let it start earlier."
    )
    declared.clock.advance(days=60)
    assert (
        words(await judged(declared))[1] == "grant ok: Granted by dba-orders until 2027-02-01 00:00 UTC (in 10 days)."
    )
    declared.clock.advance(days=60)
    found = await judged(declared)
    assert words(found)[1].startswith("grant no: Your grant for orders ended at 2027-02-01 00:00 UTC (49 days ago).")
    assert found.known
    assert found.place is None


async def test_accounts(declared: BastionState) -> None:
    assert words(await judged(declared, account="report"))[2] == (
        "account no: You are not authorized for the account report of orders. Yours are: app_rw. "
        "Take one of yours, or ask admin for a grant for report."
    )
    await declared.declare({"grants": [DOCUMENT["grants"][0] | {"accounts": ["*"]}]})
    several = await judged(declared)
    assert words(several)[2].endswith("Say which account: app_rw, report, *.")
    assert several.place is not None, "the database can be tried without an account"
    assert words(await judged(declared, account="report"))[2].startswith("account note: report: the bastion does not")
    assert words(await judged(declared, account="*"))[2].startswith("account note: Any account")


async def test_the_person(declared: BastionState) -> None:
    until = declared.clock() + timedelta(minutes=30)
    await declared.access.lock("alice", until, ADMIN, HERE, "an inquiry")
    assert words(await judged(declared)) == [
        "person no: alice is locked until 2026-11-22 10:00 UTC (in 30 min), by admin: an inquiry. "
        "Ask admin, or admin, to unlock alice."
    ]
    await declared.access.lock("alice", None, ADMIN, HERE)
    assert words(await judged(declared, user="eve"))[0] == (
        "person no: This needs the role operator, which eve does not have. Ask an administrator. "
        "Ask admin for the role operator."
    )
    assert words(await judged(declared, user="nobody"))[0].startswith("person no: nobody is not valid")


def test_a_full_bastion_names_those_who_use_it() -> None:
    people = ["bob"] * 3 + ["alice"] * 2 + ["carol", "dave"]
    full = limit_check(7, 7, people)
    assert explanations.text(full) == (
        "All 7 sessions of the bastion are in use, most of them by bob (3), alice (2), carol (1)."
    )
    assert explanations.next_step(full).startswith("Wait until one ends")
    assert limit_check(6, 7, people[:6]).state == "ok"


async def test_nothing_secret_is_in_it(declared: BastionState) -> None:
    token = await declared.token()
    found = await judged(declared)
    assert token.token not in repr(found)
    assert "hosted secret" not in repr(found)


def test_every_sentence_is_filled_and_translated() -> None:
    params = {
        name: "X"
        for template in (*SENTENCES.values(), *explanations.SENTENCES.values(), *explanations.NEXT.values())
        for _, name, _, _ in string.Formatter().parse(template)
        if name
    }
    for tongue in ("en", "zh_CN"):
        language.use(tongue)
        try:
            for code in {*explanations.SENTENCES, *explanations.NEXT}:
                check = m.Check(
                    stage="grant", state="no", code=code.removesuffix("-until").removesuffix("-like"), params=params
                )
                for text in (explanations.text(check), explanations.next_step(check)):
                    assert "{" not in text, code
                if code in explanations.SENTENCES and tongue != "en":
                    assert explanations.text(check).isascii() is False, f"{code} is not translated"
        finally:
            language.use("en")


async def test_databases_come_in_pages_by_name(declared: BastionState) -> None:
    await declared.declare(
        {
            "grants": [{"name": "all", "to": ["alice"], "on": ["*"]}],
            "database_groups": [{"name": "shop", "members": ["orders"]}, {"name": "eu", "members": ["orders"]}],
        }
    )

    async def names(**wanted: Any) -> list[str]:
        found = await declared.access.databases(ALICE, DatabaseList(**wanted))
        return [database.name for database in found]

    assert await names() == ["billing", "orders"]
    assert await names(limit=1) == ["billing"]
    assert await names(limit=1, after="billing") == ["orders"]
    assert await names(after="orders") == []
    assert await names(name="orders") == ["orders"]
    assert await names(name="a\0b") == await names(after="a\0b") == []
    [orders] = await declared.access.databases(ALICE, DatabaseList(name="orders"))
    assert orders.groups == ["eu", "shop"]
