"""What there is to choose on the databases page: lines, their order, their groups, and the search through them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bastion.api import messages as m
from bastion.api.language import translate as _

from .words import mark

ENGINES = {"mysql": "MySQL", "postgresql": "PostgreSQL", "sqlserver": "SQL Server", "oracle": "Oracle"}
PLATFORMS = {"rds": "RDS", "polardb": "PolarDB"}
RECENT = 8
"""Databases that were opened last, shown above the others."""

GROUPINGS = {
    "usual": mark("favourites first"),
    "group": mark("by group"),
    "engine": mark("by engine"),
    "prefix": mark("by beginning of the name"),
}
"""How the lines can be grouped, in the order in which the key goes through them."""

_BREAK = re.compile(r"[-_.]")


def engine_name(database: m.Database) -> str:
    """`PostgreSQL`, `MySQL RDS`."""
    engine = ENGINES.get(database.engine, database.engine)
    platform = PLATFORMS.get(database.platform, "")
    return f"{engine} {platform}".strip()


def key_of(database: str, account: str) -> str:
    """What a line is known by, also at the bastion where favourites and recent ones are kept."""
    return f"{database}/{account}"


@dataclass(frozen=True)
class Choice:
    """One line: an account of a database."""

    database: m.Database
    account: m.Account

    @property
    def token(self) -> m.TokenState | None:
        """Its live token."""
        return next((token for token in self.database.tokens if token.account == self.account.name), None)

    @cached_property
    def text(self) -> str:
        """What the search looks through."""
        database = self.database
        words = [
            database.name,
            database.engine,
            engine_name(database),
            f"{database.host}:{database.port}",
            database.domain,
            self.account.name,
            *database.groups,
            database.comment,
        ]
        return " ".join(words).lower()

    @cached_property
    def name(self) -> str:
        """The database's name as the search compares it."""
        return self.database.name.lower()

    @cached_property
    def key(self) -> str:
        return key_of(self.database.name, self.account.name)


@dataclass(frozen=True)
class Heading:
    """A line between groups."""

    words: str
    count: int


Line = Choice | Heading


def listed(
    choices: Sequence[Choice], favourites: frozenset[str], recent: Mapping[str, int], grouping: str
) -> list[Line]:
    """All lines in groups. `recent`: place by key, 0 the last opened. A database stands under each of its groups."""
    if grouping == "usual":
        return _usual(choices, favourites, recent)
    groups: dict[str, list[Choice]] = {}
    for choice in choices:
        for name in _groups_of(choice, grouping):
            groups.setdefault(name, []).append(choice)
    lines: list[Line] = []
    for name in sorted(groups, key=lambda each: (each == "", each.lower())):
        lines.append(Heading(name or _("in no group"), len(groups[name])))
        lines += groups[name]
    return lines


def _usual(choices: Sequence[Choice], favourites: frozenset[str], recent: Mapping[str, int]) -> list[Line]:
    own = [choice for choice in choices if choice.key in favourites]
    opened = sorted(
        (choice for choice in choices if choice.key in recent and choice.key not in favourites),
        key=lambda choice: recent[choice.key],
    )[:RECENT]
    shown = {choice.key for choice in (*own, *opened)}
    rest = [choice for choice in choices if choice.key not in shown]
    if not shown:
        return list(rest)
    lines: list[Line] = []
    for words, group in ((_("Favourites"), own), (_("Recent"), opened), (_("All others"), rest)):
        if group:
            lines += [Heading(words, len(group)), *group]
    return lines


def _groups_of(choice: Choice, grouping: str) -> Iterable[str]:
    if grouping == "group":
        return choice.database.groups or [""]
    if grouping == "engine":
        return [engine_name(choice.database)]
    return [_BREAK.split(choice.database.name, maxsplit=1)[0]]


def found(choices: Sequence[Choice], query: str) -> list[Choice]:
    """Those that match, best first: every word somewhere, in any order; names that begin so before others.

    Where nothing does, those whose name has the letters of the query in its order.
    """
    words = query.lower().split()
    if not words:
        return list(choices)
    best: list[list[Choice]] = [[], [], [], []]
    first = words[0]
    for choice in choices:
        text = choice.text
        for word in words:
            if word not in text:
                break
        else:
            name = choice.name
            place = name.find(first)
            rank = 0 if name == first else 1 if place == 0 else 2 if place > 0 else 3
            best[rank].append(choice)
    matching = [choice for group in best for choice in group]
    if matching:
        return matching
    letters = [letter for word in words for letter in word]
    if len(letters) < 3:
        return []
    scattered = re.compile(".*?".join(map(re.escape, letters)))
    return [choice for choice in choices if scattered.search(choice.name)]


def matched_places(name: str, query: str) -> list[tuple[int, int]]:
    """Where the words of the query stand in a name, for showing it."""
    folded = name.lower()
    if len(folded) != len(name):
        return []
    places = [(folded.find(word), len(word)) for word in query.lower().split()]
    return [(start, start + length) for start, length in places if start >= 0]
