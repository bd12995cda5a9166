"""The login of a session: both legs' PRELOGIN and TLS, the client's LOGIN7 under the account for the database.

What the server says of itself and answers to the login reaches the client as it is, but for redirects, which the
bastion follows itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Generator

from bastion.protocols.contract import (
    Answer,
    CancelKey,
    Leg,
    LoggedIn,
    LoginAborted,
    LoginEnded,
    LoginRequest,
    LoginResult,
    LoginSteps,
    ProtocolError,
    Redial,
    Refusal,
    Send,
    StartTls,
    Step,
)

from .client_side import TdsClientSide
from .codec import LegClosed, LoginEnvelope, LoginLeg, Malformed, encode_message
from .constants import APPLICATION_PROTOCOL, FIRST_PACKET_SIZE, TDS8, TDS71, TDS74, PacketKind
from .exchange import Exchange
from .handshake import Login7, decode_login7, encode_login7, for_server
from .negotiation import UNKNOWN_SERVER, Encryption, Prelogin, answer, decode_prelogin, towards_client
from .refusal import login_refused
from .server_login import LoginAnswer, LoginRefused, Server, ServerSays, read_login_answer
from .server_side import TdsServerSide

MAX_CLIENT_NAME = 256
MOST_REDIRECTS = 3

TLS_HANDSHAKE = 0x16
"""The first byte of a connection that speaks TLS before anything else: TDS 8.0."""


class Client:
    """The client's leg during a login: what it asks for, up to its LOGIN7."""

    def __init__(self, *, can_encrypt: bool) -> None:
        self.leg = LoginLeg(Leg.CLIENT)
        self.version = TDS74
        self._can_encrypt = can_encrypt
        self.prelogin: Prelogin | None = None
        self.strict = False
        self.found: Login7

    def opening(self) -> Generator[Step, Answer, None]:
        """Reads its PRELOGIN, if it has one: drivers of TDS 7.1 may begin with LOGIN7."""
        if (yield from self.leg.peek()) == TLS_HANDSHAKE and self._can_encrypt:
            received, self.leg.buffer = self.leg.buffer, b""
            yield StartTls(Leg.CLIENT, received, alpn=(APPLICATION_PROTOCOL,))
            self.strict = True
        if (yield from self.leg.peek()) != PacketKind.PRELOGIN:
            return
        message = yield from self.leg.read_message()
        try:
            self.prelogin = decode_prelogin(message.data)
        except Malformed as error:
            raise ProtocolError(Leg.CLIENT, str(error), message.data[:64]) from None

    def negotiate(self, version: bytes) -> Generator[Step, Answer, None]:
        """Answers its PRELOGIN with the server's version, and encrypts as it wants it."""
        asked = self.prelogin
        if asked is None:
            return
        chosen = towards_client(asked.encryption, can_encrypt=self._can_encrypt and not self.strict)
        yield from self.leg.send(PacketKind.ANSWER, answer(asked, version, chosen))
        if chosen != Encryption.NOT_SUPPORTED:
            received, self.leg.buffer = self.leg.buffer, b""
            envelope = LoginEnvelope(Leg.CLIENT, login_only=chosen == Encryption.OFF)
            yield StartTls(Leg.CLIENT, received, envelope=envelope)

    def login(self) -> Generator[Step, Answer, None]:
        """Reads its LOGIN7 into `found`. Raises LegClosed and ProtocolError."""
        message = yield from self.leg.read_message()
        if message.kind != PacketKind.LOGIN7:
            raise ProtocolError(Leg.CLIENT, "something else than a login (LOGIN7)")
        try:
            self.found = decode_login7(message.data)
        except Malformed as error:
            raise ProtocolError(Leg.CLIENT, str(error)) from None  # without the bytes: the password is in them
        self.version = self.found.version

    def refused(self, refusal: Refusal) -> bytes:
        """The refusal at the place in the login where it is."""
        return encode_message(PacketKind.ANSWER, login_refused(refusal, self.version))


