"""The one SSH connection to a bastion, with the control channel on it.

It lives on a thread and an event loop of its own, so that a busy screen does not stall a tunnel, nor a tunnel the
screen. Calls are awaited from any event loop (`call`) or made from a worker thread (`call_now`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncssh
import msgspec

from bastion.api import messages as m
from bastion.api import methods, rpc
from bastion.api.methods import Method
from bastion.api.refusals import RefusalData, Refused

from .host_keys import HostKeys, OfferedKey, default_files, describe

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_PORT = 60022
SUBSYSTEM = "casemate"
CONNECT_SECONDS = 20.0
CALL_SECONDS = 30.0
CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
"""What processors do themselves comes first; the bastion has a shorter way for it too."""

KEEPALIVE_SECONDS = 15.0
BANNER_CHARACTERS = 2000


class LinkError(Exception):
    """The bastion is not, or no longer, at hand."""


class HostKeyUnknown(LinkError):
    """The bastion shows a key that no known_hosts file has."""

    def __init__(self, key: OfferedKey) -> None:
        super().__init__(f"The host key of {key.host}:{key.port} is not known ({key.algorithm} {key.fingerprint}).")
        self.key = key


class HostKeyChanged(LinkError):
    """The bastion shows another key than the known one: refused, whatever the person says."""

    def __init__(self, host: str, port: int, key: OfferedKey | None, files: tuple[Path, ...]) -> None:
        super().__init__(
            f"The host key of {host}:{port} is not the one that is known. Somebody may be between you and the bastion. "
            "Nothing was sent. Ask an administrator whether the key was changed on purpose."
        )
        self.host, self.port, self.key, self.files = host, port, key, files


class LoginRefused(LinkError):
    """The bastion answered and said no. The message is the bastion's own where it gave one."""


class KeyUnusable(LinkError):
    """The private key file cannot be read, or its passphrase is missing or wrong."""


class Unreachable(LinkError):
    """No SSH connection came about, or it was lost."""


class CallTimeout(LinkError):
    """The bastion did not answer a call in time."""


@dataclass(frozen=True)
class Target:
    """Where to log in, as whom."""

    user: str
    host: str
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str) -> Target:
        """`user@host[:port]`; an IPv6 address in brackets. Raises ValueError with a sentence."""
        user, at, address = text.strip().rpartition("@")
        if not at or not user:
            raise ValueError("Say who and where: user@host or user@host:port.")
        host, port_text = address, ""
        if address.startswith("["):
            host, closing, rest = address[1:].partition("]")
            if not closing or (rest and not rest.startswith(":")):
                raise ValueError("An IPv6 address stands in brackets: user@[2001:db8::1]:60022.")
            port_text = rest[1:]
        elif address.count(":") == 1:
            host, _, port_text = address.partition(":")
        if not host:
            raise ValueError("The host is missing: user@host:port.")
        if port_text and not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
            raise ValueError("The port is a number from 1 to 65535.")
        return cls(user, host, int(port_text) if port_text else DEFAULT_PORT)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"


@dataclass(frozen=True)
class Credentials:
    """What to log in with. With `agent`, the keys of the SSH agent are offered too."""

    password: str | None = field(default=None, repr=False)
    identity: Path | None = None
    agent: bool = True


class Listener(Protocol):
    """Called on the link's thread with each notification."""

    def __call__(self, event: m.Event) -> None: ...


