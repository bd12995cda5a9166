"""Refusals in the server's own protocol: ERROR and DONE ([MS-TDS] 2.2.7.10, 2.2.7.6)."""

from __future__ import annotations

from bastion.protocols.contract import Refusal

from .codec import encode_b_varchar, encode_us_varchar
from .constants import DONE_ERROR, DONE_IN_TRANSACTION, TDS8, TDS72, Token

LONGEST_TEXT = 2000
"""Characters of a refusal; clients show no more than 2,047."""

SPEAKER = "casemate"
"""Who an error comes from, in the place of the server's name."""

_LOGIN_FAILED = 18456
"""What every login is refused with: with most other numbers python-tds tries again until its time is over."""
_UNTRUSTED_LOGIN = 18452
_STATEMENT_DENIED = 50000
_STATEMENTS = {"statement-handle-unknown": 8179, "database-name-not-allowed": 916}
_SESSION_KILLED = 596


def has_wide_counts(version: int) -> bool:
    """Whether lines have 4 bytes and counts 8: from TDS 7.2 on, and in 8.0."""
    return version >= TDS72 or version == TDS8


def encode_error(number: int, level: int, message: str, version: int, *, state: int = 1) -> bytes:
    """The ERROR token. `level` is the error's class."""
    line = (1).to_bytes(4 if has_wide_counts(version) else 2, "little")
    body = (
        number.to_bytes(4, "little")
        + bytes((state, level))
        + encode_us_varchar(message[:LONGEST_TEXT])
        + encode_b_varchar(SPEAKER)
        + encode_b_varchar("")
        + line
    )
    return bytes((Token.ERROR,)) + len(body).to_bytes(2, "little") + body


def encode_done(kind: int, status: int, version: int) -> bytes:
    """One of the DONE tokens, without a count."""
    return bytes((kind,)) + status.to_bytes(2, "little") + bytes(2 + (8 if has_wide_counts(version) else 4))


def login_refused(refusal: Refusal, version: int) -> bytes:
    """The data of the answer to a login."""
    number = _UNTRUSTED_LOGIN if refusal.code == "integrated-login" else _LOGIN_FAILED
    return encode_error(number, 14, refusal.message, version) + encode_done(Token.DONE, DONE_ERROR, version)


def statement_refused(refusal: Refusal, version: int, *, calls: int, in_transaction: bool) -> bytes:
    """The data of the answer to a message that is not sent to the database; `calls`: it is so many RPCs.

    Each of them has an end of its own, the last one without the sign that more follows.
    """
    number = _STATEMENTS.get(refusal.code, _STATEMENT_DENIED)
    status = DONE_ERROR | (DONE_IN_TRANSACTION if in_transaction else 0)
    error = encode_error(number, 16, refusal.message, version)
    if not calls:
        return error + encode_done(Token.DONE, status, version)
    more = encode_done(Token.DONEPROC, status | 1, version)
    return error + more * (min(calls, 1000) - 1) + encode_done(Token.DONEPROC, status, version)


def cancelled(version: int, *, in_transaction: bool) -> bytes:
    """What ends a statement that somebody else than its client has cancelled."""
    refusal = Refusal("cancelled", "The statement was cancelled by the bastion, at somebody's order.")
    return statement_refused(refusal, version, calls=0, in_transaction=in_transaction)


def session_ended(refusal: Refusal, version: int) -> bytes:
    """The last words: the connection is closed behind them."""
    return encode_error(_SESSION_KILLED, 21, refusal.message, version) + encode_done(Token.DONE, DONE_ERROR, version)


def number_of(refusal: Refusal) -> str:
    """The number that a client is given for a refused statement, for the record."""
    return str(_STATEMENTS.get(refusal.code, _STATEMENT_DENIED))