def log_in_both(request: LoginRequest) -> LoginSteps:
    """The steps of a session's login; see `Engine.login`."""
    attempt = _Attempt(request)
    by, failure = "bastion", None
    try:
        return (yield from attempt.steps())
    except LoginRefused as refused:
        refusal = refused.refusal
    except LoginAborted as aborted:
        refusal = aborted.refusal
    except ServerSays as said:
        by, refusal = "database", Refusal("database-refused", str(said.error))
    except LegClosed as closed:
        if closed.leg is Leg.CLIENT:
            return attempt.ended("client", "the client closed the connection during login")
        by, refusal = "database", LOST
    except ProtocolError as error:
        sentence = (
            f"The bastion could not read what was sent as SQL Server's protocol ({error.reason}). The login is ended."
        )
        refusal, failure = Refusal("not-understood", sentence), error
    yield Send(Leg.CLIENT, attempt.client.refused(refusal))
    if failure is not None:
        raise failure
    return attempt.ended(by, refusal.message if by == "database" else f"{refusal.code}: {refusal.message}")


LOST = Refusal("database-unreachable", "The database closed the connection during login. Try again later.")


def refuse(refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
    """See Engine.refuse: the client is led up to its LOGIN7, whose answer it reads as an error."""
    client = Client(can_encrypt=client_tls)
    login = program = ""
    try:
        yield from client.opening()
        yield from client.negotiate(UNKNOWN_SERVER)
        yield from client.login()
        login, program = client.found.user, program_of(client.found)
    except LegClosed:
        return LoginEnded("client", refusal.message)
    except (LoginAborted, ProtocolError):
        pass
    yield Send(Leg.CLIENT, client.refused(refusal))
    return LoginEnded("bastion", refusal.message, login, program)


class _Attempt:
    """One login in the making: what is known so far, for whoever has to be told how it ended."""

    def __init__(self, request: LoginRequest) -> None:
        self.request = request
        self.client = Client(can_encrypt=request.client_tls)
        self.server = Server(request.server_tls)
        self.theirs: Login7 | None = None

    def ended(self, by: str, error: str) -> LoginEnded:
        theirs = self.theirs
        return LoginEnded(by, error, theirs.user if theirs else "", program_of(theirs) if theirs else "")

    def steps(self) -> LoginSteps:
        client, server = self.client, self.server
        yield from client.opening()
        # What goes wrong with the server is told where the client reads it: in answer to its LOGIN7.
        failure: Exception | None = None
        version = UNKNOWN_SERVER
        try:
            version = (yield from server.prelogin(client.prelogin)).version
        except (LegClosed, ServerSays) as error:
            if isinstance(error, LegClosed) and error.leg is Leg.CLIENT:
                raise
            failure = error
        yield from client.negotiate(version)
        yield from client.login()
        theirs = self.theirs = client.found
        if failure is not None:
            raise failure
        self._check(theirs)
        message_data, spid, found = yield from self._log_in(theirs)
        if found.error is not None or found.ack is None:
            yield Send(Leg.CLIENT, encode_message(PacketKind.ANSWER, message_data, spid=spid))
            return self.ended("database", str(found.error) if found.error else "the database refused the login")
        if self.request.databases and found.database and not self._may_open(found.database):
            raise LoginRefused(_other_database(found.database, self.request.databases))
        yield Send(Leg.CLIENT, encode_message(PacketKind.ANSWER, message_data, spid=spid))
        return self._logged_in(theirs, found, spid)

    def _check(self, theirs: Login7) -> None:
        """Raises LoginRefused for what the bastion does not carry, or this database does not allow."""
        request = self.request
        if theirs.version < TDS71 and theirs.version != TDS8:
            raise LoginRefused(Refusal("client-too-old", "The client speaks TDS 7.0 or older. Use a newer client."))
        if theirs.integrated:
            raise LoginRefused(INTEGRATED)
        if theirs.federated:
            raise LoginRefused(FEDERATED)
        if theirs.changes_password:
            raise LoginRefused(CHANGE_OF_PASSWORD)
        if theirs.attached or theirs.user_instance:
            raise LoginRefused(ATTACHED)
        if request.demand_token and not _same(theirs.password, request.token or ""):
            raise LoginRefused(TOKEN_WANTED)
        if theirs.database and request.databases and not self._may_open(theirs.database):
            raise LoginRefused(_other_database(theirs.database, request.databases))

    def _may_open(self, name: str) -> bool:
        return name.lower() in (allowed.lower() for allowed in self.request.databases)

    def _log_in(self, theirs: Login7) -> Generator[Step, Answer, tuple[bytes, int, LoginAnswer]]:
        """Logs in to the server, and again where it sends the connection on; what the client is answered."""
        request, server = self.request, self.server
        user = request.account if request.account is not None else theirs.user
        password = request.secret if request.secret is not None else theirs.password
        for _ in range(MOST_REDIRECTS + 1):
            yield from server.encrypt()
            ours = for_server(theirs, request.person, user, password, strict=server.strict)
            message = yield from server.log_in(encode_login7(ours))
            found = read_login_answer(message.data, ours.version)
            if found.route is None or found.error is not None:
                return _answer_for(theirs, found), message.spid, found
            host, port = found.route
            yield Redial(host, port)
            server.redirected()
            yield from server.prelogin(self.client.prelogin)
        text = f"The database sent the connection on more than {MOST_REDIRECTS} times. Ask an administrator."
        raise LoginRefused(Refusal("redirect-not-allowed", text))

    def _logged_in(self, theirs: Login7, found: LoginAnswer, spid: int) -> LoginResult:
        assert found.ack is not None
        database = found.database or theirs.database
        exchange = Exchange(
            version=found.ack.version,
            database=database,
            databases=self.request.databases,
            packet_size=min(max(found.packet_size or FIRST_PACKET_SIZE, 512), 32767),
            spid=spid,
        )
        return LoggedIn(
            client_side=TdsClientSide(exchange),
            server_side=TdsServerSide(exchange),
            login=theirs.user,
            client=program_of(theirs),
            catalog=database,
            schema=database,
            server_version=f"{found.ack.program} {found.ack.release}",
            cancel_key=CancelKey(spid),
            client_rest=self.client.leg.buffer,
            server_rest=self.server.leg.buffer,
        )


def _answer_for(theirs: Login7, found: LoginAnswer) -> bytes:
    """The server's answer for the client, with the version that it asked for where only the packaging differs."""
    data = found.kept
    if theirs.version == TDS8 and found.ack is not None and found.ack.version != TDS8:
        at = found.ack_version_at
        data = data[:at] + TDS8.to_bytes(4, "big") + data[at + 4 :]
    return data


def program_of(login: Login7) -> str:
    """The client program as it calls itself."""
    said = login.program or login.library
    return "".join(letter if letter.isprintable() else "?" for letter in said)[:MAX_CLIENT_NAME]


def _same(shown: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def _other_database(name: str, databases: tuple[str, ...]) -> Refusal:
    return Refusal(
        "database-name-not-allowed",
        f"The database {name!r:.200} may not be opened here; allowed are: {', '.join(databases)}.",
    )


INTEGRATED = Refusal(
    "integrated-login",
    "Windows logins (Kerberos, NTLM) do not pass the bastion. Use SQL Server authentication: with a hosted account any "
    "user name and password will do.",
)
FEDERATED = Refusal(
    "federated-login",
    "Logins with a token of Microsoft Entra ID do not pass the bastion. Use SQL Server authentication: with a hosted "
    "account any user name and password will do.",
)
CHANGE_OF_PASSWORD = Refusal(
    "password-change", "The password of an account cannot be changed while logging in through the bastion."
)
ATTACHED = Refusal(
    "attached-database", "Database files cannot be attached, nor user instances started, through the bastion."
)
TOKEN_WANTED = Refusal(
    "client-token-needed",
    "The password of the database login must be the O&M token here. Request one (casemate token DATABASE) and give it "
    "as the password.",
)
