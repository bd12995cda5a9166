"""JSON-RPC 2.0 on a byte stream, one object a line. Bounded: a line beyond MAX_LINE ends the connection.

Sans-IO: `Lines` cuts a stream into objects, `request`, `answer`, `failure` and `notification` make the bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_LINE = 4 * 1024 * 1024
"""Bytes of one object with its line end. A page of 1,000 statements with cut texts stays under it."""

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
REFUSED = 1
"""The call was understood and the answer is no: `data` holds a refusal (`code`, `params`)."""


class RpcError(msgspec.Struct):
    """`data` is `{"code": …, "params": {…}}` where `code` is REFUSED."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class Incoming(msgspec.Struct):
    """Any of the forms: a call has `id` and `method`, a notification `method`, an answer `id` and one of the rest."""

    jsonrpc: str = "2.0"
    id: int | None = None
    method: str | None = None
    params: dict[str, Any] = {}
    result: Any = None
    error: RpcError | None = None


class LineTooLong(Exception):
    """The other side sent more than MAX_LINE bytes without a line end."""


class BadLine(Exception):
    """A line is no JSON-RPC object."""


_decoder = msgspec.json.Decoder(Incoming)
_encoder = msgspec.json.Encoder()


class Lines:
    """Cuts a stream into objects."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Incoming]:
        """The objects that `data` completes. Raises LineTooLong or BadLine; the connection is then to be closed."""
        self._buffer += data
        found: list[Incoming] = []
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if line.strip():
                try:
                    found.append(_decoder.decode(line))
                except msgspec.DecodeError as error:
                    raise BadLine(f"not a JSON-RPC object: {error}") from error
        if len(self._buffer) > MAX_LINE:
            raise LineTooLong(f"a line of more than {MAX_LINE} bytes")
        return found


def request(id: int, method: str, params: Any) -> bytes:
    """A call. `params` is a struct or a dict."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + b"\n"


def answer(id: int, result: Any) -> bytes:
    """The good answer to a call."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "result": result}) + b"\n"


def failure(id: int | None, error: RpcError) -> bytes:
    """The bad answer to a call."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "error": error}) + b"\n"


def notification(method: str, params: Any) -> bytes:
    """A message that wants no answer."""
    return _encoder.encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"
