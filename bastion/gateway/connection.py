"""One SSH connection: its login, and the channels that it may open."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncssh

from bastion.api.refusals import Refused
from bastion.sessions.legs import Leg

from .arrivals import Arrivals
from .authentication import PROMPT, Authentication, Identity
from .backlog import keep_together
from .caller import Caller
from .channel import SessionChannel, session_channel
from .packets import Outbox, refuse_tiny_packets, shorten
from .tunnel import PACKET, WINDOW, Channel, Promises, Tunnel, visit_of_token

if TYPE_CHECKING:
    from .server import Gateway

MAX_CHANNELS = 200
"""Channels that one connection may have open."""

KBDINT_ROUNDS = 3
"""Times that keyboard-interactive asks again after an empty answer."""

logger = logging.getLogger(__name__)


class Connection(asyncssh.SSHServer):
    """asyncssh's view of one connection. `served` is the identity of a connection that is logged in already, and
    `workstation` the name of the served workstation that it is of."""

    def __init__(
        self, gateway: Gateway, served: Identity | None = None, source: str = "", workstation: str = ""
    ) -> None:
        self._workstation = workstation
        self._gateway = gateway
        self._served = served
        self._rounds = 0
        self._open = 0
        self.source = source
        self.authenticating = False
        self.promises = Promises()
        self.ssh: asyncssh.SSHServerConnection
        self.authentication: Authentication

    # -------------------------------------------------------------------------------------------------------- the login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.ssh = conn
        self._outbox = shorten(conn)
        self._arrivals = None if self._outbox is None else Arrivals.install(conn)
        if not self.source:
            peer = conn.get_extra_info("peername")
            self.source = str(peer[0]) if isinstance(peer, tuple) else "local"
        self.authentication = Authentication(self._gateway.parts, conn, self.source)
        self._ask_of_proved_keys(conn)
        self._gateway.connected(self)

    def _ask_of_proved_keys(self, conn: asyncssh.SSHServerConnection) -> None:
        """asyncssh asks for a key before its signature only; this asks again behind it."""
        validate = conn.validate_public_key

        async def proved(username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
            found = await validate(username, key_data, msg, signature)
            return found and (not msg or await self.authentication.proved(username))

        conn.validate_public_key = proved  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        self._gateway.disconnected(self)

    def begin_auth(self, username: str) -> bool:
        self.authenticating = True
        if self._served is not None:
            self.authentication.identity = self._served
            return False
        return True

    async def auth_completed(self) -> None:
        self._gateway.authenticated(self)
        if self._served is None:
            await self.authentication.completed()

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return await self.authentication.key(username, key)

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        return await self.authentication.secret(username, password, "password")

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        self._rounds = 0
        return self._challenge()

    def _challenge(self) -> Any:
        return ("", "", "", [(PROMPT, False)])

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        if len(responses) != 1:
            return False
        if not responses[0] and self._rounds < KBDINT_ROUNDS:
            self._rounds += 1
            return self._challenge()
        return await self.authentication.secret(username, responses[0], "keyboard-interactive")

    # ----------------------------------------------------------------------------------------------------- the channels

    @property
    def identity(self) -> Identity:
        """Whose connection it is. Channels are opened after the login only."""
        identity = self.authentication.identity
        assert identity is not None
        return identity

    @property
    def outbox(self) -> Outbox | None:
        """What the connection sends waits here; None where that is asyncssh's own business."""
        return self._outbox

    def caller(self) -> Caller:
        """This connection's person as a caller of the control API. Raises Refused for a token's login."""
        identity = self.identity
        if identity.person is None:
            raise Refused("token-only-tunnels")
        return Caller(identity.person, self.source, promises=self.promises, workstation=self._workstation)

    def session_requested(self) -> Any:
        self._count_channel()
        channel = session_channel(self.ssh)
        keep_together(channel)
        refuse_tiny_packets(channel, self._channel_closed)
        return channel, SessionChannel(self._gateway, self, self._channel_closed)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        identity = self.identity
        try:
            if identity.token is not None:
                visit = visit_of_token(identity.user, self.source, identity.token, dest_host, dest_port)
            else:
                visit = self.promises.take(dest_host, dest_port)
        except Refused as refused:
            self._gateway.start_task(self.authentication.record_refusal(identity.user, "direct-tcpip", refused.code))
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, str(refused)) from refused
        self._count_channel()

        gateway = self._gateway

        async def run(leg: Leg) -> None:
            await gateway.parts.sessions.open(leg, visit)

        def closed(tunnel: Tunnel) -> None:
            gateway.tunnel_closed(tunnel)
            self._channel_closed()

        channel: Channel = self.ssh.create_tcp_channel(encoding=None, window=WINDOW, max_pktsize=PACKET)
        keep_together(channel)
        refuse_tiny_packets(channel, self._channel_closed)
        write = channel.write if self._outbox is None else self._outbox.writer(channel)
        return channel, Tunnel(
            run, gateway.start_task, gateway.tunnel_opened, closed, write, self._arrivals, self._outbox
        )

    def unix_connection_requested(self, dest_path: str) -> Any:
        raise asyncssh.ChannelOpenError(
            asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, str(Refused("channel-not-offered", kind="direct-streamlocal"))
        )

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return False

    def unix_server_requested(self, listen_path: str) -> bool:
        return False

    def _count_channel(self) -> None:
        if self._open >= MAX_CHANNELS:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, str(Refused("too-many-sessions", limit=MAX_CHANNELS))
            )
        self._open += 1

    def _channel_closed(self) -> None:
        self._open -= 1
