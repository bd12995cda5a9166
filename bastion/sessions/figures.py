"""What a live session is at, computed when somebody asks: from counters that the data path keeps anyway."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

from bastion.api.live import Figures
from bastion.protocols.contract import Transaction
from bastion.protocols.sql_where import lacks_where

from .live import Judged, LiveSession
from .record import KEPT_TEXT, RUNNING_TEXT, OpenStatement
from .risk import Facts, assess

SHORTEST_SPAN = 0.2
"""Seconds between two looks below which a rate would be noise: the one before holds on."""


class Look(NamedTuple):
    """What a session's counters said at one moment, and the rates up to then."""

    at: float
    bytes_down: int
    rows: int
    bytes_per_second: int = 0
    rows_per_second: int = 0


def state_of(session: LiveSession) -> str:
    """One of bastion.api.live.STATES."""
    relay = session.relay
    if session.ending.done():
        return "ending"
    if relay is None or session.state != "live":
        return "opening"
    if relay.hold is not None and relay.hold.number is not None:
        return "held"
    if relay.at_work is not None:
        return "streaming" if relay.server_side.rows else "running"
    return "idle" if session.record is None or session.record.transaction_since is None else "transaction"


def look(session: LiveSession, before: Look | None) -> Look:
    """The counters now, with the rates since the look before."""
    at = monotonic()
    relay, record = session.relay, session.record
    if relay is None or record is None:
        return Look(at, 0, 0)
    rows = record.rows + relay.server_side.rows
    if before is None:
        return Look(at, relay.bytes_down, rows)
    span = at - before.at
    if span < SHORTEST_SPAN:
        return before
    return Look(
        at,
        relay.bytes_down,
        rows,
        max(0, round((relay.bytes_down - before.bytes_down) / span)),
        max(0, round((rows - before.rows) / span)),
    )


def figures(session: LiveSession, seen: Look) -> Figures:
    """Everything that the live list shows of a session beside what it is."""
    relay, record = session.relay, session.record
    state = state_of(session)
    if relay is None or record is None:
        return Figures(state=state)
    number = relay.at_work
    if number is None and relay.hold is not None:
        number = relay.hold.number
    statement = None if number is None else record.without_outcome(number)
    now = monotonic()
    since = record.transaction_since
    transaction = ""
    if since is not None:
        transaction = "failed" if relay.server_side.transaction is Transaction.FAILED else "open"
    rows = relay.server_side.rows if statement is not None else 0
    risk, reasons = assess(
        Facts(
            production=session.production,
            kind="" if statement is None else statement.kind,
            without_where=number is not None and statement is not None and _judge(session, number, statement),
            running=None if statement is None else now - statement.since,
            rows=rows,
            bytes_per_second=seen.bytes_per_second,
            transaction=None if since is None else now - since,
            transaction_failed=transaction == "failed",
            statements=record.statements,
            errors=record.errors,
            unattributed_bytes=relay.unattributed,
            unusual=session.unusual or (),
        )
    )
    return Figures(
        state=state,
        statements=record.statements,
        errors=record.errors,
        seq=0 if statement is None or number is None else number,
        running=None if statement is None else " ".join(statement.text[: 2 * RUNNING_TEXT].split())[:RUNNING_TEXT],
        kind="" if statement is None else statement.kind,
        running_since=None if statement is None else moment(statement.since),
        rows=rows,
        rows_per_second=seen.rows_per_second,
        bytes_per_second=seen.bytes_per_second,
        bytes_up=relay.bytes_up,
        bytes_down=relay.bytes_down,
        transaction=transaction,
        transaction_since=None if since is None else moment(since),
        unattributed_bytes=relay.unattributed,
        risk=risk,
        reasons=reasons,
        hold=None if relay.hold is None else relay.hold.shown(),
    )


def _judge(session: LiveSession, number: int, statement: OpenStatement) -> bool:
    if statement.kind not in ("update", "delete", "with", "prepare", ""):
        return False
    known = session.judged
    if known is None or known.seq != number:
        engine = session.visit.engine
        without = lacks_where(statement.text, engine, whole=len(statement.text) < KEPT_TEXT)
        known = session.judged = Judged(number, without)
    return known.without_where


def moment(since: float) -> str:
    """A moment of the monotonic clock as messages have it. The same moment always gives the same text."""
    return datetime.fromtimestamp(_START + since, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


_START = time.time() - monotonic()
