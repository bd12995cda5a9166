"""The control channel: JSON-RPC 2.0, one object a line, on the subsystem `casemate` and on the local socket."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import socket
import struct
from collections import deque
from pathlib import Path
from typing import Protocol, cast

import msgspec

from bastion.access.door import Person
from bastion.api import messages as m
from bastion.api import methods, rpc
from bastion.api.refusals import Refused

from .caller import Caller
from .calls import Calls
from .subscriptions import Subscriber, Subscriptions

MAX_AT_WORK = 8
"""Calls of one channel that are answered at one time."""

MAX_WAITING = 64
"""Calls that wait for their turn; beyond it nothing more is read until some are answered."""

logger = logging.getLogger(__name__)


class Line(Protocol):
    """What a conversation runs on: an SSH channel or a stream's transport."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Conversation:
    """One control channel: reads calls, answers them in any order, and sends events. Bounded in every direction."""

    def __init__(self, line: Line, caller: Caller, calls: Calls, subscriptions: Subscriptions | None) -> None:
        self._line = line
        self._caller = caller
        self._calls = calls
        self._subscriptions = subscriptions
        self._subscriber: Subscriber | None = None
        self._lines = rpc.Lines()
        self._waiting: deque[rpc.Incoming] = deque()
        self._at_work: set[asyncio.Task[None]] = set()
        self._reading_paused = False
        self._writing_paused = False
        self._ending = False
        if subscriptions is not None:
            caller.subscribe = self._subscribe

    # ------------------------------------------------------------------------------- called by the line's owner

    def data_received(self, data: bytes) -> None:
        """Bytes of the other side."""
        try:
            for incoming in self._lines.feed(data):
                self._take(incoming)
        except (rpc.BadLine, rpc.LineTooLong) as error:
            self._write(rpc.failure(None, rpc.RpcError(rpc.PARSE_ERROR, str(error)[:200])))
            self.close()

    def eof_received(self) -> None:
        """No more calls come; what is at work is still answered."""
        self._ending = True
        self._close_if_done()

    def pause_writing(self) -> None:
        """The other side reads slowly: events wait, and no further call is begun."""
        self._writing_paused = True
        if self._subscriber is not None:
            self._subscriber.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writing_paused = False
        if self._subscriber is not None:
            self._subscriber.resume()
        self._next()

    def close(self) -> None:
        """Ends the conversation. Calls at work are given up: their answers have nobody to go to."""
        if self._subscriber is not None and self._subscriptions is not None:
            self._subscriptions.remove(self._subscriber)
            self._subscriber = None
        self._waiting.clear()
        for task in list(self._at_work):
            task.cancel()
        if not self._line.is_closing():
            self._line.close()

    # --------------------------------------------------------------------------------------------------- inside

    def _take(self, incoming: rpc.Incoming) -> None:
        if incoming.method is None:
            self._write(
                rpc.failure(incoming.id, rpc.RpcError(rpc.INVALID_REQUEST, "The bastion answers calls; it makes none."))
            )
            return
        if incoming.id is None:
            return  # a notification: there is none that the bastion knows
        self._waiting.append(incoming)
        self._next()

    def _next(self) -> None:
        while self._waiting and len(self._at_work) < MAX_AT_WORK and not self._writing_paused:
            task = asyncio.create_task(self._answer(self._waiting.popleft()))
            self._at_work.add(task)
            task.add_done_callback(self._answered)
        full = len(self._waiting) >= MAX_WAITING
        if full != self._reading_paused and not self._line.is_closing():
            self._reading_paused = full
            if full:
                self._line.pause_reading()
            else:
                self._line.resume_reading()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("an answer could not be sent", exc_info=error)
        self._next()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._ending and not self._at_work and not self._waiting:
            self.close()

    async def _answer(self, incoming: rpc.Incoming) -> None:
        assert incoming.id is not None
        assert incoming.method is not None
        try:
            result = await self._calls.answer(self._caller, incoming.method, incoming.params)
            line = rpc.answer(incoming.id, result)
        except Refused as refused:
            data = msgspec.to_builtins({"code": refused.code, "params": refused.params}, enc_hook=str)
            line = rpc.failure(incoming.id, rpc.RpcError(rpc.REFUSED, str(refused), data))
        self._write(line)

    def _subscribe(self, person: Person, topics: list[str]) -> None:
        assert self._subscriptions is not None
        if self._subscriber is None:
            self._subscriber = Subscriber(person, self._send_event)
            if self._writing_paused:
                self._subscriber.pause()
        self._subscriber.choose(topics)
        self._subscriptions.add(self._subscriber)

    def _send_event(self, event: m.Event) -> None:
        self._write(rpc.notification(methods.EVENT, event))

    def _write(self, data: bytes) -> None:
        if not self._line.is_closing():
            self._line.write(data)


class LocalSocket:
    """The Unix socket on which the running bastion answers commands of its own machine.

    Only the bastion's own user and root can reach it (the socket's mode and its folder's); both could read and write
    the state's files anyway, so whoever comes in acts as administrator, under the name of their operating system user.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listens. A socket file that a dead bastion left is replaced: the journal's lock says that it is dead."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one local name
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _LocalProtocol(self._calls), sock=listener)

    async def stop(self, path: Path) -> None:
        """No longer listens."""
        if self._server is not None:
            self._server.close()
            self._server = None
            path.unlink(missing_ok=True)  # noqa: ASYNC240


class _LocalProtocol(asyncio.Protocol):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._conversation: Conversation | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's own is no subclass of it
        caller = local_caller(_peer(stream))
        if caller is None:
            stream.abort()
            return
        self._conversation = Conversation(stream, caller, self._calls, None)

    def data_received(self, data: bytes) -> None:
        if self._conversation is not None:
            self._conversation.data_received(data)

    def eof_received(self) -> bool:
        if self._conversation is not None:
            self._conversation.eof_received()
        return True

    def pause_writing(self) -> None:
        if self._conversation is not None:
            self._conversation.pause_writing()

    def resume_writing(self) -> None:
        if self._conversation is not None:
            self._conversation.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conversation is not None:
            self._conversation.close()


def _peer(transport: asyncio.Transport) -> int:
    """The user id at the other end of a Unix socket, as the kernel vouches for it (unix(7), SO_PEERCRED)."""
    connection = transport.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)


def local_caller(uid: int) -> Caller | None:
    """The administrator that an operating system user of this machine is; None for one who may not."""
    if uid not in (0, os.geteuid()):
        return None
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Caller(Person(f"os:{name}", frozenset({"administrator"})), source="local", local=True)
