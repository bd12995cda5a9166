"""The shorter ways of tunnel data in and out of an SSH connection, against asyncssh's own client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_DEBUG
from asyncssh.packet import String

from bastion.gateway import tunnel
from bastion.gateway.arrivals import MOST_AHEAD, TURN, Arrivals
from bastion.gateway.backlog import keep_together
from bastion.gateway.ciphers import Gcm
from bastion.gateway.packets import UNREAD, Outbox, refuse_tiny_packets, shorten
from bastion.gateway.tunnel import PACKET, WINDOW, Tunnel
from bastion.protocols.contract import Leg as Side
from bastion.sessions.at_once import write_at_once
from bastion.sessions.legs import Leg

GCM = "aes256-gcm@openssh.com"
CIPHERS = (GCM, "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
LIMIT = 30.0
"""Seconds for one test's traffic; a hang fails instead of staying."""


class Echo:
    """A session that sends back what it is given, and keeps it."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.given = bytearray()
        self.over = asyncio.Event()
        self.writable_again = asyncio.Event()
        self.blocked = False

    def data(self, side: Side, data: bytes) -> None:
        self.given += data
        self.leg.write(data)

    def closed(self, side: Side) -> None:
        self.over.set()

    def writable(self, side: Side, ready: bool) -> None:
        self.blocked = not ready
        if ready:
            self.writable_again.set()


class Server(asyncssh.SSHServer):
    """A gateway of nothing but tunnels."""

    def __init__(self, made: Server.Made) -> None:
        self.made = made

    class Made:
        """What a test looks at."""

        def __init__(self) -> None:
            self.connection: Any = None
            self.outbox: Outbox | None = None
            self.arrivals: Arrivals | None = None
            self.echoes: list[Echo] = []
            self.key_exchanges = 0
            self.short_arrivals = 0
            self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        made = self.made
        made.connection = conn
        made.outbox = shorten(conn)
        made.arrivals = Arrivals.install(conn)
        inner: Any = conn
        exchange = inner._send_kexinit

        def counted() -> None:
            made.key_exchanges += 1
            exchange()

        inner._send_kexinit = counted

    def connection_lost(self, exc: Exception | None) -> None:
        self.made.lost.set_result(exc)

    def begin_auth(self, username: str) -> bool:
        return False

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        made = self.made
        assert made.outbox is not None
        channel = made.connection.create_tcp_channel(encoding=None, window=WINDOW, max_pktsize=PACKET)

        async def run(leg: Leg) -> None:
            echo = Echo(leg)
            made.echoes.append(echo)
            leg.start_handling(echo)
            await echo.over.wait()
            leg.close()

        def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(work)

        arrivals = made.arrivals
        assert arrivals is not None
        add = arrivals.add

        def counting(channel: Any, receive: Callable[[bytes], None]) -> None:
            def received(data: bytes) -> None:
                made.short_arrivals += 1
                receive(data)

            add(channel, received)

        arrivals.add = counting  # type: ignore[method-assign]
        refuse_tiny_packets(channel, lambda: None)
        keep_together(channel)
        write = made.outbox.writer(channel)
        return channel, Tunnel(run, start, lambda tunnel: None, lambda tunnel: None, write, arrivals, made.outbox)


@contextlib.asynccontextmanager
async def served(**options: Any) -> AsyncIterator[tuple[Server.Made, int]]:
    """A listening server, and its port."""
    made = Server.Made()
    listener = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: Server(made), encoding=None,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")], **options,
    )  # fmt: skip
    try:
        yield made, listener.get_port()
    finally:
        listener.close()
        await listener.wait_closed()


def connect(port: int, cipher: str = GCM, **options: Any) -> Any:
    """asyncssh's client."""
    return asyncssh.connect(
        "127.0.0.1", port, username="x", known_hosts=None, config=None, client_keys=None,
        encryption_algs=[cipher], **{"compression_algs": ["none"], **options},
    )  # fmt: skip


async def echoed(connection: asyncssh.SSHClientConnection, data: bytes) -> bytes:
    """What comes back for `data` through a tunnel of its own."""
    reader, writer = await connection.open_connection("database", 1, encoding=None)

    async def send() -> None:
        for start in range(0, len(data), 100_000):
            writer.write(data[start : start + 100_000])
            await writer.drain()

    sending = asyncio.create_task(send())
    back: bytes = await reader.readexactly(len(data))
    await sending
    writer.close()
    return back


