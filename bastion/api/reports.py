"""The shapes of a report: what was done by a person, in a database, in a period, in figures."""

from __future__ import annotations

from .messages import Message, Proof


class ReportRequest(Message):
    """Of whom, in what, from when until before when (RFC 3339, or a period before now: `30d`).

    prove: the record is verified too, all of it.
    """

    since: str
    until: str
    user: str | None = None
    database: str | None = None
    prove: bool = True


class ReportCount(Message):
    """Statements that have `name` in common (a kind, a table, a person, …). milliseconds: of all together."""

    name: str
    statements: int
    failed: int = 0
    rows: int = 0
    milliseconds: float = 0.0


class ReportStatement(Message):
    """One statement; its text is cut."""

    at: str
    user: str
    database: str
    session: str
    seq: int
    kind: str
    text: str
    rows: int | None
    milliseconds: float | None
    error: str | None


class ReportAct(Message):
    """What people did beside statements, or with these sessions' record: how often."""

    act: str
    user: str
    count: int


class Report(Message):
    """Lists are cut where they are long; `definitions_total` and `shapes_left_out` say by how much.

    sessions             that began in the period, by their state; `sources` and `clients` are how many different ones
    unattributed_bytes   that were not understood
    tables               by the shapes of statements: `shapes_left_out` were not looked at
    """

    user: str | None
    database: str | None
    since: str
    until: str
    made_by: str
    made_at: str
    node: str
    sessions: dict[str, int]
    sources: int
    clients: int
    bytes_down: int
    unattributed_bytes: int
    kinds: list[ReportCount]
    people: list[ReportCount]
    databases: list[ReportCount]
    tables: list[ReportCount]
    errors: list[ReportCount]
    refusals: list[ReportCount]
    longest: list[ReportStatement]
    largest: list[ReportStatement]
    definitions: list[ReportStatement]
    acts: list[ReportAct]
    definitions_total: int = 0
    shapes_left_out: int = 0
    proof: Proof | None = None
