"""A PostgreSQL client that sends exactly the messages it is told to: what drivers do, without what they add."""

from __future__ import annotations

import socket
import struct
from types import TracebackType

from tests.protocols.postgres import messages as m

from .case import Place


class Wire:
    """A logged-in connection. `ask` sends messages and returns the kinds of what was answered."""

    def __init__(self, place: Place) -> None:
        self._socket = socket.create_connection((place.host, place.port), 20)
        self._socket.settimeout(place.patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.send(m.startup(user=place.user, database=place.database, application_name=place.client))
        while True:
            kind, body = self.message()
            if kind == "R" and struct.unpack_from(">I", body)[0] == 3:
                self.send(m.password(place.password))
            elif kind == "E":
                raise ConnectionError(body.replace(b"\0", b" ").decode(errors="replace"))
            elif kind == "Z":
                break

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.send(m.TERMINATE)
        self._socket.close()

    def send(self, *messages: bytes) -> None:
        """In one write."""
        self._socket.sendall(b"".join(messages))

    def message(self) -> tuple[str, bytes]:
        """The next message of the server: its kind and its body."""
        while len(self._buffer) < 5 or len(self._buffer) < 1 + int.from_bytes(self._buffer[1:5], "big"):
            data = self._socket.recv(256 * 1024)
            if not data:
                raise ConnectionError("the connection was closed")
            self._buffer += data
        end = 1 + int.from_bytes(self._buffer[1:5], "big")
        kind, body, self._buffer = chr(self._buffer[0]), self._buffer[5:end], self._buffer[end:]
        return kind, body

    def until(self, last: str) -> str:
        """The kinds of the messages up to one of that kind."""
        kinds = ""
        while not kinds.endswith(last):
            kinds += self.message()[0]
        return kinds

    def ask(self, *messages: bytes) -> str:
        """Sends, and reads up to ReadyForQuery; the kinds of what came."""
        self.send(*messages)
        return self.until("Z")

    def value(self, text: str) -> str:
        """The first value of a query."""
        self.send(m.query(text))
        found = ""
        while True:
            kind, body = self.message()
            if kind == "D":
                found = body[6:].decode()
            if kind == "Z":
                return found

    def leave(self) -> None:
        """Closes the connection without a word, as a client does that dies."""
        self._socket.close()
