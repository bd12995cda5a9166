"""The login of a session: the real server's greeting to the client, both legs' TLS, both legs' proofs, one OK.

The client sees the server's own words throughout; only capabilities that would hide the stream are taken away. Both
legs end up with the same capabilities, so that what follows is framed the same on both and passes as it is.
"""

from __future__ import annotations

from bastion.protocols.contract import (
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
)

from .change_user import LoginTerms
from .client_login import read_proof, simple_plugin
from .client_side import MysqlClientSide
from .codec import LegClosed, LoginLeg, Malformed, encode_packets
from .constants import NOT_OFFERED, OFFERED, Capability
from .exchange import Exchange
from .handshake import (
    SSL_REQUEST_LENGTH,
    Greeting,
    HandshakeResponse,
    decode_response,
    response_capabilities,
    with_person,
)
from .refusal import decode_error, encode_error, error_at_login
from .relayed_login import relay_login
from .server_login import LoginRefused, ServerRefused, log_in, read_greeting, start_tls
from .server_side import MysqlServerSide

MAX_CLIENT_NAME = 256

BEFORE_PROOF = 32
"""Bytes of the client's answer to the greeting before its user and its proof, which may be a password in the clear."""

OURS_TO_DECIDE = int(Capability.SSL | Capability.CONNECT_WITH_DB | Capability.CONNECT_ATTRS)


def log_in_both(request: LoginRequest) -> LoginSteps:
    """The steps of a session's login; see `Engine.login`."""
    attempt = _Attempt(request)
    try:
        return (yield from attempt.steps())
    except ServerRefused as refused:
        error = _in_words(refused.payload)
        yield from attempt.client.send(refused.payload)
        return attempt.ended("database", error)
    except LoginRefused as refused:
        yield Send(Leg.CLIENT, attempt.error_packet(refused.refusal))
        return attempt.ended("bastion", f"{refused.refusal.code}: {refused.refusal.message}")
    except LoginAborted as aborted:
        yield Send(Leg.CLIENT, attempt.error_packet(aborted.refusal))
        return attempt.ended("bastion", f"{aborted.refusal.code}: {aborted.refusal.message}")
    except LegClosed as closed:
        if closed.leg is Leg.CLIENT:
            return attempt.ended("client", "the client closed the connection during login")
        lost = Refusal("database-unreachable", "The database closed the connection during login. Try again later.")
        yield Send(Leg.CLIENT, attempt.error_packet(lost))
        return attempt.ended("database", lost.message)
    except ProtocolError as error:
        refusal = Refusal(
            "not-understood", f"The bastion could not read what was sent as MySQL ({error.reason}). The login is ended."
        )
        yield Send(Leg.CLIENT, attempt.error_packet(refusal))
        raise


def _in_words(payload: bytes) -> str:
    try:
        return str(decode_error(payload))
    except Malformed:
        return "the database refused the login without saying why"


