"""A small threaded bridge that drives the package's steps and sides between a real client and a real server.

It does what the relay does, without journal, rules or limits, and keeps every note, so tests can look at them.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bastion.protocols.contract import (
    CancelKey,
    Leg,
    LoggedIn,
    LoginRequest,
    LoginResult,
    Note,
    Piece,
    Read,
    Received,
    Refusal,
    Reply,
    Send,
    StartTls,
    StatementBegins,
    StatementEnds,
    TlsStarted,
)
from bastion.protocols.mysql.engine import ENGINE

LIMIT = 60
"""Seconds for what happens at once on a machine that has nothing else to do."""


@dataclass
class Bridged:
    """One connection through the bridge: how its login ended, and what was noted."""

    result: LoginResult | None = None
    notes: list[Note] = field(default_factory=list)
    client_bytes: int = 0
    server_bytes: int = 0
    errors: list[Exception] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def begun(self) -> list[StatementBegins]:
        return [note for note in self.notes if isinstance(note, StatementBegins)]

    def ended(self) -> dict[int, StatementEnds]:
        return {note.number: note for note in self.notes if isinstance(note, StatementEnds)}


class Bridge:
    """Listens on a free port and passes every connection to the server through the package."""

    def __init__(
        self,
        server: tuple[str, int],
        request: LoginRequest,
        *,
        certificate: tuple[str, str] | None = None,
        judge: Callable[[StatementBegins], Refusal | None] | None = None,
    ) -> None:
        self.server = server
        self.request = replace(request, client_tls=certificate is not None)
        self.certificate = certificate
        self.judge = judge
        self.connections: list[Bridged] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept: it would wait on, and might end up with the
        # connections of the next bridge, whose listener gets the same descriptor.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(LIMIT)
        self._listener.close()
        for connection in self.connections:
            connection.done.wait(LIMIT)

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cancel(self, key: CancelKey) -> bool:
        """Cancels what that connection runs, over a connection of its own."""
        steps: Any = ENGINE.cancel(key, self.request)
        return bool(drive(steps, {Leg.SERVER: socket.create_connection(self.server, LIMIT)}, None))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                connection = Bridged()
                self.connections.append(connection)
                threading.Thread(target=self._run, args=(client, connection), daemon=True).start()

    def _run(self, client: socket.socket, connection: Bridged) -> None:
        legs: dict[Leg, Any] = {Leg.CLIENT: client, Leg.SERVER: socket.create_connection(self.server, LIMIT)}
        try:
            connection.result = drive(ENGINE.login(self.request), legs, self.certificate)
            if isinstance(connection.result, LoggedIn):
                self._relay(legs, connection.result, connection)
        except Exception as error:  # noqa: BLE001 - kept for the test to look at
            connection.errors.append(error)
        finally:
            for leg in legs.values():
                leg.close()
            connection.done.set()

    def _relay(self, legs: dict[Leg, Any], session: LoggedIn, connection: Bridged) -> None:
        lock = threading.Lock()

        def pass_on(pieces: list[Piece], to: Leg) -> None:
            for piece in pieces:
                connection.notes.extend(piece.notes)
                begins = next((note for note in piece.notes if isinstance(note, StatementBegins)), None)
                refusal = self.judge(begins) if self.judge and begins and piece.forward else None
                if refusal is not None:
                    session.client_side.refuse(piece, refusal)
                elif piece.forward and piece.data:
                    legs[to].sendall(piece.data)
                elif isinstance(piece, Reply):
                    legs[Leg.SERVER].sendall(piece.back)

        def client_fed(data: bytes) -> None:
            connection.client_bytes += len(data)
            with lock:
                pass_on(session.client_side.feed(data), Leg.SERVER)
                if due := session.server_side.due():
                    legs[Leg.CLIENT].sendall(due)

        def server_fed(data: bytes) -> None:
            connection.server_bytes += len(data)
            with lock:
                pass_on(session.server_side.feed(data), Leg.CLIENT)
                if due := session.server_side.due():
                    legs[Leg.CLIENT].sendall(due)

        def pump(leg: Leg, feed: Callable[[bytes], None], first: bytes) -> None:
            try:
                if first:
                    feed(first)
                while data := legs[leg].recv(65536):
                    feed(data)
            except Exception as error:  # noqa: BLE001 - kept for the test to look at
                if not isinstance(error, OSError):
                    connection.errors.append(error)
            finally:
                for each in legs.values():
                    with contextlib.suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)

        upward = threading.Thread(target=pump, args=(Leg.CLIENT, client_fed, session.client_rest), daemon=True)
        upward.start()
        pump(Leg.SERVER, server_fed, session.server_rest)
        upward.join(LIMIT)


class TlsLeg:
    """TLS over a blocking socket of which some bytes have been read already; one thread reads, others may send."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, received: bytes, *, server_side: bool) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side)
        self._lock = threading.Lock()
        self._incoming.write(received)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, act: Callable[[], Any]) -> Any:
        while True:
            with self._lock:
                try:
                    result = act()
                except ssl.SSLWantReadError:
                    result = None
                    wants = True
                else:
                    wants = False
                self._plain.sendall(self._outgoing.read())
            if not wants:
                return result
            data = self._plain.recv(65536)
            if not data:
                return b""
            with self._lock:
                self._incoming.write(data)

    def recv(self, size: int) -> bytes:
        try:
            return bytes(self._until_done(lambda: self._tls.read(size)))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))

    def shutdown(self, how: int) -> None:
        self._plain.shutdown(how)

    def close(self) -> None:
        self._plain.close()


def drive(steps: Any, legs: dict[Leg, Any], certificate: tuple[str, str] | None) -> Any:
    """Does the I/O of a generator of steps over blocking sockets; returns its result."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = None
        if isinstance(step, Send):
            legs[step.leg].sendall(step.data)
        elif isinstance(step, Read):
            assert step.leg is not None
            answer = Received(step.leg, legs[step.leg].recv(65536))
        elif isinstance(step, StartTls):
            if step.leg is Leg.CLIENT:
                assert certificate
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certificate)
            else:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            legs[step.leg] = TlsLeg(legs[step.leg], context, step.received, server_side=step.leg is Leg.CLIENT)
            answer = TlsStarted(step.leg, "TLS")
        else:
            raise TypeError(step)
