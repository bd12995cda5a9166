"""What a completeness case is, and the comparison of what must be on record with what is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a case works: a standing tunnel, or any address of a bastion's database."""

    host: str
    port: int
    database: str
    user: str = "whoever"
    password: str = ""
    client: str = ""
    """The name that the client gives itself, by which the case's session is found again."""
    patience: float = 60.0
    """Seconds that an answer may take."""


@dataclass(frozen=True)
class OnRecord:
    """One statement as it must stand in the audit. `error` is the beginning of the database's own words."""

    text: str
    binds: Sequence[str | None] | None = None
    rows: int | None = None
    state: str = "done"
    error: str | None = None
    kind: str | None = None
    """None: not looked at."""
    rest_in: int = 0
    """The record repeats only the beginning of a long prepared text, and names this statement, which has all of it."""


@dataclass(frozen=True)
class Case:
    """`work` does it and says what must be on record; `lost` is what a weaker audit would not show of it."""

    name: str
    lost: str
    work: Callable[[Place], list[OnRecord]]
    only: str = ""
    """`mariadb` or `mysql`, where the other one has no such thing."""


class Cases:
    """The cases of an engine, in the order in which they are written down.

    `first` is what the driver says by itself at the beginning of each connection: on record like all else.
    """

    def __init__(self, *first: OnRecord) -> None:
        self.all: list[Case] = []
        self._first = list(first)

    def case(self, lost: str, only: str = "") -> Callable[[Callable[[Place], list[OnRecord]]], None]:
        """Takes the decorated function as a case, under the function's name."""

        def take(work: Callable[[Place], list[OnRecord]]) -> None:
            self.all.append(Case(work.__name__, lost, lambda place: [*self._first, *work(place)], only))

        return take


@dataclass(frozen=True)
class Ran:
    """A case that was run: what must be on record, and since when."""

    case: Case
    client: str
    expected: list[OnRecord]
    began: datetime


def run(case: Case, place: Place) -> Ran:
    """Runs a case; raises what the work raises."""
    began = datetime.now(UTC)
    return Ran(case, place.client, case.work(place), began)


def differences(ran: Ran, session: Mapping[str, Any], statements: Sequence[Mapping[str, Any]]) -> list[str]:
    """In what the session's record is not what it must be; empty when it is."""
    found: list[str] = []
    if session["unattributed_bytes"] != 0:
        found.append(f"{session['unattributed_bytes']} bytes of the session were not attributed")
    if session["state"] != "closed":
        found.append(f"the session is {session['state']!r}, not closed")
    if session["statements"] != len(ran.expected):
        found.append(f"the session counts {session['statements']} statements, not {len(ran.expected)}")
    if [each["seq"] for each in statements] != list(range(1, len(statements) + 1)):
        found.append("the statements' numbers are not 1, 2, 3, …")
    moments = [datetime.fromisoformat(each["at"]) for each in statements]
    over = datetime.fromisoformat(session["ended_at"]) if session["ended_at"] else ran.began
    if moments != sorted(moments) or (moments and not ran.began <= moments[0] <= moments[-1] <= over):
        found.append("the times are not in order, or not between the beginning of the case and its session's end")
    for number, (wanted, got) in enumerate(zip(ran.expected, statements, strict=False), 1):
        found += [f"statement {number}: {difference}" for difference in _differs(wanted, got)]
    found += [f"missing: {_short(wanted.text)}" for wanted in ran.expected[len(statements) :]]
    found += [f"not expected: {_short(str(got['text']))}" for got in statements[len(ran.expected) :]]
    return found


def _differs(wanted: OnRecord, got: Mapping[str, Any]) -> list[str]:
    found = []
    text = str(got["text"])
    if wanted.rest_in:
        beginning, _, rest = text.rpartition("… ")
        if rest == f"(the whole text is that of statement {wanted.rest_in})" and len(beginning) > 1000:
            text = wanted.text if wanted.text.startswith(beginning) else text
    if text != wanted.text:
        found.append(f"text is {_short(text)}, not {_short(wanted.text)}")
    for name in ("rows", "state"):
        if got[name] != getattr(wanted, name):
            found.append(f"{name} is {_short(str(got[name]))}, not {_short(str(getattr(wanted, name)))}")
    # An execution without parameters may say so or say nothing.
    if list(got["binds"] or []) != list(wanted.binds or []):
        found.append(f"binds are {_short(str(got['binds']))}, not {_short(str(wanted.binds))}")
    if wanted.kind is not None and got["kind"] != wanted.kind:
        found.append(f"kind is {got['kind']!r}, not {wanted.kind!r}")
    error = got["error"]
    if (error is None) != (wanted.error is None) or (error is not None and not error.startswith(wanted.error)):
        found.append(f"error is {error!r}, not {wanted.error!r}")
    if wanted.state == "sent":
        if got["duration_ms"] is not None:
            found.append("there is a duration, and no outcome")
    elif got["duration_ms"] is None or got["duration_ms"] < 0:
        found.append(f"duration is {got['duration_ms']}")
    return found


def _short(text: str) -> str:
    return repr(text) if len(text) <= 200 else f"{text[:120]!r}… ({len(text)} characters)"
