"""What people keep at the bastion: bounded, sealed, without credentials, their own alone, gone with them."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from bastion.access import personal, sealing
from bastion.access.door import Person
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused, sentence
from bastion.store import schema
from tests.unit.bastion_state import ADMIN, ALICE, AUDITOR, BOB, DOCUMENT, BastionState


@pytest.fixture
async def declared(state: BastionState) -> BastionState:
    await state.declare(DOCUMENT)
    return state


async def put(state: BastionState, kind: str, key: str, value: str, person: Person = ALICE) -> m.PersonalKept:
    state.clock.advance(seconds=1)
    return await state.access.personal.put(person, methods.PersonalPut(kind=kind, key=key, value=value))


async def items(state: BastionState, kind: str, person: Person = ALICE, **wishes: object) -> m.PersonalPage:
    wanted = msgspec.convert({"kind": kind, **wishes}, methods.PersonalList)
    return await state.access.personal.items(person, wanted)


async def keys(state: BastionState, kind: str, person: Person = ALICE, **wishes: object) -> list[str]:
    return [item.key for item in (await items(state, kind, person, **wishes)).items]


def entry(text: str, engine: str = "mysql") -> str:
    return msgspec.json.encode({"text": text, "engine": engine, "database": "orders"}).decode()


async def refused(waited: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await waited  # type: ignore[misc]
    assert "{" not in sentence(caught.value.code, caught.value.params)
    return caught.value


async def test_what_was_put_is_found_again_the_last_changed_first(declared: BastionState) -> None:
    await put(declared, "saved", "daily", "select 1")
    await put(declared, "saved", "Weekly", "select 7")
    await put(declared, "saved", "daily", "select 24")
    await put(declared, "favourites", "orders", "[]")
    page = await items(declared, "saved")
    assert [(item.kind, item.key, item.value) for item in page.items] == [
        ("saved", "daily", "select 24"),
        ("saved", "Weekly", "select 7"),
    ]
    assert page.items[0].updated_at > page.items[1].updated_at
    assert page.next is None
    assert await keys(declared, "saved", prefix="week") == []
    assert await keys(declared, "saved", prefix="Week") == ["Weekly"]
    assert await keys(declared, "saved", prefix="%") == []
    assert await keys(declared, "saved", prefix="\0") == await keys(declared, "saved", key="\0") == []
    assert await keys(declared, "saved", key="daily") == ["daily"]
    assert await keys(declared, "saved", limit=1) == ["daily"]


async def test_pages_join_without_a_gap_and_stay_small(declared: BastionState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "PAGE_BYTES", 1000)
    for number in range(7):
        await put(declared, "saved", f"q{number}", "x" * 300)
    found: list[str] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after is not None:
        page = await items(declared, "saved", after=after)
        assert sum(len(item.value) for item in page.items) <= 1000
        found += [item.key for item in page.items]
        after, pages = page.next, pages + 1
    assert found == [f"q{number}" for number in reversed(range(7))]
    assert pages == 4
    assert (await refused(items(declared, "saved", after="nonsense"))).code == "invalid-params"


async def test_everybody_sees_only_their_own_whatever_their_roles(declared: BastionState) -> None:
    await put(declared, "saved", "daily", "of alice")
    for other in (BOB, AUDITOR, ADMIN):
        assert await keys(declared, "saved", other) == []
        assert await declared.access.personal.remove(other, methods.PersonalRemove(kind="saved", key="daily")) == 0
    await put(declared, "saved", "daily", "of bob", BOB)
    assert (await items(declared, "saved")).items[0].value == "of alice"
    nobody = Person("os:root", frozenset({"administrator"}))
    assert (await refused(items(declared, "saved", nobody))).code == "user-not-valid"


async def test_values_are_sealed_in_the_store_and_survive_a_rotation(declared: BastionState) -> None:
    await put(declared, "saved", "daily", "select salary from staff")
    table = schema.personal_state

    async def stored() -> str:
        [value] = await declared.store.read(lambda connection: list(connection.scalars(sa.select(table.c.value))))
        return str(value)

    assert "salary" not in await stored()
    declared.vault.rotate()
    await declared.store.run(lambda connection: sealing.reseal_all(connection, declared.vault))
    declared.vault.retire()
    assert declared.vault.is_current(await stored())
    assert (await items(declared, "saved")).items[0].value == "select salary from staff"


async def test_a_value_of_another_place_does_not_open_and_hides_nothing_else(declared: BastionState) -> None:
    await put(declared, "saved", "mine", "of alice")
    await put(declared, "saved", "good", "select 1")
    await put(declared, "saved", "mine", "of bob", BOB)
    table = schema.personal_state

    def swap(connection: sa.Connection) -> None:
        users = connection.execute(sa.select(schema.users)).all()
        ids = {user.name: user.id for user in users}
        bobs = connection.scalar(sa.select(table.c.value).where(table.c.user_id == ids["bob"]))
        mine = sa.and_(table.c.user_id == ids["alice"], table.c.key == "mine")
        connection.execute(table.update().where(mine).values(value=bobs))

    await declared.store.run(swap)
    assert await keys(declared, "saved") == ["good"]


async def test_credentials_are_taken_out_of_the_history(declared: BastionState) -> None:
    kept = await put(declared, "history", "1", entry("CREATE USER x IDENTIFIED BY 'Geheim-9'"))
    assert kept.value is not None
    assert msgspec.json.decode(kept.value) == {
        "text": "CREATE USER x IDENTIFIED BY '***'",
        "engine": "mysql",
        "database": "orders",
    }
    assert (await items(declared, "history")).items[0].value == kept.value
    plain = await put(declared, "history", "2", entry("select 'password'"))
    assert plain.value is None
    for value in ("select 1", "[]", '{"text": 1, "engine": "mysql"}', '{"text": "select 1"}', entry("select 1", "ini")):
        assert (await refused(put(declared, "history", "3", value))).code == "invalid-params"


async def test_the_oldest_history_makes_room(declared: BastionState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "MOST_ITEMS", 3)
    for number in range(5):
        await put(declared, "history", str(number), entry(f"select {number}"))
    assert await keys(declared, "history") == ["4", "3", "2"]
    await put(declared, "history", "2", entry("select 2"))
    assert await keys(declared, "history") == ["2", "4", "3"]
    for number in range(3):
        await put(declared, "saved", str(number), "x")
    full = await refused(put(declared, "saved", "3", "x"))
    assert full.code == "personal-full"
    await put(declared, "saved", "2", "another value for what is there")
    assert len(await keys(declared, "history")) == 3


async def test_all_of_it_together_is_bounded(declared: BastionState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "MOST_BYTES", 3000)
    for number in range(4):
        await put(declared, "history", str(number), entry("select " + "x" * 300))
    await put(declared, "tabs", "1", "y" * 2000)
    assert await keys(declared, "history") == ["3", "2"]
    await put(declared, "tabs", "1", "y" * 2500)
    assert await keys(declared, "history") == ["3"]
    assert (await refused(put(declared, "tabs", "2", "y" * 2500))).code == "personal-full"
    assert await keys(declared, "history") == ["3"], "a refusal drops nothing"
    await put(declared, "tabs", "1", "y" * 2500, BOB)  # another person has room of their own


@pytest.mark.parametrize(
    ("kind", "key", "value", "code"),
    [
        ("", "k", "v", "invalid-params"),
        ("Kind", "k", "v", "invalid-params"),
        ("k" * 33, "k", "v", "invalid-params"),
        ("saved", "", "v", "invalid-params"),
        ("saved", "a\nb", "v", "invalid-params"),
        ("saved", "\0", "v", "invalid-params"),
        ("saved", "k" * 301, "v", "invalid-params"),
        ("saved", "k", "\ud800", "invalid-params"),
        ("saved", "k", "世" * 21_846, "personal-too-long"),
    ],
)
async def test_what_has_no_form_is_refused(declared: BastionState, kind: str, key: str, value: str, code: str) -> None:
    assert (await refused(put(declared, kind, key, value))).code == code


async def test_removed_by_hand_and_with_the_person_and_never_exported(declared: BastionState) -> None:
    for key in ("a", "b", "c"):
        await put(declared, "saved", key, "kept-value", BOB)
    assert "kept-value" not in str(await declared.access.export())
    remove = declared.access.personal.remove
    assert await remove(BOB, methods.PersonalRemove(kind="saved", key="b")) == 1
    assert await keys(declared, "saved", BOB) == ["c", "a"]
    assert await remove(BOB, methods.PersonalRemove(kind="saved")) == 2
    await put(declared, "saved", "d", "x", BOB)
    without_bob = DOCUMENT | {"users": [user for user in DOCUMENT["users"] if user["name"] != "bob"]}
    await declared.declare(without_bob, prune=True)
    count = sa.select(sa.func.count()).select_from(schema.personal_state)
    assert await declared.store.read(lambda connection: connection.scalar(count)) == 0
