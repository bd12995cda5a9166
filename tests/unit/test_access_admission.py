"""What a session is told when it asks whether it may be, and the list of databases that a person sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bastion.access.door import Person
from bastion.access.lines import Target, lines_for, local_port
from bastion.api import messages as m
from bastion.api.refusals import Refused, sentence
from tests.unit.bastion_state import ADMIN, ALICE, AUDITOR, BOB, DOCUMENT, HERE, BastionState

ALICE_USER = DOCUMENT["users"][0]
GRANT = DOCUMENT["grants"][0]
ORDERS, BILLING = DOCUMENT["databases"]


@pytest.fixture
async def declared(state: BastionState) -> BastionState:
    await state.declare(DOCUMENT)
    return state


async def why_not(state: BastionState, user: str, token_id: str) -> Refused:
    with pytest.raises(Refused) as caught:
        await state.access.admit(user, token_id)
    assert "{" not in sentence(caught.value.code, caught.value.params)
    return caught.value


# --------------------------------------------------------------------------------------------------------- admission


async def test_an_admission_holds_all_that_a_session_needs(declared: BastionState) -> None:
    token = await declared.token()
    admission = await declared.access.admit("alice", token.id)
    assert (admission.database, admission.engine) == ("orders", "mysql")
    assert (admission.host, admission.port, admission.domain) == ("rm-example.test", 3306, "")
    assert (admission.tls_mode, admission.tls_ca) == ("prefer", None)
    assert admission.databases == ("orders", "orders_archive")
    assert (admission.account, admission.account_label) == ("app_rw", "app_rw")
    assert (admission.secret, admission.token_text) == ("hosted secret of app_rw", token.token)
    assert admission.expires_at == datetime(2026, 11, 22, 17, 30, tzinfo=UTC)
    assert (admission.client_password, admission.at_expiry, admission.allow_replication) == ("any", "finish", False)
    assert admission.grants == (("dba-orders", 1),)


async def test_its_repr_shows_no_secret(declared: BastionState) -> None:
    token = await declared.token()
    shown = repr(await declared.access.admit("alice", token.id))
    assert token.token not in shown
    assert "hosted secret" not in shown


async def test_an_any_account_leaves_the_login_to_the_client(declared: BastionState) -> None:
    await declared.declare({"grants": [{**GRANT, "accounts": ["*"]}]})
    token = await declared.token(account="*")
    admission = await declared.access.admit("alice", token.id)
    assert (admission.account, admission.account_label, admission.secret) == (None, "*", None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"users": [{**ALICE_USER, "locked": True}]}, "user-locked"),
        ({"users": [{**ALICE_USER, "until": "2026-11-22T09:30:00Z"}]}, "user-not-valid"),
        ({"users": [{**ALICE_USER, "from": "2026-11-23"}]}, "user-not-valid"),
        ({"groups": [{"name": "dba", "members": []}]}, "database-not-authorized"),
        ({"grants": [{**GRANT, "to": ["bob"]}]}, "database-not-authorized"),
        ({"grants": [{**GRANT, "on": ["billing"]}]}, "database-not-authorized"),
        ({"grants": [{**GRANT, "accounts": ["report"]}]}, "account-not-authorized"),
        ({"grants": [{**GRANT, "until": "2026-11-22T09:30:00Z"}]}, "grant-ended"),
        ({"grants": [{**GRANT, "from": "2026-11-23"}]}, "grant-not-yet"),
        ({"databases": [{**ORDERS, "accounts": [{"name": "report"}]}]}, "account-not-authorized"),
    ],
)
async def test_whatever_ends_meanwhile_is_told_precisely(
    declared: BastionState, change: dict[str, Any], code: str
) -> None:
    token = await declared.token()
    told: list[str] = []
    declared.access.changed.append(lambda: told.append("changed"))
    await declared.declare(change)
    assert told == ["changed"]
    assert (await why_not(declared, "alice", token.id)).code == code


async def test_the_tokens_own_end_is_told(declared: BastionState) -> None:
    token = await declared.token()
    for user, token_id in (("bob", token.id), ("alice", "nothing"), ("alice", "\0")):
        assert (await why_not(declared, user, token_id)).code == "token-unknown"
    assert (await why_not(declared, "nobody", token.id)).code == "user-not-valid"
    await declared.access.revoke_token(ALICE, token.id, "", HERE)
    assert (await why_not(declared, "alice", token.id)).code == "token-revoked"
    other = await declared.token()
    declared.clock.advance(hours=8)
    assert (await why_not(declared, "alice", other.id)).code == "token-expired"


async def test_a_database_or_account_that_was_removed_and_made_again_is_another_one(declared: BastionState) -> None:
    token = await declared.token()
    await declared.declare({"databases": [BILLING], "grants": []}, prune=True)
    assert (await why_not(declared, "alice", token.id)).code == "database-not-authorized"
    await declared.declare(DOCUMENT)
    assert (await why_not(declared, "alice", token.id)).code == "database-not-authorized"
    second = await declared.token()
    assert second.id != token.id
    await declared.declare({"databases": [{**ORDERS, "accounts": []}]})
    await declared.declare({"databases": [ORDERS]})
    assert (await why_not(declared, "alice", second.id)).code == "token-unknown"


async def test_a_removed_user_of_the_same_name_gets_nothing_of_the_first_one(declared: BastionState) -> None:
    token = await declared.token()
    others = [user for user in DOCUMENT["users"] if user["name"] != "alice"]
    await declared.declare({"users": others, "groups": []}, {"grants": []}, prune=True)
    assert (await why_not(declared, "alice", token.id)).code == "user-not-valid"
    await declared.declare(DOCUMENT)
    assert (await why_not(declared, "alice", token.id)).code == "token-unknown"


async def test_a_grant_that_is_shortened_ends_the_session_sooner(declared: BastionState) -> None:
    token = await declared.token()
    await declared.declare({"grants": [{**GRANT, "until": "2026-11-22T10:00:00Z"}]})
    admission = await declared.access.admit("alice", token.id)
    assert admission.expires_at == datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    assert admission.grants == (("dba-orders", 2),)


async def test_what_others_change_in_the_store_is_noticed(declared: BastionState, tmp_path: Any) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = BastionState(declared.store, folder)
    told: list[str] = []
    declared.access.changed.append(lambda: told.append("changed"))
    assert not await declared.access.notice_changes()
    await other.declare({"groups": [{"name": "dba", "members": []}]})
    assert told == []
    assert await declared.access.notice_changes()
    assert not await declared.access.notice_changes()
    assert told == ["changed"]
    other.close()


# ---------------------------------------------------------------------------------------------------------- policies


async def test_the_highest_policy_that_says_something_decides(declared: BastionState) -> None:
    low = {"name": "low", "priority": 50, "to": ["*"], "on": ["*"], "client_password": "any", "at_expiry": "now"}
    high = {"name": "high", "priority": 1, "to": ["group:dba"], "on": ["orders"], "client_password": "token"}
    other = {"name": "other", "priority": 1, "to": ["bob"], "on": ["*"], "at_expiry": "finish"}
    await declared.declare({"policies": [low, high, other]})
    token = await declared.token()
    admission = await declared.access.admit("alice", token.id)
    assert (admission.client_password, admission.at_expiry) == ("token", "now")
    assert set(admission.policies) == {("high", 1), ("low", 1)}
    assert token.lines.client == "mysql -h 127.0.0.1 -P 13306 -u app_rw -p orders"
    await declared.declare({"policies": [{**high, "client_password": "any"}]})
    admission = await declared.access.admit("alice", token.id)
    assert admission.client_password == "any"
    assert ("high", 2) in admission.policies


async def test_replication_needs_a_grant_that_says_so(declared: BastionState) -> None:
    token = await declared.token()
    await declared.declare({"grants": [{**GRANT, "replication": True}]})
    assert (await declared.access.admit("alice", token.id)).allow_replication


# --------------------------------------------------------------------------------------------------------- databases


async def test_people_see_what_is_granted_now_and_nothing_else(declared: BastionState) -> None:
    (orders,) = await declared.access.databases(ALICE)
    assert orders == m.Database(
        name="orders", engine="mysql", platform="rds", host="rm-example.test", port=3306, domain="",
        databases=["orders", "orders_archive"], accounts=[m.Account(name="app_rw", hosted=True)], tokens=[], until=None,
    )  # fmt: skip
    for person in (BOB, ADMIN, AUDITOR):
        assert await declared.access.databases(person) == []


async def test_every_form_of_a_grant_reaches(declared: BastionState) -> None:
    await declared.declare(
        {
            "users": [{"name": "carol", "roles": ["operator"]}],
            "groups": [{"name": "team", "members": ["carol"]}],
            "database_groups": [{"name": "finance", "members": ["billing"]}],
            "grants": [
                {"name": "everyone", "to": ["*"], "on": ["orders"], "accounts": ["report"]},
                {"name": "one", "to": ["bob"], "on": ["group:finance"], "until": "2026-12-01"},
                {"name": "team", "to": ["group:team"], "on": ["*"]},
                {"name": "ahead", "to": ["bob"], "on": ["orders"], "from": "2026-12-01"},
            ],
        }
    )

    async def seen(name: str) -> dict[str, tuple[list[str], str | None]]:
        found = await declared.access.databases(Person(name, frozenset({"operator"})))
        return {each.name: ([account.name for account in each.accounts], each.until) for each in found}

    assert await seen("alice") == {"orders": (["app_rw", "report"], None)}
    assert await seen("bob") == {"billing": (["billing"], "2026-12-01T00:00:00Z"), "orders": (["report"], None)}
    assert await seen("carol") == {"billing": (["billing"], None), "orders": (["app_rw", "report", "*"], None)}


async def test_live_tokens_stand_with_their_database(declared: BastionState) -> None:
    token = await declared.token()
    (orders,) = await declared.access.databases(ALICE)
    assert [state.id for state in orders.tokens] == [token.id]
    assert await declared.access.tokens(ALICE) == orders.tokens
    declared.clock.advance(hours=8)
    (orders,) = await declared.access.databases(ALICE)
    assert orders.tokens == []


async def test_a_locked_person_sees_nothing(declared: BastionState) -> None:
    await declared.declare({"users": [{**ALICE_USER, "locked": True}]})
    with pytest.raises(Refused) as caught:
        await declared.access.databases(ALICE)
    assert caught.value.code == "user-locked"


# ------------------------------------------------------------------------------------------------------------- lines


def target(engine: str, port: int, **other: Any) -> Target:
    values: dict[str, Any] = {
        "host": "db.test", "user": "alice", "login": "app", "catalog": "", "service": "", "sid": "",
        "asks_password": False, **other,
    }  # fmt: skip
    return Target(engine=engine, port=port, **values)


@pytest.mark.parametrize(
    ("given", "ssh", "client"),
    [
        (
            target("postgresql", 5432, host="2001:db8::5", catalog="orders"),
            "ssh -N -L '15432:[2001:db8::5]:5432' alice@bastion.test -p 60022",
            'psql "host=127.0.0.1 port=15432 user=app dbname=orders"',
        ),
        (
            target("postgresql", 60000, login="o'neil x"),
            "ssh -N -L 50000:db.test:60000 alice@bastion.test -p 60022",
            r"""psql 'host=127.0.0.1 port=50000 user='"'"'o\'"'"'neil x'"'"' dbname=postgres'""",
        ),
        (
            target("mysql", 3306, asks_password=True),
            "ssh -N -L 13306:db.test:3306 alice@bastion.test -p 60022",
            "mysql -h 127.0.0.1 -P 13306 -u app -p",
        ),
        (
            target("sqlserver", 1433, catalog="erp"),
            "ssh -N -L 11433:db.test:1433 alice@bastion.test -p 60022",
            "sqlcmd -S 127.0.0.1,11433 -U app -d erp",
        ),
        (
            target("oracle", 1521, service="ERPPDB1"),
            "ssh -N -L 11521:db.test:1521 alice@bastion.test -p 60022",
            "sqlplus app@//127.0.0.1:11521/ERPPDB1",
        ),
        (
            target("oracle", 1521, sid="ORCL", login="$(reboot)"),
            "ssh -N -L 11521:db.test:1521 alice@bastion.test -p 60022",
            "sqlplus '$(reboot)@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=11521))"
            "(CONNECT_DATA=(SID=ORCL)))'",
        ),
    ],
)
def test_ready_made_lines(given: Target, ssh: str, client: str) -> None:
    assert lines_for(given, m.Address(host="bastion.test", port=60022)) == m.Lines(ssh=ssh, client=client)


def test_the_near_port_is_a_port() -> None:
    assert [local_port(port) for port in (1, 5432, 55535, 55536, 65535)] == [10001, 15432, 65535, 45536, 55535]


async def test_a_declared_address_is_the_one_in_the_lines(declared: BastionState) -> None:
    await declared.declare({"settings": {"advertise": {"host": "door.example.com", "port": 22}}})
    token = await declared.token()
    assert token.bastion == m.Address(host="door.example.com", port=22)
    assert token.lines.ssh.endswith("alice@door.example.com -p 22")