class _Client(asyncssh.SSHClient):
    """Collects what the bastion says before the login, and judges its key."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.offered: OfferedKey | None = None
        self.banner = ""
        self.lost: Callable[[Exception | None], None] | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = describe(self._host, self._port, key)
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner = (self.banner + msg)[:BANNER_CHARACTERS]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost is not None:
            self.lost(exc)


class Link:
    """A logged-in connection. Make one with `Link.connect` or `Link.connect_now`; `close` it.

    `hello` says who one is. `on_lost` is called once, on the link's thread, when the connection ends without `close`.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.hello: m.Hello
        self.on_lost: list[Callable[[str], None]] = []
        self._listeners: list[Listener] = []
        self._topics: set[str] = set()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._next_id = 1
        self._closed = False
        self._connection: asyncssh.SSHClientConnection | None = None
        self._writer: asyncssh.SSHWriter[bytes] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._run_loop), name="casemate-link", daemon=True)
        self._thread.start()

    # -- opening and closing

    @classmethod
    def connect_now(
        cls,
        target: Target,
        credentials: Credentials,
        host_keys: HostKeys | None = None,
        timeout: float = CONNECT_SECONDS,
        sock: socket.socket | None = None,
    ) -> Link:
        """Connects, logs in and opens the control channel; blocks the calling thread for `timeout` seconds at most.

        `sock` is a connection that the bastion itself has handed to this process: it is logged in and its host key is
        not asked about.

        Raises HostKeyUnknown, HostKeyChanged, LoginRefused, KeyUnusable, Unreachable.
        """
        link = cls(target)
        try:
            link._on_loop(link._open(credentials, host_keys or HostKeys(default_files()), timeout, sock)).result(
                timeout + 5
            )
        except BaseException:
            link.close()
            raise
        return link

    @classmethod
    async def connect(
        cls,
        target: Target,
        credentials: Credentials,
        host_keys: HostKeys | None = None,
        timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109 - the limit is the link's, on its own loop
    ) -> Link:
        """`connect_now`, awaited."""
        return await asyncio.to_thread(cls.connect_now, target, credentials, host_keys, timeout)

    def close(self) -> None:
        """Ends the connection and its thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._loop.is_running():
            try:
                self._on_loop(self._shut()).result(5)
            except (TimeoutError, LinkError):
                log.warning("the link did not close in time")
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    @property
    def alive(self) -> bool:
        """Whether calls can still be made."""
        return not self._closed and self._writer is not None

    # -- calls

    async def call(self, method: Method, params: m.Message, timeout: float = CALL_SECONDS) -> Any:  # noqa: ASYNC109
        """One call of the control API. Raises Refused, Unreachable, CallTimeout."""
        return await asyncio.wrap_future(self._on_loop(self._call(method, params, timeout)))

    def call_now(self, method: Method, params: m.Message, timeout: float = CALL_SECONDS) -> Any:
        """The same from a worker thread; never from the link's own."""
        return self._on_loop(self._call(method, params, timeout)).result(timeout + 5)

    async def subscribe(self, *topics: str) -> None:
        """Asks for the notifications of `topics`, beside those asked for before."""
        self._topics.update(topics)
        await self.call(methods.SUBSCRIBE, methods.Subscription(topics=sorted(self._topics)))

    async def unsubscribe(self, *topics: str) -> None:
        """Asks for them no longer."""
        self._topics.difference_update(topics)
        await self.call(methods.SUBSCRIBE, methods.Subscription(topics=sorted(self._topics)))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called on the link's thread with every notification. Returns what ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    async def round_trip(self) -> float:
        """Seconds that the smallest call takes: the network both ways, and a millisecond or two of the bastion.
        Raises Refused, Unreachable, CallTimeout."""
        started = time.monotonic()
        await self.call(methods.SUBSCRIBE, methods.Subscription(topics=sorted(self._topics)))
        return time.monotonic() - started

    # -- for tunnels

    def run_on_loop(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Runs `work` on the link's loop and waits for it from another thread. Raises TimeoutError."""
        done: T = self._on_loop(work).result(timeout)
        return done

    async def open_channel(self, host: str, port: int) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """A direct-tcpip channel; on the link's loop. Raises asyncssh.ChannelOpenError, Unreachable."""
        if self._connection is None:
            raise Unreachable("The connection to the bastion is closed.")
        reader, writer = await self._connection.open_connection(host, port, encoding=None)
        return reader, writer

    # -- inside

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise Unreachable("The connection to the bastion is closed.") from error

    async def _open(
        self,
        credentials: Credentials,
        host_keys: HostKeys,
        timeout: float,  # noqa: ASYNC109
        sock: socket.socket | None = None,
    ) -> None:
        target = self.target
        client = _Client(target.host, target.port)
        trusted, revoked = host_keys.trusted(target.host, target.port)
        identities: list[Any] | None = None
        if credentials.identity is not None:
            try:
                identities = [asyncssh.read_private_key(str(credentials.identity), credentials.password or None)]
            except OSError as error:
                raise KeyUnusable(f"The key file {credentials.identity} cannot be read: {error.strerror}.") from error
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                raise KeyUnusable(
                    f"The key file {credentials.identity} cannot be used: {error}. "
                    "Where it has a passphrase, give it as the password."
                ) from error
        # A typed password is tried alone: every key offered before it would count as a failed login.
        only_password = credentials.password is not None and identities is None
        agent = os.environ.get("SSH_AUTH_SOCK") if credentials.agent and not only_password else None
        try:
            async with asyncio.timeout(timeout):
                connection, _ = await asyncssh.create_connection(
                    lambda: client,
                    target.host,
                    target.port,
                    username=target.user,
                    password=credentials.password,
                    client_keys=identities or (None if only_password or not credentials.agent else ()),
                    preferred_auth="publickey,password",
                    agent_path=agent,
                    known_hosts=None if sock is not None else lambda host, addr, port: (trusted, [], revoked),
                    sock=sock,
                    config=None,
                    compression_algs=["none"],
                    encryption_algs=CIPHERS,
                    keepalive_interval=KEEPALIVE_SECONDS,
                    keepalive_count_max=3,
                    login_timeout=timeout,
                    gss_host=None,
                    x509_trusted_certs=None,
                )
                self._connection = connection
                writer, reader, _errors = await connection.open_session(subsystem=SUBSYSTEM, encoding=None)
        except asyncssh.HostKeyNotVerifiable as error:
            if trusted or client.offered is None:
                raise HostKeyChanged(target.host, target.port, client.offered, tuple(host_keys.files)) from error
            raise HostKeyUnknown(client.offered) from error
        except asyncssh.KeyExchangeFailed as error:
            if trusted:
                raise HostKeyChanged(target.host, target.port, None, tuple(host_keys.files)) from error
            raise Unreachable(f"{target.host}:{target.port} and this side have no key exchange in common.") from error
        except asyncssh.PermissionDenied as error:
            raise LoginRefused(
                client.banner.strip()
                or "Login failed: the user name, the password or the key is wrong, or the account is locked."
            ) from error
        except asyncssh.ChannelOpenError as error:
            raise LoginRefused(f"The bastion did not open the control channel: {error.reason}.") from error
        except TimeoutError as error:
            raise Unreachable(f"{target.host}:{target.port} did not answer within {timeout:.0f} seconds.") from error
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"{target.host}:{target.port} cannot be reached: {_reason(error)}.") from error
        client.lost = self._connection_lost
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader))
        self.hello = await self._call(methods.HELLO, methods.Nothing(), timeout)

    async def _shut(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._connection is not None:
            self._connection.close()
            try:
                async with asyncio.timeout(3):
                    await self._connection.wait_closed()
            except TimeoutError:
                self._connection.abort()
        self._fail_answers("The connection to the bastion is closed.")
        self._writer = None
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _connection_lost(self, error: Exception | None) -> None:
        if self._closed or self._writer is None:
            return
        reason = f"The connection to the bastion was lost: {_reason(error) if error else 'it was closed there'}."
        self._writer = None
        self._fail_answers(reason)
        for told in list(self.on_lost):
            told(reason)

    def _fail_answers(self, reason: str) -> None:
        waiting, self._answers = self._answers, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(Unreachable(reason))

    async def _read(self, reader: asyncssh.SSHReader[bytes]) -> None:
        lines = rpc.Lines()
        try:
            while data := await reader.read(64 * 1024):
                for incoming in lines.feed(data):
                    self._received(incoming)
            self._connection_lost(None)
        except (rpc.LineTooLong, rpc.BadLine, asyncssh.Error, OSError) as error:
            self._connection_lost(error)

    def _received(self, incoming: rpc.Incoming) -> None:
        if incoming.method == methods.EVENT:
            try:
                event = msgspec.convert(incoming.params, m.Event)
            except msgspec.ValidationError:
                log.warning("a notification was not understood")
                return
            for listener in list(self._listeners):
                listener(event)
        elif incoming.id is not None and incoming.method is None:
            answer = self._answers.pop(incoming.id, None)
            if answer is None or answer.done():
                return
            if incoming.error is not None:
                answer.set_exception(_refusal(incoming.error))
            else:
                answer.set_result(incoming.result)

    async def _call(self, method: Method, params: m.Message, timeout: float) -> Any:  # noqa: ASYNC109
        if self._writer is None:
            raise Unreachable("The connection to the bastion is closed.")
        timeout = max(timeout, method.patience)
        id, self._next_id = self._next_id, self._next_id + 1
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._answers[id] = answer
        try:
            self._writer.write(rpc.request(id, method.name, params))
            async with asyncio.timeout(timeout):
                result = await answer
        except TimeoutError as error:
            raise CallTimeout(f"The bastion did not answer {method.name} within {timeout:.0f} seconds.") from error
        except OSError as error:
            raise Unreachable(f"The connection to the bastion was lost: {_reason(error)}.") from error
        finally:
            self._answers.pop(id, None)
        try:
            return msgspec.convert(result, method.result)
        except msgspec.ValidationError as error:
            raise Unreachable(f"The bastion's answer to {method.name} was not understood ({error}).") from error


def _refusal(error: rpc.RpcError) -> Exception:
    if error.data is not None:
        try:
            refusal = msgspec.convert(error.data, RefusalData)
        except msgspec.ValidationError:
            return Unreachable(error.message)
        return Refused(refusal.code, **refusal.params)
    return Unreachable(f"The bastion failed at this: {error.message}.")


def _reason(error: BaseException) -> str:
    text = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    return str(text).rstrip(".")
