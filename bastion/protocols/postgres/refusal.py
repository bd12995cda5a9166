"""The bastion's own words in PostgreSQL's form."""

from __future__ import annotations

from bastion.protocols.contract import Refusal

from .codec import message

SQLSTATES = {
    "database-unreachable": "08001",
    "database-tls": "08001",
    "login-timeout": "08001",
    "database-name-not-allowed": "3D000",
    "client-token-needed": "28P01",
    "not-understood": "08P01",
    "record-failed": "58030",
    "too-many-sessions": "53300",
    "bastion-stopping": "57P01",
    "session-ended": "57P01",
    "session-ended-by-auditor": "57P01",
    "token-expired": "57P01",
    "token-revoked": "57P01",
}
"""PostgreSQL documentation, appendix "Error Codes". Everything else is 42501 (statement) or 28000 (login)."""


def error(refusal: Refusal, *, fatal: bool) -> bytes:
    """An ErrorResponse: FATAL closes the connection for the client, ERROR leaves it usable."""
    severity = "FATAL" if fatal else "ERROR"
    state = SQLSTATES.get(refusal.code, "28000" if fatal else "42501")
    fields = (
        ("S", severity),
        ("V", severity),
        ("C", state),
        ("M", refusal.message),
        ("H", "The bastion says this, not the database."),
    )
    body = b"".join(code.encode() + text.replace("\0", "").encode() + b"\0" for code, text in fields) + b"\0"
    return message(b"E", body)


def notice(text: str, codec: str) -> bytes:
    """A NoticeResponse: it may stand between any two messages (documentation, "Asynchronous Operations")."""
    hint = "The bastion says this, not the database."
    fields = (("S", "WARNING"), ("V", "WARNING"), ("C", "01000"), ("M", text.replace("\0", "")), ("H", hint))
    body = b"".join(code.encode() + said.encode(codec, "replace") + b"\0" for code, said in fields) + b"\0"
    return message(b"N", body)


def ready(status: bytes) -> bytes:
    """ReadyForQuery with the transaction status `I`, `T` or `E`."""
    return message(b"Z", status)