class _Attempt:
    """One login in the making: what is known so far, for whoever has to be told how it ended."""

    def __init__(self, request: LoginRequest) -> None:
        self.request = request
        self.client = LoginLeg(Leg.CLIENT)
        self.server = LoginLeg(Leg.SERVER)
        self.greeted = False
        self.old_client = False
        self.login = ""
        self.program = ""

    def ended(self, by: str, error: str) -> LoginEnded:
        return LoginEnded(by, error, self.login, self.program)

    def error_packet(self, refusal: Refusal) -> bytes:
        """The refusal as an ERR packet at the place in the handshake where the client is."""
        if self.old_client:
            return encode_packets(self.client.sequence, encode_error(1251, "", refusal.message, with_state=False))
        return encode_packets(self.client.sequence, error_at_login(refusal, greeted=self.greeted))

    def steps(self) -> LoginSteps:
        request, client, server = self.request, self.client, self.server
        greeting = yield from read_greeting(server)
        offered = greeting.capabilities & ~NOT_OFFERED
        if request.client_tls:
            offered |= Capability.SSL
        yield from client.send(greeting.with_capabilities(offered))
        self.greeted = True

        payload = yield from client.read_packet()
        self._refuse_old(payload)
        if request.client_tls and len(payload) == SSL_REQUEST_LENGTH and payload[1] & Capability.SSL >> 8:
            received, client.buffer = client.buffer, b""
            yield StartTls(Leg.CLIENT, received)
            client.tls = True
            payload = yield from client.read_packet()
            self._refuse_old(payload)
        try:
            theirs = decode_response(payload)
        except Malformed as error:
            raise ProtocolError(Leg.CLIENT, str(error)) from None  # without the bytes: they hold the client's proof
        self.login = theirs.user.decode("utf-8", "backslashreplace")
        self.program = program_of(theirs)
        catalog = (theirs.database or b"").decode("utf-8", "backslashreplace")
        if catalog and request.databases and catalog not in request.databases:
            raise LoginRefused(
                Refusal(
                    "database-name-not-allowed",
                    f"Access denied: the database {catalog!r} may not be opened here; "
                    f"allowed are: {', '.join(request.databases)}.",
                )
            )

        before_ok = b""
        if request.secret is not None:
            token = (request.token or "") if request.demand_token else None
            before_ok = yield from read_proof(client, greeting, theirs, token)
        ours = self._response_for_server(greeting, theirs)
        yield from start_tls(server, greeting, ours, request.server_tls)
        if request.secret is not None:
            ok = yield from log_in(server, greeting, ours, request.secret.encode())
        else:
            ok = yield from relay_login(client, server, greeting, theirs, ours)
        return (yield from self._logged_in(greeting, theirs, ours, before_ok, ok, catalog))

    def _refuse_old(self, payload: bytes) -> None:
        if len(payload) < 4 or not payload[1] & Capability.PROTOCOL_41 >> 8:
            self.old_client = len(payload) >= 4
            if self.old_client:
                raise LoginRefused(
                    Refusal(
                        "client-too-old",
                        "The client speaks MySQL's protocol from before 4.1, which the bastion does not. "
                        "Use a newer client.",
                    )
                )
            raise ProtocolError(Leg.CLIENT, "the client's answer to the greeting is too short", payload[:BEFORE_PROOF])
        try:
            response_capabilities(payload)
        except Malformed as error:
            raise ProtocolError(Leg.CLIENT, str(error), payload[:BEFORE_PROOF]) from None

    def _response_for_server(self, greeting: Greeting, theirs: HandshakeResponse) -> HandshakeResponse:
        """The client's response as the server gets it: the same wishes, another account, the person's name with it."""
        request = self.request
        capabilities = theirs.capabilities & greeting.capabilities & OFFERED & ~OURS_TO_DECIDE
        capabilities |= theirs.capabilities & Capability.LONG_PASSWORD
        capabilities |= Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION
        capabilities |= greeting.capabilities & Capability.PLUGIN_AUTH_LENENC
        if request.secret is not None:
            capabilities |= greeting.capabilities & Capability.PLUGIN_AUTH
        if theirs.database is not None and greeting.capabilities & Capability.CONNECT_WITH_DB:
            capabilities |= Capability.CONNECT_WITH_DB
        attributes = None
        if greeting.capabilities & Capability.CONNECT_ATTRS:
            capabilities |= Capability.CONNECT_ATTRS
            attributes = with_person(theirs.attributes, request.person)
        user = theirs.user if request.account is None else request.account.encode()
        return HandshakeResponse(
            int(capabilities), theirs.max_packet, theirs.collation, user, b"", theirs.database, None, attributes
        )

    def _terms(self, greeting: Greeting, theirs: HandshakeResponse, ours: HandshakeResponse) -> LoginTerms:
        """How this login is made anew where the client asks for it in the middle of the session."""
        request = self.request
        return LoginTerms(
            request.person,
            None if request.account is None else request.account.encode(),
            None if request.secret is None else request.secret.encode(),
            ours.capabilities,
            simple_plugin(greeting, theirs.plugin),
            self.client.tls,
            self.server.tls,
        )

    def _logged_in(
        self,
        greeting: Greeting,
        theirs: HandshakeResponse,
        ours: HandshakeResponse,
        before_ok: bytes,
        ok: bytes,
        catalog: str,
    ) -> LoginSteps:
        client = self.client
        exchange = Exchange(
            capabilities=theirs.capabilities & greeting.capabilities & OFFERED,
            mariadb=greeting.mariadb,
            collation=theirs.collation,
            schema=catalog,
            databases=self.request.databases,
            allow_replication=self.request.allow_replication,
            terms=self._terms(greeting, theirs, ours),
            default_collation=None if greeting.mariadb else greeting.collation,
        )
        server_side = MysqlServerSide(exchange)
        server_side.logged_in(ok)
        if before_ok:
            yield from client.send(before_ok)
        yield from client.send(ok)
        result: LoginResult = LoggedIn(
            client_side=MysqlClientSide(exchange),
            server_side=server_side,
            login=self.login,
            client=self.program,
            catalog=catalog,
            schema=exchange.schema,
            server_version=greeting.version,
            cancel_key=CancelKey(greeting.connection_id),
            client_rest=client.buffer,
            server_rest=self.server.buffer,
        )
        return result


def program_of(response: HandshakeResponse) -> str:
    """The client program as its connection attributes tell, with its version; '' where it sends none."""
    name = response.attribute(b"program_name") or response.attribute(b"_client_name")
    version = response.attribute(b"_client_version")
    text = f"{name} {version}".strip()
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:MAX_CLIENT_NAME]
