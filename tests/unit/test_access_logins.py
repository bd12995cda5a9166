"""Logins by password and key: what they cost, what they tell, and when they are locked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher, Type

from bastion.access import identity
from bastion.access.identity import read_public_key
from bastion.access.passwords import hash_password, is_hash, matches, weakness
from bastion.api.refusals import Refused
from bastion.store import schema
from tests.unit.bastion_state import ADMIN, DOCUMENT, ENVIRONMENT, HERE, OPERATOR_KEY, BastionState

RIGHT = ENVIRONMENT["ALICE_PASSWORD"]
THERE = "198.51.100.9"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that answers would have been held back."""
    taken: list[float] = []

    async def note(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(identity.asyncio, "sleep", note)
    return taken


@pytest.fixture
async def declared(state: BastionState, pauses: list[float]) -> BastionState:
    await state.declare(DOCUMENT)
    return state


async def refusal(state: BastionState, name: str, password: str, source: str = HERE) -> str:
    with pytest.raises(Refused) as refused:
        await state.access.password_login(name, password, source)
    return refused.value.code


async def test_the_right_password_gives_the_person_with_their_roles(declared: BastionState) -> None:
    person = await declared.access.password_login("alice", RIGHT, HERE)
    assert (person.name, person.roles) == ("alice", {"operator"})


async def test_every_no_before_the_password_is_proved_is_the_same(declared: BastionState, pauses: list[float]) -> None:
    """Wrong password, unknown name, a name that none can be, a user without a password, and one who is locked."""
    await declared.store.run(
        lambda connection: connection.execute(
            schema.users.update().where(schema.users.c.name == "alice").values(locked=True)
        )
    )
    tries = [("admin", "wrong"), ("nobody", RIGHT), ("x" * 500, RIGHT), ("bob", RIGHT), ("alice", RIGHT), ("a\0", "x")]
    said = []
    for number, (name, password) in enumerate(tries):
        with pytest.raises(Refused) as refused:
            await declared.access.password_login(name, password, f"192.0.2.{number}")
        said.append((refused.value.code, refused.value.params, pauses.pop()))
    assert said == [("login-failed", {}, said[0][2])] * len(tries)


async def test_an_unknown_user_costs_the_work_of_a_known_one(
    declared: BastionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = PasswordHasher.verify

    def count(self: PasswordHasher, hash: Any, password: Any) -> Any:
        checked.append(str(hash).split("$")[3])
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", count)
    for name in ("alice", "nobody", "bob"):
        assert await refusal(declared, name, "wrong") == "login-failed"
    assert len(checked) == 3
    assert len(set(checked)) == 1  # the same memory, time and lanes


async def test_five_wrong_passwords_lock_for_half_an_hour(declared: BastionState) -> None:
    for _ in range(5):
        assert await refusal(declared, "alice", "wrong") == "login-failed"
    assert await refusal(declared, "alice", RIGHT) == "login-failed"
    declared.clock.advance(minutes=29)
    assert await refusal(declared, "alice", RIGHT) == "login-failed"
    declared.clock.advance(minutes=1)
    assert (await declared.access.password_login("alice", RIGHT, HERE)).name == "alice"


async def test_a_success_clears_the_count_and_time_does_too(declared: BastionState) -> None:
    for _ in range(4):
        await refusal(declared, "alice", "wrong")
    await declared.access.password_login("alice", RIGHT, HERE)
    for _ in range(4):
        await refusal(declared, "alice", "wrong")
    declared.clock.advance(minutes=30)
    for _ in range(4):
        await refusal(declared, "alice", "wrong")
    await declared.access.password_login("alice", RIGHT, HERE)


async def test_tries_in_parallel_do_not_outrun_the_lock(declared: BastionState) -> None:
    guesses = ["wrong"] * 12 + [RIGHT]
    answers = await asyncio.gather(
        *(declared.access.password_login("alice", guess, HERE) for guess in guesses), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Refused] * 13


async def test_answers_come_slower_but_never_very_slow(declared: BastionState, pauses: list[float]) -> None:
    await declared.declare({"settings": {"lockout": {"tries": 0, "period": "30m"}}})
    for _ in range(8):
        await refusal(declared, "alice", "wrong")
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]


async def test_the_lockout_is_a_setting(declared: BastionState) -> None:
    await declared.declare({"settings": {"lockout": {"tries": 2, "period": "5m"}}})
    for _ in range(2):
        await refusal(declared, "alice", "wrong")
    assert await refusal(declared, "alice", RIGHT) == "login-failed"
    declared.clock.advance(minutes=5)
    await declared.access.password_login("alice", RIGHT, HERE)


async def test_a_source_that_tries_many_names_has_to_wait_and_others_do_not(declared: BastionState) -> None:
    await declared.declare({"settings": {"lockout": {"source_tries": 3}}})
    for name in ("a", "b", "c"):
        assert await refusal(declared, name, "guess", THERE) == "login-failed"
    with pytest.raises(Refused) as refused:
        await declared.access.password_login("alice", RIGHT, THERE)
    assert (refused.value.code, refused.value.params) == ("too-many-tries", {"seconds": 1800})
    await declared.access.password_login("alice", RIGHT, HERE)
    declared.clock.advance(minutes=30)
    await declared.access.password_login("alice", RIGHT, THERE)


async def test_an_empty_password_costs_nothing(declared: BastionState, pauses: list[float]) -> None:
    for _ in range(20):
        assert await refusal(declared, "alice", "") == "login-failed"
    assert pauses == []
    await declared.access.password_login("alice", RIGHT, HERE)


async def test_an_endless_password_is_wrong_without_being_hashed(declared: BastionState) -> None:
    assert await refusal(declared, "alice", "x" * 10_000_000) == "login-failed"


async def test_validity_is_told_only_to_whoever_knows_the_password(declared: BastionState) -> None:
    await declared.declare({"users": [{"name": "alice", "roles": ["operator"], "until": "2026-11-23"}]})
    await declared.access.password_login("alice", RIGHT, HERE)
    declared.clock.advance(hours=15)
    assert await refusal(declared, "alice", RIGHT) == "user-not-valid"
    assert await refusal(declared, "alice", "wrong") == "login-failed"


async def test_a_lock_ends_when_it_says_and_unlocking_forgets_failures(declared: BastionState) -> None:
    await declared.access.lock("alice", declared.clock.time.replace(hour=10), ADMIN, HERE, "an inquiry")
    assert await refusal(declared, "alice", "wrong") == "login-failed"
    assert await refusal(declared, "alice", RIGHT) == "user-locked-until"
    with pytest.raises(Refused) as refused:
        await declared.access.person("alice")
    assert refused.value.code == "user-locked-until"
    assert refused.value.params == {
        "user": "alice", "until": "2026-11-22T10:30:00Z", "by": ADMIN.name, "reason": "an inquiry",
    }  # fmt: skip
    declared.clock.advance(hours=1)
    await declared.access.password_login("alice", RIGHT, HERE)
    for _ in range(5):
        await refusal(declared, "alice", "wrong")
    await declared.access.lock("alice", None, ADMIN, HERE)
    await declared.access.password_login("alice", RIGHT, HERE)
    assert [act.act for act in declared.acts("user-")][-2:] == ["user-locked", "user-unlocked"]


async def test_a_hash_with_weaker_parameters_is_made_anew_at_login(declared: BastionState) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(RIGHT)
    users = schema.users
    await declared.store.run(
        lambda connection: connection.execute(users.update().where(users.c.name == "alice").values(password_hash=weak))
    )
    await declared.access.password_login("alice", RIGHT, HERE)
    query = sa.select(users.c.password_hash).where(users.c.name == "alice")
    stored = await declared.store.read(lambda connection: connection.scalar(query))
    assert stored is not None
    assert stored != weak
    assert "m=64,t=2" in stored
    await declared.access.password_login("alice", RIGHT, HERE)


async def test_a_key_logs_in_whatever_its_comment(declared: BastionState) -> None:
    person = await declared.access.key_login("alice", OPERATOR_KEY, HERE)
    assert person is not None
    assert person.name == "alice"
    assert await declared.access.key_login("alice", OPERATOR_KEY + " another comment", HERE) == person


async def test_other_keys_and_other_peoples_keys_do_not(declared: BastionState) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    for name, key in (
        ("alice", other), ("bob", OPERATOR_KEY), ("nobody", OPERATOR_KEY), ("alice", ""), ("alice", "ssh-ed25519 !!!!"),
        ("alice", OPERATOR_KEY.replace("ssh-ed25519", "ssh-rsa", 1)), ("a\0", OPERATOR_KEY),
    ):  # fmt: skip
        assert await declared.access.key_login(name, key, HERE) is None


async def test_a_locked_users_key_is_refused_with_the_reason_and_wrong_passwords_lock_no_key(
    declared: BastionState,
) -> None:
    for _ in range(6):
        await refusal(declared, "alice", "wrong")
    assert await declared.access.key_login("alice", OPERATOR_KEY, HERE) is not None
    await declared.access.lock("alice", declared.clock.time.replace(year=2030), ADMIN, HERE)
    with pytest.raises(Refused) as refused:
        await declared.access.key_login("alice", OPERATOR_KEY, HERE)
    assert refused.value.code == "user-locked-until"


def test_passwords_are_hashed_as_rfc_9106_says() -> None:
    stored = hash_password("Aa1!aaaa")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert is_hash(stored)
    assert matches(stored, "Aa1!aaaa")
    assert not matches(stored, "Aa1!aaab")
    assert not is_hash(PasswordHasher(type=Type.I, memory_cost=64).hash("x"))
    assert not is_hash("$2b$12$abcdefghijklmnopqrstuv")


def test_a_public_key_is_read_by_its_wire_form() -> None:
    algorithm, blob, comment = read_public_key(OPERATOR_KEY + "  alice at home \n")
    assert (algorithm, comment) == ("ssh-ed25519", "alice at home")
    assert OPERATOR_KEY.endswith(blob)


@pytest.mark.parametrize(
    ("password", "wrong"),
    [
        ("Aa1!aaa", "8 to 128"), ("Aa1!" + "a" * 125, "8 to 128"), ("aa11!!aa", "upper case"),
        ("AA11!!AA", "lower case"), ("Aaaa!!!!", "digit"), ("Aaaa1111", "another character"), ("Aa1!aaa\n", "control"),
    ],
)  # fmt: skip
def test_weak_passwords_are_named_for_what_they_lack(password: str, wrong: str) -> None:
    assert wrong in (weakness(password) or "")


@pytest.mark.parametrize("password", ["Aa1!aaaa", "Aa1 aaaa", "Пароль-77", "Aa1!" + "a" * 124])
def test_good_passwords_pass(password: str) -> None:
    assert weakness(password) is None
