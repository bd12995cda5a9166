"""Logs both legs in (documentation, "Message Flow": start-up, SSL, GSSAPI encryption, SASL authentication)."""

from __future__ import annotations

import hmac
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass

from bastion.protocols.contract import (
    Answer,
    CancelAsked,
    CancelKey,
    Leg,
    LoggedIn,
    LoginAborted,
    LoginEnded,
    LoginRequest,
    LoginResult,
    LoginSteps,
    ProtocolError,
    Refusal,
    Send,
    StartTls,
    Step,
    TlsMode,
    TlsStarted,
)

from . import refusal as own_words
from .authentication import NotPossible, Scram, md5_answer
from .character_sets import codec_for
from .client_side import PostgresClientSide
from .codec import (
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    PROTOCOL_3,
    SSL_REQUEST,
    Inbox,
    Left,
    database_error,
    decoded,
    encoded,
    message,
    shown,
    startup,
    startup_parameters,
)
from .codec import (
    request as request_message,
)
from .exchange import Exchange
from .negotiation import Negotiation
from .server_side import PostgresServerSide
from .session_settings import SessionSettings

CLIENT, SERVER = Leg.CLIENT, Leg.SERVER

LONGEST_APPLICATION_NAME = 63
"""The server cuts application_name here (NAMEDATALEN - 1)."""

APPLICATION_PROTOCOL = "postgresql"
"""The name in ALPN; PostgreSQL takes direct TLS only with it, so that nothing else can be steered into its port."""

NO_REPLICATION = ("", "false", "off", "no", "0")
"""Values of the startup parameter `replication` that ask for an ordinary connection."""

ASK_CLEARTEXT = message(b"R", (3).to_bytes(4, "big"))


class Refuse(Exception):
    """The login is refused by the bastion."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.refusal = Refusal(code, text)


class Refused(Exception):
    """The login has ended, `by` whom, and the client was told."""

    def __init__(self, by: str, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.by = by
        self.refusal = refusal


class DatabaseRefused(Exception):
    """The server has refused the login; the client has its words."""


@dataclass(slots=True)
class Startup:
    """What the client asked for. Either `cancel` or the rest is meaningful."""

    version: int = 0
    parameters: dict[str, str] | None = None
    cancel: CancelKey | None = None

    @property
    def user(self) -> str:
        return (self.parameters or {}).get("user", "")

    @property
    def login(self) -> str:
        """The user for the record."""
        return shown(self.user)

    @property
    def client(self) -> str:
        """The client's program for the record."""
        return shown((self.parameters or {}).get("application_name", ""))[:256]

    @property
    def replication(self) -> str:
        """What it asks for in lower case: one of NO_REPLICATION, `database` for logical replication, else physical."""
        return (self.parameters or {}).get("replication", "").lower()

    @property
    def database(self) -> str:
        return (self.parameters or {}).get("database") or self.user


def login(request: LoginRequest) -> LoginSteps:
    """See contract.Engine.login."""
    seen = Startup()
    try:
        return (yield from _told(_login(request, seen)))
    except Refused as refused:
        return LoginEnded(refused.by, refused.refusal.message, seen.login, seen.client)
    except DatabaseRefused as refused:
        return LoginEnded("database", str(refused), seen.login, seen.client)
    except Left as left:
        return LoginEnded("client", str(left), seen.login, seen.client)


def _told(steps: Generator[Step, Answer, LoginResult]) -> Generator[Step, Answer, LoginResult]:
    """Runs the steps; whatever ends them, the client is told in its protocol. Raises what ended them."""
    by, failure = "bastion", None
    try:
        return (yield from steps)
    except Refuse as refuse:
        refusal = refuse.refusal
    except LoginAborted as aborted:
        refusal = aborted.refusal
    except ProtocolError as error:
        sentence = f"The bastion could not read what was sent as PostgreSQL ({error.reason}). The login is ended."
        refusal, failure = Refusal("not-understood", sentence), error
    except Left as left:
        if left.leg is CLIENT:
            raise
        by, refusal = "database", Refusal("database-unreachable", "The database closed the connection during login.")
    with suppress(LoginAborted):
        yield Send(CLIENT, own_words.error(refusal, fatal=True))
    raise failure or Refused(by, refusal)


