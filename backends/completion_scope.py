"""What an unfinished statement says about itself at the cursor: the clause, and the tables whose columns can be named.

Read from tokens with brackets counted, since a statement that is being written cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from .sql_tokens import Token, TokenKind

MOST_DEPTH = 20
"""Subqueries within subqueries that are looked into."""


class Place(Enum):
    """What can stand at the cursor."""

    NOTHING = "nothing"
    START = "start"
    RELATION = "relation"
    AFTER_RELATION = "after relation"
    SELECT_LIST = "select list"
    EXPRESSION = "expression"
    CONDITION = "condition"
    """The first words of a condition that joins two tables."""
    TARGET_COLUMN = "target column"
    """A column of the table that is written: `insert into t (…`, `update t set …`."""
    SORT = "sort"
    SHARED_COLUMN = "shared column"
    """A column that the joined tables have both: `using (…`."""
    SCHEMA = "schema"
    ROUTINE = "routine"
    TYPE = "type"
    OTHER = "other"


@dataclass(frozen=True)
class Source:
    """A table, view, CTE or subquery in a FROM clause. `columns` is None where the catalog knows them."""

    path: tuple[str, ...]
    alias: str
    columns: tuple[str, ...] | None = None

    @property
    def called(self) -> str:
        """What its columns are qualified with."""
        return self.alias or (self.path[-1] if self.path else "")


@dataclass
class Query:
    """A query around the cursor: what it reads, and the names that WITH gives."""

    sources: list[Source] = field(default_factory=list)
    defined: dict[str, Source] = field(default_factory=dict)


@dataclass
class Context:
    """Where the cursor is. `queries`: the innermost first. `qualifiers`: the names before the dot at the cursor."""

    place: Place
    queries: list[Query]
    qualifiers: tuple[str, ...] = ()
    target: Source | None = None
    upper: bool = False
    """Keywords are written in capitals here."""
    after_operand: bool = False
    """A value is complete before the cursor."""

    @property
    def defined(self) -> dict[str, Source]:
        """Every name that a WITH around the cursor gives."""
        found: dict[str, Source] = {}
        for query in reversed(self.queries):
            found |= query.defined
        return found


SELECT_START = ("select", "with", "values", "table", "insert", "update", "delete", "merge")
SET_OPERATORS = ("union", "intersect", "except", "minus")
ENDS_ALIAS = frozenset(
    """where join inner left right full cross natural on using group order having limit offset fetch union intersect
    except minus for window returning set values select as straight_join partition use force ignore tablesample
    lateral with default when do qualify into from and or not""".split()  # noqa: SIM905
)
BEFORE_OPERAND = frozenset(
    """select distinct all where and or not having on when then else case in like ilike regexp rlike between is by
    returning set limit offset values from join using into update table as with explain any some exists similar to
    over partition order group interval""".split()  # noqa: SIM905
)
CLAUSES: dict[str, Place] = {
    "select": Place.SELECT_LIST, "distinct": Place.SELECT_LIST, "where": Place.EXPRESSION, "having": Place.EXPRESSION,
    "and": Place.EXPRESSION, "or": Place.EXPRESSION, "not": Place.EXPRESSION, "on": Place.CONDITION,
    "when": Place.EXPRESSION, "then": Place.EXPRESSION, "else": Place.EXPRESSION, "case": Place.EXPRESSION,
    "in": Place.EXPRESSION, "like": Place.EXPRESSION, "between": Place.EXPRESSION, "is": Place.EXPRESSION,
    "by": Place.SORT, "returning": Place.SELECT_LIST, "set": Place.TARGET_COLUMN, "limit": Place.OTHER,
    "offset": Place.OTHER, "from": Place.RELATION, "join": Place.RELATION, "straight_join": Place.RELATION,
    "into": Place.RELATION, "update": Place.RELATION, "table": Place.RELATION, "view": Place.RELATION,
    "truncate": Place.RELATION, "describe": Place.RELATION, "desc": Place.RELATION, "references": Place.RELATION,
    "using": Place.RELATION, "only": Place.RELATION, "copy": Place.RELATION,
    "analyze": Place.RELATION, "vacuum": Place.RELATION,
    "values": Place.OTHER, "lateral": Place.RELATION, "explain": Place.START, "call": Place.OTHER,
    "window": Place.OTHER, "for": Place.OTHER, "fetch": Place.OTHER, "with": Place.OTHER, "recursive": Place.OTHER,
}  # fmt: skip


def read(before: Sequence[Token], after: Sequence[Token]) -> Context:
    """The context between the tokens of one statement before and behind the word at the cursor, comments left out."""
    upper = _in_capitals(before)
    qualifiers = _qualifiers(before)
    if qualifiers:
        before = before[: -2 * len(qualifiers)]
    queries = _queries([*before, *after], len(before))
    place, target = _place(before)
    if place is Place.CONDITION and qualifiers:
        place = Place.EXPRESSION
    return Context(place, queries, qualifiers, target, upper, _after_operand(before))


def _after_operand(before: Sequence[Token]) -> bool:
    """Whether a value is complete before the cursor, so that an operator or the next clause follows."""
    if not before:
        return False
    last = before[-1]
    if last.kind is TokenKind.WORD:
        return last.text.lower() not in BEFORE_OPERAND
    return last.kind in (TokenKind.NAME, TokenKind.STRING, TokenKind.NUMBER) or last.text in (")", "]")


def _in_capitals(tokens: Sequence[Token]) -> bool:
    for token in tokens:
        if token.kind is TokenKind.WORD and token.text.lower() in CLAUSES:
            return token.text.isupper()
    return False


def _qualifiers(before: Sequence[Token]) -> tuple[str, ...]:
    names: list[str] = []
    index = len(before) - 1
    while index >= 1 and before[index].text == "." and before[index - 1].identifies:
        names.insert(0, before[index - 1].name)
        index -= 2
    return tuple(names)


# -- brackets


def _opened(tokens: Sequence[Token]) -> list[int]:
    """The indexes of the brackets that are open at the end of `tokens`."""
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.SYMBOL:
            if token.text == "(":
                stack.append(index)
            elif token.text == ")" and stack:
                stack.pop()
    return stack


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """The index of the bracket that closes the one at `opening`; the number of tokens where it is open."""
    depth = 0
    for index in range(opening, len(tokens)):
        text = tokens[index].text if tokens[index].kind is TokenKind.SYMBOL else ""
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
            if depth == 0:
                return index
    return len(tokens)


# -- the queries around the cursor


def _queries(tokens: Sequence[Token], index: int) -> list[Query]:
    """Those of the brackets around token `index` that begin a query, the innermost first, and the statement itself."""
    openings = [
        at for at in _opened(tokens[:index]) if at + 1 < len(tokens) and tokens[at + 1].is_word("select", "with")
    ]
    regions = [(at + 1, _closing(tokens, at)) for at in reversed(openings[-MOST_DEPTH:])]
    regions.append((0, len(tokens)))
    given: dict[str, Source] = {}
    found: list[Query] = []
    for start, end in reversed(regions):
        query = _query(tokens[start:end], index - start, given, 0)
        given = given | query.defined
        found.insert(0, query)
    return found


def _query(tokens: Sequence[Token], at: int, given: dict[str, Source], depth: int) -> Query:
    """What the part of a query around its token `at` reads: parts are what UNION and its like separate."""
    query = Query()
    rest = _definitions(tokens, query, given, depth)
    names = given | query.defined
    start, end, level = rest, len(tokens), 0
    for index in range(rest, len(tokens)):
        token = tokens[index]
        if token.kind is TokenKind.SYMBOL:
            level += (token.text == "(") - (token.text == ")")
        elif level == 0 and token.is_word(*SET_OPERATORS):
            if index < at:
                start = index + 1
            else:
                end = index
                break
    query.sources = _sources(tokens[start:end], names, depth)
    return query


def _definitions(tokens: Sequence[Token], query: Query, given: dict[str, Source], depth: int) -> int:
    """Reads `WITH a AS (…), b (c, d) AS (…)`; gives the index behind it."""
    if not tokens or not tokens[0].is_word("with"):
        return 0
    index = 1
    if index < len(tokens) and tokens[index].is_word("recursive"):
        index += 1
    while index < len(tokens) and tokens[index].identifies and not tokens[index].is_word(*SELECT_START):
        name = tokens[index].name
        index += 1
        columns: tuple[str, ...] | None = None
        if index < len(tokens) and tokens[index].text == "(":
            close = _closing(tokens, index)
            columns = tuple(token.name for token in tokens[index:close] if token.identifies)
            index = close + 1
        while index < len(tokens) and tokens[index].is_word("as", "not", "materialized"):
            index += 1
        if index >= len(tokens) or tokens[index].text != "(":
            query.defined[name.lower()] = Source((name,), name, columns or ())
            break
        close = _closing(tokens, index)
        # A recursive definition reads itself: its names are known from its column list at least.
        known = given | query.defined | {name.lower(): Source((name,), name, columns or ())}
        if columns is None:
            columns = output(tokens[index + 1 : close], known, depth + 1)
        query.defined[name.lower()] = Source((name,), name, columns)
        index = close + 1
        if index >= len(tokens) or tokens[index].text != ",":
            break
        index += 1
    return index


def _sources(tokens: Sequence[Token], names: dict[str, Source], depth: int) -> list[Source]:
    """The tables of the FROM, JOIN, UPDATE, INTO and USING of one query."""
    found: list[Source] = []
    index, listing = 0, False
    while index < len(tokens):
        token = tokens[index]
        if token.is_word("from") and index >= 2 and tokens[index - 1].is_word("distinct"):
            index += 1  # IS DISTINCT FROM
            continue
        if token.is_word("from", "join", "update", "into", "straight_join", "table") or (
            token.is_word("using") and index + 1 < len(tokens) and tokens[index + 1].text != "("
        ):
            if token.is_word("update") and index and tokens[index - 1].is_word("for", "key", "on", "duplicate"):
                index += 1
                continue
            listing = token.is_word("from", "update", "using")
            index = _source(tokens, index + 1, names, depth, found)
            continue
        if token.text == "," and listing:
            index = _source(tokens, index + 1, names, depth, found)
            continue
        if token.text == "(":
            index = _closing(tokens, index) + 1
            continue
        if token.kind is TokenKind.WORD and token.text.lower() in ("where", "group", "order", "having", "set", "limit"):
            listing = False
        index += 1
    return found


def _source(tokens: Sequence[Token], index: int, names: dict[str, Source], depth: int, found: list[Source]) -> int:
    """Reads one table with its alias into `found`; gives the index behind it."""
    while index < len(tokens) and tokens[index].is_word("only", "lateral", "if", "exists", "not", "ignore"):
        index += 1
    if index >= len(tokens):
        return index
    path: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    if tokens[index].text == "(":
        close = _closing(tokens, index)
        inner = tokens[index + 1 : close]
        if inner and inner[0].is_word("select", "with", "values"):
            columns = output(inner, names, depth + 1)
        else:
            found.extend(_sources([Token(TokenKind.WORD, "from", 0, 0), *inner], names, depth + 1))
        index = close + 1
    elif _can_name(tokens[index]):
        parts = [tokens[index].name]
        index += 1
        while index + 1 < len(tokens) and tokens[index].text == "." and _can_name(tokens[index + 1]):
            parts.append(tokens[index + 1].name)
            index += 2
        path = tuple(parts)
        if len(path) == 1 and (defined := names.get(path[0].lower())) is not None:
            columns = defined.columns
        if index < len(tokens) and tokens[index].text == "(" and not _names_columns(tokens, index):
            index = _closing(tokens, index) + 1  # a function that gives rows
            columns = ()
    else:
        return index
    alias = ""
    if index < len(tokens) and tokens[index].is_word("as"):
        index += 1
    if index < len(tokens) and _can_name(tokens[index]):
        alias = tokens[index].name
        index += 1
        if columns is not None and index < len(tokens) and tokens[index].text == "(":
            close = _closing(tokens, index)
            columns = tuple(token.name for token in tokens[index:close] if token.identifies)
            index = close + 1
    if path or alias or columns:
        found.append(Source(path, alias, columns))
    return index


def _can_name(token: Token) -> bool:
    return token.kind is TokenKind.NAME or (token.kind is TokenKind.WORD and token.text.lower() not in ENDS_ALIAS)


def _names_columns(tokens: Sequence[Token], opening: int) -> bool:
    """Whether a bracket behind a table holds the columns of an INSERT."""
    word = opening - 1
    while word > 0 and (tokens[word].identifies or tokens[word].text == "."):
        if tokens[word].is_word("into", "table") or (tokens[word].is_word("on") and tokens[0].is_word("create")):
            return True
        word -= 1
    return False


def output(tokens: Sequence[Token], names: dict[str, Source], depth: int = 0) -> tuple[str, ...]:
    """The names of the columns that a query gives, as far as its text says; `t.*` of a table of the catalog is left
    as `t.*`, which the completion resolves."""
    if depth > MOST_DEPTH:
        return ()
    inner = Query()
    start = _definitions(tokens, inner, names, depth)
    known = names | inner.defined
    while start < len(tokens) and not tokens[start].is_word("select"):
        start += 1
    items: list[list[Token]] = [[]]
    level, index = 0, start + 1
    while index < len(tokens):
        token = tokens[index]
        if token.kind is TokenKind.SYMBOL:
            level += (token.text == "(") - (token.text == ")")
        if level == 0 and token.is_word("from", "union", "intersect", "except", "into", "where", "order", "limit"):
            break
        if level == 0 and token.text == ",":
            items.append([])
        else:
            items[-1].append(token)
        index += 1
    sources = _sources(tokens[index:], known, depth) if index < len(tokens) and tokens[index].is_word("from") else []
    found: list[str] = []
    for item in items:
        if item and item[0].is_word("distinct", "all"):
            item = item[1:]
        if not item:
            continue
        last = item[-1]
        if last.text == "*" and (len(item) == 1 or item[-2].text == "."):
            wanted = item[0].name.lower() if len(item) > 1 else None
            for source in sources:
                if wanted in (None, source.called.lower()):
                    found.extend(source.columns if source.columns is not None else [".".join((*source.path, "*"))])
        elif last.identifies and not last.is_word("end"):
            found.append(last.name)
    return tuple(dict.fromkeys(found))


# -- the clause


def _place(before: Sequence[Token]) -> tuple[Place, Source | None]:
    """What can stand behind `before`, and the table that the statement writes."""
    if not before:
        return Place.START, None
    last = before[-1]
    opened = _opened(before)
    target = _target(before)
    listed = bool(opened) and before[opened[-1] - 1].identifies and not before[opened[-1] - 1].is_word("values")
    if target is not None and listed and _names_columns(before, opened[-1]):
        return (Place.TARGET_COLUMN if last.text in ("(", ",") else Place.OTHER), target
    holder = before[opened[-1] - 1] if opened and opened[-1] else None
    if holder is not None and holder.is_word("using") and last.text in ("(", ","):
        return Place.SHARED_COLUMN, target
    if holder is not None and holder.is_word("values"):
        return Place.OTHER, target
    if last.is_word("use") and len(before) == 1:
        return Place.SCHEMA, target
    if last.is_word("call", "exec") and len(before) == 1:
        return Place.ROUTINE, target
    if before[0].is_word("alter") and last.is_word("column") and target is not None:
        return Place.TARGET_COLUMN, target
    if last.text == "(" and len(before) > 1 and before[-2].is_word("from", "join", "as", "in", "exists", "any", "all"):
        return (Place.RELATION if before[-2].is_word("from", "join") else Place.EXPRESSION), target
    if last.text == "::" or (last.text == ":" and len(before) > 1 and before[-2].text == ":"):
        return Place.TYPE, target
    if last.is_word("as"):
        cast = bool(opened) and opened[-1] > 0 and before[opened[-1] - 1].is_word("cast")
        return (Place.TYPE if cast else Place.NOTHING), target
    # Of brackets that are closed only the outside counts; inside open ones that are no query, what is before them.
    level, index = 0, len(before) - 1
    behind = 0
    while index >= 0:
        token = before[index]
        if token.kind is TokenKind.SYMBOL and token.text == ")":
            level += 1
        elif token.kind is TokenKind.SYMBOL and token.text == "(":
            level = max(level - 1, 0)
        elif level == 0 and token.kind is TokenKind.WORD:
            word = token.text.lower()
            place = CLAUSES.get(word)
            if word == "on" and before[0].is_word("grant", "revoke", "create", "comment"):
                place = place if any(token.is_word("join") for token in before) else Place.RELATION
            if place is Place.RELATION and _calls(before, opened, index):
                place = Place.EXPRESSION
            if word == "from" and index and before[index - 1].is_word("distinct") and index > 1:
                place = Place.EXPRESSION if before[index - 2].is_word("is", "not") else place
            if word == "update" and index and before[index - 1].is_word("for", "key"):
                place = Place.OTHER
            if place is not None:
                return _refined(place, before, index, behind), target
        behind += 1
        index -= 1
    return (Place.START if len(before) == 1 and before[0].text == "(" else Place.OTHER), target


def _refined(place: Place, before: Sequence[Token], index: int, behind: int) -> Place:
    """The place of a clause whose keyword is at `index`, with `behind` tokens after it."""
    last = before[-1]
    if place is Place.RELATION:
        if behind == 0 or last.text == ",":
            return Place.RELATION
        return Place.AFTER_RELATION if last.identifies or last.text == ")" else Place.RELATION
    if place is Place.CONDITION:
        return Place.CONDITION if behind == 0 else Place.EXPRESSION
    if place is Place.TARGET_COLUMN:
        # `set a = …`: behind the sign an expression, behind the comma the next column.
        return Place.TARGET_COLUMN if behind == 0 or last.text == "," else Place.EXPRESSION
    return place


def _calls(before: Sequence[Token], opened: Sequence[int], index: int) -> bool:
    """Whether the cursor is in the brackets of a function that the clause at `index` reads rows of."""
    return bool(opened) and opened[-1] > index and before[opened[-1] - 1].identifies and opened[-1] - 1 > index


def _target(before: Sequence[Token]) -> Source | None:
    for index, token in enumerate(before):
        if (
            token.is_word("into")
            or (before[0].is_word("alter") and token.is_word("table"))
            or (before[0].is_word("create") and token.is_word("on"))
            or _updates(before, index)
        ):
            found: list[Source] = []
            _source(before, index + 1, {}, 0, found)
            return found[0] if found else None
    return None


def _updates(before: Sequence[Token], index: int) -> bool:
    return before[index].is_word("update") and (index == 0 or not before[index - 1].is_word("for"))
