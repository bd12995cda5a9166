"""The declared state: what a document may say, what it changes, and what it never does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from argon2 import PasswordHasher

from bastion.access import declared as declared_state
from bastion.access.declared import NotApplicable, Plan, StateMoved
from bastion.api.refusals import Refused
from bastion.authority import Authority
from bastion.store import schema
from tests.unit.bastion_state import ADMIN, DOCUMENT, ENVIRONMENT, HERE, OPERATOR_KEY, BastionState

WHOLE = """
users:
  - name: alice
    display: Alice Liddell
    roles: [operator, approver]
    password: {env: ALICE_PASSWORD}
    keys: ["KEY alice"]
    totp: optional
    from: 2026-01-01
    until: 2027-01-01T08:00:00+08:00
    language: zh_CN
  - {name: admin, roles: [administrator], password: {env: ADMIN_PASSWORD}, totp: off}
groups:
  - {name: dba, members: [alice]}
domains:
  - name: shanghai-vpc
    proxies:
      - {type: ssh, host: 10.0.0.5, port: 22, user: relay, key: {file: relay.key}}
      - {type: socks5, host: 10.0.0.6, port: 1080, user: relay, password: {env: RELAY_PASSWORD}}
databases:
  - name: orders
    engine: mysql
    platform: rds
    host: rm-example.mysql.rds.aliyuncs.com
    domain: shanghai-vpc
    tls: {mode: verify-full, ca: {file: rds-ca.pem}}
    databases: [orders, orders_archive]
    production: true
    accounts:
      - {name: app_rw, password: {env: ORDERS_PASSWORD}}
      - {name: report}
      - {any: true}
  - {name: erp, engine: oracle, host: erp.internal, port: 1521, service: ERPPDB1, accounts: [{name: system}]}
database_groups:
  - {name: finance, members: [erp]}
grants:
  - {name: dba-orders, to: [group:dba], on: [orders, group:finance], from: 2026-11-01, until: 2027-11-01}
  - {name: replicate, to: [alice], on: [orders], accounts: [app_rw], replication: true}
policies:
  - {name: production, priority: 3, to: ["*"], on: [orders], client_password: token, at_expiry: now}
settings:
  token: {validity: 4h, longest: 12h, renewals: 2, renewal: 30m}
  lockout: {tries: 3, period: 10m}
  advertise: {host: bastion.example.com, port: 60022}
