"""A shorter way in for the data of a connection's tunnels, as packets.py is the shorter way out.

A packet of channel data (RFC 4254, section 5.2) for an open tunnel goes from its decryption straight to the session's
leg. Every other packet, and all of them while something out of the ordinary is under way (another cipher than AES-GCM,
compression, a key exchange, a full window, a paused channel), is given to asyncssh, so the rules of the protocol stay
in one place.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE
from cryptography.exceptions import InvalidTag

from .ciphers import TAG, Gcm, take_over

KEEPALIVE_LOOK = 1.0
"""Seconds in which data puts the timer of keepalives back once at most; it is set for many seconds."""

LONG = 4096
"""Bytes from which a packet is not copied before it is decrypted."""

MOST_AHEAD = 1024 * 1024
"""Bytes that may come while asyncssh is at one packet (a password is checked, keys are exchanged). A client waits for
the answer to such a packet, so nobody sends as much, but asyncssh would keep all of it, of strangers too."""

TURN = 256 * 1024
"""Bytes of one connection after which others have their turn of the event loop: one read, as uvloop makes them. A
client that uploads always has more, and up to 32 reads would be taken in one turn."""

logger = logging.getLogger(__name__)

_NEEDED = ("_recv_encryption", "_recv_handler", "_recv_pkthdr", "_recv_packet", "_recv_data", "_inpbuf", "_packet",
           "_recv_seq", "_decompressor", "_transport", "_max_recv_pktlen", "_reset_keepalive_timer",
           "internal_error")  # fmt: skip
_NEEDED_OF_CHANNELS = ("_recv_chan", "_recv_state", "_send_state", "_recv_paused", "_recv_window", "_init_recv_window")
"""What is relied on inside asyncssh. Where one of them is missing, everything stays asyncssh's own."""

_length = struct.Struct(">I")
_data_head = struct.Struct(">BBII")
"""Padding, kind, channel, bytes of data."""

Receive = Callable[[bytes], None]


@dataclass(slots=True)
class _Tunnel:
    channel: Any
    receive: Receive


