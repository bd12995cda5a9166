"""The login of a session: the connection is accepted on both legs, both negotiate, and each proves itself on its own.

What both sides negotiate passes as it is, so that the bodies that follow mean the same on both legs; taken out of the
offer is only what the bastion does not carry (`connect`). The client proves that it knows the O&M token; the bastion
proves the account's password to the database.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Generator
from typing import TypeVar

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
    Refusal,
    Send,
    StartTls,
    Step,
)

from . import authentication as o5
from . import constants as c
from . import native_encryption
from .auth_messages import AuthMessage, read_answer, read_request
from .client_side import OracleClientSide
from .codec import Dialect, Malformed, Reader, Short
from .connect import Accept, Connect, Descriptor, read_connect, read_descriptor, server_descriptor
from .end_of_call import EndOfCall, end_of_call
from .exchange import Exchange
from .login_leg import LegClosed, LoginLeg
from .negotiation import (
    DataTypes,
    agreed,
    data_types_answer,
    data_types_request,
    protocol_answer,
    protocol_request,
)
from .refusal import call_refused, connect_refused
from .replies import Expected, ReplyReader
from .server_login import LoginRefused, Server, ServerRefused
from .server_side import OracleServerSide

T = TypeVar("T")

TLS_HANDSHAKE = 0x16

ORDINARY_MODES = 0x1 | 0x100 | 0x40000000
"""Bits of a login's mode that ask for no privilege: to log on, with a password, and one that SQL*Plus sets."""

CHANGE_PASSWORD = 0x2

_NOT_CARRIED = {
    "AUTH_NEWPASSWORD": Refusal(
        "password-change", "The password of an account cannot be changed while logging in through the bastion."
    ),
    "PROXY_CLIENT_NAME": Refusal("proxy-login", "Proxy logins (ACCOUNT[USER]) do not pass the bastion."),
    "AUTH_TOKEN": Refusal(
        "federated-login",
        "Logins with a token of an identity provider do not pass the bastion. Log in with a user name; the password is "
        "the O&M token.",
    ),
}
_SESSION_SETTINGS = re.compile(
    r"\s*ALTER\s+SESSION\s+SET(\s+(TIME_ZONE|NLS_[A-Z_]+)\s*=\s*('[^']*'|[A-Z0-9_]+))+\s*\Z", re.I
)
"""What a client may have done during its login: nothing that says anything of data."""

LOST = Refusal("database-unreachable", "The database closed the connection during login. Try again later.")
PRIVILEGED = Refusal("privileged-login", "Logins AS SYSDBA, SYSOPER and the like do not pass the bastion.")
POOLED = Refusal(
    "server-pool",
    "Sessions from a pool of the server (DRCP, SERVER=POOLED) do not pass the bastion. Ask for a dedicated server.",
)
NO_USER = Refusal(
    "integrated-login",
    "Logins without a user name (operating system, Kerberos, wallet) do not pass the bastion. Give a user name; the "
    "password is the O&M token.",
)
TOKEN_WANTED = Refusal(
    "client-token-needed",
    "The password of the database login must be the O&M token here: Oracle's protocol needs one that both sides know. "
    "Request one (casemate token DATABASE) and give it as the password.",
)
SAME_PLATFORM = Refusal(
    "client-not-supported",
    "This client of Oracle's speaks to a database on the same platform in a form that the bastion does not read. Use a "
    "thin driver (python-oracledb, JDBC thin, SQLcl, DBeaver).",
)


def log_in_both(request: LoginRequest) -> LoginSteps:
    """The steps of a session's login; see `Engine.login`."""
    attempt = _Attempt(request)
    by, failure = "bastion", None
    try:
        return (yield from attempt.steps())
    except ServerRefused as said:
        yield Send(Leg.CLIENT, said.packet.data)
        return attempt.ended("database", said.reason)
    except (LoginRefused, LoginAborted) as refused:
        refusal = refused.refusal
    except LegClosed as closed:
        if closed.leg is Leg.CLIENT:
            return attempt.ended("client", "the client closed the connection during login")
        by, refusal = "database", LOST
    except ProtocolError as error:
        sentence = (
            f"The bastion could not read what was sent as Oracle's protocol ({error.reason}). The login is ended."
        )
        refusal, failure = Refusal("not-understood", sentence), error
    yield Send(Leg.CLIENT, attempt.refused(refusal))
    if failure is not None:
        raise failure
    return attempt.ended(by, refusal.message if by == "database" else f"{refusal.code}: {refusal.message}")