"""


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Any]:
    """A document with one of everything, with the files that it names."""
    (tmp_path / "relay.key").write_text(
        "-----BEGIN OPENSSH PRIVATE KEY-----\nrelay\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    folder = tmp_path / "ca"
    folder.mkdir()
    (tmp_path / "rds-ca.pem").write_text(Authority.create(folder).certificate_pem)
    loaded: dict[str, Any] = yaml.safe_load(WHOLE.replace("KEY", OPERATOR_KEY))
    return loaded


ALL_SECRETS = {**ENVIRONMENT, "RELAY_PASSWORD": "relay secret"}


def lines(plan: Plan) -> list[str]:
    return [f"{change.action} {change.kind} {change.name}" for change in plan.changes]


async def problems(state: BastionState, *documents: dict[str, Any], **options: Any) -> list[str]:
    with pytest.raises(NotApplicable) as caught:
        await state.declare(*documents, **options)
    return caught.value.problems


async def everything(state: BastionState) -> str:
    """All rows of all tables, to see that nothing has changed, or that something is nowhere."""

    def work(connection: sa.Connection) -> str:
        return "\n".join(repr(connection.execute(sa.select(table)).all()) for table in schema.metadata.sorted_tables)

    return await state.store.read(work)


# ---------------------------------------------------------------------------------------------- applying, exporting


async def test_one_of_everything_is_created_and_then_there_is_nothing_to_do(
    state: BastionState, whole: dict[str, Any]
) -> None:
    plan = await state.declare(whole, environment=ALL_SECRETS)
    assert lines(plan) == [
        "create domain shanghai-vpc", "create database orders", "create database erp",
        "create database-group finance", "create user alice", "create user admin", "create group dba",
        "create grant dba-orders", "create grant replicate", "create policy production",
        "create setting token", "create setting lockout", "create setting advertise",
    ]  # fmt: skip
    before = await everything(state)
    again = await state.declare(whole, environment=ALL_SECRETS)
    assert lines(again) == []
    assert await everything(state) == before


async def test_applying_an_export_changes_nothing(state: BastionState, whole: dict[str, Any]) -> None:
    await state.declare(whole, environment=ALL_SECRETS)
    before = await everything(state)
    exported = yaml.safe_load(yaml.safe_dump(await state.access.export()))
    plan = await state.declare(exported, environment={}, prune=True)
    assert lines(plan) == []
    assert await everything(state) == before


async def test_an_export_holds_what_was_declared_and_no_secret(state: BastionState, whole: dict[str, Any]) -> None:
    await state.declare(whole, environment=ALL_SECRETS)
    exported = await state.access.export()
    text = yaml.safe_dump(exported)
    for secret in (*ALL_SECRETS.values(), "argon2", "BEGIN OPENSSH", "s1."):
        assert secret not in text
    alice = next(user for user in exported["users"] if user["name"] == "alice")
    assert alice == {
        "name": "alice", "display": "Alice Liddell", "roles": ["approver", "operator"],
        "keys": [OPERATOR_KEY + " alice"], "totp": "optional", "from": "2026-01-01T00:00:00Z",
        "until": "2027-01-01T00:00:00Z", "language": "zh_CN",
    }  # fmt: skip
    orders = next(database for database in exported["databases"] if database["name"] == "orders")
    assert orders["production"] is True
    assert orders["port"] == 3306
    assert orders["tls"]["ca"].startswith("-----BEGIN CERTIFICATE-----")
    assert orders["accounts"] == [
        {"name": "app_rw", "password": {"kept": True}}, {"name": "report"}, {"any": True}
    ]  # fmt: skip
    assert exported["settings"]["token"] == {"validity": "4h", "longest": "12h", "renewals": 2, "renewal": "30m"}


async def test_no_secret_is_in_the_store_the_records_or_the_plan(state: BastionState, whole: dict[str, Any]) -> None:
    plan = await state.declare(whole, environment=ALL_SECRETS)
    haystack = await everything(state) + repr(state.records) + repr(plan)
    for secret in (*ALL_SECRETS.values(), "BEGIN OPENSSH"):
        assert secret not in haystack


async def test_secrets_arrive_where_they_are_used(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    token = await state.token()
    assert (await state.access.admit("alice", token.id)).secret == "hosted secret of app_rw"
    changed = copy.deepcopy(DOCUMENT)
    changed["databases"][0]["accounts"][0]["password"] = {"file": "new-password"}
    (state.folder / "new-password").write_text("another one\n")
    plan = await state.declare(changed)
    assert [(change.name, change.detail) for change in plan.changes] == [
        ("orders", "accounts.app_rw.password (changed)")
    ]
    assert (await state.access.admit("alice", token.id)).secret == "another one"
    changed["databases"][0]["accounts"][0] = {"name": "app_rw"}
    plan = await state.declare(changed)
    assert "(secret)" in plan.changes[0].detail
    assert (await state.access.admit("alice", token.id)).secret is None


async def test_a_users_password_stays_unless_a_new_one_is_declared(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    without = copy.deepcopy(DOCUMENT)
    del without["users"][0]["password"]
    assert lines(await state.declare(without)) == []
    await state.access.password_login("alice", ENVIRONMENT["ALICE_PASSWORD"], HERE)
    plan = await state.declare(DOCUMENT, environment={**ENVIRONMENT, "ALICE_PASSWORD": "Other-Horse-8"})
    assert [(change.name, change.detail) for change in plan.changes] == [("alice", "password (changed)")]
    await state.access.password_login("alice", "Other-Horse-8", HERE)


async def test_a_password_may_come_as_its_hash(state: BastionState) -> None:
    hashed = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("Hidden-Horse-9")
    document = {"users": [{"name": "alice", "roles": ["operator"], "password": {"hash": hashed}}]}
    await state.declare(document)
    assert lines(await state.declare(document)) == []
    await state.access.password_login("alice", "Hidden-Horse-9", HERE)


async def test_a_dry_run_shows_the_same_and_does_nothing(state: BastionState) -> None:
    before = await everything(state)
    dry = await state.declare(DOCUMENT, dry=True)
    assert await everything(state) == before
    assert state.records == []
    assert lines(await state.declare(DOCUMENT)) == lines(dry)


async def test_the_diff_says_what_differs(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    changed = copy.deepcopy(DOCUMENT)
    changed["users"][0]["roles"] = ["operator", "auditor"]
    changed["databases"][0]["port"] = 3307
    changed["grants"][0]["until"] = "2027-01-01"
    plan = await state.declare(changed)
    assert {(change.action, change.kind, change.name, change.detail) for change in plan.changes} == {
        ("update", "user", "alice", "roles: operator -> auditor, operator"),
        ("update", "database", "orders", "port: 3306 -> 3307"),
        ("update", "grant", "dba-orders", "until: - -> 2027-01-01T00:00:00Z"),
    }


async def test_every_change_is_on_record(state: BastionState) -> None:
    await state.declare({"groups": [{"name": "dba"}]})
    await state.declare({"groups": []}, prune=True)
    assert [(act.user, act.source, act.act, act.subject) for act in state.acts()] == [
        ("admin", HERE, "group-create", "dba"),
        ("admin", HERE, "group-delete", "dba"),
    ]


async def test_order_and_doubles_make_no_difference(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    shuffled = copy.deepcopy(DOCUMENT)
    for section in ("users", "databases"):
        shuffled[section].reverse()
    shuffled["databases"][1]["accounts"].reverse()
    shuffled["groups"][0]["members"] = ["alice", "alice"]
    assert lines(await state.declare(shuffled)) == []


async def test_several_documents_are_one(state: BastionState) -> None:
    parts = [{section: DOCUMENT[section]} for section in ("grants", "databases", "groups", "users")]
    await state.declare(*parts)
    assert lines(await state.declare(DOCUMENT)) == []


async def test_grants_and_policies_keep_their_versions(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    policy = {"name": "p", "to": ["*"], "on": ["*"], "at_expiry": "now"}
    await state.declare({"grants": [{**DOCUMENT["grants"][0], "comment": "second"}], "policies": [policy]})
    await state.declare({"grants": [], "policies": []}, prune=True)
    await state.declare({"grants": DOCUMENT["grants"]})

    def versions(table: sa.Table) -> Any:
        query = sa.select(table.c.name, table.c.version, table.c.document, table.c.by).order_by(table.c.version)
        return state.store.read_now(lambda connection: [tuple(row) for row in connection.execute(query)])

    assert [(name, version, document and document.get("comment"), by) for name, version, document, by in
            versions(schema.grant_versions)] == [
        ("dba-orders", 1, None, "admin"), ("dba-orders", 2, "second", "admin"),
        ("dba-orders", 3, None, "admin"), ("dba-orders", 4, None, "admin"),
    ]  # fmt: skip
    assert [row[2] for row in versions(schema.grant_versions)][2] is None
    assert versions(schema.policy_versions) == [("p", 1, policy, "admin"), ("p", 2, None, "admin")]


# ----------------------------------------------------------------------------------------------------------- pruning


async def test_what_is_not_declared_stays_unless_pruned(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    users = [user for user in DOCUMENT["users"] if user["name"] != "bob"]
    assert lines(await state.declare({"users": users})) == []
    assert lines(await state.declare({"users": users}, prune=True)) == ["delete user bob"]
    with pytest.raises(Refused):
        await state.access.person("bob")


async def test_pruning_removes_what_refers_before_what_is_referred_to(state: BastionState, whole: Any) -> None:
    await state.declare(whole, environment=ALL_SECRETS)
    nothing: dict[str, Any] = {
        section: [] for section in ("domains", "databases", "database_groups", "groups", "grants", "policies")
    }
    nothing |= {"users": [{"name": "admin", "roles": ["administrator"]}], "settings": {}}
    plan = await state.declare(nothing, prune=True)
    assert len(plan.changes) == 12
    assert await state.access.export() == {"users": [{"name": "admin", "roles": ["administrator"]}]}


async def test_what_is_still_referred_to_is_not_removed(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    found = await problems(state, {"users": [DOCUMENT["users"][3]], "databases": []}, prune=True)
    assert found == [
        "group dba: members: there is no user alice",
        "grant dba-orders: on: there is no database orders",
    ]


async def test_the_last_administrator_stays(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    for users in (
        [{"name": "admin", "roles": ["operator"]}],
        [{"name": "admin", "roles": ["administrator"], "locked": True}],
    ):
        found = await problems(state, {"users": users})
        assert len(found) == 1
        assert "administrator any more" in found[0]
    others = [user for user in DOCUMENT["users"] if user["name"] != "admin"]
    assert "administrator any more" in (await problems(state, {"users": others}, prune=True))[0]
    heir = {"name": "root", "roles": ["administrator"], "password": {"env": "ADMIN_PASSWORD"}}
    await state.declare({"users": [*others, heir]}, prune=True)
    await state.access.password_login("root", ENVIRONMENT["ADMIN_PASSWORD"], HERE)


# ---------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"user": []}, "document 1: user: there is no such key; did you mean users?"),
        (
            {"users": [{"name": "alice", "role": ["operator"]}]},
            "document 1: users[0] (alice).role: there is no such key; did you mean roles?",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "accounts": [{"name": "a", "pass": 1}]}]},
            "document 1: databases[0] (d).accounts[0].pass: there is no such key; did you mean password?",
        ),
        ({"users": {}}, "document 1: users: a list is wanted"),
        (
            {"users": [{"name": "Alice"}]},
            "document 1: users[0] (Alice).name: Expected 1 to 128 of a-z, 0-9, '.', '_', '-'",
        ),
        ({"users": [{"name": "a", "roles": ["root"]}]}, "document 1: users[0] (a).roles[0]: Invalid enum value 'root'"),
        (
            {"users": [{"name": "a", "password": "Clear-Text-1"}]},
            "document 1: users[0] (a).password: a secret does not stand in the file; "
            "write {env: NAME} or {file: PATH}",
        ),
        (
            {"users": [{"name": "a", "keys": ["ssh-ed25519 !nonsense"]}]},
            "document 1: users[0] (a): keys[0]: the public key is not base64",
        ),
        (
            {"users": [{"name": "a", "password": {"env": "NOT_SET"}}]},
            "document 1: users[0] (a): password: the variable NOT_SET is not set",
        ),
        (
            {"users": [{"name": "a", "password": {"env": "WEAK"}}]},
            "document 1: users[0] (a): password: a password has upper case, lower case, a digit and another character",
        ),
        (
            {"users": [{"name": "a", "password": {"hash": "$1$abc"}}]},
            "document 1: users[0] (a): password: the hash is not argon2id in PHC form ($argon2id$v=19$…)",
        ),
        (
            {"users": [{"name": "a", "password": {"kept": True}}]},
            "document 1: users[0] (a): password: there is nothing to keep; give it with {env: NAME} or {file: PATH}",
        ),
        (
            {"users": [{"name": "a", "from": "2026-02-01", "until": "2026-01-01"}]},
            "document 1: users[0] (a): until is not after from",
        ),
        (
            {"users": [{"name": "a", "until": "tomorrow"}]},
            "document 1: users[0] (a).until: a date is written like 2026-11-01 or 2026-11-01T08:00:00+08:00",
        ),
        (
            {"users": [{"name": "a"}, {"name": "a"}]},
            "document 1: users[1] (a): declared twice; before in document 1: users[0] (a)",
        ),
        ({"groups": [{"name": "g", "members": ["x"]}]}, "document 1: groups[0] (g): members: there is no user x"),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h:3306"}]},
            "document 1: databases[0] (d).host: Expected a host name or an address, without port, brackets or blanks "
            "(the port has a key of its own)",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "port": 70000}]},
            "document 1: databases[0] (d).port: Expected `int` <= 65535",
        ),
        (
            {"databases": [{"name": "d", "engine": "db2", "host": "h"}]},
            "document 1: databases[0] (d).engine: Invalid enum value 'db2'",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "domain": "nowhere"}]},
            "document 1: databases[0] (d): domain: there is no domain nowhere",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "service": "x"}]},
            "document 1: databases[0] (d): service and sid are for oracle",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "accounts": [{"name": "a"}, {"name": "a"}]}]},
            "document 1: databases[0] (d): accounts[1]: the account a is there twice",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "accounts": [{"name": "*"}]}]},
            "document 1: databases[0] (d): accounts[0]: '*' is no login; write any: true",
        ),
        (
            {"databases": [{"name": "d", "engine": "mysql", "host": "h", "tls": {"ca": {"file": "missing.pem"}}}]},
            None,
        ),
        (
            {"grants": [{"name": "g", "to": ["nobody"], "on": ["group:none"]}]},
            "document 1: grants[0] (g): to: there is no user nobody",
        ),
        (
            {"grants": [{"name": "g", "to": [], "on": ["*"]}]},
            "document 1: grants[0] (g).to: Expected `array` of length >= 1",
        ),
        (
            {"settings": {"token": {"validity": "8 hours"}}},
            "document 1: settings.token.validity: '8 hours' is no period; write it like 90s, 30m, 8h, 1d or 1h30m",
        ),
        (
            {"settings": {"token": {"validity": "8h", "longest": "4h"}}},
            "document 1: settings.token: validity 8h is more than longest 4h",
        ),
        ({"settings": {"tokens": {}}}, "document 1: settings.tokens: there is no such key; did you mean token?"),
        (
            {"domains": [{"name": "d", "proxies": []}]},
            "document 1: domains[0] (d).proxies: Expected `array` of length >= 1",
        ),
    ],
)  # fmt: skip
async def test_mistakes_are_named_with_their_place(
    state: BastionState, document: dict[str, Any], problem: str | None
) -> None:
    before = await everything(state)
    found = await problems(state, document, environment={"WEAK": "weakweak"})
    if problem is not None:
        assert problem in found
    assert all(each.startswith("document 1: ") for each in found)
    assert "Clear-Text-1" not in "".join(found)
    assert await everything(state) == before


async def test_all_mistakes_are_told_at_once_with_the_files_name(state: BastionState) -> None:
    document = {
        "$file": "people.yaml",
        "users": [{"name": "A"}, {"name": "b", "rolls": []}],
        "groups": [{"name": "g", "members": ["c"]}],
    }
    found = await problems(state, document)
    assert len(found) == 3
    assert all(each.startswith("people.yaml: ") for each in found)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("sources", {"allow": ["10.0.0.0/8"]}),
        ("windows", {"days": "mon-fri", "hours": "09:00-18:00", "zone": "Asia/Shanghai"}),
        ("approval", {"required": True, "by": ["group:leads"]}),
        ("note", "required"),
        ("connections", {"per_user": 5, "per_token": 10}),
        ("session", {"idle": "30m", "total": "8h"}),
        ("statements", [{"when": {"kind": ["drop", "truncate"]}, "then": "deny"}]),
    ],
)
async def test_a_rule_that_is_not_enforced_is_refused_by_name(state: BastionState, part: str, value: Any) -> None:
    policy = {"name": "p", "to": ["*"], "on": ["*"], "at_expiry": "now", part: value}
    assert await problems(state, {"policies": [policy]}) == [
        f"document 1: policies[0] (p): this version cannot enforce {part} yet; take it out of the policy"
    ]


async def test_other_promises_that_cannot_be_kept_are_refused_or_told(state: BastionState) -> None:
    (found,) = await problems(state, {"users": [{"name": "a", "totp": "required"}]})
    assert "cannot enforce required" in found
    database = {"name": "d", "engine": "mysql", "host": "h", "tls": {"mode": "prefer", "pin": "ab" * 32}}
    (found,) = await problems(state, {"databases": [database]})
    assert "tls.pin: prefer may go without TLS" in found
    plan = await state.declare({"users": [{"name": "a", "totp": "optional"}]})
    assert plan.warnings == ["document 1: users[0] (a): totp: this version asks nobody for it yet"]


async def test_a_failure_in_the_middle_changes_nothing(state: BastionState, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await everything(state)

    def fail(*_arguments: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("bastion.access.entry_writer.EntryWriter._grant", fail)
    with pytest.raises(OSError, match="full"):
        await state.declare(DOCUMENT)
    assert await everything(state) == before
    assert state.records == []


def test_a_plan_for_a_state_that_has_moved_is_not_applied(state: BastionState) -> None:
    def plan(connection: sa.Connection) -> Plan:
        return declared_state.plan(connection, [{"groups": [{"name": "a"}]}], base=Path(), environment={})

    first, second = state.store.read_now(plan), state.store.read_now(plan)
    state.store.run_now(lambda connection: declared_state.apply(connection, first, state.vault, by="admin"))
    with pytest.raises(StateMoved):
        state.store.run_now(lambda connection: declared_state.apply(connection, second, state.vault, by="admin"))


async def test_two_who_apply_at_once_both_get_through(state: BastionState) -> None:
    import asyncio

    await asyncio.gather(*(state.declare({"groups": [{"name": f"group-{number}"}]}) for number in range(2)))
    assert [group["name"] for group in (await state.access.export())["groups"]] == ["group-0", "group-1"]


async def test_unlocking_by_document_and_by_administrator_are_two_things(state: BastionState) -> None:
    await state.declare(DOCUMENT)
    await state.access.lock("alice", state.clock.time.replace(year=2030), ADMIN, HERE)
    assert lines(await state.declare(DOCUMENT)) == []
    with pytest.raises(Refused):
        await state.access.person("alice")