class Arrivals:
    """What comes in on one connection."""

    def __init__(self, connection: asyncssh.SSHServerConnection) -> None:
        inner: Any = connection
        self._connection = inner
        self._tunnels: dict[int, _Tunnel] = {}
        self._kept = bytearray()
        self._needed = 0
        self._known: Any = None
        self._cipher: Gcm | None = None
        self._looked = 0.0
        self._since_a_pause = 0

    @classmethod
    def install(cls, connection: asyncssh.SSHServerConnection) -> Arrivals | None:
        """Takes a new connection's bytes; None where asyncssh is built otherwise."""
        inner: Any = connection
        transport: Any = getattr(inner, "_transport", None)
        if not all(hasattr(inner, name) for name in _NEEDED) or not hasattr(transport, "set_protocol"):
            return None
        arrivals = cls(connection)
        inner.data_received = arrivals.data_received
        # Event loops look the method up once; this makes them look again.
        transport.set_protocol(connection)
        return arrivals

    def add(self, channel: asyncssh.SSHTCPChannel[bytes], receive: Receive) -> None:
        """The data of `channel` goes to `receive` from now on."""
        inner: Any = channel
        if all(hasattr(inner, name) for name in _NEEDED_OF_CHANNELS):
            self._tunnels[inner._recv_chan] = _Tunnel(inner, receive)

    def remove(self, channel: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The channel is gone; its number may be given again."""
        inner: Any = channel
        for number, tunnel in tuple(self._tunnels.items()):
            if tunnel.channel is inner:
                del self._tunnels[number]

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Instead of SSHConnection.data_received."""
        connection = self._connection
        self._since_a_pause += len(data)
        if self._since_a_pause >= TURN:
            self._let_others_go_first(connection._transport)
        if not self._ours():
            if len(connection._inpbuf) > MOST_AHEAD:
                logger.warning("a connection sends without waiting for its answers, so it is ended")
                connection.abort()
                return
            connection._inpbuf += data
            connection._recv_data()
            return
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return
            data = bytes(self._kept)
            self._kept.clear()
        now = monotonic()
        if now - self._looked > KEEPALIVE_LOOK:
            self._looked = now
            connection._reset_keepalive_timer()
        try:
            self._read(data)
        except Exception:  # noqa: BLE001 - as asyncssh does: the connection ends, the process goes on
            connection.internal_error()

    def _let_others_go_first(self, transport: Any) -> None:
        self._since_a_pause = 0
        if transport is not None and not transport.is_closing() and transport.is_reading():
            transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on, transport)

    @staticmethod
    def _read_on(transport: Any) -> None:
        if not transport.is_closing():
            transport.resume_reading()

    def _ours(self) -> bool:
        """Whether the bytes that come now may be read here; takes back what asyncssh has begun to read."""
        connection = self._connection
        if connection._recv_encryption is not self._known:
            self._known = connection._recv_encryption
            self._cipher = take_over(self._known)
        if self._cipher is None or connection._decompressor is not None:
            return False
        handler = connection._recv_handler
        if handler == connection._recv_pkthdr:
            if connection._inpbuf:
                self._take(connection._inpbuf)
            return True
        if handler == connection._recv_packet:
            self._take(connection._packet + connection._inpbuf)
            connection._packet = b""
            connection._recv_handler = connection._recv_pkthdr
            return True
        return False

    def _take(self, begun: bytes) -> None:
        self._kept += begun
        self._needed = 0
        self._connection._inpbuf = b""

    def _read(self, data: bytes) -> None:
        """Reads the packets in `data`, and keeps the beginning of the last one."""
        connection, cipher = self._connection, self._cipher
        assert cipher is not None
        tunnels, end, position = self._tunnels, len(data), 0
        view = memoryview(data) if end > LONG else None
        while end - position >= 4:
            header = data[position : position + 4]
            size = _length.unpack(header)[0] + 4 + TAG
            following = position + size
            if size > connection._max_recv_pktlen:
                connection._inpbuf = data[position:]
                connection._recv_data()
                return
            if following > end:
                break
            sealed = data[position + 4 : following] if view is None else view[position + 4 : following]
            try:
                body = cipher.open(header, sealed)
            except InvalidTag:
                connection._inpbuf = data[position:]
                connection._recv_data()
                return
            kind = body[1] if len(body) > 10 else 0
            if kind == MSG_CHANNEL_DATA:
                padding, _, number, length = _data_head.unpack_from(body)
                tunnel = tunnels.get(number)
                if tunnel is not None and length and 10 + length + padding == len(body):
                    channel = tunnel.channel
                    window = channel._recv_window - length
                    if (
                        window * 2 >= channel._init_recv_window
                        and not channel._recv_paused
                        and channel._recv_state == "open"
                        and channel._send_state == "open"
                    ):
                        channel._recv_window = window
                        connection._recv_seq = (connection._recv_seq + 1) & 0xFFFFFFFF
                        position = following
                        tunnel.receive(body[10 : 10 + length])
                        if connection._transport is None:
                            return
                        continue
            elif kind == MSG_IGNORE:
                # asyncssh's own clients send an empty one in front of each packet.
                connection._recv_seq = (connection._recv_seq + 1) & 0xFFFFFFFF
                position = following
                continue
            cipher.opened = body
            connection._inpbuf = data[position:following]
            position = following
            connection._recv_data()
            if connection._transport is None:
                return
            if connection._recv_handler != connection._recv_pkthdr or connection._recv_encryption is not self._known:
                # It waits for something, or the keys have changed: asyncssh reads on, until data comes again.
                connection._inpbuf += data[position:]
                if connection._recv_encryption is not self._known:
                    connection._recv_data()
                return
        if position < end:
            self._kept += data[position:]
            self._needed = 4 if end - position < 4 else size
