"""ERR packets: the bastion's refusals in MySQL's protocol, and the server's errors read."""

from __future__ import annotations

from bastion.protocols.contract import DatabaseError, Refusal

from .codec import Malformed

PROGRESS_REPORT = 0xFFFF
"""The error number with which MariaDB marks a progress report: an ERR packet that ends nothing."""

MAX_MESSAGE = 4096
"""Bytes of a refusal's text in an ERR packet; clients keep 512 characters."""

_DEFAULT = (1105, "HY000")
_AT_LOGIN: dict[str, tuple[int, str]] = {
    "too-many-sessions": (1040, "08004"),
    "bastion-stopping": (1053, "08S01"),
    "database-name-not-allowed": (1044, "42000"),
    "database-unreachable": _DEFAULT,
    "database-tls": _DEFAULT,
    "login-timeout": _DEFAULT,
    "record-failed": _DEFAULT,
    "internal": _DEFAULT,
    "not-understood": (1043, "08S01"),
}
_AT_STATEMENT: dict[str, tuple[int, str]] = {
    "database-name-not-allowed": (1044, "42000"),
    "statement-handle-unknown": (1243, "HY000"),
}


def encode_error(number: int, state: str, message: str, *, with_state: bool = True) -> bytes:
    """The payload of an ERR packet. Before the greeting no SQLSTATE is sent: no capability is agreed on yet."""
    text = message.encode()[:MAX_MESSAGE].decode("utf-8", "ignore").encode()
    return b"\xff" + number.to_bytes(2, "little") + (b"#" + state.encode() if with_state else b"") + text


def error_at_login(refusal: Refusal, *, greeted: bool = True) -> bytes:
    """The payload that refuses a login; what is not listed is an access that is denied."""
    number, state = _AT_LOGIN.get(refusal.code, (1045, "28000"))
    return encode_error(number, state, refusal.message, with_state=greeted)


def error_for_statement(refusal: Refusal) -> bytes:
    """The payload that answers a statement that is not sent to the database."""
    number, state = _AT_STATEMENT.get(refusal.code, (1227, "42000"))
    return encode_error(number, state, refusal.message)


def error_at_end(refusal: Refusal, *, mariadb: bool) -> bytes:
    """The payload of the last words: the connection is closed after them."""
    if refusal.code == "bastion-stopping":
        return encode_error(1053, "08S01", refusal.message)
    return encode_error(1927, "70100", refusal.message) if mariadb else encode_error(3169, "HY000", refusal.message)


def decode_error(payload: bytes, codec: str = "utf-8") -> DatabaseError:
    """A server's ERR packet. Raises Malformed when it has no room for an error number."""
    if len(payload) < 3:
        raise Malformed("an ERR packet without an error number")
    number = int.from_bytes(payload[1:3], "little")
    if payload[3:4] == b"#":
        state, text = payload[4:9].decode("ascii", "replace"), payload[9:]
        return DatabaseError(f"{number} ({state})", text.decode(codec, "backslashreplace"))
    return DatabaseError(str(number), payload[3:].decode(codec, "backslashreplace"))
