"""A search of a page gives way to a newer one of the same reader, and nobody else's."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bastion.access.door import Person
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit.records import AnyRecord
from bastion.gateway import looks
from bastion.gateway.audit_calls import AuditCalls
from bastion.gateway.caller import Caller
from bastion.store.interruption import Interrupted, Interruption

PATIENCE = 30.0


class SlowAudit:
    """Searches for `slow` go on until they are given up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def settle(self) -> None:
        return None

    async def statements(self, wanted: m.StatementFilter, interruption: Interruption) -> m.StatementPage:
        if "slow" in wanted.words:
            self.begun.set()
            await asyncio.to_thread(self._work, interruption)
        return m.StatementPage(statements=[], cursor=None)

    @staticmethod
    def _work(interruption: Interruption) -> None:
        while not interruption.due:
            threading.Event().wait(0.005)
        raise Interrupted(late=False)


@pytest.fixture
def stage() -> tuple[AuditCalls, SlowAudit, list[AnyRecord]]:
    audit, recorded = SlowAudit(), []

    async def record(*records: AnyRecord) -> None:
        recorded.extend(records)

    parts: Any = SimpleNamespace(audit=audit, record=record)
    return AuditCalls(parts), audit, recorded


def caller(name: str = "carol") -> Caller:
    return Caller(Person(name, frozenset({"auditor"})), "10.0.0.9")


def asked(word: str, stream: str = "page") -> m.StatementFilter:
    return m.StatementFilter(words=[word], stream=stream)


async def test_a_newer_search_of_the_same_stream_ends_the_one_before(
    stage: tuple[AuditCalls, SlowAudit, list[AnyRecord]],
) -> None:
    calls, audit, recorded = stage
    who = caller()
    async with asyncio.timeout(PATIENCE):
        slow = asyncio.create_task(calls.statements(who, asked("slow")))
        await audit.begun.wait()
        # Another stream, and another reader, leave it alone.
        await calls.statements(who, asked("quick", "count"))
        await calls.statements(caller("dave"), asked("quick"))
        assert not slow.done()
        await calls.statements(who, asked("quick"))
        with pytest.raises(Refused, match="given up for a newer one"):
            await slow
    # What was given up gave nothing, so there is no record of it.
    assert ["slow" in str(record) for record in recorded].count(True) == 0


async def test_a_reader_that_is_gone_ends_its_search(stage: tuple[AuditCalls, SlowAudit, list[AnyRecord]]) -> None:
    calls, audit, _recorded = stage
    async with asyncio.timeout(PATIENCE):
        slow = asyncio.create_task(calls.statements(caller(), asked("slow")))
        await audit.begun.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
    # The thread that searched has ended too, or the test would not: the loop waits for it.


async def test_the_same_look_is_recorded_once_an_hour(
    stage: tuple[AuditCalls, SlowAudit, list[AnyRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, _audit, recorded = stage
    clock = [1000.0]
    monkeypatch.setattr(looks, "monotonic", lambda: clock[0])
    for _ in range(3):
        await calls.statements(caller(), m.StatementFilter(words=["x"], since="2h", after=7, limit=5))
    assert len(recorded) == 1
    await calls.statements(caller("dave"), m.StatementFilter(words=["x"], since="2h"))
    assert len(recorded) == 2
    clock[0] += looks.AGAIN_AFTER
    await calls.statements(caller(), m.StatementFilter(words=["x"], since="2h"))
    assert len(recorded) == 3


async def test_where_the_record_cannot_be_written_nothing_is_given(
    stage: tuple[AuditCalls, SlowAudit, list[AnyRecord]],
) -> None:
    calls, _audit, _recorded = stage

    async def fail(*_records: AnyRecord) -> None:
        raise OSError("the disk is full")

    calls.looks._parts.record = fail  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            await calls.statements(caller(), asked("x"))


async def test_an_operator_sees_their_own_whatever_they_ask_for(
    stage: tuple[AuditCalls, SlowAudit, list[AnyRecord]],
) -> None:
    calls, _audit, recorded = stage
    operator = Caller(Person("alice", frozenset({"operator"})), "10.0.0.9")
    wanted = m.StatementFilter(user="bob", any_of={"user": ["bob"]})
    await calls.statements(operator, wanted)
    assert wanted.user == "alice"
    assert recorded == []
