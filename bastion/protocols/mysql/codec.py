"""Packets and their parts: framing with continuation, length-encoded values, and the reader of the login phase.

A packet is a payload length (3 bytes), a sequence id (1 byte) and the payload. A payload of 0xFFFFFF bytes is continued
by the next packet.
"""

from __future__ import annotations

import struct
from collections.abc import Generator

from bastion.protocols.contract import MAX_LOGIN_MESSAGE, Answer, Leg, ProtocolError, Read, Received, Send, Step

from .constants import MAX_PACKET_PAYLOAD

unpack_u16 = struct.Struct("<H").unpack_from
unpack_u32 = struct.Struct("<I").unpack_from
unpack_u64 = struct.Struct("<Q").unpack_from


class Short(Exception):
    """The bytes end before the value does."""


class Malformed(Exception):
    """The bytes cannot be what they should be; the message says what."""


def lenenc_int(data: bytes, position: int) -> tuple[int, int]:
    """A length-encoded integer and the position behind it. Raises Short, and Malformed for the bytes 0xFB and 0xFF."""
    try:
        first = data[position]
        if first < 0xFB:
            return first, position + 1
        if first == 0xFC:
            return unpack_u16(data, position + 1)[0], position + 3
        if first == 0xFD:
            return unpack_u16(data, position + 1)[0] | data[position + 3] << 16, position + 4
        if first == 0xFE:
            return unpack_u64(data, position + 1)[0], position + 9
    except (IndexError, struct.error):
        raise Short from None
    raise Malformed("a length-encoded integer begins with a byte that none begins with")


def lenenc_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """A length-encoded string and the position behind it. Raises Short and Malformed."""
    length, position = lenenc_int(data, position)
    end = position + length
    if end > len(data):
        raise Short
    return data[position:end], end


def nul_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """A string up to a NUL and the position behind the NUL. Raises Short."""
    end = data.find(b"\0", position)
    if end < 0:
        raise Short
    return data[position:end], end + 1


def encode_lenenc_int(value: int) -> bytes:
    if value < 0xFB:
        return bytes((value,))
    if value <= 0xFFFF:
        return b"\xfc" + value.to_bytes(2, "little")
    if value <= 0xFFFFFF:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def encode_lenenc_bytes(value: bytes) -> bytes:
    return encode_lenenc_int(len(value)) + value


def encode_packets(sequence: int, payload: bytes) -> bytes:
    """The payload as packets, the first one with this sequence id; split where it is longer than one packet may be."""
    parts = []
    for start in range(0, len(payload) + 1, MAX_PACKET_PAYLOAD):
        part = payload[start : start + MAX_PACKET_PAYLOAD]
        parts.append(len(part).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + part)
        sequence += 1
    return b"".join(parts)


class LegClosed(Exception):
    """The peer of this leg has closed the connection during login."""

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg.value)
        self.leg = leg


class LoginLeg:
    """One leg during login: what was read and not used yet, and the sequence id of the next packet of either side."""

    __slots__ = ("buffer", "leg", "sequence", "tls")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.buffer = b""
        self.sequence = 0
        self.tls = False

    def read_packet(self) -> Generator[Step, Answer, bytes]:
        """The payload of the next packet. Raises LegClosed and ProtocolError (length, sequence)."""
        while True:
            buffer = self.buffer
            if len(buffer) >= 4:
                length = int.from_bytes(buffer[:3], "little")
                if length > MAX_LOGIN_MESSAGE:
                    raise ProtocolError(self.leg, f"a packet of {length} bytes before login is complete", buffer[:4])
                # An error may come out of order: a server that has given up does not count.
                error = self.leg is Leg.SERVER and buffer[4:5] == b"\xff"
                if buffer[3] != self.sequence and not error and (len(buffer) > 4 or not length):
                    reason = f"packet {buffer[3]} where packet {self.sequence} was expected"
                    raise ProtocolError(self.leg, reason, buffer[:4])
                if len(buffer) >= 4 + length:
                    self.buffer = buffer[4 + length :]
                    self.sequence = (self.sequence + 1) & 0xFF
                    return buffer[4 : 4 + length]
            answer = yield Read(self.leg)
            assert isinstance(answer, Received)
            if not answer.data:
                raise LegClosed(self.leg)
            self.buffer += answer.data

    def send(self, payload: bytes) -> Generator[Step, Answer, None]:
        """Sends a payload with the next sequence id."""
        data = encode_packets(self.sequence, payload)
        self.sequence = (self.sequence + 1 + len(payload) // MAX_PACKET_PAYLOAD) & 0xFF
        yield Send(self.leg, data)
