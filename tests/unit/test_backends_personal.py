"""The workstation's side of what a person keeps: typed, soft where the bastion does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from backends.link import Unreachable
from backends.personal import Personal
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.methods import Method
from bastion.api.refusals import Refused
from tests.unit.screens.world import PersonalShelf


class Query(msgspec.Struct):
    text: str
    uses: int = 0


class Bastion:
    """Answers from a shelf, or fails with `failure`; `gate` holds every answer back while it is closed."""

    def __init__(self) -> None:
        self.shelf = PersonalShelf()
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.puts: list[str] = []

    async def call(self, method: Method, params: m.Message) -> Any:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if isinstance(params, methods.PersonalPut):
            self.puts.append(params.value)
            return self.shelf.put(params)
        if isinstance(params, methods.PersonalRemove):
            return self.shelf.remove(params)
        assert isinstance(params, methods.PersonalList)
        found = self.shelf.items(methods.PersonalList(kind=params.kind, prefix=params.prefix, key=params.key)).items
        start = int(params.after or 0)
        end = start + min(params.limit or 2, 2)
        return m.PersonalPage(items=found[start:end], next=str(end) if end < len(found) else None)


async def test_typed_values_come_back_over_all_pages() -> None:
    bastion, personal = Bastion(), Personal()
    personal.use(bastion)
    for number in range(5):
        assert await personal.put("saved", f"q{number}", Query(f"select {number}", number))
    assert await personal.get("saved", "q3", Query) == Query("select 3", 3)
    assert await personal.get("saved", "q9", Query) is None
    assert [kept.key for kept in await personal.items("saved", Query)] == ["q4", "q3", "q2", "q1", "q0"]
    assert [kept.value.uses for kept in await personal.items("saved", Query, limit=3)] == [4, 3, 2]
    assert await personal.remove("saved", "q3")
    assert await personal.get("saved", "q3", Query) is None


async def test_a_value_of_another_form_is_as_good_as_none() -> None:
    bastion, personal = Bastion(), Personal()
    personal.use(bastion)
    await personal.put("saved", "old", ["another", "form"])
    await personal.put("saved", "new", Query("select 1"))
    assert await personal.get("saved", "old", Query) is None
    assert [kept.key for kept in await personal.items("saved", Query)] == ["new"]


async def test_what_waits_is_seen_at_once_and_only_the_last_is_sent() -> None:
    bastion = Bastion()
    personal = Personal()
    personal.use(bastion)
    bastion.gate.clear()
    for number in range(100):
        personal.put_soon("tabs", "1", Query(f"s{number}"))
        await asyncio.sleep(0)
    assert await personal.get("tabs", "1", Query) == Query("s99")
    bastion.gate.set()
    await personal.flush()
    assert len(bastion.puts) == 2, "the one under way, and the last"
    assert await personal.get("tabs", "1", Query) == Query("s99")
    personal.remove_soon("tabs", "1")
    assert await personal.get("tabs", "1", Query) is None
    await personal.flush()
    assert bastion.shelf.kept == {}


async def test_without_a_bastion_it_says_so_once_and_goes_on() -> None:
    told: list[Exception] = []
    bastion, personal = Bastion(), Personal(told.append)
    assert await personal.get("tabs", "1", Query) is None
    assert told == [], "nobody is logged in: nothing is wrong"
    personal.use(bastion)
    bastion.failure = Unreachable("gone")
    assert not await personal.put("tabs", "1", Query("a"))
    personal.put_soon("tabs", "2", Query("b"))
    await personal.flush()
    assert await personal.items("tabs", Query) == []
    assert [str(error) for error in told] == ["gone"]
    bastion.failure = Refused("personal-full", items=2000, size=8388608, kind="tabs")
    assert not await personal.put("tabs", "1", Query("a"))
    assert len(told) == 2