def refuse(refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
    """See Engine.refuse: a REFUSE in answer to the CONNECT, of which every client shows the number."""
    client = _Client(can_encrypt=client_tls)
    try:
        yield from client.connect()
    except LegClosed:
        return LoginEnded("client", refusal.message)
    except (LoginAborted, ProtocolError):
        pass
    yield Send(Leg.CLIENT, connect_refused(refusal))
    return LoginEnded("bastion", refusal.message, "", client.descriptor.program)


class _Client:
    """The client's leg, up to its CONNECT."""

    def __init__(self, *, can_encrypt: bool) -> None:
        self.leg = LoginLeg(Leg.CLIENT)
        self.descriptor = Descriptor({})
        self.found: Connect
        self._can_encrypt = can_encrypt

    def connect(self) -> Generator[Step, Answer, None]:
        """Raises LegClosed and ProtocolError."""
        if (yield from self.leg.peek()) == TLS_HANDSHAKE and self._can_encrypt:
            yield StartTls(Leg.CLIENT, self.leg.taken())
        found = yield from self.leg.read_packet()
        try:
            self.found = read_connect(found)
            text = self.found.descriptor
            if self.found.length:
                following = yield from self.leg.read_packet()
                text = following.content.decode("utf-8", "backslashreplace")
                if following.kind != c.DATA or len(following.content) < self.found.length:
                    raise Malformed("a CONNECT whose descriptor does not follow")
            self.descriptor = read_descriptor(text)
        except Malformed as error:
            raise ProtocolError(Leg.CLIENT, str(error), found.data[:64]) from None


class _Attempt:
    """One login in the making: what is known so far, for whoever has to be told how it ended."""

    def __init__(self, request: LoginRequest) -> None:
        self.request = request
        self.client = _Client(can_encrypt=request.client_tls)
        self.server = Server(request.server_tls)
        self.dialect: Dialect | None = None
        self.call: AuthMessage | None = None
        self.user = ""
        self.version = ""

    def ended(self, by: str, error: str) -> LoginEnded:
        return LoginEnded(by, error, self.user, self.client.descriptor.program)

    def refused(self, refusal: Refusal) -> bytes:
        """The refusal at the place in the login where it is."""
        leg = self.client.leg
        if self.dialect is None or self.call is None:
            return connect_refused(refusal) if not leg.wide else b""
        content = call_refused(refusal, self.dialect, call=self.call.sequence, status=0)
        step = next(leg.send(content))
        assert isinstance(step, Send)
        return step.data

    def steps(self) -> LoginSteps:
        client, server, request = self.client, self.server, self.request
        yield from client.connect()
        service, sid = self._wanted(client.descriptor)
        wanted = server_descriptor(client.descriptor, service=service, sid=sid, person=request.person)
        accept = yield from server.connect(client.found, wanted)
        yield Send(Leg.CLIENT, accept.for_client)
        client.leg.accepted(accept.version, accept.unit)
        self.dialect = yield from self._negotiate()
        return (yield from self._authenticate(self.dialect, accept, service or sid))

    def _wanted(self, theirs: Descriptor) -> tuple[str, str]:
        """Service and SID that the listener is asked for: the database's own; a client may name no other."""
        request = self.request
        if theirs.value("COMMAND"):
            raise LoginRefused(Refusal("not-a-session", "Commands to the listener do not pass the bastion."))
        if theirs.value("SERVER").upper() == "POOLED":
            raise LoginRefused(POOLED)
        for ours, asked in ((request.service, theirs.service), (request.sid, theirs.sid)):
            if ours and asked and ours.lower() != asked.lower():
                raise LoginRefused(_other_service(asked, ours))
        if request.service or request.sid:
            return request.service, request.sid
        if request.databases:
            asked = theirs.service or theirs.sid
            if asked.lower() not in (each.lower() for each in request.databases):
                raise LoginRefused(_other_service(asked, ", ".join(request.databases)))
        return theirs.service, theirs.sid

    # ----------------------------------------------------------------------------------------------------- negotiation

    def _negotiate(self) -> Generator[Step, Answer, Dialect]:
        """Both sides' PRO and DTY, each passed on as it came."""
        client, server = self.client.leg, self.server.leg
        plain = Dialect()
        content, _ = yield from client.read_message(_begins_with(c.PROTOCOL, protocol_request, plain))
        while native_encryption.asks(content):
            yield from client.send(native_encryption.declined())
            content, _ = yield from client.read_message(_begins_with(c.PROTOCOL, protocol_request, plain))
        theirs = protocol_request(Reader(content, plain, 1))
        yield from server.send(content)
        content, answered = yield from server.read_message(_begins_with(c.PROTOCOL, protocol_answer, plain))
        if answered is None:
            raise ProtocolError(Leg.SERVER, "a request for encryption where the protocol should be")
        self.version = answered.banner
        yield from client.send(content)
        if theirs.banner == answered.banner:
            raise LoginRefused(SAME_PLATFORM)
        content, asked = yield from client.read_message(_begins_with(c.DATA_TYPES, data_types_request, plain))
        if asked is None:
            raise ProtocolError(Leg.CLIENT, "a request for encryption where the data types should be")
        requested = asked
        yield from server.send(content)

        def answer(reader: Reader) -> DataTypes:
            return data_types_answer(reader, requested)

        content, types = yield from server.read_message(_begins_with(c.DATA_TYPES, answer, plain))
        if types is None:
            raise ProtocolError(Leg.SERVER, "a request for encryption where the data types should be")
        yield from client.send(content)
        return agreed(answered, asked, types)

    # -------------------------------------------------------------------------------------------------- authentication

    def _authenticate(self, dialect: Dialect, accept: Accept, catalog: str) -> LoginSteps:
        client, server, request = self.client.leg, self.server.leg, self.request
        _, first = yield from client.read_message(lambda data: read_request(data, dialect))
        self.call, self.user = first, first.user
        self._check(first, c.AUTH_PHASE_ONE)
        if request.secret is not None and not self._expected():
            raise LoginRefused(TOKEN_WANTED)
        account = request.account if request.account is not None else first.user
        yield from server.send(self._towards_server(first, account))
        content, (asked, ended) = yield from server.read_message(lambda data: _answer_of(data, dialect))
        if asked is None:
            yield from client.send(content)
            return self.ended("database", ended.message)
        if request.secret is None:
            return (yield from self._relayed(dialect, accept, catalog, content, account))
        challenge = _challenge(asked)
        ours, half = o5.challenge_like(challenge, self._expected(), secrets.token_bytes)
        yield from client.send(asked.changed(_pairs_of(ours, asked)))
        _, second = yield from client.read_message(lambda data: read_request(data, dialect))
        self.call = second
        self._check(second, c.AUTH_PHASE_TWO)
        try:
            theirs = o5.verified(ours, half, self._expected(), _given(second))
        except o5.WrongPassword:
            raise LoginRefused(TOKEN_WANTED) from None
        given, combined = o5.answer(challenge, request.secret, secrets.token_bytes)
        yield from server.send(self._towards_server(second, account, _answers(given, second)))
        content, (found, ended) = yield from server.read_message(lambda data: _answer_of(data, dialect))
        if found is None:
            yield from client.send(content)
            return self.ended("database", ended.message)
        if not o5.is_server_proof(combined, _bytes(found.value("AUTH_SVR_RESPONSE"))):
            raise LoginRefused(
                Refusal("database-not-proved", "The database has not proved that it knows the account's password.")
            )
        proof = o5.server_proof(theirs, secrets.token_bytes).hex().upper()
        yield from client.send(found.changed({"AUTH_SVR_RESPONSE": proof}))
        return self._logged_in(dialect, accept, catalog, account, found)

    def _relayed(self, dialect: Dialect, accept: Accept, catalog: str, content: bytes, account: str) -> LoginSteps:
        """The client proves its own password to the database: nobody in between can read it."""
        client, server = self.client.leg, self.server.leg
        if self.user.upper() != account.upper():
            raise LoginRefused(
                Refusal("account-not-allowed", f"This token is for the account {account}. Log in under that name.")
            )
        yield from client.send(content)
        _, second = yield from client.read_message(lambda data: read_request(data, dialect))
        self.call = second
        self._check(second, c.AUTH_PHASE_TWO)
        yield from server.send(self._towards_server(second, account))
        content, (found, ended) = yield from server.read_message(lambda data: _answer_of(data, dialect))
        yield from client.send(content)
        if found is None:
            return self.ended("database", ended.message)
        return self._logged_in(dialect, accept, catalog, account, found)

    def _expected(self) -> str:
        """The password that the client must know."""
        return self.request.token or ""

    def _check(self, message: AuthMessage, function: int) -> None:
        """Raises LoginRefused for what does not pass the bastion, and ProtocolError."""
        if message.function != function:
            raise ProtocolError(Leg.CLIENT, "the phases of a login in another order")
        if message.user.upper() != self.user.upper():
            raise ProtocolError(Leg.CLIENT, "another user in the second phase of a login than in the first")
        if not message.user:
            raise LoginRefused(NO_USER)
        if message.mode & CHANGE_PASSWORD:
            raise LoginRefused(_NOT_CARRIED["AUTH_NEWPASSWORD"])
        if message.mode & ~ORDINARY_MODES:
            raise LoginRefused(PRIVILEGED)
        for name, refusal in _NOT_CARRIED.items():
            if message.value(name):
                raise LoginRefused(refusal)
        statement = message.value("AUTH_ALTER_SESSION")
        if statement and not _SESSION_SETTINGS.match(statement):
            raise LoginRefused(
                Refusal(
                    "login-statement",
                    "The client wants a statement to be run during the login. Only settings of the session's language "
                    "and time zone pass there.",
                )
            )

    def _towards_server(self, message: AuthMessage, account: str, values: dict[str, str] | None = None) -> bytes:
        """With the account in the user's place, and the person's name behind the program's."""
        changed = dict(values or {})
        program = message.value("AUTH_PROGRAM_NM")
        if program:
            person = self.request.person
            changed["AUTH_PROGRAM_NM"] = f"{program[: max(0, 45 - len(person))]} ({person})"[:48]
        return message.changed(changed, account)

    def _logged_in(
        self, dialect: Dialect, accept: Accept, catalog: str, account: str, found: AuthMessage
    ) -> LoginResult:
        exchange = Exchange(dialect, unit=accept.unit, wide=accept.version >= c.WIDE_LENGTHS)
        number = found.value("AUTH_SESSION_ID")
        return LoggedIn(
            client_side=OracleClientSide(exchange),
            server_side=OracleServerSide(exchange),
            login=self.user,
            client=self.client.descriptor.program,
            catalog=catalog,
            schema=account.upper(),
            server_version=found.value("AUTH_VERSION_STRING") or self.version,
            cancel_key=CancelKey(int(number) if re.fullmatch(r"[0-9]{1,18}", number) else 0),
            client_rest=self.client.leg.packets.rest,
            server_rest=self.server.leg.packets.rest,
        )


def _begins_with(kind: int, read: Callable[[Reader], T], dialect: Dialect) -> Callable[[bytes], T | None]:
    """Reads a message of that kind; one that asks for native encryption is None."""

    def reading(content: bytes) -> T | None:
        if native_encryption.asks(content):
            if not native_encryption.is_whole(content):
                raise Short
            return None
        reader = Reader(content, dialect)
        if reader.ub1() != kind:
            raise Malformed("another message than the negotiation has at that place")
        found = read(reader)
        if reader.position < len(content):  # they would go on unread
            raise Malformed("bytes behind the end of a message of the negotiation")
        return found

    return reading


def _answer_of(content: bytes, dialect: Dialect) -> tuple[AuthMessage | None, EndOfCall]:
    """The server's values and the end of the call; no values where it refuses. Raises Short and Malformed."""
    message, position = None, 0
    reader = Reader(content, dialect)
    while True:
        kind = content[position] if position < len(content) else -1
        if kind < 0:
            raise Short
        if kind == c.PARAMETERS:
            message, position = read_answer(content, dialect)
        elif kind == c.SERVER_PIGGYBACK:
            position = _behind_piggyback(reader, position)
        elif kind == c.ERROR:
            reader.position = position + 1
            ended = end_of_call(reader)
            return (None if ended.failed else message), ended
        else:
            raise Malformed(f"a message of type {kind} in the answer to a login")


def _behind_piggyback(reader: Reader, position: int) -> int:
    reader.position = position
    ReplyReader(Expected(c.AUTH_PHASE_TWO)).read(reader)
    return reader.position


def _challenge(asked: AuthMessage) -> o5.Challenge:
    verifier = asked.pairs["AUTH_VFR_DATA"].flags if "AUTH_VFR_DATA" in asked.pairs else 0
    if verifier not in o5.KNOWN:
        sentence = (
            f"The database has a verifier of kind {verifier:#06x} for the account, not that of 11g or 12c: the "
            "bastion does not use it. Set the account's password anew on the database, so that it gets a newer one."
        )
        raise LoginRefused(Refusal("verifier-not-supported", sentence))
    try:
        return o5.Challenge.of(asked.values(), verifier)
    except Malformed as error:
        raise ProtocolError(Leg.SERVER, str(error)) from None


def _pairs_of(challenge: o5.Challenge, asked: AuthMessage) -> dict[str, str]:
    values = {"AUTH_SESSKEY": challenge.session_key, "AUTH_VFR_DATA": challenge.salt}
    if asked.value("AUTH_PBKDF2_CSK_SALT"):
        values["AUTH_PBKDF2_CSK_SALT"] = challenge.key_salt
    return {name: value.hex().upper() for name, value in values.items()}


def _given(second: AuthMessage) -> o5.Answer:
    return o5.Answer(
        _bytes(second.value("AUTH_SESSKEY")),
        _bytes(second.value("AUTH_PASSWORD")),
        _bytes(second.value("AUTH_PBKDF2_SPEEDY_KEY")),
    )


def _answers(given: o5.Answer, second: AuthMessage) -> dict[str, str]:
    values = {"AUTH_SESSKEY": given.session_key, "AUTH_PASSWORD": given.password}
    if second.value("AUTH_PBKDF2_SPEEDY_KEY"):
        values["AUTH_PBKDF2_SPEEDY_KEY"] = given.speedy_key
    return {name: value.hex().upper() for name, value in values.items()}


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _other_service(asked: str, allowed: str) -> Refusal:
    return Refusal(
        "database-name-not-allowed", f"The service {asked!r:.200} may not be reached here; allowed is: {allowed}."
    )
