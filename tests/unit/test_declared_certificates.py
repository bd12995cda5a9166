"""Client certificates of accounts: declared, sealed, kept, replaced, taken away; with and without a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bastion.access import sealing
from bastion.access.document_reader import NotApplicable
from tests.servers import certificates
from tests.unit.bastion_state import ALICE, DOCUMENT, BastionState

KEPT = {"kept": True}
BASIC = {"users": DOCUMENT["users"]}


@pytest.fixture
def made(tmp_path: Path) -> certificates.Certificates:
    return certificates.Authority(tmp_path).issue("app", "app")


@pytest.fixture
def other(tmp_path: Path) -> certificates.Certificates:
    return certificates.Authority(tmp_path).issue("other", "app")


def with_account(**account: Any) -> dict[str, Any]:
    """A document in which alice may use everything of one database with that one account."""
    entry = {"name": "orders", "engine": "postgresql", "host": "db.test", "accounts": [account]}
    grant = {"name": "dba-orders", "to": ["alice"], "on": ["orders"]}
    return {"databases": [entry], "grants": [grant]}


def pair(made: certificates.Certificates) -> dict[str, Any]:
    return {"certificate": {"file": made.certificate.name}, "key": {"file": made.key.name}}


@pytest.mark.parametrize("account", [{"name": "app"}, {"any": True}])
async def test_they_arrive_where_they_are_used(
    state: BastionState, made: certificates.Certificates, account: dict[str, Any]
) -> None:
    await state.declare(BASIC)
    plan = await state.declare(with_account(**account, **pair(made)))
    assert "PRIVATE KEY" not in str([plan.changes, state.records, await state.access.export()])
    [database] = await state.access.databases(ALICE)
    assert [each.hosted for each in database.accounts] == [True]
    token = await state.token()
    admission = await state.access.admit("alice", token.id)
    assert admission.certificate == made.certificate.read_text()
    assert admission.certificate_key == made.key.read_text()
    assert "BEGIN" not in repr(admission)


async def test_they_stay_are_replaced_and_are_taken_away(
    state: BastionState, made: certificates.Certificates, other: certificates.Certificates
) -> None:
    await state.declare(BASIC)
    await state.declare(with_account(name="app", password={"env": "ORDERS_PASSWORD"}, **pair(made)))
    token = await state.token()
    exported = await state.access.export()
    [entry] = exported["databases"][-1]["accounts"]
    assert entry == {"name": "app", "password": KEPT, "certificate": KEPT, "key": KEPT}
    assert (await state.declare(exported)).changes == []
    assert (await state.declare(with_account(name="app", password=KEPT, **pair(made)))).changes == []
    [change] = (await state.declare(with_account(name="app", password=KEPT, **pair(other)))).changes
    assert change.detail == "accounts.app.certificate (changed); accounts.app.key (changed)"
    assert (await state.access.admit("alice", token.id)).certificate_key == other.key.read_text()
    await state.declare(with_account(name="app", password=KEPT))
    admission = await state.access.admit("alice", token.id)
    assert (admission.certificate, admission.certificate_key) == (None, None)
    assert admission.secret is not None


async def test_a_key_that_is_not_the_kept_certificates(
    state: BastionState, made: certificates.Certificates, other: certificates.Certificates
) -> None:
    await state.declare(BASIC)
    await state.declare(with_account(name="app", **pair(made)))
    wanted = {"certificate": KEPT, "key": {"file": other.key.name}}
    with pytest.raises(NotApplicable, match="key: it is not the certificate's"):
        await state.declare(with_account(name="app", **wanted))
    with pytest.raises(NotApplicable, match="there is nothing to keep"):
        await state.declare(with_account(name="somebody", **wanted))


async def test_after_a_rotation_they_are_resealed(state: BastionState, made: certificates.Certificates) -> None:
    await state.declare(BASIC)
    await state.declare(with_account(name="app", **pair(made)))
    token = await state.token()
    state.vault.rotate()
    changed = await state.store.run(lambda connection: sealing.reseal_all(connection, state.vault))
    assert changed == 3  # the token's text, the certificate and its key
    state.vault.retire()
    assert (await state.access.admit("alice", token.id)).certificate == made.certificate.read_text()
