"""Listeners, and what happens to a connection up to the end of its login."""

from __future__ import annotations

import hmac
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from . import multiplexing, tokens
from .channels import Channel, pump
from .login import Encryption, Login, Option, negotiated, prelogin_answer, read_login, read_prelogin
from .packets import (
    FIRST_PACKET_SIZE,
    LARGEST_PACKET,
    SMALLEST_PACKET,
    Closed,
    Packet,
    PacketType,
    ProtocolError,
    Transport,
    framed,
)
from .session import Conversation
from .sql_errors import SqlError
from .state import Session, Shared
from .versions import Version

MOST_CONNECTIONS = 200
LOGIN_SECONDS = 30
LARGEST_LOGIN = 128 * 1024
TLS_FIRST_BYTE = 0x16


@dataclass(frozen=True)
class Manners:
    """Of one listener.

    encryption   what it wants
    version      the newest that it speaks
    packet_size  the most that it agrees to; 0: what the client asks for
    mars         several sessions on one connection, where the client asks
    route        where every login is sent on to, HOST:PORT; '' nowhere
    strict_only  nothing but TLS from the first byte
    """

    encryption: str = "off"
    version: str = "V8_0"
    packet_size: int = 0
    mars: bool = False
    route: str = ""
    strict_only: bool = False


