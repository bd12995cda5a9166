"""The two connections of a session, alike for the relay: the client's SSH channel and the socket to the database.

A `Leg` sits on a `Transport` (whoever owns the connection) and may put TLS in between. During login its bytes are
awaited (`read`); in the data phase they go straight to a handler, without a task or a queue in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from bastion.protocols.contract import Leg as Side
from bastion.protocols.contract import TlsEnvelope, TlsStarted

from .at_once import write_at_once

READ_AHEAD = 256 * 1024
"""Bytes that a leg keeps before its reader asks for them; beyond it the transport is told to pause."""

LARGEST_READ = 128 * 1024
"""Bytes of one read of a database: to read, encrypt and pass on as many takes about a third of a millisecond. An event
loop's own reads are twice as long; half of these would cost a large result some hundredths of its throughput."""

LARGE_READ = 64 * 1024
"""Bytes of reads of a database after which other sessions have their turn."""


RECORD_HEAD = 5
"""Bytes of a TLS record in front of its content: type, version, length (RFC 8446, section 5.1)."""


class Transport(Protocol):
    """What a leg needs of the connection under it. `write` never blocks; `get_write_buffer_size` is in bytes."""

    def write(self, data: Any) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Handler(Protocol):
    """Who is given a leg's bytes in the data phase."""

    def data(self, side: Side, data: bytes) -> None: ...
    def closed(self, side: Side) -> None: ...
    def writable(self, side: Side, ready: bool) -> None: ...


class LegClosed(Exception):
    """The other side of a leg went away while something was awaited of it."""


class TlsFailed(Exception):
    """A TLS handshake on a leg failed; the message is OpenSSL's reason, without addresses or secrets."""


class Leg:
    """One connection. The transport's owner calls the `*_received`, `*_writing` and `connection_lost` methods."""

    def __init__(self, side: Side, transport: Transport, write: Callable[[bytes], None] | None = None) -> None:
        """`write` stands in for the transport's."""
        self.side = side
        self.transport = transport
        self._send = write or transport.write
        self.handler: Handler | None = None
        self.is_closed = False
        self.failure = ""
        """What the other side's TLS said when it gave up behind the handshake, as to a certificate it does not take."""
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._tls: _Tls | None = None
        self._blocked = False

    # ------------------------------------------------------------------------------- called by the transport's owner

    def data_received(self, data: bytes) -> None:
        """Bytes from the other side."""
        if self._tls is not None:
            try:
                data = self._tls.received(data)
            except ssl.SSLError as error:
                self.failure = _reason(error)
                self.abort()
                return
            if self._tls.over is not None:
                data += self._tls.over
                self._tls = None
            elif self._tls.closed:
                self._deliver(data)
                self.eof_received()
                return
        self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if not data:
            return
        if self.handler is not None:
            self.handler.data(self.side, data)
            return
        self._buffer += data
        if len(self._buffer) > READ_AHEAD and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The other side will send no more. In every protocol here that means that it is gone."""
        if self.is_closed:
            return
        self.is_closed = True
        self._wake()
        if self.handler is not None:
            self.handler.closed(self.side)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.eof_received()

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._blocked = True
        if self.handler is not None:
            self.handler.writable(self.side, False)

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        self._blocked = False
        self._wake()
        if self.handler is not None:
            self.handler.writable(self.side, True)

    # -------------------------------------------------------------------------------------------- called by the session

    @property
    def blocked(self) -> bool:
        """Whether the transport asked for a pause in writing."""
        return self._blocked

    async def read(self) -> bytes:
        """The next bytes; empty when the other side has closed. For the login; the caller holds the time limit."""
        while not self._buffer and not self.is_closed:
            await self._arrival()
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return data

    def waiting(self) -> bool:
        """Whether `read` would answer at once."""
        return bool(self._buffer) or self.is_closed

    def write(self, data: bytes) -> None:
        """Sends `data`; nothing happens on a closed leg."""
        if not self.is_closed:
            self._send(data if self._tls is None else self._tls.sealed(data))

    def pause_reading(self) -> None:
        """No more bytes for the handler until `resume_reading`."""
        if not self._paused and not self.is_closed:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Bytes again."""
        if self._paused and not self.is_closed:
            self._paused = False
            self.transport.resume_reading()

    def start_handling(self, handler: Handler) -> None:
        """From now on bytes go to `handler`; what was read before goes to it first."""
        self.handler = handler
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            handler.data(self.side, data)
        self.resume_reading()
        if self.is_closed:
            handler.closed(self.side)

    def close(self) -> None:
        """Sends what is buffered, then closes; under TLS with a close_notify, without which it would look cut off."""
        if self._tls is not None and not self.is_closed:
            self.transport.write(self._tls.farewell())
        self.is_closed = True
        self.handler = None
        self._wake()
        self.transport.close()

    def abort(self) -> None:
        """Closes at once."""
        handler, self.handler = self.handler, None
        was_closed, self.is_closed = self.is_closed, True
        self._wake()
        self.transport.abort()
        if handler is not None and not was_closed:
            handler.closed(self.side)

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        hostname: str | None = None,
        received: bytes = b"",
        envelope: TlsEnvelope | None = None,
    ) -> TlsStarted:
        """Puts TLS on the leg. `received` are bytes already read that belong to the handshake.

        Raises TlsFailed, or LegClosed when the other side goes away meanwhile, and what the envelope raises. The
        caller holds the time limit.
        """
        tls = _Tls(context, server_side, hostname, envelope)
        tls.handshake(received + bytes(self._buffer))
        self._buffer.clear()
        while True:
            try:
                tls.object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                self._flush(tls)
                raise TlsFailed(_reason(error)) from error
            self._flush(tls)
            if done:
                break
            if tls.handshake(b""):
                continue
            data = await self.read()
            if not data:
                raise LegClosed(f"the {self.side.value} closed the connection during the TLS handshake")
            tls.handshake(data)
        self._tls = tls
        self.data_received(tls.early())
        return TlsStarted(
            self.side,
            tls.object.version() or "TLS",
            tls.object.getpeercert(binary_form=True),
            tls.object.selected_alpn_protocol(),
        )

    def _flush(self, tls: _Tls) -> None:
        data = tls.outgoing.read()
        if data and tls.envelope is not None:
            data = tls.envelope.wrapped(data)
        if data and not self.is_closed:
            self._send(data)

    def _arrival(self) -> asyncio.Future[None]:
        """A future that the next bytes, or the end, complete. One reader at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def first_of(legs: tuple[Leg, ...]) -> Leg:
    """The leg that has bytes (or has closed) first."""
    while True:
        for leg in legs:
            if leg.waiting():
                return leg
        await asyncio.wait([leg._arrival() for leg in legs], return_when=asyncio.FIRST_COMPLETED)


class _Tls:
    """TLS between a leg and its transport, in memory."""

    def __init__(
        self, context: ssl.SSLContext, server_side: bool, hostname: str | None, envelope: TlsEnvelope | None = None
    ) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        newest = context.maximum_version
        if envelope is not None:
            # OpenSSL takes the versions over when the object is made, so a shared context stays what it is.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.object = context.wrap_bio(
                self.incoming, self.outgoing, server_side=server_side, server_hostname=hostname
            )
        finally:
            if envelope is not None:
                context.maximum_version = newest
        self.envelope = envelope
        self.closed = False
        self.over: bytes | None = None
        """The bytes behind the end of TLS, once it has ended and the connection goes on in the clear."""
        self._packets = b""
        self._clear = b""

    def handshake(self, data: bytes) -> int:
        """Takes what arrives before the handshake is done, one packet of an envelope at a time; the bytes it took."""
        if self.envelope is None:
            self.incoming.write(data)
            return len(data)
        self._packets += data
        records, size = self.envelope.unwrapped(self._packets)
        self._packets = self._packets[size:]
        self.incoming.write(records)
        return size

    def early(self) -> bytes:
        """What has come behind the handshake already, and was not looked at yet."""
        early, self._packets = self._packets, b""
        if self.envelope is not None and not self.envelope.ends:
            self.envelope = None
        return early

    def received(self, data: bytes) -> bytes:
        """The clear bytes that `data` gives. Sets `closed` at the other side's close_notify, `over` where TLS ends."""
        if self.envelope is None:
            return self._opened(data)
        self._packets += data
        found = b""
        while self.over is None and len(self._packets) >= RECORD_HEAD:
            size = RECORD_HEAD + int.from_bytes(self._packets[3:RECORD_HEAD], "big")
            if len(self._packets) < size:
                break
            record, self._packets = self._packets[:size], self._packets[size:]
            clear = self._opened(record)
            found += clear
            self._clear += clear
            if self.envelope.is_over(self._clear):
                self.over, self._packets, self._clear = self._packets, b"", b""
        return found

    def _opened(self, data: bytes) -> bytes:
        if data:
            self.incoming.write(data)
        clear: list[bytes] = []
        while True:
            try:
                part = self.object.read(256 * 1024)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self.closed = True
                break
            if not part:
                self.closed = True
                break
            clear.append(part)
        return b"".join(clear)

    def sealed(self, data: bytes) -> bytes:
        """`data` as TLS records."""
        self.object.write(data)
        return self.outgoing.read()

    def farewell(self) -> bytes:
        """close_notify (RFC 8446, section 6.1); the other side's own is not waited for."""
        with contextlib.suppress(ssl.SSLError):
            self.object.unwrap()
        return self.outgoing.read()


