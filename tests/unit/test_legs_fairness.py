"""A database that sends as fast as it can does not keep the event loop to itself."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import socket
import sys
import termios
import threading
import time
from collections import Counter

import pytest
import uvloop

from bastion.protocols.contract import Leg as Side
from bastion.sessions.legs import LARGE_READ, LARGEST_READ, Leg, ServerConnection

SENT = os.urandom(1 << 20) * 8


class Slow:
    """Takes its time over each read, as a reader and a cipher do, so that the socket always has more."""

    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours
        self._taken = 0
        self.turn = 0
        self.read_in: list[int] = []
        self.bytes_in: Counter[int] = Counter()
        self.digest = hashlib.sha256()
        self.over = asyncio.get_running_loop().create_future()

    def data(self, side: Side, data: bytes) -> None:
        self.digest.update(data)
        self.bytes_in[self.turn] += len(data)
        if len(data) >= LARGE_READ:
            self.read_in.append(self.turn)
        self._taken += len(data)
        wanted = min(LARGE_READ, len(SENT) - self._taken)
        end = time.monotonic() + 1
        while self._waiting() < wanted and time.monotonic() < end:
            time.sleep(0.001)

    def _waiting(self) -> int:
        """Bytes that have arrived and are not read."""
        return int.from_bytes(fcntl.ioctl(self._ours, termios.FIONREAD, bytes(4)), sys.byteorder)

    def closed(self, side: Side) -> None:
        self.over.set_result(None)

    def writable(self, side: Side, ready: bool) -> None:
        raise AssertionError("nothing is written")


async def read_all(ours: socket.socket) -> Slow:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(ServerConnection, sock=ours)
    leg = connection.leg
    assert isinstance(leg, Leg)
    handler = Slow(ours)

    def tick() -> None:
        handler.turn += 1
        if not handler.over.done():
            loop.call_soon(tick)

    tick()
    leg.start_handling(handler)
    handler.read_in.clear()  # what came before anybody handled it was handed over together
    handler.bytes_in.clear()
    await handler.over
    leg.close()
    return handler


@pytest.mark.parametrize("at_once", [1 << 20, 20_000], ids=["as much as fits", "in small writes"])
def test_one_large_read_a_turn_and_not_a_byte_is_lost(at_once: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * LARGE_READ)  # room for more than a large read
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()

    def send() -> None:
        with theirs:
            for start in range(0, len(SENT), at_once):
                theirs.sendall(SENT[start : start + at_once])

    sender = threading.Thread(target=send)
    sender.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        handler = runner.run(read_all(ours))
    sender.join()
    assert handler.digest.digest() == hashlib.sha256(SENT).digest()
    assert len(handler.read_in) > 5
    assert len(set(handler.read_in)) == len(handler.read_in)
    assert max(handler.bytes_in.values()) < LARGE_READ + LARGEST_READ


class Counted:
    """A transport that is told to pause and to read on."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        pass

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


async def test_many_small_reads_count_together() -> None:
    stream, connection = Counted(), ServerConnection()
    connection.connection_made(stream)  # type: ignore[arg-type]
    for _ in range(LARGE_READ // 1000):
        connection.get_buffer(-1)[:1000] = b"x" * 1000
        connection.buffer_updated(1000)
    assert stream.told == []
    connection.buffer_updated(1000)
    assert stream.told == ["pause"]
    await asyncio.sleep(0)
    assert stream.told == ["pause", "resume"]
