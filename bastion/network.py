"""Reaching a database: dialling it through its network domain, and the rules of TLS to it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic
from typing import TypeVar

from bastion.protocols.contract import TlsMode

P = TypeVar("P", bound=asyncio.BaseProtocol)

AUTHORITIES_READ_AGAIN = 600.0
"""Seconds after which the system's authorities are read again, should one have been taken out."""

APPLICATION_PROTOCOLS = {"postgresql": ("postgresql",), "sqlserver": ("tds/8.0",)}
"""What a client may ask for by ALPN, by engine. libpq's direct TLS and TDS 8.0 go on only where it is agreed to."""


class DialFailed(Exception):
    """The database cannot be reached. `detail` says why in words, without secrets."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Target:
    """Where a database is and how it is spoken to. `ca` is PEM text; None: the system's certificate authorities.

    `certificate` and `certificate_key` (PEM) are what the bastion shows of itself, where the account has them.
    """

    host: str
    port: int
    domain: str = ""
    tls_mode: TlsMode = TlsMode.PREFER
    ca: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    certificate_key: str | None = field(default=None, repr=False)


async def dial(target: Target, factory: Callable[[], P], seconds: float) -> P:
    """Connects to `target` and returns the protocol object, connected. Raises DialFailed within `seconds`."""
    if target.domain:
        raise DialFailed(f"its network domain {target.domain} needs a proxy, which this version does not dial yet")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            transport, protocol = await loop.create_connection(factory, target.host, target.port)
    except TimeoutError as error:
        raise DialFailed(f"no answer within {seconds:g} seconds") from error
    except socket.gaierror as error:
        raise DialFailed("its host name cannot be resolved") from error
    except OSError as error:
        raise DialFailed(_words(error)) from error
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return protocol


def _words(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused: nothing listens on that port"
    return (error.strerror or type(error).__name__).lower()


def tls_context(target: Target, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """The TLS rules of the database's mode, with libpq's meaning of the names.

    `prefer` and `require` encrypt without checking who answers; `verify-ca` checks the chain, `verify-full` also the
    name.
    Raises ssl.SSLError for a CA, a certificate or a key that cannot be read.
    """
    if target.tls_mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL):
        if target.certificate is None:
            return _remembered(target.tls_mode, target.ca, alpn, int(monotonic() / AUTHORITIES_READ_AGAIN))
        context = _verifying(target.tls_mode, target.ca)
    else:
        # The system's authorities are not looked at, so they are not read either.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.certificate is not None and target.certificate_key is not None:
        _load_certificate(context, target.certificate, target.certificate_key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@lru_cache(maxsize=64)
def _remembered(mode: TlsMode, ca: str | None, alpn: tuple[str, ...], _period: int) -> ssl.SSLContext:
    """One for all sessions with the same rules, which none of them changes; who shows a certificate has his own."""
    context = _verifying(mode, ca)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _verifying(mode: TlsMode, ca: str | None) -> ssl.SSLContext:
    """Reading the system's authorities takes all sessions' time: 20 ms and more."""
    context = ssl.create_default_context(cadata=ca)
    if ca is not None:
        # The given certificate is the anchor, also where it is no root or the server's own.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Private authorities leave out extensions that RFC 5280 asks for; libpq takes them, Python 3.13 would not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode is TlsMode.VERIFY_FULL
    return context


def serving_context(chain: str, key: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """TLS towards a client, with a leaf of the bastion's own authority (both PEM text).

    `alpn`: the application protocols that are agreed to where the client offers one of them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, chain, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _load_certificate(context: ssl.SSLContext, chain: str, key: str) -> None:
    """Both PEM text. Python reads them from files only; this one is in memory, so the key touches no disk."""
    memory = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(memory, (chain.rstrip("\n") + "\n" + key).encode())
        # A key that wants a passphrase must not make OpenSSL ask for one on the bastion's terminal.
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=lambda: "")
    finally:
        os.close(memory)
