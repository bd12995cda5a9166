"""How events are sent: each sender takes a run of events and returns when the other side has them.

`send` raises OSError (with what the network, the file system or the other side said) when it cannot say that; the run
is sent again then. So everything arrives at least once, in order; with UDP, which knows no answer, at most once.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import re
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from bastion.destinations import Destination, File, Syslog, Webhook

from .events import Event

TIMEOUT = 15.0
"""Seconds that connecting, sending or an answer may take."""

_LOOK_AGAIN = 0.02
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_LARGEST_DATAGRAM = 65_507
_ANSWER = 4096
_DEFAULT_HTTPS = 443
_DEFAULT_HTTP = 80


class Refusing(OSError):
    """The other side answered, and did not take it."""


class Sender(Protocol):
    """One destination's way."""

    def send(self, events: Sequence[Event]) -> None:
        """Returns when they are there. Raises OSError."""

    def close(self) -> None:
        """Lets go of what it holds; the next `send` begins anew."""


def sender_for(destination: Destination) -> Sender:
    """The sender of a destination; nothing is opened yet."""
    if isinstance(destination, File):
        return FileSender(destination)
    if isinstance(destination, Webhook):
        return WebhookSender(destination)
    return DatagramSender(destination) if destination.transport == "udp" else StreamSender(destination)


def syslog_message(event: Event, facility: int, longest: int) -> bytes:
    """RFC 5424: the event as JSON in UTF-8 (6.4), MSGID its kind, HOSTNAME the node; no structured data."""
    priority = facility * 8 + event.severity
    node = _NOT_PRINTABLE.sub("_", event.node)[:255] or "-"
    head = f"<{priority}>1 {event.at} {node} casemate - {event.kind[:32]} - ".encode() + b"\xef\xbb\xbf"
    return head + event.json(longest - len(head))


class DatagramSender:
    """Syslog over UDP, one message a datagram (RFC 5426)."""

    def __init__(self, destination: Syslog) -> None:
        self._to = destination
        self._socket: socket.socket | None = None

    def send(self, events: Sequence[Event]) -> None:
        if self._socket is None:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._to.host, self._to.port, type=socket.SOCK_DGRAM
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.settimeout(TIMEOUT)
            self._socket.connect(address)
        for event in events:
            self._socket.send(syslog_message(event, self._to.facility, min(self._to.longest, _LARGEST_DATAGRAM)))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class StreamSender:
    """Syslog over TCP or TLS, each message behind its length. It is there once the other side's kernel says so."""

    def __init__(self, destination: Syslog) -> None:
        self._to = destination
        self._socket: socket.socket | None = None

    def send(self, events: Sequence[Event]) -> None:
        if self._socket is None:
            self._socket = self._connect()
        self._notice_an_end(self._socket)
        messages = (syslog_message(event, self._to.facility, self._to.longest) for event in events)
        self._socket.sendall(b"".join(b"%d %b" % (len(message), message) for message in messages))
        limit = time.monotonic() + TIMEOUT
        while _unacknowledged(self._socket):
            if time.monotonic() > limit:
                raise TimeoutError("it does not take what is sent")
            time.sleep(_LOOK_AGAIN)
            # What a connection that was reset had not delivered stays unacknowledged for ever.
            self._notice_an_end(self._socket)
        self._notice_an_end(self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self._to.host, self._to.port), TIMEOUT)
        if self._to.transport != "tls":
            return plain
        context = ssl.create_default_context(cafile=self._to.ca or None)
        if self._to.certificate:
            context.load_cert_chain(self._to.certificate, self._to.key or None)
        try:
            return context.wrap_socket(plain, server_hostname=self._to.host)
        except BaseException:
            plain.close()
            raise

    def _notice_an_end(self, connection: socket.socket) -> None:
        """A receiver says nothing; where it hung up, what was sent last may have been lost with it."""
        connection.settimeout(0.0)
        try:
            if connection.recv(_ANSWER) == b"":
                raise ConnectionResetError("it hung up")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            connection.settimeout(TIMEOUT)


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other side's kernel has not taken yet (tcp(7), SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])


class FileSender:
    """Appends to a file, and says so when it is on the disk."""

    def __init__(self, destination: File) -> None:
        self._to = destination
        self._path = Path(destination.path)
        self._file: int | None = None

    def send(self, events: Sequence[Event]) -> None:
        if self._file is None:
            self._file = self._open()
        if os.fstat(self._file).st_size >= self._to.size:
            self._rotate()
            self._file = self._open()
        text = b"".join(event.json() + b"\n" for event in events)
        while text:
            text = text[os.write(self._file, text) :]
        os.fdatasync(self._file)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A run that was cut off by a crash or a full disk ends in a line of its own; the run itself is sent again.
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")
        return file

    def _rotate(self) -> None:
        self.close()
        for number in range(self._to.kept - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        if self._to.kept:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class WebhookSender:
    """POST of JSON lines; any answer from 200 to 299 takes them."""

    def __init__(self, destination: Webhook) -> None:
        self._to = destination
        self._connection: http.client.HTTPConnection | None = None

    def send(self, events: Sequence[Event]) -> None:
        for start in range(0, len(events), self._to.batch):
            self._post(events[start : start + self._to.batch])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, events: Sequence[Event]) -> None:
        url = urlsplit(self._to.url)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Casemate-Node": _NOT_PRINTABLE.sub("_", events[0].node),
            "Casemate-Records": f"{events[0].number}-{events[-1].number}",
        }
        if self._to.token_file:
            headers["Authorization"] = f"Bearer {Path(self._to.token_file).read_text(encoding='ascii').strip()}"
        if self._connection is None:
            self._connection = self._connect()
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        try:
            body = b"".join(event.json() + b"\n" for event in events)
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            answer.read(_ANSWER)
        except http.client.HTTPException as error:
            raise Refusing(f"it answered no HTTP ({type(error).__name__})") from error
        if not answer.isclosed():
            self.close()
        if not 200 <= answer.status < 300:
            raise Refusing(f"it answered {answer.status} {answer.reason[:80]}")

    def _connect(self) -> http.client.HTTPConnection:
        url = urlsplit(self._to.url)
        host = url.hostname or ""
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self._to.ca or None)
            return http.client.HTTPSConnection(host, url.port or _DEFAULT_HTTPS, timeout=TIMEOUT, context=context)
        return http.client.HTTPConnection(host, url.port or _DEFAULT_HTTP, timeout=TIMEOUT)
