"""How risky a live session is: a figure from 0 to 100, and the reasons that it is made of.

It says where to look first, not that somebody does wrong. Each reason has a weight; what adds up counts half as much
again on a production database. The table stands in docs/auditors/live.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bastion.api.live import Reason

HIGHEST = 100

DEFINITIONS = frozenset({"create", "alter", "rename", "comment", "grant", "revoke", "reassign", "security"})
DESTRUCTION = frozenset({"drop", "truncate"})
WRITES = frozenset({"insert", "update", "delete", "merge", "replace", "copy", "load", "import", "bulk"})

RUNNING = ((600.0, 30), (60.0, 20), (10.0, 10))
"""Seconds that a statement has run, and what they add: the first that is reached counts."""

TRANSACTION = ((1800.0, 30), (300.0, 20), (60.0, 10))
ROWS = ((1_000_000, 30), (100_000, 20), (10_000, 10))
BYTES_PER_SECOND = ((64 << 20, 25), (16 << 20, 15), (4 << 20, 10))

ERRORS_FROM = 5
ERRORS_SHARE = 0.2
ERRORS_MANY = 50

UNUSUAL = {"first-time": 15, "new-source": 15, "unusual-hour": 10}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a session now. Times are seconds; None where nothing runs, or no transaction is open.

    kind, without_where, rows, running    of the statement at work
    unusual                               codes of UNUSUAL
    """

    production: bool = False
    kind: str = ""
    without_where: bool = False
    running: float | None = None
    rows: int = 0
    bytes_per_second: int = 0
    transaction: float | None = None
    transaction_failed: bool = False
    statements: int = 0
    errors: int = 0
    unattributed_bytes: int = 0
    unusual: tuple[str, ...] = ()


class _Add(Protocol):
    def __call__(self, code: str, weight: int, **params: str | int) -> None: ...


def assess(facts: Facts) -> tuple[int, list[Reason]]:
    """The figure and its reasons, the heaviest first."""
    reasons: list[Reason] = []

    def add(code: str, weight: int, **params: str | int) -> None:
        reasons.append(Reason(code=code, params=params, weight=weight))

    if facts.running is not None:
        _of_statement(facts, add)
    if facts.transaction is not None:
        weight = _reached(facts.transaction, TRANSACTION)
        if weight:
            add("transaction-long", weight, minutes=_minutes(facts.transaction))
        elif facts.running is None:
            add("transaction-idle", 3)
        if facts.transaction_failed:
            add("transaction-failed", 5)
    weight = _reached(facts.bytes_per_second, BYTES_PER_SECOND)
    if weight:
        add("much-data", weight, mebibytes=facts.bytes_per_second >> 20)
    if facts.errors >= ERRORS_FROM and facts.errors >= ERRORS_SHARE * facts.statements:
        add("errors", 20 if facts.errors >= ERRORS_MANY else 10, errors=facts.errors, statements=facts.statements)
    if facts.unattributed_bytes:
        add("unattributed", 30, bytes=facts.unattributed_bytes)
    for code in facts.unusual:
        add(code, UNUSUAL[code])
    total = sum(reason.weight for reason in reasons)
    if facts.production:
        add("production", max(5, total // 2))
        total += reasons[-1].weight
    reasons.sort(key=lambda reason: -reason.weight)
    return min(total, HIGHEST), reasons


def _of_statement(facts: Facts, add: _Add) -> None:
    assert facts.running is not None
    if facts.without_where:
        add("without-where", 40, kind=facts.kind.upper())
    elif facts.kind in DESTRUCTION:
        add("definition", 40, kind=facts.kind.upper())
    elif facts.kind in DEFINITIONS:
        add("definition", 25, kind=facts.kind.upper())
    elif facts.kind in WRITES:
        add("write", 10, kind=facts.kind.upper())
    weight = _reached(facts.running, RUNNING)
    if weight:
        add("running-long", weight, minutes=_minutes(facts.running))
    weight = _reached(facts.rows, ROWS)
    if weight:
        add("many-rows", weight, rows=f"{facts.rows:,}")


def _reached(value: float, steps: tuple[tuple[float, int], ...]) -> int:
    return next((weight for least, weight in steps if value >= least), 0)


def _minutes(seconds: float) -> str:
    """A time to the step that it has reached, so that a reason does not change with each second."""
    if seconds < 60:
        return f"{int(seconds // 10 * 10)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h"
