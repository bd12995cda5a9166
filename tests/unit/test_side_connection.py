"""The catalog's own connections: opened when asked, asked again after a loss, given up when they are too slow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest

from backends import side_connection
from backends.connection import DatabaseConnection
from backends.interface import DatabaseError
from backends.metadata import SchemaMetadata
from backends.side_connection import MetadataLoader, SideConnection

NO_LIMIT = object()
LOST = DatabaseError("gone", connection_lost=True)


class Script:
    """A connection whose catalog does what a test says; every one that was opened is kept."""

    def __init__(self, opened: list[Script], answers: list[Any]) -> None:
        self.closed = False
        self.seconds = 0
        self.answers = answers
        self._thread = ThreadPoolExecutor(1)
        opened.append(self)

    @property
    def backend(self) -> Any:
        return self

    @property
    def catalog(self) -> Any:
        return self

    def limit_time(self, seconds: int) -> None:
        self.seconds = seconds
        if self.answers and self.answers[0] is NO_LIMIT:
            self.answers.pop(0)
            raise DatabaseError("Unknown system variable")

    def metadata(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        return self._thread.submit(work)

    def close(self) -> None:
        self.closed = True
        self._thread.shutdown(wait=False)


class Server:
    """Gives connections that answer from one list."""

    def __init__(self, *answers: Any) -> None:
        self.opened: list[Script] = []
        self.answers = list(answers)

    def __call__(self) -> DatabaseConnection:
        return cast("DatabaseConnection", Script(self.opened, self.answers))


async def test_one_connection_for_all_questions_with_a_limit_on_the_server() -> None:
    server = Server("a", "b")
    side = SideConnection(server)
    assert [await side.ask(lambda catalog: catalog.metadata()) for _ in range(2)] == ["a", "b"]
    [connection] = server.opened
    assert connection.seconds == side_connection.STATEMENT_SECONDS
    await side.close()
    assert connection.closed


async def test_a_server_without_a_limit_is_asked_all_the_same() -> None:
    assert await SideConnection(Server(NO_LIMIT, "a")).ask(lambda catalog: catalog.metadata()) == "a"


async def test_a_lost_connection_is_opened_again_once() -> None:
    server = Server("a", LOST, "b", LOST, LOST)
    side = SideConnection(server)
    assert await side.ask(lambda catalog: catalog.metadata()) == "a"
    assert await side.ask(lambda catalog: catalog.metadata()) == "b"
    assert [connection.closed for connection in server.opened] == [True, False]
    with pytest.raises(DatabaseError, match="gone"):
        await side.ask(lambda catalog: catalog.metadata())
    await side.close()


async def test_one_that_is_lost_at_once_is_not_tried_for_ever() -> None:
    server = Server(LOST, "never")
    with pytest.raises(DatabaseError, match="gone"):
        await SideConnection(server).ask(lambda catalog: catalog.metadata())
    assert len(server.opened) == 1


async def test_what_takes_too_long_is_given_up() -> None:
    go_on = threading.Event()
    server = Server(go_on.wait, "b")
    side = SideConnection(server)
    with pytest.raises(DatabaseError, match="did not answer in time"):
        await side.ask(lambda catalog: catalog.metadata(), within=0.01)
    assert server.opened[0].closed
    go_on.set()
    assert await side.ask(lambda catalog: catalog.metadata()) == "b"
    await side.close()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_one_that_is_opened_too_late_is_closed(how: str) -> None:
    server, go_on, begun = Server("a"), threading.Event(), threading.Event()

    def slowly() -> DatabaseConnection:
        begun.set()
        go_on.wait(60)
        return server()

    side = SideConnection(slowly)
    asking = asyncio.create_task(side.ask(lambda catalog: catalog.metadata()))
    await until(begun.is_set)
    if how == "closed":
        await side.close()
    else:
        asking.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError if how == "cancelled" else DatabaseError):
        await asking
    await until(lambda: [connection.closed for connection in server.opened] == [True])


async def test_names_are_loaded_once_and_again_after_a_change() -> None:
    first, second, third = SchemaMetadata(["1"]), SchemaMetadata(["2"]), SchemaMetadata(["3"])
    server = Server(first, second, third)
    loader = MetadataLoader(server)
    assert await asyncio.gather(loader.get(), loader.get()) == [first, first]
    assert await loader.get() is first
    loader.stale()
    assert await loader.get() is first
    assert loader._task is not None
    await loader._task
    assert await loader.get() is second
    assert await loader.get(fresh=True) is third
    assert all(connection.closed for connection in server.opened)
    await loader.close()


async def test_a_failure_is_remembered_until_it_is_asked_for_anew() -> None:
    names = SchemaMetadata()
    server = Server(DatabaseError("no right"), names)
    loader = MetadataLoader(server)
    for _ in range(3):
        with pytest.raises(DatabaseError, match="no right"):
            await loader.get()
    assert len(server.opened) == 1
    assert await loader.get(fresh=True) is names
    await loader.close()
