"""A database that sends as fast as it can does not keep the event loop to itself."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
import time

import uvloop

from bastion.protocols.contract import Leg as Side
from bastion.sessions.legs import LARGE_READ, Leg, ServerConnection

SENT = os.urandom(1 << 20) * 8


class Slow:
    """Takes its time over each read, as a reader and a cipher do, so that the socket always has more."""

    def __init__(self) -> None:
        self.turn = 0
        self.read_in: list[int] = []
        self.digest = hashlib.sha256()
        self.over = asyncio.get_running_loop().create_future()

    def data(self, side: Side, data: bytes) -> None:
        self.digest.update(data)
        if len(data) >= LARGE_READ:
            self.read_in.append(self.turn)
        time.sleep(0.001)

    def closed(self, side: Side) -> None:
        self.over.set_result(None)

    def writable(self, side: Side, ready: bool) -> None:
        raise AssertionError("nothing is written")


async def read_all(ours: socket.socket) -> Slow:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(ServerConnection, sock=ours)
    leg = connection.leg
    assert isinstance(leg, Leg)
    handler = Slow()

    def tick() -> None:
        handler.turn += 1
        if not handler.over.done():
            loop.call_soon(tick)

    tick()
    leg.start_handling(handler)
    handler.read_in.clear()  # what came before anybody handled it was handed over together
    await handler.over
    leg.close()
    return handler


def test_one_large_read_a_turn_and_not_a_byte_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()

    def send() -> None:
        with theirs:
            theirs.sendall(SENT)

    sender = threading.Thread(target=send)
    sender.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        handler = runner.run(read_all(ours))
    sender.join()
    assert handler.digest.digest() == hashlib.sha256(SENT).digest()
    assert len(handler.read_in) > 5
    assert len(set(handler.read_in)) == len(handler.read_in)
