"""O&M tokens: asked for, found, shown, renewed, revoked; and what they never do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from bastion.access import sealing
from bastion.access.door import Access
from bastion.access.periods import parse_period, write_period
from bastion.api import messages as m
from bastion.api.refusals import Refused, sentence
from bastion.store import schema
from tests.unit.bastion_state import ADMIN, ALICE, AUDITOR, BOB, DOCUMENT, HERE, BastionState

EVERYTHING: dict[str, Any] = {"grants": [{"name": "alice-all", "to": ["alice"], "on": ["*"]}]}


@pytest.fixture
async def declared(state: BastionState) -> BastionState:
    await state.declare(DOCUMENT)
    state.records.clear()
    return state


async def refused(waited: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await waited
    assert "{" not in sentence(caught.value.code, caught.value.params), "a refusal must read as a sentence"
    return caught.value


# ---------------------------------------------------------------------------------------------------------- requests


async def test_a_token_is_shown_with_all_that_its_owner_needs(declared: BastionState) -> None:
    token = await declared.token()
    assert Access.looks_like_token(token.token)
    assert token == m.Token(
        id=token.id,
        token=token.token,
        user="alice",
        host="rm-example.test",
        port=3306,
        bastion=m.Address(host="bastion.test", port=60022),
        database="orders",
        account="app_rw",
        expires_at="2026-11-22T17:30:00Z",
        renewals_left=3,
        ca="CA",
        lines=m.Lines(
            ssh="ssh -N -L 13306:rm-example.test:3306 alice@bastion.test -p 60022",
            client="mysql -h 127.0.0.1 -P 13306 -u app_rw orders",
        ),
        engine="mysql",
        hosted=True,
        issued_at="2026-11-22T09:30:00Z",
        login="app_rw",
        catalog="orders",
        local_port=13306,
    )


async def test_asking_again_shows_the_same_and_new_replaces_it(declared: BastionState) -> None:
    told: list[tuple[str, str, str]] = []
    declared.access.on_token_change.append(lambda kind, state, user: told.append((kind, state.id, user)))
    first = await declared.token()
    declared.clock.advance(hours=1)
    assert await declared.token() == first
    second = await declared.token(new=True)
    assert second.id != first.id
    assert second.token != first.token
    assert second.expires_at == "2026-11-22T18:30:00Z"
    ended = await refused(declared.access.token_login("alice", first.token, HERE))
    assert ended.code == "token-revoked"
    assert ended.params == {"at": "2026-11-22T10:30:00Z", "by": "alice", "database": "orders"}
    assert told == [("issued", first.id, "alice"), ("revoked", first.id, "alice"), ("issued", second.id, "alice")]
    assert [act.act for act in declared.acts()] == ["token-issued", "token-shown", "token-revoked", "token-issued"]


async def test_after_its_end_another_one_is_made(declared: BastionState) -> None:
    first = await declared.token()
    declared.clock.advance(hours=8)
    second = await declared.token()
    assert second.id != first.id
    assert [state.id for state in await declared.access.tokens(ALICE)] == [second.id]


async def test_requests_at_the_same_moment_get_the_same_token(declared: BastionState) -> None:
    tokens = await asyncio.gather(*(declared.token() for _ in range(6)))
    assert len({token.token for token in tokens}) == 1


async def test_every_showing_is_on_record_without_the_text(declared: BastionState) -> None:
    token = await declared.token(reason="ticket 4711")
    await declared.access.show_token(ALICE, token.id, HERE)
    issued, shown = declared.acts()
    assert (issued.act, issued.user, issued.source, issued.subject) == ("token-issued", "alice", HERE, token.id)
    assert issued.detail["reason"] == "ticket 4711"
    assert issued.detail["database"] == "orders"
    assert issued.detail["account"] == "app_rw"
    assert shown.act == "token-shown"
    assert token.token not in repr(declared.records)


async def test_without_a_record_nothing_is_shown(declared: BastionState) -> None:
    token = await declared.token()

    def fail(_record: object) -> None:
        raise OSError("the disk is full")

    declared.access._record = fail
    with pytest.raises(OSError, match="full"):
        await declared.access.show_token(ALICE, token.id, HERE)


async def test_a_record_is_waited_for(declared: BastionState) -> None:
    written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asked = asyncio.Event()

    def record(_record: object) -> asyncio.Future[None]:
        asked.set()
        return written

    declared.access._record = record
    request = asyncio.ensure_future(declared.token())
    await asked.wait()
    assert not request.done()
    written.set_result(None)
    assert (await request).database == "orders"


async def test_the_text_is_nowhere_in_the_store(declared: BastionState) -> None:
    token = await declared.token()
    rows = await declared.store.read(lambda connection: connection.execute(sa.select(schema.tokens)).all())
    assert token.token not in repr(rows)
    assert token.token[4:] not in repr(rows)


# ----------------------------------------------------------------------------------------------------------- periods


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("asked", "ends"),
    [(None, "17:30"), (3600, "10:30"), (60, "09:31"), (8 * 3600, "17:30"), (10 * 3600, "17:30"), (24 * 3600, "17:30")],
)
async def test_the_shorter_of_what_was_asked_and_the_validity(
    declared: BastionState, asked: int | None, ends: str
) -> None:
    assert (await declared.token(period=asked)).expires_at == f"2026-11-22T{ends}:00Z"


async def test_periods_that_cannot_be_are_refused(declared: BastionState) -> None:
    too_long = await refused(declared.token(period=24 * 3600 + 1))
    assert (too_long.code, too_long.params) == ("period-too-long", {"longest": "1d", "asked": "1d1s"})
    for period in (59, 0, -5):
        assert (await refused(declared.token(period=period))).code == "period-too-short"


async def test_settings_hold_for_tokens_issued_afterwards(declared: BastionState) -> None:
    before = await declared.token()
    await declared.declare(
        {"settings": {"token": {"validity": "30m", "longest": "2h", "renewals": 1, "renewal": "10m"}}}
    )
    assert (await declared.token()).expires_at == before.expires_at
    after = await declared.token(new=True)
    assert (after.expires_at, after.renewals_left) == ("2026-11-22T10:00:00Z", 1)


async def test_no_token_outlives_its_grant_or_its_user(declared: BastionState) -> None:
    await declared.declare(
        {"grants": [{**DOCUMENT["grants"][0], "until": "2026-11-22T12:00:00Z"}]},
    )
    assert (await declared.token()).expires_at == "2026-11-22T12:00:00Z"
    await declared.declare({"users": [{**DOCUMENT["users"][0], "until": "2026-11-22T11:00:00Z"}]})
    assert (await declared.token(new=True)).expires_at == "2026-11-22T11:00:00Z"


async def test_of_two_grants_the_longer_one_counts(declared: BastionState) -> None:
    short = {**DOCUMENT["grants"][0], "until": "2026-11-22T12:00:00Z"}
    longer = {"name": "longer", "to": ["*"], "on": ["*"], "accounts": ["app_rw"], "until": "2026-11-22T13:00:00Z"}
    await declared.declare({"grants": [short, longer]})
    assert (await declared.token()).expires_at == "2026-11-22T13:00:00Z"


def test_periods_are_read_and_written_as_people_do() -> None:
    for text, seconds in (("90s", 90), ("30m", 1800), ("8h", 28800), ("1d", 86400), ("1h30m", 5400), ("0s", 0)):
        assert parse_period(text) == seconds
        assert parse_period(write_period(seconds)) == seconds
    assert write_period(5400) == "1h30m"
    for text in ("", "8", "h", "1w", "-1h", "1.5h", "1m1h", "9" * 40 + "s"):
        with pytest.raises(ValueError, match="8h"):
            parse_period(text)


# ---------------------------------------------------------------------------------------------------------- accounts


async def test_which_account(declared: BastionState) -> None:
    await declared.declare(EVERYTHING)
    needed = await refused(declared.token())
    assert (needed.code, needed.params["accounts"]) == ("account-needed", "app_rw, report, *")
    assert (await declared.token(account="report")).hosted is False
    anything = await declared.token(account="*")
    assert anything.account == "*"
    assert anything.lines.client == "mysql -h 127.0.0.1 -P 13306 -u alice -p orders"
    unknown = await refused(declared.token(account="root"))
    assert (unknown.code, unknown.params["accounts"]) == ("account-not-authorized", "app_rw, report, *")


async def test_an_account_that_is_not_granted(declared: BastionState) -> None:
    no = await refused(declared.token(account="report"))
    assert (no.code, no.params) == (
        "account-not-authorized",
        {"account": "report", "database": "orders", "accounts": "app_rw"},
    )


async def test_who_has_no_grant_learns_nothing_of_the_database(declared: BastionState) -> None:
    for name in ("orders", "billing", "nothing", "x" * 128):
        no = await refused(declared.token(BOB, database=name))
        assert (no.code, no.params) == ("database-not-authorized", {"database": name})


async def test_grants_ahead_and_over_are_told(declared: BastionState) -> None:
    grant = DOCUMENT["grants"][0]
    await declared.declare({"grants": [{**grant, "from": "2026-12-01"}]})
    ahead = await refused(declared.token())
    assert (ahead.code, ahead.params["at"]) == ("grant-not-yet", "2026-12-01T00:00:00Z")
    await declared.declare({"grants": [{**grant, "until": "2026-11-22T09:30:00Z"}]})
    over = await refused(declared.token())
    assert (over.code, over.params["at"]) == ("grant-ended", "2026-11-22T09:30:00Z")


async def test_only_operators_get_tokens(declared: BastionState) -> None:
    no = await refused(declared.token(AUDITOR))
    assert (no.code, no.params["role"]) == ("role-missing", "operator")


async def test_a_login_given_with_the_request_is_sealed_and_used(declared: BastionState) -> None:
    await declared.declare(EVERYTHING)
    token = await declared.token(account="report", password="typed secret")
    assert token.hosted is True
    admission = await declared.access.admit("alice", token.id)
    assert (admission.account, admission.secret) == ("report", "typed secret")
    again = await declared.token(account="report", password="corrected")
    assert again.id == token.id
    assert (await declared.access.admit("alice", token.id)).secret == "corrected"
    other = await declared.token(account="*", login="dba", password="typed")
    admission = await declared.access.admit("alice", other.id)
    assert (admission.account, admission.account_label, admission.secret) == ("dba", "*", "typed")
    assert declared.acts()[-1].detail["login"] == "dba"
    assert "typed" not in repr(declared.records)
    rows = await declared.store.read(lambda connection: connection.execute(sa.select(schema.tokens)).all())
    assert "typed" not in repr(rows)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("wishes", "wrong"),
    [
        ({"account": "app_rw", "password": "x"}, "has the password"),
        ({"account": "*", "password": "x"}, "needs its login"),
        ({"account": "report", "login": "other"}, "login of this account is report"),
        ({"account": "*", "login": "a\0b", "password": "x"}, "NUL"),
        ({"account": "*", "login": "a" * 129}, "128"),
        ({"reason": "r" * 501}, "500"),
        ({"account": "report", "password": "p" * 1025}, "1024"),
    ],
)
async def test_logins_that_do_not_fit_are_refused(declared: BastionState, wishes: dict[str, str], wrong: str) -> None:
    await declared.declare(EVERYTHING)
    no = await refused(declared.token(**wishes))
    assert no.code == "invalid-params"
    assert wrong in no.params["detail"]


# -------------------------------------------------------------------------------------------- finding and showing


async def test_a_token_logs_its_own_person_in(declared: BastionState) -> None:
    token = await declared.token()
    live = await declared.access.token_login("alice", token.token, HERE)
    assert (live.id, live.user, live.database) == (token.id, "alice", "orders")
    assert (live.host, live.port) == ("rm-example.test", 3306)


async def test_unknown_and_other_peoples_tokens_are_the_same_no(
    declared: BastionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[float] = []

    async def note(seconds: float) -> None:
        held.append(seconds)

    monkeypatch.setattr("bastion.access.door.asyncio.sleep", note)
    token = await declared.token()
    for user, text in (("bob", token.token), ("nobody", token.token), ("alice", "cmt_" + "a" * 32)):
        no = await refused(declared.access.token_login(user, text, HERE))
        assert (no.code, no.params) == ("token-unknown", {})
    assert held == [0.25, 0.5, 1.0]


async def test_an_ended_token_says_so(declared: BastionState) -> None:
    token = await declared.token()
    declared.clock.advance(hours=8)
    no = await refused(declared.access.token_login("alice", token.token, HERE))
    assert (no.code, no.params) == ("token-expired", {"at": "2026-11-22T17:30:00Z", "database": "orders"})


def test_what_looks_like_a_token() -> None:
    assert Access.looks_like_token("cmt_" + "a2" * 16)
    for text in ("", "cmt_", "cmt_" + "a" * 31, "cmt_" + "a" * 33, "cmt_" + "A" * 32, "cmt_" + "1" * 32, "x" * 36):
        assert not Access.looks_like_token(text)


async def test_only_the_owner_sees_it(declared: BastionState) -> None:
    token = await declared.token()
    for person in (BOB, ADMIN, AUDITOR):
        assert (await refused(declared.access.show_token(person, token.id, HERE))).code == "token-unknown"
    for token_id in ("", "nothing", "a\0", "x" * 5000):
        assert (await refused(declared.access.show_token(ALICE, token_id, HERE))).code == "token-unknown"


# ---------------------------------------------------------------------------------------------- renewing, revoking


async def test_renewing_adds_an_hour_until_the_count_is_used_up(declared: BastionState) -> None:
    told: list[str] = []
    declared.access.on_token_change.append(lambda kind, state, user: told.append(f"{kind} {state.expires_at}"))
    token = await declared.token(period=3600)
    ends = []
    for _ in range(3):
        renewed = await declared.access.renew_token(ALICE, token.id, HERE)
        ends.append((renewed.expires_at[11:16], renewed.renewals_left))
        assert renewed.token == token.token
    assert ends == [("11:30", 2), ("12:30", 1), ("13:30", 0)]
    no = await refused(declared.access.renew_token(ALICE, token.id, HERE))
    assert (no.code, no.params) == ("renewals-used-up", {"renewals": 3})
    assert told[1:] == [f"renewed 2026-11-22T{end}:00Z" for end, _ in ends]
    assert [act.act for act in declared.acts("token-renewed")] == ["token-renewed"] * 3


async def test_a_renewed_token_follows_the_settings_of_now(declared: BastionState) -> None:
    token = await declared.token(period=3600)
    await declared.declare({"settings": {"token": {"renewals": 1, "renewal": "10m"}}})
    renewed = await declared.access.renew_token(ALICE, token.id, HERE)
    assert (renewed.expires_at, renewed.renewals_left) == ("2026-11-22T10:40:00Z", 0)


async def test_no_renewal_beyond_the_longest_life(declared: BastionState) -> None:
    await declared.declare({"settings": {"token": {"validity": "2h", "longest": "150m", "renewals": 5}}})
    token = await declared.token()
    assert (await declared.access.renew_token(ALICE, token.id, HERE)).expires_at == "2026-11-22T12:00:00Z"
    no = await refused(declared.access.renew_token(ALICE, token.id, HERE))
    assert (no.code, no.params["longest"]) == ("period-too-long", "2h30m")


async def test_no_renewal_beyond_the_grant(declared: BastionState) -> None:
    await declared.declare({"grants": [{**DOCUMENT["grants"][0], "until": "2026-11-22T12:00:00Z"}]})
    token = await declared.token()
    no = await refused(declared.access.renew_token(ALICE, token.id, HERE))
    assert (no.code, no.params) == ("renewal-not-possible", {"at": "2026-11-22T12:00:00Z"})


async def test_an_ended_token_is_not_renewed(declared: BastionState) -> None:
    token = await declared.token()
    declared.clock.advance(hours=8)
    assert (await refused(declared.access.renew_token(ALICE, token.id, HERE))).code == "token-expired"
    assert (await refused(declared.access.renew_token(BOB, token.id, HERE))).code == "token-unknown"


async def test_revoking_is_for_the_owner_auditors_and_administrators(declared: BastionState) -> None:
    told: list[tuple[str, str]] = []
    declared.access.on_token_change.append(lambda kind, state, user: told.append((kind, user)))
    for person in (ALICE, AUDITOR, ADMIN):
        token = await declared.token()
        assert (await refused(declared.access.revoke_token(BOB, token.id, "", HERE))).code == "token-unknown"
        state = await declared.access.revoke_token(person, token.id, "lost laptop", HERE)
        assert state.id == token.id
        no = await refused(declared.access.token_login("alice", token.token, HERE))
        assert (no.code, no.params["by"]) == ("token-revoked", person.name)
        assert (await refused(declared.access.revoke_token(person, token.id, "", HERE))).code == "token-revoked"
        assert declared.acts()[-1].detail["reason"] == "lost laptop"
        assert await declared.access.tokens(ALICE) == []
    assert told == [("issued", "alice"), ("revoked", "alice")] * 3


async def test_the_listener_hears_of_a_revocation_even_if_it_cannot_be_recorded(declared: BastionState) -> None:
    token = await declared.token()
    told: list[str] = []
    declared.access.on_token_change.append(lambda kind, state, user: told.append(kind))

    def fail(_record: object) -> None:
        raise OSError("the disk is full")

    declared.access._record = fail
    with pytest.raises(OSError, match="full"):
        await declared.access.revoke_token(ALICE, token.id, "", HERE)
    assert told == ["revoked"]


async def test_after_a_rotation_everything_is_resealed_and_still_works(declared: BastionState) -> None:
    await declared.declare(EVERYTHING)
    hosted, typed = await declared.token(account="app_rw"), await declared.token(account="report", password="typed")
    declared.vault.rotate()
    changed = await declared.store.run(lambda connection: sealing.reseal_all(connection, declared.vault))
    assert changed == 4  # two tokens' texts, the hosted password, the typed one
    declared.vault.retire()
    assert (await declared.access.token_login("alice", hosted.token, HERE)).id == hosted.id
    assert (await declared.access.admit("alice", hosted.id)).secret == "hosted secret of app_rw"
    assert (await declared.access.admit("alice", typed.id)).secret == "typed"
    assert (await declared.access.show_token(ALICE, typed.id, HERE)).token == typed.token
