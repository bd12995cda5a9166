"""The server's half of a login: PRELOGIN, TLS as the database's mode says, LOGIN7, and what the server answers.

Used by a session's login, and by the test how far a connection comes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from bastion.protocols.contract import (
    Answer,
    DatabaseError,
    Leg,
    ProtocolError,
    Redial,
    Refusal,
    StartTls,
    Step,
    TlsMode,
)

from .codec import LegClosed, LoginEnvelope, LoginLeg, Malformed, Message, Short, unpack_u16, unpack_u32
from .constants import APPLICATION_PROTOCOL, HIGHEST_INFORMATION, Change, PacketKind, Token
from .negotiation import Encryption, Prelogin, ask, decode_prelogin
from .refusal import has_wide_counts
from .tokens import (
    DONES,
    LONG_LENGTH,
    SHORT_LENGTH,
    EnvChange,
    LoginAck,
    read_feature_acks,
    read_login_ack,
    read_saying,
)

TDS74 = 0x74000004


class LoginRefused(Exception):
    """The bastion refuses the login."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ServerSays(Exception):
    """The server has refused; `error` in its own words."""

    def __init__(self, error: DatabaseError) -> None:
        super().__init__(str(error))
        self.error = error


class Server:
    """The server's leg during a login."""

    def __init__(self, mode: TlsMode) -> None:
        self.leg = LoginLeg(Leg.SERVER)
        self.mode = mode
        self.strict = False
        self.tls = False
        self._encrypts = False

    def prelogin(self, client: Prelogin | None) -> Generator[Step, Answer, Prelogin]:
        """What the server says of itself. Raises LegClosed, ProtocolError, ServerSays.

        A server that wants TLS first (TDS 8.0) says nothing to anything else, so it is asked again in that way.
        """
        wanted = Encryption.NOT_SUPPORTED if self.mode is TlsMode.DISABLE else Encryption.ON
        try:
            return (yield from self._ask(client, wanted))
        except LegClosed:
            if self.mode is TlsMode.DISABLE:
                raise
        yield Redial()
        self.leg = LoginLeg(Leg.SERVER)
        yield StartTls(Leg.SERVER, alpn=(APPLICATION_PROTOCOL,))
        self.strict = self.tls = True
        return (yield from self._ask(client, Encryption.NOT_SUPPORTED))

    def _ask(self, client: Prelogin | None, wanted: Encryption) -> Generator[Step, Answer, Prelogin]:
        yield from self.leg.send(PacketKind.PRELOGIN, ask(client, wanted))
        message = yield from self.leg.read_message()
        if message.kind != PacketKind.ANSWER:
            raise ProtocolError(Leg.SERVER, "the database does not answer as SQL Server does", message.raw[:64])
        if message.data[:1] == bytes((Token.ERROR,)):
            found = read_login_answer(message.data, TDS74)
            raise ServerSays(found.error or DatabaseError("", "the database refused the connection"))
        try:
            answer = decode_prelogin(message.data)
        except Malformed as error:
            raise ProtocolError(Leg.SERVER, str(error), message.raw[:64]) from None
        self._encrypts = answer.encryption in (Encryption.ON, Encryption.REQUIRED)
        return answer

    def encrypt(self) -> Generator[Step, Answer, None]:
        """TLS as the mode says. Raises LoginRefused where the server will not have it so."""
        if self.strict:
            return
        if self.mode is TlsMode.DISABLE:
            if self._encrypts:
                raise LoginRefused(
                    Refusal(
                        "database-tls", "The database demands TLS, but its setting is disable. Ask an administrator."
                    )
                )
            return
        if self._encrypts:
            received, self.leg.buffer = self.leg.buffer, b""
            yield StartTls(Leg.SERVER, received, envelope=LoginEnvelope(Leg.SERVER))
            self.tls = True
        elif self.mode is not TlsMode.PREFER:
            text = f"The database offers no TLS, but its setting is {self.mode.value}. Ask an administrator."
            raise LoginRefused(Refusal("database-tls", text))

    def redirected(self) -> None:
        """The leg is another connection now."""
        self.leg = LoginLeg(Leg.SERVER)
        self.strict = self.tls = self._encrypts = False

    def log_in(self, login: bytes) -> Generator[Step, Answer, Message]:
        """Sends a LOGIN7; the server's answer. Raises LegClosed and ProtocolError."""
        yield from self.leg.send(PacketKind.LOGIN7, login)
        message = yield from self.leg.read_message()
        if message.kind != PacketKind.ANSWER:
            raise ProtocolError(Leg.SERVER, "the database does not answer as SQL Server does", message.raw[:64])
        return message


@dataclass(slots=True)
class LoginAnswer:
    """What the server's answer to a login says. `kept` are its data without what the client must not see."""

    ack: LoginAck | None = None
    ack_version_at: int = 0
    error: DatabaseError | None = None
    database: str = ""
    packet_size: int = 0
    route: tuple[str, int] | None = None
    kept: bytes = b""


def read_login_answer(data: bytes, version: int) -> LoginAnswer:
    """Reads it. Raises ProtocolError."""
    try:
        return _read(data, version)
    except (Short, Malformed, IndexError, ValueError) as error:
        reason = str(error) or "the answer to the login ends too early"
        raise ProtocolError(Leg.SERVER, reason, data) from None


def _read(data: bytes, version: int) -> LoginAnswer:
    found = LoginAnswer()
    kept = bytearray()
    position = 0
    while position < len(data):
        token = data[position]
        start = position
        keep = True
        if token in SHORT_LENGTH or token in LONG_LENGTH:
            size = 2 if token in SHORT_LENGTH else 4
            if position + 1 + size > len(data):
                raise Short
            length = (unpack_u16 if size == 2 else unpack_u32)(data, position + 1)[0]
            begin = position + 1 + size
            position = begin + length
            if position > len(data):
                raise Short
            body = data[begin:position]
            if token == Token.LOGINACK:
                found.ack = read_login_ack(body)
                version = found.ack.version
                found.ack_version_at = len(kept) + 4
            elif token == Token.ERROR:
                saying = read_saying(body, version)
                if saying.level > HIGHEST_INFORMATION and found.error is None:
                    found.error = saying.error
            elif token == Token.ENVCHANGE:
                keep = _change(found, EnvChange(body[0], body[1:]))
            elif token in (Token.SSPI, Token.FEDAUTHINFO, Token.SESSIONSTATE):
                raise Malformed("the answer to a login of a kind that was not asked for")
        elif token in DONES:
            # Before LOGINACK the width of the count is not agreed on; the message's end tells.
            wide = has_wide_counts(version) if found.ack is not None else len(data) - position >= 13
            position += 13 if wide else 9
            if position > len(data):
                raise Short
        elif token == Token.FEATUREEXTACK:
            position = read_feature_acks(data, position)
        else:
            raise Malformed(f"a token of the kind {token:#04x} in the answer to a login")
        if keep:
            kept += data[start:position]
    found.kept = bytes(kept)
    return found


def _change(found: LoginAnswer, change: EnvChange) -> bool:
    """Takes a change of the session in; whether the client may hear of it."""
    if change.kind == Change.DATABASE:
        found.database = change.text
    elif change.kind == Change.PACKET_SIZE and change.text.isdecimal():
        found.packet_size = int(change.text)
    elif change.kind in (Change.ROUTING, Change.ENHANCED_ROUTING):
        if change.kind == Change.ENHANCED_ROUTING:
            raise Malformed("a redirect of a kind that was not asked for")
        found.route = change.route
        return False
    # A client would keep the partner's name, and go there past the bastion when this server does not answer.
    return change.kind != Change.MIRROR
