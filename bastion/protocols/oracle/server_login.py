"""The server's leg up to an accepted connection: TLS as the mode says, CONNECT, and where the listener sends it on."""

from __future__ import annotations

from collections.abc import Generator

from bastion.protocols.contract import Answer, Leg, ProtocolError, Redial, Refusal, Send, StartTls, Step, TlsMode

from . import constants as c
from .codec import Malformed
from .connect import Accept, Connect, for_server, read_accept, redirect_target, refusal_text, wants_tls_again
from .framing import Packet
from .login_leg import LoginLeg

MOST_REDIRECTS = 3
MOST_RESENDS = 5


class LoginRefused(Exception):
    """The bastion refuses the login."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ServerRefused(Exception):
    """The listener has; `packet` is what it said, `reason` the same for the record."""

    def __init__(self, found: Packet) -> None:
        self.packet = found
        self.reason = refusal_text(found.data)
        super().__init__(self.reason)


class Server:
    """The server's leg during a login."""

    def __init__(self, mode: TlsMode) -> None:
        self.leg = LoginLeg(Leg.SERVER)
        self.tls = False
        self._mode = mode

    def connect(self, client: Connect, descriptor: str) -> Generator[Step, Answer, Accept]:
        """Raises LoginRefused, ServerRefused, LegClosed, ProtocolError."""
        redirects = resends = 0
        redirected = False
        yield from self._encrypt()
        while True:
            yield Send(Leg.SERVER, for_server(client, descriptor, redirected=redirected))
            found = yield from self.leg.read_packet()
            if found.kind == c.ACCEPT:
                return self._accepted(found)
            if found.kind == c.REFUSE:
                raise ServerRefused(found)
            if found.kind == c.RESEND:
                resends += 1
                if resends > MOST_RESENDS:
                    raise ProtocolError(Leg.SERVER, "a listener that asks for the same again and again")
                if wants_tls_again(found):
                    yield StartTls(Leg.SERVER, self.leg.taken())
                continue
            if found.kind != c.REDIRECT:
                raise ProtocolError(Leg.SERVER, "the database does not answer as Oracle does", found.data[:64])
            redirects += 1
            if redirects > MOST_REDIRECTS:
                text = f"The database sent the connection on more than {MOST_REDIRECTS} times. Ask an administrator."
                raise LoginRefused(Refusal("redirect-not-allowed", text))
            descriptor = (yield from self._follow(found)) or descriptor
            redirected = True

    def _follow(self, found: Packet) -> Generator[Step, Answer, str]:
        length = int.from_bytes(found.data[8:10], "big")
        text = found.data[10 : 10 + length]
        if not text and length:  # it comes in a packet of its own
            text = (yield from self.leg.read_packet()).content
        try:
            host, port, descriptor = redirect_target(text.decode("utf-8", "backslashreplace"))
        except Malformed as error:
            raise ProtocolError(Leg.SERVER, str(error), found.data[:64]) from None
        yield Redial(host, port)
        self.leg = LoginLeg(Leg.SERVER)
        self.tls = False
        yield from self._encrypt()
        return descriptor

    def _encrypt(self) -> Generator[Step, Answer, None]:
        """A port speaks TLS (TCPS) or it does not: `prefer` cannot ask."""
        if self._mode not in (TlsMode.DISABLE, TlsMode.PREFER):
            yield StartTls(Leg.SERVER)
            self.tls = True

    def _accepted(self, found: Packet) -> Accept:
        try:
            accept = read_accept(found)
        except Malformed as error:
            raise ProtocolError(Leg.SERVER, str(error), found.data[:64]) from None
        if accept.encryption_required:
            raise LoginRefused(
                Refusal(
                    "database-tls",
                    "The database demands Oracle's native network encryption, which the bastion does not speak. Use "
                    "TLS (TCPS) instead, or ask its administrator to lift the demand for the bastion.",
                )
            )
        self.leg.accepted(accept.version, accept.unit)
        return accept