def refuse(refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
    """See contract.Engine.refuse."""
    seen = Startup()
    try:
        yield from _client_startup(Inbox(CLIENT), seen, client_tls=client_tls)
    except Left:
        return LoginEnded("client", refusal.message)
    except (LoginAborted, ProtocolError):
        pass
    if seen.cancel is not None:
        return CancelAsked(seen.cancel)
    with suppress(LoginAborted):
        yield Send(CLIENT, own_words.error(refusal, fatal=True))
    return LoginEnded("bastion", refusal.message, seen.login, seen.client)


def _login(request: LoginRequest, seen: Startup) -> Generator[Step, Answer, LoginResult]:
    client, server = Inbox(CLIENT), Inbox(SERVER)
    yield from _client_startup(client, seen, client_tls=request.client_tls)
    if seen.cancel is not None:
        return CancelAsked(seen.cancel)
    _check(request, seen)
    if request.demand_token:
        answer = yield from _ask_password(client)
        if not request.token or not hmac.compare_digest(encoded(answer), encoded(request.token)):
            raise Refuse("client-token-needed", "The password of the database login must be the O&M token here.")
    certificate = yield from server_tls(server, request.server_tls)
    negotiation = Negotiation.of(seen.version, seen.parameters or {})
    seen.version = negotiation.version
    yield Send(SERVER, _server_startup(request, seen))
    yield from _authenticate(request, seen, client, server, certificate, negotiation)
    return (yield from _until_ready(seen, client, server))


def _client_startup(client: Inbox, seen: Startup, *, client_tls: bool) -> Generator[Step, Answer, None]:
    """Reads the client up to its startup message, answering what it asks before."""
    # SSLRequest and GSSENCRequest may each come once, in either order; libpq sends both.
    awaited = {SSL_REQUEST, GSSENC_REQUEST}
    if (yield from client.peek(1)) == b"\x16" and client_tls:
        received, client.buffer = client.buffer, b""
        started = yield StartTls(CLIENT, received, alpn=(APPLICATION_PROTOCOL,))
        if not isinstance(started, TlsStarted) or started.alpn != APPLICATION_PROTOCOL:
            raise ProtocolError(CLIENT, "direct TLS without the application protocol postgresql (ALPN)")
        awaited.clear()
    while True:
        code, body = yield from client.startup()
        if code in awaited:
            awaited.remove(code)
            if client.buffer:
                # What is pipelined behind the request would be read as if it had come through TLS (CVE-2021-23222).
                raise ProtocolError(CLIENT, "bytes in the clear behind a request for encryption")
            if code == GSSENC_REQUEST or not client_tls:
                yield Send(CLIENT, b"N")
                continue
            yield Send(CLIENT, b"S")
            yield StartTls(CLIENT)
            awaited.clear()
        elif code == CANCEL_REQUEST:
            if len(body) < 8:
                raise ProtocolError(CLIENT, "a cancel request that is too short")
            seen.cancel = CancelKey(int.from_bytes(body[:4], "big"), body[4:])
            return
        elif code >> 16 == PROTOCOL_3:
            seen.version = code
            seen.parameters = startup_parameters(body)
            return
        else:
            raise ProtocolError(CLIENT, f"protocol version {code >> 16}.{code & 0xFFFF} is not spoken here")


def _check(request: LoginRequest, seen: Startup) -> None:
    if not seen.user:
        raise ProtocolError(CLIENT, "a startup message without a user")
    replication = seen.replication
    if replication not in NO_REPLICATION and not request.allow_replication:
        raise Refuse("replication-not-allowed", "Replication connections are not granted here.")
    allowed = ", ".join(request.databases)
    if request.databases and replication not in (*NO_REPLICATION, "database"):
        # Physical replication sends the whole server, whatever database the startup message names.
        raise Refuse(
            "replication-not-allowed",
            f"Physical replication copies every database of the server; here only these may be read: {allowed}.",
        )
    if request.databases and seen.database not in request.databases:
        raise Refuse(
            "database-name-not-allowed",
            f'The database "{shown(seen.database)}" may not be opened here; allowed are: {allowed}.',
        )


def _ask_password(client: Inbox) -> Generator[Step, Answer, str]:
    """Asks the client for its password in clear text (inside the tunnel)."""
    yield Send(CLIENT, ASK_CLEARTEXT)
    kind, body, _ = yield from client.message()
    if kind != b"p":
        raise ProtocolError(CLIENT, "the client did not answer the request for a password")
    return decoded(body.removesuffix(b"\0"))


def server_tls(server: Inbox, mode: TlsMode) -> Generator[Step, Answer, bytes | None]:
    """TLS to the database as its mode says; returns its certificate. Raises Refuse where the mode cannot be had."""
    if mode is TlsMode.DISABLE:
        return None
    yield Send(SERVER, request_message(SSL_REQUEST))
    answer = yield from server.peek(1)
    # More than the one byte would be read as if it had come through TLS (CVE-2021-23222, the client's side of it).
    if len(server.buffer) > 1 and answer == b"S":
        raise ProtocolError(SERVER, "bytes in the clear behind the agreement to TLS")
    if answer == b"S":
        server.buffer = b""
        started = yield StartTls(SERVER)
        return started.certificate if isinstance(started, TlsStarted) else None
    if answer == b"E":
        # Nothing proves who said it, so it is not shown (CVE-2024-10977). libpq gives up as well, whatever its mode.
        raise Refuse(
            "database-tls",
            "The database answered the request for TLS with an error; it may be out of connections or processes. "
            "Try again later, or ask an administrator.",
        )
    if answer != b"N":
        raise ProtocolError(SERVER, "the answer to the request for TLS is neither yes nor no", server.buffer)
    if mode is not TlsMode.PREFER:
        raise Refuse(
            "database-tls", f"The database offers no TLS, but its setting is {mode.value}. Ask an administrator."
        )
    server.buffer = server.buffer[1:]
    return None


def _server_startup(request: LoginRequest, seen: Startup) -> bytes:
    """The client's own parameters with the account's user, and the person behind the program's name."""
    parameters = dict(seen.parameters or {})
    # Always named: without a name, or with an empty one, the server would take the account's.
    parameters["database"] = seen.database
    parameters["user"] = _user(request, seen)
    program = encoded(parameters.get("application_name", ""))
    person = f"{' ' if program else 'casemate '}({request.person})".encode()[:LONGEST_APPLICATION_NAME]
    kept = program[: LONGEST_APPLICATION_NAME - len(person)].decode("utf-8", "ignore")
    parameters["application_name"] = kept + person.decode("utf-8", "ignore")
    return startup(seen.version, parameters)


def _user(request: LoginRequest, seen: Startup) -> str:
    return request.account if request.account is not None else seen.user


def _authenticate(
    request: LoginRequest,
    seen: Startup,
    client: Inbox,
    server: Inbox,
    certificate: bytes | None,
    negotiation: Negotiation,
) -> Generator[Step, Answer, None]:
    """Answers the server's demands up to AuthenticationOk, which goes to the client."""
    user, secret, scram = _user(request, seen), request.secret, None
    for _ in range(16):
        kind, body, whole = yield from server.message()
        if kind == b"v":
            yield Send(CLIENT, negotiation.merged(body))
            continue
        if kind == b"N":
            yield Send(CLIENT, whole)
            continue
        if kind == b"E":
            yield Send(CLIENT, whole)
            raise DatabaseRefused(str(database_error(body)))
        if negotiation.is_due:
            yield Send(CLIENT, negotiation.message())
        if kind != b"R" or len(body) < 4:
            raise ProtocolError(SERVER, "the database did not answer the login as PostgreSQL does", whole)
        code, rest = int.from_bytes(body[:4], "big"), body[4:]
        if code == 0:
            if scram is not None and not scram.proved:
                raise Refuse("database-login", "The database did not prove that it knows the account's password.")
            yield Send(CLIENT, whole)
            return
        if secret is None:
            secret = yield from _ask_password(client)
        try:
            if code == 3:
                answer = encoded(secret) + b"\0"
            elif code == 5:
                answer = md5_answer(user, secret, rest[:4]) + b"\0"
            elif code == 10:
                mechanisms = [name.decode("ascii", "replace") for name in rest.split(b"\0") if name]
                scram = Scram(secret, mechanisms, certificate)
                first = scram.first()
                answer = scram.mechanism.encode() + b"\0" + len(first).to_bytes(4, "big") + first
            elif code == 11 and scram is not None:
                answer = scram.final(rest)
            elif code == 12 and scram is not None:
                scram.check(rest)
                continue
            else:
                raise NotPossible(
                    f"the database asks for a way of authentication (code {code}) that is not spoken here"
                )
        except NotPossible as error:
            raise Refuse("database-login", f"The bastion could not log in: {error}. Tell an administrator.") from error
        yield Send(SERVER, message(b"p", answer))
    raise ProtocolError(SERVER, "an endless authentication")


def _until_ready(seen: Startup, client: Inbox, server: Inbox) -> Generator[Step, Answer, LoginResult]:
    """Relays the server's status messages up to its first ReadyForQuery and learns from them."""
    exchange = Exchange()
    parameters = seen.parameters or {}
    exchange.codec = codec_for(parameters.get("client_encoding", "UTF8"))
    status: dict[str, str] = {}
    key = None
    for _ in range(1_000):
        kind, body, whole = yield from server.message()
        yield Send(CLIENT, whole)
        if kind == b"S":
            name, _, value = body.rstrip(b"\0").partition(b"\0")
            status[name.decode("utf-8", "replace")] = value.decode("utf-8", "backslashreplace")
        elif kind == b"K" and len(body) >= 8:
            key = CancelKey(int.from_bytes(body[:4], "big"), body[4:])
        elif kind == b"E":
            raise DatabaseRefused(str(database_error(body)))
        elif kind == b"Z":
            if "client_encoding" in status:
                exchange.codec = codec_for(status["client_encoding"])
            settings = SessionSettings(status.get("search_path", ""), reported="search_path" in status)
            settings.report(b"session_authorization", status.get("session_authorization", ""))
            return LoggedIn(
                client_side=PostgresClientSide(exchange),
                server_side=PostgresServerSide(exchange, settings),
                login=seen.login,
                client=seen.client,
                catalog=shown(seen.database),
                schema=settings.schema,
                server_version=status.get("server_version", ""),
                cancel_key=key,
                client_rest=client.buffer,
                server_rest=server.buffer,
                replication=seen.replication not in NO_REPLICATION,
            )
        elif kind not in (b"N", b"A", b"R"):
            raise ProtocolError(SERVER, "the database did not come to an end of the login", whole)
    raise ProtocolError(SERVER, "an endless login")