@pytest.mark.parametrize("compression", ["none", "zlib@openssh.com"])
@pytest.mark.parametrize("cipher", CIPHERS)
async def test_data_passes_whole_with_every_cipher(cipher: str, compression: str) -> None:
    data = os.urandom(300_000) * 20
    async with (
        asyncio.timeout(LIMIT),
        served(compression_algs=["none", "zlib@openssh.com"]) as (made, port),
        connect(port, cipher, compression_algs=[compression]) as connection,
    ):
        assert await echoed(connection, data) == data
        assert bytes(made.echoes[0].given) == data
    short = "gcm" in cipher and compression == "none"
    assert (made.short_arrivals > 0) == short


async def test_keys_change_in_the_middle_of_the_data() -> None:
    data = os.urandom(1_000_000) * 6
    async with (
        asyncio.timeout(LIMIT),
        served() as (made, port),
        connect(port, rekey_bytes=1_000_000) as connection,
    ):
        assert await echoed(connection, data) == data
        assert await echoed(connection, data[:100]) == data[:100]
    assert made.key_exchanges > 3
    assert made.short_arrivals > 10


async def test_the_server_changes_the_keys() -> None:
    data = os.urandom(3_000_000)
    async with (
        asyncio.timeout(LIMIT),
        served(rekey_bytes=200_000) as (made, port),
        connect(port) as connection,
    ):
        assert await echoed(connection, data) == data
    assert made.key_exchanges > 5


async def test_several_tunnels_of_one_connection_do_not_mix() -> None:
    contents = [os.urandom(200_000 + number) for number in range(8)]
    async with asyncio.timeout(LIMIT), served() as (_, port), connect(port) as connection:
        assert await asyncio.gather(*(echoed(connection, content) for content in contents)) == contents


Change = Callable[[bytes], bytes]


