"""One leg during a login: packets, and the messages inside DATA packets, which have no length of their own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from bastion.protocols.contract import MAX_LOGIN_MESSAGE, Answer, Leg, ProtocolError, Read, Received, Send, Step

from . import constants as c
from .codec import Malformed, Short
from .framing import Packet, Packets, data_packets, packet

T = TypeVar("T")

MOST_PACKETS = 256
"""Packets of one message of a login: what is there is read anew with each."""


class LegClosed(Exception):
    """The other end has closed the connection."""

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg.value)
        self.leg = leg


class LoginLeg:
    """`wide` and `unit` are set when the connection is accepted."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.packets = Packets()
        self.unit = 8192

    @property
    def wide(self) -> bool:
        return self.packets.wide

    def accepted(self, version: int, unit: int) -> None:
        """From now on packets are as the version says, of at most `unit` bytes."""
        self.packets.wide = version >= c.WIDE_LENGTHS
        self.unit = unit

    def peek(self) -> Generator[Step, Answer, int]:
        """The first byte that has not been used. Raises LegClosed."""
        while not self.packets.rest:
            yield from self._more()
        return self.packets.rest[0]

    def taken(self) -> bytes:
        """What was read and not used, which is then nobody's."""
        rest = self.packets.rest
        wide = self.wide
        self.packets = Packets(wide)
        return rest

    def read_packet(self) -> Generator[Step, Answer, Packet]:
        """Raises LegClosed and ProtocolError."""
        while True:
            try:
                found = self.packets.next()
            except Malformed as error:
                raise ProtocolError(self.leg, str(error), self.packets.rest[:64]) from None
            if found is not None:
                return found
            if len(self.packets.rest) > MAX_LOGIN_MESSAGE:
                raise ProtocolError(self.leg, "a packet that is too long before login is complete")
            yield from self._more()

    def read_message(self, read: Callable[[bytes], T]) -> Generator[Step, Answer, tuple[bytes, T]]:
        """The contents of DATA packets, as many as `read` needs (it raises Short for more), and what it made of them.

        A server that breaks off (markers) is answered, and what it says then is read. Raises LegClosed, ProtocolError.
        """
        content = b""
        packets = 0
        while True:
            found = yield from self.read_packet()
            packets += 1
            if packets > MOST_PACKETS:
                raise ProtocolError(self.leg, f"a message in more than {MOST_PACKETS} packets before login is complete")
            if found.kind == c.MARKER:
                if found.data[-1] == c.RESET or self.leg is Leg.CLIENT:
                    continue
                content = b""
                yield Send(self.leg, packet(c.MARKER, bytes((1, 0, c.RESET)), wide=self.wide))
                continue
            if found.kind == c.CONTROL:
                continue
            if found.kind != c.DATA:
                raise ProtocolError(self.leg, f"a packet {found.name} during the login", found.data[:64])
            if found.data_flags & c.END_OF_FILE and not found.content:
                raise LegClosed(self.leg)
            content += found.content
            if len(content) > MAX_LOGIN_MESSAGE:
                raise ProtocolError(self.leg, "a message that is too long before login is complete")
            try:
                return content, read(content)
            except Short:
                continue
            except Malformed as error:
                raise ProtocolError(self.leg, str(error)) from None

    def send(self, content: bytes) -> Generator[Step, Answer, None]:
        """`content` in as many DATA packets as it takes."""
        yield Send(self.leg, data_packets(content, wide=self.wide, unit=self.unit))

    def _more(self) -> Generator[Step, Answer, None]:
        answer = yield Read(self.leg)
        assert isinstance(answer, Received)
        if not answer.data:
            raise LegClosed(self.leg)
        self.packets.feed(answer.data)
