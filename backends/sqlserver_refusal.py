"""Why SQL Server refused a login, in its own words.

pymssql 2.4 keeps the words of a failed login for the first one of a process only: `clr_err` in its `_mssql.pyx` assigns
to local names, so the severity of the first failure stays, and what is not graver than that is dropped, number and
words alike. So they are read where they came in: in the first bytes from the server, which no TLS covers inside the
tunnel.

Source: [MS-TDS] 2.2.3.1 (packet header), 2.2.7.10 (ERROR), 2.2.7.13 (INFO), 2.2.7.9 (ENVCHANGE).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADER = struct.Struct(">BBHHBB")
_ANSWER = 4
"""The type of packets that come from the server."""
_LAST = 1
"""The status of a message's last packet."""
_ERROR, _INFO, _CHANGE = 0xAA, 0xAB, 0xE3
_ERROR_START = struct.Struct("<iBBH")
"""Number, state, severity and the length of the message in UTF-16 units."""


@dataclass(frozen=True)
class LoginRefusal:
    """An ERROR of the server's answer to a login."""

    number: int
    severity: int
    text: str


def login_refusals(beginning: bytes) -> list[LoginRefusal]:
    """The errors in `beginning`, the first bytes that came from the server; none where it says nothing of that kind.

    What is cut off or is no answer to a login is left alone; nothing is raised.
    """
    return [refusal for message in _messages(beginning) for refusal in _errors(message)]


def _messages(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    message, at = bytearray(), 0
    while at + _HEADER.size <= len(data):
        kind, status, length, *_rest = _HEADER.unpack_from(data, at)
        if kind != _ANSWER or length < _HEADER.size:
            break
        message += data[at + _HEADER.size : at + length]
        at += length
        if status & _LAST:
            found.append(bytes(message))
            message.clear()
    found.append(bytes(message))
    return found


def _errors(message: bytes) -> list[LoginRefusal]:
    """Of the tokens in front, as far as they are of the kinds that a refusal has."""
    found: list[LoginRefusal] = []
    at = 0
    while at + 3 <= len(message) and message[at] in (_ERROR, _INFO, _CHANGE):
        end = at + 3 + int.from_bytes(message[at + 1 : at + 3], "little")
        body = message[at + 3 : end]
        if message[at] == _ERROR and end <= len(message) and len(body) >= _ERROR_START.size:
            number, _state, severity, units = _ERROR_START.unpack_from(body)
            text = body[_ERROR_START.size : _ERROR_START.size + 2 * units]
            found.append(LoginRefusal(number, severity, text.decode("utf-16-le", "replace")))
        at = end
    return found
