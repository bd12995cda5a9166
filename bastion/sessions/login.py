"""Drives a protocol's login steps: the I/O, the time limits and the TLS of both legs."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastion.protocols.contract import (
    Answer,
    CancelSteps,
    LoginAborted,
    LoginEnded,
    LoginResult,
    LoginSteps,
    Read,
    Received,
    Redial,
    Refusal,
    Send,
    StartTls,
    Step,
)
from bastion.protocols.contract import (
    Leg as Side,
)
from bastion.protocols.reach import Reached, ReachSteps

from .legs import Leg, LegClosed, TlsFailed, first_of

MAX_STEPS = 2_000
"""Steps of one login. Far above what any protocol needs; it ends a peer that keeps a login busy for ever."""


Ended = asyncio.Future[Any]
"""Done when a session is ended from outside, with a live.Ending: its `refusal` is what the client is told."""


class RedialRefused(Exception):
    """The database sent the connection to where it may not go, or where nothing answers; `refusal` says which."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ClientTlsFailed(Exception):
    """The client broke off the TLS handshake, or did not speak TLS; the message is OpenSSL's reason."""


@dataclass(slots=True)
class Legs:
    """The two legs of a login and how they change: TLS contexts by need, a new server leg at a redirect."""

    client: Leg | None
    server: Leg | None
    client_tls: Callable[[], ssl.SSLContext] | None = None
    server_tls: Callable[[tuple[str, ...]], ssl.SSLContext] | None = None
    server_name: str = ""
    server_pin: str | None = None
    """SHA-256 (hex) of the public key that the database must show, whatever its TLS mode checks beside it."""
    shows_certificate: bool = False
    """Whether the account has a certificate that the database is shown."""
    certificate_unanswered: bool = False
    """The certificate was shown and the database has not said a word since: in TLS 1.3 it judges it afterwards."""
    redial: Callable[[str | None, int | None], Awaitable[Leg]] | None = None
    tls_version: str = ""
    """What TLS stands to the database, '' in the clear."""

    def leg(self, side: Side) -> Leg:
        leg = self.client if side is Side.CLIENT else self.server
        if leg is None:
            raise LegClosed(f"there is no {side.value} connection")
        return leg


async def drive_login(
    steps: LoginSteps,
    legs: Legs,
    seconds: float,
    late: Refusal,
    tls_refusal: Callable[[str], Refusal],
    ended: Ended | None = None,
) -> LoginResult:
    """Runs a login to its result within `seconds`.

    A time limit, a TLS failure or a lost database becomes a refusal in the client's protocol: `late` for the first,
    `tls_refusal(detail)` for the second. `ended` gives the login up at once when it is done, with what it says.
    Raises contract.ProtocolError as the steps do.
    """
    try:
        async with unless_ended(seconds, ended):
            return await _run(steps, legs)
    except TimeoutError:
        over = None if ended is None or not ended.done() else ended.result().refusal
        return await _abort(steps, legs, over or late)
    except ClientTlsFailed as error:
        return LoginEnded(by="client", error=f"TLS with the client failed: {error}")
    except TlsFailed as error:
        return await _abort(steps, legs, tls_refusal(str(error)))
    except RedialRefused as error:
        return await _abort(steps, legs, error.refusal)
    except LegClosed as error:
        steps.close()
        return LoginEnded(by="client" if legs.client is None or legs.client.is_closed else "database", error=str(error))
    finally:
        steps.close()


@asynccontextmanager
async def unless_ended(seconds: float | None, ended: Ended | None) -> AsyncIterator[None]:
    """A time limit that is also over as soon as `ended` is done. Raises TimeoutError for both."""
    async with asyncio.timeout(0 if ended is not None and ended.done() else seconds) as limit:
        loop = asyncio.get_running_loop()

        def over(_: object) -> None:
            limit.reschedule(loop.time())

        if ended is not None:
            ended.add_done_callback(over)
        try:
            yield
        finally:
            if ended is not None:
                ended.remove_done_callback(over)