def _reason(error: ssl.SSLError) -> str:
    verify = getattr(error, "verify_message", "")
    return verify or (error.reason or "handshake failed").replace("_", " ").lower()


class ServerConnection(asyncio.BufferedProtocol):
    """The socket to a database as a leg's transport.

    Reads of one turn of the event loop come to less than LARGE_READ + LARGEST_READ bytes.
    """

    _buffer = memoryview(bytearray(LARGEST_READ))
    """One for all: what is read is taken out before anything else happens."""

    def __init__(self) -> None:
        self.leg: Leg | None = None
        self._stream: asyncio.Transport
        self._since_a_pause = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's own is no subclass of it
        stream.set_write_buffer_limits(high=1024 * 1024)
        self._stream = stream
        self.leg = Leg(Side.SERVER, stream, write_at_once(stream))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next read goes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        assert self.leg is not None
        data = bytes(self._buffer[:nbytes])
        self._since_a_pause += nbytes
        if self._since_a_pause >= LARGE_READ:
            self._let_others_go_first()
        self.leg.data_received(data)

    def _let_others_go_first(self) -> None:
        """Reads on in the next turn of the loop: uvloop takes up to 32 reads in one from a socket that has more."""
        self._since_a_pause = 0
        self._stream.pause_reading()
        asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        assert self.leg is not None
        if not self.leg._paused and not self.leg.is_closed:
            self._stream.resume_reading()

    def eof_received(self) -> bool:
        assert self.leg is not None
        self.leg.eof_received()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self.leg is not None:
            self.leg.connection_lost(error)

    def pause_writing(self) -> None:
        assert self.leg is not None
        self.leg.pause_writing()

    def resume_writing(self) -> None:
        assert self.leg is not None
        self.leg.resume_writing()
