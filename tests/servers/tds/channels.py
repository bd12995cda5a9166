"""How a session gets its packets while it is at work: a thread reads ahead, so that an attention is seen at once."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from .packets import Closed, Packet, PacketType, Transport

READ_AHEAD = 64
"""Packets that wait for a session; then the client waits."""


class Channel:
    """The packets of one session. `attention` is set as soon as one has arrived."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.attention = threading.Event()
        self.on_attention: Callable[[], None] = lambda: None
        self._packets: queue.Queue[Packet | None] = queue.Queue(READ_AHEAD)
        self._ended = threading.Event()

    def arrived(self, packet: Packet) -> None:
        """Called by the thread that reads; waits while too many are waiting."""
        if packet.type == PacketType.ATTENTION:
            self.attention.set()
            self.on_attention()
        while not self._ended.is_set():
            try:
                self._packets.put(packet, timeout=1)
                return
            except queue.Full:
                continue

    def end(self) -> None:
        """Nothing more will come. What runs is interrupted."""
        self._ended.set()
        self.attention.set()
        self.on_attention()
        with contextlib.suppress(queue.Full):  # `packet` looks at the flag too
            self._packets.put_nowait(None)

    def packet(self) -> Packet:
        """The next one. Raises Closed."""
        while True:
            try:
                packet = self._packets.get(timeout=1)
            except queue.Empty:
                if self._ended.is_set():
                    raise Closed from None
                continue
            if packet is None:
                raise Closed
            return packet

    def take_attention(self) -> None:
        """Reads up to the attention that was seen. Raises Closed."""
        while self.packet().type != PacketType.ATTENTION:
            pass
        self.attention.clear()


def pump(transport: Transport, channel: Channel) -> None:
    """Reads the packets of a connection with one session, until its end."""
    try:
        while True:
            channel.arrived(transport.read_packet())
    except Closed:
        pass  # as every connection ends
    finally:
        channel.end()