async def drive_cancel(steps: CancelSteps, legs: Legs, seconds: float) -> bool:
    """Runs a side connection's steps; False when it did not come to its end within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            step = next(steps)
            for _ in range(MAX_STEPS):
                step = steps.send(await _do(step, legs))
    except StopIteration as end:
        return bool(end.value)
    except (TimeoutError, TlsFailed, LegClosed, ClientTlsFailed, RedialRefused):
        return False
    finally:
        steps.close()
    return False


async def drive_reach(steps: ReachSteps, legs: Legs, seconds: float) -> Reached:
    """Runs a connection without a login to its end. Raises TimeoutError, TlsFailed, LegClosed."""
    try:
        async with asyncio.timeout(seconds):
            step = next(steps)
            while True:
                step = steps.send(await _do(step, legs))
    except StopIteration as end:
        reached: Reached = end.value
        return reached
    finally:
        steps.close()


async def _run(steps: LoginSteps, legs: Legs) -> LoginResult:
    try:
        step = next(steps)
        for _ in range(MAX_STEPS):
            step = steps.send(await _do(step, legs))
    except StopIteration as end:
        result: LoginResult = end.value
        return result
    raise LegClosed("the login did not come to an end")


async def _do(step: Step, legs: Legs) -> Answer:
    match step:
        case Read(leg=None):
            ready = await first_of(tuple(leg for leg in (legs.client, legs.server) if leg is not None))
            return Received(ready.side, await ready.read())
        case Read(leg=Side() as side):
            leg = legs.leg(side)
            data = await leg.read()
            if not data and leg.failure and side is Side.SERVER:
                raise TlsFailed(f"the database says {leg.failure}")
            if side is Side.SERVER and legs.certificate_unanswered:
                if not data:
                    # Its alert may be lost where it closes without having read what was sent behind the handshake.
                    raise TlsFailed("it closed the connection; it may not take the account's certificate")
                legs.certificate_unanswered = False
            return Received(side, data)
        case Send(leg=side, data=data):
            legs.leg(side).write(data)
            return None
        case StartTls(leg=Side.CLIENT, received=received, envelope=envelope):
            if legs.client_tls is None:
                raise TlsFailed("the bastion has no certificate to offer")
            client = legs.leg(Side.CLIENT)
            try:
                return await client.start_tls(legs.client_tls(), server_side=True, received=received, envelope=envelope)
            except TlsFailed as error:
                # Nothing that could be said now would be read.
                raise ClientTlsFailed(str(error)) from error
        case StartTls(received=received, alpn=alpn, envelope=envelope):
            if legs.server_tls is None:
                raise TlsFailed("no TLS rules for this database")
            try:
                context = legs.server_tls(alpn)
            except ssl.SSLError as error:
                raise TlsFailed("the certificates or the key of its settings cannot be read") from error
            started = await legs.leg(Side.SERVER).start_tls(
                context,
                server_side=False,
                hostname=legs.server_name or None,
                received=received,
                envelope=envelope,
            )
            if legs.server_pin is not None:
                shown = public_key_digest(started.certificate)
                if shown != legs.server_pin:
                    raise TlsFailed(f"its public key is not the pinned one but has the SHA-256 {shown}")
            legs.tls_version = started.version
            legs.certificate_unanswered = legs.shows_certificate
            return started
        case Redial(host=host, port=port):
            if legs.redial is None:
                raise LegClosed("the database sent the connection elsewhere")
            if legs.server is not None:
                legs.server.close()
            legs.server = None
            legs.server = await legs.redial(host, port)
            legs.tls_version = ""
            if host is not None:
                legs.server_name = host
            return None
    raise AssertionError(f"no such step: {step}")


async def _abort(steps: LoginSteps, legs: Legs, refusal: Refusal) -> LoginResult:
    """Tells the client why, through the steps, without waiting for anybody."""
    try:
        step = steps.throw(LoginAborted(refusal))
        for _ in range(MAX_STEPS):
            if not isinstance(step, Send):
                break
            legs.leg(step.leg).write(step.data)
            step = steps.send(None)
    except StopIteration as end:
        if isinstance(end.value, LoginEnded):
            return end.value
    except (LoginAborted, LegClosed):
        pass
    return LoginEnded(by="bastion", error=refusal.message)


def public_key_digest(certificate: bytes | None) -> str:
    """SHA-256 (hex) of a certificate's SubjectPublicKeyInfo, as RFC 7469 pins it; '' where there is none."""
    if certificate is None:
        return ""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