class Certificate:
    """The contexts of TLS in both forms."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.wrapped = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.wrapped.load_cert_chain(certificate, key)
        # Older clients cannot follow a handshake of 1.3 inside packets.
        self.wrapped.maximum_version = ssl.TLSVersion.TLSv1_2
        self.strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.strict.load_cert_chain(certificate, key)
        self.strict.set_alpn_protocols(["tds/8.0"])


class Listener:
    """Takes connections on a port of 127.0.0.1, each in a thread."""

    def __init__(self, shared: Shared, certificate: Certificate, manners: Manners, port: int = 0) -> None:
        self._shared, self._certificate, self._manners = shared, certificate, manners
        self._socket = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._room = threading.Semaphore(MOST_CONNECTIONS)

    def run(self) -> None:
        """For ever."""
        while True:
            connected, _address = self._socket.accept()
            if not self._room.acquire(blocking=False):
                connected.close()
                continue
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        transport = Transport(connected)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Connection(self._shared, self._certificate, self._manners, transport).run()
        except (Closed, OSError):
            pass  # the client is gone
        except ProtocolError as error:
            self._shared.log.write(session=0, user="", database="", kind="protocol error", text=str(error))
        finally:
            transport.close()
            self._room.release()


class _Connection:
    def __init__(self, shared: Shared, certificate: Certificate, manners: Manners, transport: Transport) -> None:
        self._shared, self._certificate, self._manners = shared, certificate, manners
        self._transport = transport
        self._spid = shared.next_spid()

    def run(self) -> None:
        transport = self._transport
        transport.socket.settimeout(LOGIN_SECONDS)
        strict = transport.peek() == TLS_FIRST_BYTE
        if strict:
            if transport.start_tls(self._certificate.strict, wrapped=False) != "tds/8.0":
                raise ProtocolError("TLS from the start, but not for tds/8.0")
        elif self._manners.strict_only:
            raise ProtocolError("a client that does not begin with TLS")
        packet = transport.read_packet()
        mars = False
        agreed = Encryption.NOT_SUPPORTED
        if packet.type == PacketType.PRELOGIN:
            options = read_prelogin(self._message(packet))
            mars = self._manners.mars and options.get(Option.MARS) == b"\x01"
            wanted = (options.get(Option.ENCRYPTION) or b"\x02")[0]
            agreed = negotiated(wanted, Encryption[self._manners.encryption.upper()])
            self._send(prelogin_answer(options, agreed, mars=mars))
            if not strict and agreed is not Encryption.NOT_SUPPORTED:
                transport.start_tls(self._certificate.wrapped, wrapped=True)
            packet = transport.read_packet()
            if not strict and agreed is Encryption.OFF:
                transport.stop_tls()
        if packet.type != PacketType.LOGIN:
            raise ProtocolError(f"a packet of type {packet.type} instead of a login")
        login = read_login(self._message(packet))
        self._logged_in(login, mars)

    def _message(self, packet: Packet) -> bytes:
        data, kind = bytearray(packet.data), packet.type
        while not packet.last:
            packet = self._transport.read_packet()
            if packet.type != kind or len(data) > LARGEST_LOGIN:
                raise ProtocolError("a login that is no login")
            data += packet.data
        return bytes(data)

    def _send(self, data: bytes) -> None:
        self._transport.write(framed(PacketType.RESPONSE, data, FIRST_PACKET_SIZE, self._spid))

    def _logged_in(self, login: Login, mars: bool) -> None:
        version = min(login.version, Version[self._manners.version])
        try:
            database = self._checked(login)
        except SqlError as error:
            self._shared.log.write(session=self._spid, user=login.user, database=login.database, kind="login refused",
                                   text=error.text, application=login.application)  # fmt: skip
            said = tokens.message(error.number, error.state, error.severity, error.text, version)
            self._send(said + tokens.done(tokens.DONE, tokens.ERROR, 0, version))
            self._linger()
            return
        asked = login.packet_size or 4096
        size = min(max(asked, SMALLEST_PACKET), self._manners.packet_size or LARGEST_PACKET)
        self._shared.log.write(session=self._spid, user=login.user, database=database, kind="login", text="",
                               application=login.application, host=login.host, library=login.library,
                               version=version.name, asked=login.version.name, packet_size=size,
                               features=list(login.features))  # fmt: skip
        self._send(self._answer(login, version, database, size))
        if self._manners.route:
            self._linger()
            return
        self._transport.socket.settimeout(None)
        session = Session(self._shared, login, self._spid, database)
        session.on_kill = self._transport.close
        with self._shared.lock:
            self._shared.sessions[self._spid] = session
        try:
            if mars:

                def begin(channel: Channel) -> None:
                    self._begin(channel, session, size, version, alone=False)

                multiplexing.pump(self._transport, begin)
            else:
                channel = Channel(self._transport.write)
                worker = self._begin(channel, session, size, version)
                pump(self._transport, channel)
                worker.join()
        finally:
            with self._shared.lock:
                self._shared.sessions.pop(self._spid, None)
            session.interrupt()
            session.close()

    def _begin(
        self, channel: Channel, session: Session, size: int, version: Version, *, alone: bool = True
    ) -> threading.Thread:
        conversation = Conversation(channel, session, size, version)

        def run() -> None:
            try:
                conversation.run()
            except Closed:
                pass  # the client is gone
            except ProtocolError as error:
                self._shared.log.write(session=self._spid, user="", database="", kind="protocol error", text=str(error))
                self._transport.close()
            finally:
                channel.end()
                if alone:
                    self._transport.close()

        worker = threading.Thread(target=run, daemon=True)
        worker.start()
        return worker

    def _checked(self, login: Login) -> str:
        """The database that is opened. Raises SqlError."""
        if login.integrated:
            raise SqlError(18452, 14, "Login failed. The login is from an untrusted domain and cannot be used with "
                           "Integrated authentication.")  # fmt: skip
        expected = self._shared.databases.logins.get(login.user.lower())
        if login.federated or expected is None or not hmac.compare_digest(expected.encode(), login.password.encode()):
            raise SqlError(18456, 14, f"Login failed for user '{login.user}'.")
        if not login.database:
            return "master"
        known = self._shared.databases.by_lower_name()
        if login.database.lower() not in known:
            raise SqlError(
                4060, 11, f'Cannot open database "{login.database}" requested by the login. The login failed.'
            )
        return known[login.database.lower()]

    def _answer(self, login: Login, version: Version, database: str, size: int) -> bytes:
        said = [
            tokens.changed(tokens.ENV_DATABASE, database, "master"),
            tokens.message(5701, 2, 0, f"Changed database context to '{database}'.", version),
            tokens.changed_bytes(tokens.ENV_COLLATION, tokens.COLLATION, b"") if version >= Version.V7_1 else b"",
            tokens.changed(tokens.ENV_LANGUAGE, "us_english", ""),
            tokens.message(5703, 1, 0, "Changed language setting to us_english.", version),
            tokens.changed(tokens.ENV_PACKET_SIZE, str(size), str(login.packet_size or 4096)),
            tokens.login_acknowledged(version),
            tokens.features_acknowledged(login.features) if version >= Version.V7_4 else b"",
        ]
        if self._manners.route:
            host, _, port = self._manners.route.rpartition(":")
            said.append(tokens.routing(host, int(port)))
        said.append(tokens.done(tokens.DONE, 0, 0, version))
        return b"".join(said)

    def _linger(self) -> None:
        """Until the client has read what was said; a close with unread bytes would take it away."""
        self._transport.socket.settimeout(5)
        try:
            while self._transport.socket.recv(4096):
                pass
        except OSError:
            pass  # it was given time enough