@contextlib.asynccontextmanager
async def between(port: int, pass_on: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A port whose connections go on to `port`; what the client sends is given to `pass_on`."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, up: bool) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    if up:
                        await pass_on(data, target)
                    else:
                        target.write(data)
        finally:
            target.close()  # also when it is given up: from Python 3.12 on, servers wait for their connections

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        tasks.add(asyncio.create_task(copy(reader, server_writer, True)))
        tasks.add(asyncio.create_task(copy(server_reader, writer, False)))

    listener = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_packets_may_come_a_byte_at_a_time() -> None:
    async def drip(data: bytes, target: asyncio.StreamWriter) -> None:
        target.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(len(data)):
            target.write(data[start : start + 1])
            await target.drain()
            await asyncio.sleep(0)

    async with (
        asyncio.timeout(LIMIT),
        served() as (made, port),
        between(port, drip) as dripping,
        connect(dripping) as connection,
    ):
        assert await echoed(connection, b"select 1" * 40) == b"select 1" * 40
    assert made.short_arrivals > 0


@pytest.mark.parametrize("where", [4, 20, -1])
async def test_a_changed_packet_ends_the_connection_and_nothing_of_it_passes(where: int) -> None:
    """One bit of the packet's body, or of its tag."""
    changing = asyncio.Event()

    async def change(data: bytes, target: asyncio.StreamWriter) -> None:
        if changing.is_set():
            changed = bytearray(data)
            changed[where] ^= 1
            data = bytes(changed)
        target.write(data)

    async with (
        asyncio.timeout(LIMIT),
        served() as (made, port),
        between(port, change) as changed_port,
        connect(changed_port) as connection,
    ):
        reader, writer = await connection.open_connection("database", 1, encoding=None)
        writer.write(b"first")
        assert await reader.readexactly(5) == b"first"
        changing.set()
        writer.write(b"second")
        with contextlib.suppress(asyncssh.Error, ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(6)
        assert isinstance(await made.lost, asyncssh.MACError)
    assert bytes(made.echoes[0].given) == b"first"


async def test_a_length_beyond_the_limit_ends_the_connection_at_once() -> None:
    changing = asyncio.Event()

    async def change(data: bytes, target: asyncio.StreamWriter) -> None:
        target.write(b"\x7f" + data[1:] if changing.is_set() else data)

    async with (
        asyncio.timeout(LIMIT),
        served() as (made, port),
        between(port, change) as changed_port,
        connect(changed_port) as connection,
    ):
        _, writer = await connection.open_connection("database", 1, encoding=None)
        changing.set()
        writer.write(b"x")
        assert isinstance(await made.lost, asyncssh.ProtocolError)


async def test_a_paused_session_is_given_nothing_and_the_client_is_held_back() -> None:
    data = os.urandom(2 * WINDOW)
    async with asyncio.timeout(LIMIT), served() as (made, port), connect(port) as connection:
        reader, writer = await connection.open_connection("database", 1, encoding=None)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        echo = made.echoes[0]
        echo.leg.pause_reading()
        writer.write(data)
        # What the client may send ahead is the window, of which the first byte has taken one.
        while writer.channel.get_write_buffer_size() > len(data) - (WINDOW - 1):
            await asyncio.sleep(0)
        assert bytes(echo.given) == b"x"
        echo.leg.resume_reading()
        assert await reader.readexactly(len(data)) == data


def test_invocations_are_counted_by_both_ways() -> None:
    key, nonce = bytes(32), bytes(4) + (2**64 - 2).to_bytes(8, "big")
    sender, receiver = Gcm(key, nonce), Gcm(key, nonce)
    header = b"\0\0\0\x08"
    for number in range(5):
        body = b"message%d" % number
        if number % 2:
            packet, tag = sender.encrypt_and_sign(header, body)
            assert receiver.open(header, packet[4:] + tag) == body
        else:
            sealed = sender.seal(header, body)
            assert receiver.verify_and_decrypt(header, sealed[:-16], sealed[-16:]) == body


async def test_a_socket_that_is_not_read_gets_all_in_order_and_the_writer_is_paused() -> None:
    near, far = socket.socketpair()
    paused = asyncio.Event()

    class Peer(asyncio.Protocol):
        def pause_writing(self) -> None:
            paused.set()

    transport, _ = await asyncio.get_running_loop().create_connection(Peer, sock=near)
    write = write_at_once(transport)
    content = os.urandom(1_000_000)
    sent = 0
    while not paused.is_set():
        write(content[sent : sent + 10_000])
        sent += 10_000
    far.setblocking(False)
    got = bytearray()
    async with asyncio.timeout(LIMIT):
        while len(got) < sent:
            got += await asyncio.get_running_loop().sock_recv(far, 65536)
    assert bytes(got) == content[:sent]
    transport.close()
    far.close()


async def test_a_closed_transport_s_number_is_never_written_to() -> None:
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    write = write_at_once(transport)
    number = near.fileno()
    transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    taken = os.open(os.devnull, os.O_RDONLY)  # the closed one's number, most likely, which the pipe then does not get
    reader, writer = os.pipe()
    os.dup2(writer, number)
    try:
        write(b"for the session that has ended")
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 10)
    finally:
        for each in {reader, writer, number, taken}:
            os.close(each)
        far.close()


class Reader(asyncssh.SSHTCPSession[bytes]):
    """A client's end of a tunnel."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.taken = 0

    def connection_made(self, chan: Any) -> None:
        self.chan = chan

    def data_received(self, data: bytes, datatype: Any) -> None:
        self.taken += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def test_a_client_that_does_not_read_its_socket_pauses_the_database_whatever_its_window() -> None:
    async with asyncio.timeout(LIMIT), served() as (made, port), connect(port) as connection:
        channel, reader = await connection.create_connection(Reader, "database", 1, encoding=None, window=2**31)
        other, _ = await connection.create_connection(Reader, "database", 1, encoding=None)
        channel.write(b"x")
        other.write(b"x")
        while not reader.taken or len(made.echoes) < 2 or not made.echoes[1].given:
            await asyncio.sleep(0)
        connection._transport.pause_reading()
        echo, sent = made.echoes[0], 0
        while not echo.blocked:
            assert sent < 64 * 1024 * 1024
            echo.leg.write(bytes(256 * 1024))
            sent += 256 * 1024
            await asyncio.sleep(0)
        assert made.echoes[1].blocked
        assert made.connection._transport.get_write_buffer_size() <= UNREAD + 512 * 1024
        connection._transport.resume_reading()
        await echo.writable_again.wait()
        await made.echoes[1].writable_again.wait()
        while reader.taken < sent + 1:
            await asyncio.sleep(0)


async def test_a_client_that_does_not_finish_a_key_exchange_pauses_the_database() -> None:
    async with asyncio.timeout(LIMIT), served() as (made, port), connect(port) as connection:
        channel, reader = await connection.create_connection(Reader, "database", 1, encoding=None, window=2**31)
        channel.write(b"x")
        while not reader.taken:
            await asyncio.sleep(0)
        connection._transport.pause_reading()
        made.connection._send_kexinit()
        made.connection._kexinit_sent = True
        echo, sent = made.echoes[0], 0
        while not echo.blocked:
            assert sent < 64 * 1024 * 1024
            echo.leg.write(bytes(256 * 1024))
            sent += 256 * 1024
            await asyncio.sleep(0)
        connection._transport.resume_reading()
        await echo.writable_again.wait()
        while reader.taken < sent + 1:
            await asyncio.sleep(0)


async def test_what_is_not_read_of_all_else_ends_the_connection() -> None:
    """Replies to what a client asks for without reading: no window bounds them."""
    async with served() as (made, port):
        connection = await connect(port)
        async with asyncio.timeout(LIMIT):
            connection._transport.pause_reading()
            while not made.lost.done():
                made.connection.send_packet(MSG_DEBUG, b"\0" + String(bytes(30_000)) + String(b""))
                await asyncio.sleep(0)
        connection.abort()


async def test_a_client_that_wants_a_packet_for_each_byte_is_refused() -> None:
    async with asyncio.timeout(LIMIT), served() as (made, port), connect(port) as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="less than 1024 bytes"):
            await connection.create_connection(Reader, "database", 1, encoding=None, max_pktsize=1023)
        _, reader = await connection.create_connection(Reader, "database", 1, encoding=None, max_pktsize=1024)
        made.echoes[0].leg.write(bytes(100_000))
        while reader.taken < 100_000:
            await asyncio.sleep(0)


async def test_a_closed_tunnel_waits_for_its_client_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "CLOSING_SECONDS", 0.05)
    async with asyncio.timeout(LIMIT), served() as (made, port), connect(port) as connection:
        _, reader = await connection.create_connection(Reader, "database", 1, encoding=None, window=2048)
        reader.chan.pause_reading()
        leg = made.echoes[0].leg
        leg.write(bytes(100_000))
        channel = leg.transport._channel  # type: ignore[attr-defined]
        leg.close()
        assert channel.get_write_buffer_size() == 100_000 - 2048
        while channel.get_write_buffer_size():
            await asyncio.sleep(0)
        reader.chan.resume_reading()
        await reader.lost.wait()
        assert reader.taken <= 2 * 2048


async def test_what_comes_in_single_bytes_while_a_session_is_paused_is_kept_together() -> None:
    async with asyncio.timeout(LIMIT), served() as (made, port), connect(port) as connection:
        channel, reader = await connection.create_connection(Reader, "database", 1, encoding=None)
        channel.write(b"x")
        while not reader.taken:
            await asyncio.sleep(0)
        echo = made.echoes[0]
        echo.leg.pause_reading()
        kept = echo.leg.transport._channel._recv_buf  # type: ignore[attr-defined]
        expected = b"x"
        while len(expected) < 2000:
            channel.write(b"%d" % (len(expected) % 10))
            expected += b"%d" % (len(expected) % 10)
        while len(kept) < len(expected) - 1:
            await asyncio.sleep(0)
        assert bytes(echo.given) == b"x"
        given: list[bytes] = []
        receive = echo.data

        def keeping(side: Side, data: bytes) -> None:
            given.append(data)
            receive(side, data)

        echo.data = keeping  # type: ignore[method-assign]
        echo.leg.resume_reading()
        assert given == [expected[1:]]
        while reader.taken < len(expected):
            await asyncio.sleep(0)


async def test_what_is_sent_ahead_of_an_answer_is_bounded() -> None:
    """While a password is checked, asyncssh keeps all that comes."""
    async with served() as (made, port):
        connection = await connect(port)
        async with asyncio.timeout(LIMIT):
            made.connection._recv_handler = lambda: False
            connection._transport.write(bytes(8 * 1024 * 1024))
            while not made.lost.done():
                assert len(made.connection._inpbuf) <= MOST_AHEAD + 256 * 1024
                await asyncio.sleep(0)
        connection.abort()


async def test_one_connection_s_data_take_a_turn_of_so_many_bytes() -> None:
    """Of a client that uploads as fast as it can: what one turn of the event loop reads of it is bounded."""

    class Connection:
        class Transport:
            told: list[str] = []

            def set_protocol(self, protocol: object) -> None:
                pass

            def is_closing(self) -> bool:
                return False

            def is_reading(self) -> bool:
                return "pause" not in self.told[-1:]

            def pause_reading(self) -> None:
                self.told.append("pause")

            def resume_reading(self) -> None:
                self.told.append("resume")

        _transport = Transport()
        _inpbuf = b""
        _recv_encryption = None
        _decompressor = None

        def _recv_data(self) -> None:
            self._inpbuf = b""

    connection: Any = Connection()
    arrivals = Arrivals(connection)
    told = connection._transport.told
    for _ in range(TURN // 1000):
        arrivals.data_received(b"x" * 1000)
    assert told == []
    arrivals.data_received(b"x" * 1000)
    assert told == ["pause"]
    await asyncio.sleep(0)
    assert told == ["pause", "resume"]
