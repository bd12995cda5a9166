"""What a hostile client, or a process that does not read, can make the gateway hold; and who may go on with what."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bastion.access.door import Person
from bastion.api import messages as m
from bastion.api import screen_frames as frames
from bastion.api.refusals import Refused
from bastion.configuration import WorkstationSettings
from bastion.gateway import ui_channel, ui_host
from bastion.gateway.ui_session import Attached, UiSession, UiSessions

ALICE = Person("alice", frozenset())


class Terminal:
    """A person's terminal, as far as a session knows it."""

    def __init__(self) -> None:
        self.paused = False
        self.ended = asyncio.Event()

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    async def answers(self) -> bool:
        return True

    def hang_up(self) -> None: ...

    def end(self, code: int, message: str) -> None:
        self.ended.set()


def where() -> Attached:
    from datetime import UTC, datetime

    return Attached(datetime.now(UTC), "192.0.2.1", frames.Terminal(80, 24, {}))


def sessions() -> UiSessions:
    async def nothing() -> None: ...

    return UiSessions(
        WorkstationSettings(), m.Address(host="bastion", port=22), None, lambda _record: None,
        lambda _socket, _person, _source, _name: asyncio.get_running_loop().create_task(nothing()),
    )  # fmt: skip


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[socket.socket, ...]]:
    """The sockets of processes that are there and read nothing."""
    held: list[tuple[socket.socket, ...]] = []

    async def spawn(_host: Any, _spawn: frames.Spawn, pair: tuple[socket.socket, socket.socket]) -> int:
        await asyncio.sleep(0)
        held.append(tuple(each.dup() for each in pair))
        return 1

    monkeypatch.setattr(ui_host.UiHost, "spawn", spawn)
    monkeypatch.setattr(ui_host.UiHost, "kill", lambda *_: None)
    return held


def close(owner: UiSessions, processes: list[tuple[socket.socket, ...]]) -> None:
    for each in list(owner._sessions.values()):
        each.stop("")
    for pair in processes:
        for one in pair:
            one.close()


def held_for(session: UiSession) -> int:
    assert session._transport is not None
    return session._transport.get_write_buffer_size()


@pytest.mark.asyncio
async def test_logins_at_one_moment_are_counted_too(processes: list[tuple[socket.socket, ...]]) -> None:
    owner = sessions()
    found = await asyncio.gather(
        *(owner.open(ALICE, where()) for _ in range(owner.settings.per_person + 5)), return_exceptions=True
    )
    refused = [each for each in found if isinstance(each, Refused)]
    assert [each.code for each in refused] == ["too-many-workstations-yours"] * 5
    assert len(owner) == owner.settings.per_person == 10
    assert isinstance(await owner.open(Person("bob", frozenset()), where()), UiSession)
    close(owner, processes)


@pytest.mark.asyncio
async def test_a_new_terminal_waits_for_a_process_that_did_not_read_the_one_before(
    processes: list[tuple[socket.socket, ...]],
) -> None:
    owner = sessions()
    session = await owner.open(ALICE, where())
    first, second = Terminal(), Terminal()
    session.attach(first)
    while not first.paused:
        session.typed(b"x" * 64 * 1024)
    session.detach(first)
    session.reattach(second, where())
    assert second.paused
    before = held_for(session)
    for columns in range(20, 500):
        session.resized(columns, 24)
        session.round_trip(0.1)
    assert held_for(session) == before
    theirs = processes[0][0]
    theirs.setblocking(False)
    got = bytearray()
    async with asyncio.timeout(60):
        while second.paused or not got.endswith(frames.size_frame(499, 24)):
            got += await asyncio.get_running_loop().sock_recv(theirs, 1024 * 1024)
    assert got.count(b"S\0\0\0\4") == 1
    close(owner, processes)


@pytest.mark.asyncio
async def test_what_is_being_ended_is_not_offered(processes: list[tuple[socket.socket, ...]]) -> None:
    owner = sessions()
    session = await owner.open(ALICE, where())
    terminal = Terminal()
    session.attach(terminal)
    session.detach(terminal)
    assert await owner.resumable(ALICE) == [session]
    assert await owner.resumable(Person("bob", frozenset())) == []
    session.leave()  # its time is over
    assert not session.waits
    assert await owner.resumable(ALICE) == []
    close(owner, processes)


@pytest.mark.asyncio
async def test_a_host_that_has_lived_for_long_is_soon_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    began = 0
    again = asyncio.Event()

    async def run_once(_host: ui_host.UiHost) -> None:
        nonlocal began
        began += 1
        if began == 3:
            again.set()

    monkeypatch.setattr(ui_host.UiHost, "_run_once", run_once)
    monkeypatch.setattr(ui_host, "LONG_ENOUGH", -1.0)
    monkeypatch.setattr(ui_host, "AGAIN_SECONDS", (0.0, 60.0))
    host = ui_host.UiHost(WorkstationSettings(), lambda _id, _status: None)
    host.start()
    async with asyncio.timeout(50):
        await again.wait()
    await host.stop()


@pytest.mark.asyncio
async def test_a_workstation_is_its_persons_and_not_of_somebody_with_that_name(
    processes: list[tuple[socket.socket, ...]],
) -> None:
    owner = sessions()
    session = await owner.open(Person("alice", frozenset(), 7), where())
    terminal = Terminal()
    session.attach(terminal)
    session.detach(terminal)
    assert await owner.resumable(Person("alice", frozenset({"operator"}), 7)) == [session]
    assert await owner.resumable(Person("alice", frozenset(), 9)) == []
    close(owner, processes)


@pytest.mark.parametrize(("measured", "seconds"), [(None, 1.5), (0.002, 1.5), (0.3, 2.4), (1.2, 9.6), (60.0, 20.0)])
def test_a_slow_terminal_is_waited_for_longer_than_a_quick_one(measured: float | None, seconds: float) -> None:
    assert ui_channel.answer_seconds(measured) == pytest.approx(seconds)
