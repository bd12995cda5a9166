"""The filter line of the audit: `drop user:alice db:orders,billing -kind:select rows>1000 since:2h`.

Words are looked for in the texts and values; `key:value` narrows, several values with commas between them mean any of
them, and a `-` in front means none of them. Quotes keep spaces and signs together; within them `""` is a quote. It is
read into the filters of the control API, the same way in the workstation, on the command line and over SSH.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from . import messages as m
from .language import translate as _

LONGEST = 4000
"""Characters of a line."""

STATES = ("done", "failed", "cancelled", "refused", "skipped", "sent")
SESSION_STATES = ("live", "opening", "closed", "refused", "lost")
SORTS = ("newest", "oldest", "rows", "duration")
SESSION_SORTS = ("newest", "oldest", "statements", "bytes")

ALIASES = {
    "who": "user", "person": "user", "database": "db", "from": "source", "ip": "source", "program": "client",
    "digest": "like", "alike": "like", "time": "ms", "duration": "ms", "failed": "error", "order": "sort",
    "after": "since", "before": "until", "on": "table", "tools": "tool",
}  # fmt: skip
FIELDS = {
    "user": "user", "db": "database", "account": "account", "session": "session", "token": "token", "source": "source",
    "client": "client", "table": "table", "kind": "kind", "verdict": "verdict", "state": "state",
}  # fmt: skip
"""Keys that take names, and the fields of the control API that they set."""
KEYS = (
    "user", "db", "table", "kind", "error", "rows", "ms", "since", "until", "account", "source", "client", "session",
    "token", "state", "verdict", "like", "tool", "sort",
)  # fmt: skip
SESSION_KEYS = (
    "user",
    "db",
    "since",
    "until",
    "account",
    "source",
    "client",
    "session",
    "token",
    "state",
    "unread",
    "sort",
)

_KEY = re.compile(r"(-?)([^\W\d_]+)(>=|<=|[:：><=＞＜])(?!:)")
_SIGNS = {"：": ":", "＞": ">", "＜": "<"}
"""As an input method for Chinese types them."""
_LIKELY = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|min|k|m)?")
_COUNT = re.compile(r"(\d{1,15})([km]?)")
_PERIOD = re.compile(r"(\d{1,6})([smhdw])")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DIGEST = re.compile(r"[0-9a-fA-F]{16,64}")
_STATEMENT = re.compile(r"\S{1,100}/\d{1,18}")
_YES, _NO = ("", "yes", "y", "true", "1"), ("no", "n", "false", "0")
_PERIODS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class FilterUnreadable(ValueError):
    """A line that cannot be read. The message is a sentence; `start` to `end` is the part of the line it is about."""

    def __init__(self, sentence: str, start: int, end: int) -> None:
        super().__init__(sentence)
        self.start, self.end = start, end


@dataclass(frozen=True, slots=True)
class Term:
    """A word (`key` is '') or a key with what it is compared to; `start` to `end` is its place in the line."""

    key: str
    sign: str
    values: tuple[str, ...]
    negated: bool
    start: int
    end: int

    def written(self) -> str:
        """As it stands in a line."""
        minus = "-" if self.negated else ""
        if not self.key:
            return minus + _quoted(self.values[0], alone=True)
        values = "" if self.values == ("",) else ",".join(_quoted(value) for value in self.values)
        return f"{minus}{self.key}{self.sign}{values}"


def terms(line: str) -> list[Term]:
    """The terms of a line. Raises FilterUnreadable."""
    if len(line) > LONGEST:
        raise FilterUnreadable(
            _("The filter is longer than {limit} characters.").format(limit=LONGEST), LONGEST, len(line)
        )
    found: list[Term] = []
    place = 0
    while place < len(line):
        if line[place].isspace():
            place += 1
            continue
        found.append(_term(line, place))
        place = found[-1].end
    return found


def joined(found: Sequence[Term]) -> str:
    """A line of these terms."""
    return " ".join(term.written() for term in found)


def with_term(line: str, key: str, *values: str) -> str:
    """The line with this key in the place of what it said of it; without values it is only taken out."""
    kept = [term for term in terms(line) if term.key != key]
    if values:
        kept.append(Term(key, ":", values, False, 0, 0))
    return joined(kept)


def read_statements(line: str, *, now: datetime, zone: tzinfo = UTC) -> m.StatementFilter:
    """The line as a filter of statements, newest first unless it says otherwise. Raises FilterUnreadable.

    Times without a zone are in `zone`. Periods before now stay as they are typed: the bastion counts them.
    """
    wanted = m.StatementFilter(newest=True)
    reader = _Reader(now, zone, STATES, SORTS)
    for term in terms(line):
        key = term.key
        if not key:
            reader.word(wanted, term)
        elif key in FIELDS:
            reader.names(wanted, term)
        elif key in ("since", "until"):
            reader.moment(wanted, term)
        elif key in ("error", "tool"):
            setattr(wanted, {"error": "error", "tool": "tools"}[key], reader.truth(term))
        elif key == "rows":
            least, most = reader.bounds(term, reader.count, 1)
            wanted.least_rows = _whole(_higher(wanted.least_rows, least))
            wanted.most_rows = _whole(_lower(wanted.most_rows, most))
        elif key == "ms":
            low, high = reader.bounds(term, reader.milliseconds, 0.001)
            wanted.least_ms = _higher(wanted.least_ms, low)
            wanted.most_ms = _lower(wanted.most_ms, high)
        elif key == "like":
            wanted.like = reader.like(term)
        elif key == "sort":
            sort = reader.sort(term)
            wanted.newest = sort != "oldest"
            wanted.order = sort if sort in ("rows", "duration") else ""
        elif key == "unread":
            raise _misplaced(term, _("{key} is said of sessions, not of statements."))
        else:
            raise _unknown(term, KEYS)
    return wanted


def read_sessions(line: str, *, now: datetime, zone: tzinfo = UTC) -> m.SessionFilter:
    """The line as a filter of sessions. Raises FilterUnreadable, also for keys that are said of statements only."""
    wanted = m.SessionFilter(newest=True)
    reader = _Reader(now, zone, SESSION_STATES, SESSION_SORTS)
    for term in terms(line):
        key = term.key
        if not key:
            reader.word(wanted, term)
        elif key == "session":
            wanted.id = reader.one(term)
        elif key in FIELDS and key in SESSION_KEYS:
            reader.names(wanted, term)
        elif key in ("since", "until"):
            reader.moment(wanted, term)
        elif key == "unread":
            wanted.unattributed = reader.truth(term)
        elif key == "sort":
            sort = reader.sort(term)
            wanted.newest = sort != "oldest"
            wanted.order = sort if sort in ("statements", "bytes") else ""
        elif key in KEYS:
            raise _misplaced(term, _("{key} is said of statements, not of sessions."))
        else:
            raise _unknown(term, SESSION_KEYS)
    return wanted


@dataclass(frozen=True, slots=True)
class _Reader:
    now: datetime
    zone: tzinfo
    states: tuple[str, ...]
    sorts: tuple[str, ...]

    def word(self, wanted: m.StatementFilter | m.SessionFilter, term: Term) -> None:
        if term.negated:
            wanted.none_of = wanted.none_of | {"words": [*wanted.none_of.get("words", ()), term.values[0]]}
        else:
            wanted.words = [*wanted.words, term.values[0]]

    def names(self, wanted: m.StatementFilter | m.SessionFilter, term: Term) -> None:
        field, values = FIELDS[term.key], list(term.values)
        if term.sign not in (":", "="):
            raise _bad(term, _("{key} takes names: {key}:NAME."))
        if not all(values):
            raise _bad(term, _("Say which: {key}:NAME."))
        if field in ("kind", "state"):
            values = [value.lower() for value in values]
        if field == "state" and (wrong := next((value for value in values if value not in self.states), None)):
            raise _bad(term, _("There is no state {value}; there are {values}."), wrong, self.states)
        if field == "client" and (term.negated or len(values) > 1):
            raise _bad(term, _("client takes one text that the program's own words contain."))
        if term.negated:
            if field == "table":
                raise _bad(term, _("Statements without a table cannot be asked for: take the - away."))
            wanted.none_of = wanted.none_of | {field: [*wanted.none_of.get(field, ()), *values]}
        elif len(values) > 1:
            wanted.any_of = wanted.any_of | {field: values}
        else:
            if getattr(wanted, field) is not None:
                raise _bad(term, _("{key} is there twice. Several values stand in one: {key}:A,B."))
            setattr(wanted, field, values[0])

    def one(self, term: Term) -> str:
        if term.negated or len(term.values) != 1 or not term.values[0] or term.sign not in (":", "="):
            raise _bad(term, _("{key} takes one value: {key}:VALUE."))
        return term.values[0]

    def truth(self, term: Term) -> bool:
        value = term.values[0].lower()
        if term.sign not in (":", "=") or len(term.values) != 1 or value not in _YES + _NO:
            raise _bad(term, _("{key} is yes or no: {key}: or {key}:no."))
        return (value in _YES) != term.negated

    def sort(self, term: Term) -> str:
        value = {"ms": "duration", "time": "duration"}.get(self.one(term).lower(), self.one(term).lower())
        if value not in self.sorts:
            raise _bad(term, _("There is no order {value}; there are {values}."), value, self.sorts)
        return value

    def like(self, term: Term) -> str:
        value = self.one(term)
        if not _DIGEST.fullmatch(value) and not _STATEMENT.fullmatch(value):
            raise _bad(term, _("like takes a statement, SESSION/NUMBER, or a digest."))
        return value

    def moment(self, wanted: m.StatementFilter | m.SessionFilter, term: Term) -> None:
        text = self.one(term)
        if getattr(wanted, term.key) is not None:
            raise _bad(term, _("{key} is there twice."))
        setattr(wanted, term.key, self._moment(text, term))

    def _moment(self, text: str, term: Term) -> str:
        low = text.lower()
        if _PERIOD.fullmatch(low):
            return low
        today = self.now.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        clock = _CLOCK.fullmatch(low)
        try:
            if low in ("today", "yesterday"):
                at = today - timedelta(days=low == "yesterday")
            elif clock is not None:
                at = today.replace(hour=int(clock[1]), minute=int(clock[2]))
            else:
                at = datetime.fromisoformat(text)
                at = at if at.tzinfo is not None else at.replace(tzinfo=self.zone)
            return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        except (ValueError, OverflowError):
            raise _bad(
                term, _("{value} is no time. Say 2h, 3d, 09:30, today, 2026-11-22 or 2026-11-22T09:30."), text[:40]
            ) from None

    def bounds(self, term: Term, number: Callable[[Term], float], least: float) -> tuple[float | None, float | None]:
        if term.negated or len(term.values) != 1:
            raise _bad(term, _("{key} takes a number: {key}>1000."))
        value = number(term)
        return {
            ">": (value + least, None), ">=": (value, None), "<": (None, value - least), "<=": (None, value),
            "=": (value, value), ":": (value, value),
        }[term.sign]  # fmt: skip

    def count(self, term: Term) -> int:
        found = _COUNT.fullmatch(term.values[0].lower().replace("_", ""))
        if found is None:
            raise _bad(term, _("{key} takes a number: {key}>1000."))
        return int(found[1]) * {"": 1, "k": 1000, "m": 1_000_000}[found[2]]

    def milliseconds(self, term: Term) -> float:
        found = _NUMBER.fullmatch(term.values[0].lower())
        if found is None or found[2] in ("k", "m"):
            raise _bad(term, _("ms takes milliseconds, or a number with s or min: ms>500, ms>2s."))
        return float(found[1]) * {None: 1, "ms": 1, "s": 1000, "min": 60_000}[found[2]]


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _higher(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return max(known) if known else None


def _lower(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return min(known) if known else None


def _term(line: str, start: int) -> Term:
    named = _KEY.match(line, start)
    if named is not None:
        key = named[2].lower()
        known = ALIASES.get(key, key)
        if known in KEYS or known in SESSION_KEYS or _LIKELY.fullmatch(key):
            values, end = _values(line, named.end(), split=known in FIELDS)
            return Term(known, _SIGNS.get(named[3], named[3]), values, bool(named[1]), start, end)
    negated = line[start] == "-" and start + 1 < len(line) and not line[start + 1].isspace() and line[start + 1] != "-"
    values, end = _values(line, start + negated, split=False)
    return Term("", "", values, negated, start, end)


def _values(line: str, place: int, *, split: bool) -> tuple[tuple[str, ...], int]:
    """What stands from `place` to the next space outside quotes, and where that is."""
    values, current, begun = [], "", place
    while place < len(line) and not line[place].isspace():
        character = line[place]
        if character == '"':
            place += 1
            while True:
                end = line.find('"', place)
                if end < 0:
                    raise FilterUnreadable(_("A quote is not closed."), begun, len(line))
                current += line[place:end]
                place = end + 1
                if line[place : place + 1] != '"':
                    break
                current += '"'
                place += 1
            continue
        if character in ",，" and split:
            values.append(current)
            current = ""
        else:
            current += character
        place += 1
    return (*values, current), place


def _quoted(value: str, *, alone: bool = False) -> str:
    plain = value and not re.search(r'[\s",，]', value) and not (alone and (value[0] == "-" or _KEY.match(value)))
    return value if plain else '"' + value.replace('"', '""') + '"'


def _bad(term: Term, sentence: str, value: str = "", values: Sequence[str] = ()) -> FilterUnreadable:
    text = sentence.format(key=term.key, value=value, values=", ".join(values))
    return FilterUnreadable(text, term.start, term.end)


def _misplaced(term: Term, sentence: str) -> FilterUnreadable:
    return _bad(term, sentence)


def _unknown(term: Term, keys: Sequence[str]) -> FilterUnreadable:
    near = difflib.get_close_matches(term.key, (*keys, *ALIASES), 1)
    if near:
        meant = ALIASES.get(near[0], near[0])
        text = _("There is no filter {key}. Is {near} meant? In quotes it is looked for as it stands.").format(
            key=term.key, near=f"{meant}:"
        )
    else:
        text = _("There is no filter {key}. In quotes it is looked for as it stands.").format(key=term.key)
    return FilterUnreadable(text, term.start, term.end)
