"""The tunnel: a direct-tcpip channel on which a database session runs.

A token's login reaches that token's database and nothing else; a person's login reaches what `tunnel.open` has
promised it, once, within half a minute. The channel becomes the client's leg of a session: its bytes go from asyncssh's
callback into the leg with nothing in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

import asyncssh

from bastion.access.door import Admission, LiveToken
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.protocols.contract import Leg as Side
from bastion.sessions.legs import Leg
from bastion.sessions.live import Visit
from bastion.sessions.registry import new_session_id

from .arrivals import Arrivals
from .packets import Outbox

WINDOW = 4 * 1024 * 1024
"""Bytes that a client may send ahead on a tunnel."""

PACKET = 64 * 1024
"""Bytes of one SSH data packet that the bastion takes; OpenSSH sends at most 32 KiB."""

WRITE_AHEAD = 1024 * 1024
"""Bytes that wait for a slow client before the database's side is told to pause."""

CLOSING_SECONDS = 60.0
"""Seconds that a closed tunnel's client is given to take what is still buffered for it."""

PROMISE_SECONDS = 30.0
MAX_PROMISES = 64
PROMISED_DOMAIN = ".casemate"


class Promises:
    """What `tunnel.open` has promised to one connection: one channel each, for half a minute."""

    def __init__(self) -> None:
        self._promised: dict[str, tuple[Visit, int, float]] = {}

    def add(self, user: str, source: str, admission: Admission, purpose: str) -> m.Tunnel:
        """Promises a session. Raises Refused where too many promises are open."""
        now = monotonic()
        self._promised = {host: entry for host, entry in self._promised.items() if entry[2] > now}
        if len(self._promised) >= MAX_PROMISES:
            raise Refused("too-many-sessions", limit=MAX_PROMISES)
        session = new_session_id()
        visit = Visit(
            user=user,
            token=admission.token_id,
            source=source,
            database=admission.database,
            account=admission.account_label,
            engine=admission.engine,
            purpose=purpose,
            session=session,
        )
        host = session + PROMISED_DOMAIN
        self._promised[host] = (visit, admission.port, now + PROMISE_SECONDS)
        return m.Tunnel(
            session=session,
            host=host,
            port=admission.port,
            engine=admission.engine,
            database=admission.database,
            account=admission.account_label,
            hosted=admission.secret is not None,
        )

    def take(self, host: str, port: int) -> Visit:
        """What was promised at this address; it is gone then. Raises Refused."""
        entry = self._promised.get(host.lower())
        if entry is None or entry[1] != port or entry[2] < monotonic():
            raise Refused("tunnel-not-open")
        del self._promised[host.lower()]
        return entry[0]


def visit_of_token(user: str, source: str, token: LiveToken, host: str, port: int) -> Visit:
    """The session that a token's login may open at this address. Raises Refused for any address but the token's."""
    if port != token.port or host.lower().rstrip(".") not in (token.host.lower().rstrip("."), token.database.lower()):
        raise Refused(
            "token-wrong-database",
            host=token.host,
            port=token.port,
            database=token.database,
            asked_host=host[:255],
            asked_port=port,
        )
    return Visit(
        user=user,
        token=token.id,
        source=source,
        database=token.database,
        account=token.account,
        engine=token.engine,
        purpose="client",
    )


Channel = asyncssh.SSHTCPChannel[bytes]


class _ChannelTransport:
    """asyncssh's channel as a leg's transport: writing to a channel that has just been closed is no error."""

    __slots__ = ("_channel", "_write", "abort", "get_write_buffer_size", "pause_reading", "resume_reading")

    def __init__(self, channel: Channel, write: Callable[[bytes], None]) -> None:
        self._channel = channel
        self._write = write
        self.abort = channel.abort
        self.pause_reading = channel.pause_reading
        self.resume_reading = channel.resume_reading
        self.get_write_buffer_size = channel.get_write_buffer_size

    def write(self, data: Any) -> None:
        if not self._channel.is_closing():
            self._write(data)

    def tell(self, text: str) -> bool:
        """Tells whoever holds the other end of the SSH connection. Whether they show it is theirs to say.

        RFC 4253, section 11.3: SSH_MSG_DEBUG with always_display. OpenSSH shows it with -v only.
        """
        if self._channel.is_closing():
            return False
        self._channel.get_connection().send_debug(text, always_display=True)
        return True

    def close(self) -> None:
        channel: Any = self._channel
        channel.close()
        if channel.get_write_buffer_size():
            # asyncssh's abort does nothing to a channel that is being closed.
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, channel._close_send)


class Tunnel(asyncssh.SSHTCPSession[bytes]):
    """A channel that was accepted. `run` makes the session on it, as a task that `start` keeps.

    opened and closed are called when the channel stands, and when the other side has let go of it too. write sends on
    the channel; arrivals is told where its data goes, outbox tells when the connection as a whole is full.
    """

    def __init__(
        self,
        run: Callable[[Leg], Coroutine[Any, Any, None]],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        opened: Callable[[Tunnel], None],
        closed: Callable[[Tunnel], None],
        write: Callable[[bytes], None],
        arrivals: Arrivals | None,
        outbox: Outbox | None = None,
    ) -> None:
        self._run = run
        self._arrivals = arrivals
        self._outbox = outbox
        self._channel_full = False
        self._connection_full = False
        self._write = write
        self._start = start
        self._opened = opened
        self._closed = closed
        self._leg: Leg
        self._chan: Channel

    def connection_made(self, chan: Channel) -> None:
        chan.set_write_buffer_limits(high=WRITE_AHEAD, low=WRITE_AHEAD // 4)
        # asyncssh calls with the data type as second argument; a leg's bytes have none.
        leg = self._leg = Leg(Side.CLIENT, _ChannelTransport(chan, self._write))
        receive = leg.data_received
        self.data_received = lambda data, datatype: receive(data)  # type: ignore[method-assign]
        self._chan = chan
        if self._arrivals is not None:
            self._arrivals.add(chan, receive)
        if self._outbox is not None:
            self._outbox.listeners.add(self._pace_of_connection)
            self._pace_of_connection(self._outbox.full)
        self._opened(self)

    def session_started(self) -> None:
        self._start(self._run(self._leg))

    def pause_writing(self) -> None:
        self._channel_full = True
        self._pace()

    def resume_writing(self) -> None:
        self._channel_full = False
        self._pace()

    def _pace_of_connection(self, full: bool) -> None:
        self._connection_full = full
        self._pace()

    def _pace(self) -> None:
        """The leg waits for both: the channel's window and the connection's socket."""
        full = self._channel_full or self._connection_full
        if full and not self._leg.blocked:
            self._leg.pause_writing()
        elif self._leg.blocked and not full:
            self._leg.resume_writing()

    def eof_received(self) -> bool:
        self._leg.eof_received()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._arrivals is not None:
            self._arrivals.remove(self._chan)
        if self._outbox is not None:
            self._outbox.listeners.discard(self._pace_of_connection)
        self._leg.connection_lost(exc)
        self._closed(self)
