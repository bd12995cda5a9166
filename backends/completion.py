"""What could be typed next in a statement: names of the catalog by scope, keywords and functions of the engine.

Works on unfinished text; asks nothing of the database. A call takes a few milliseconds with 50,000 tables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from .completion_scope import Context, Place, Query, Source, read
from .dialect import Dialect, dialect_for
from .engine_words import EngineWords, words_of
from .metadata import SchemaMetadata, TableMetadata
from .sql_tokens import Token, TokenKind, tokens

MOST = 60
"""Things offered at once."""
BEFORE, BEHIND = 20_000, 5_000
"""Characters of a statement that are read before and behind the cursor."""
WITHOUT_BRACKETS = frozenset(
    """current_date current_time current_timestamp localtime localtimestamp current_user session_user current_role
    current_catalog current_schema system_user""".split()  # noqa: SIM905
)
STARTS = (
    "select", "insert into", "update", "delete from", "with", "explain", "explain analyze", "create table",
    "alter table", "create index", "create view", "drop table", "truncate table", "begin", "commit", "rollback",
    "show", "call", "grant", "revoke", "set", "replace into", "use", "show tables", "show databases",
    "show create table", "describe", "vacuum", "analyze", "start transaction", "show processlist",
    "refresh materialized view", "create schema",
)  # fmt: skip
AFTER_TABLE = (
    "where", "join", "left join", "on", "using", "inner join", "right join", "full join", "cross join", "group by",
    "order by", "limit", "set", "values", "select", "having", "union all", "union", "returning", "as", "lateral",
    "offset", "for update", "default values", "on conflict", "force index", "window", "natural join",
)  # fmt: skip
AFTER_VALUE = (
    "from", "and", "or", "as", "where", "is null", "is not null", "in", "not in", "like", "ilike", "between",
    "group by", "order by", "limit", "join", "left join", "then", "when", "else", "end", "asc", "desc",
    "nulls last", "nulls first", "having", "on", "union all", "union", "over", "filter", "returning", "offset",
    "regexp", "collate", "not",
    "at time zone", "intersect", "except", "separator", "on conflict", "on duplicate key update", "for update",
)  # fmt: skip
BEFORE_VALUE = (
    "distinct", "case", "not", "exists", "null", "true", "false", "not exists", "interval", "select", "cast", "any",
    "all", "default", "when", "then", "else", "end", "by",
)  # fmt: skip
FOLLOWS: dict[str, tuple[str, ...]] = {
    "order": ("by",), "group": ("by",), "partition": ("by",), "insert": ("into", "ignore into"), "delete": ("from",),
    "left": ("join", "outer join"), "right": ("join", "outer join"), "full": ("join", "outer join"),
    "inner": ("join",), "cross": ("join",), "natural": ("join", "left join"), "outer": ("join",),
    "is": ("null", "not null", "distinct from"),
    "nulls": ("first", "last"), "union": ("all", "select"), "primary": ("key",), "foreign": ("key",),
    "create": ("table", "index", "view", "unique index", "schema", "function", "procedure", "trigger", "database",
               "user", "or replace view", "or replace function", "materialized view", "temporary table", "extension"),
    "alter": ("table", "index", "view", "user", "role", "database", "sequence"),
    "drop": ("table", "index", "view", "schema", "function", "procedure", "trigger", "database", "user",
             "materialized view", "sequence", "column", "constraint"),
    "show": ("tables", "databases", "create table", "processlist", "variables like", "index from", "columns from",
             "status", "grants", "warnings", "all"),
    "truncate": ("table",), "start": ("transaction",),
}  # fmt: skip
_NEXT_STATEMENT = re.compile(
    r"\n[ \t]*\n\s*(?=(?:select|insert|update|delete|with|create|alter|drop|truncate|explain|show|begin|set)\b)", re.I
)


class Offer(Enum):
    """What a completion is."""

    COLUMN = "column"
    JOIN = "join"
    ALIAS = "alias"
    TABLE = "table"
    VIEW = "view"
    CTE = "cte"
    SCHEMA = "schema"
    FUNCTION = "function"
    KEYWORD = "keyword"
    TYPE = "type"


@dataclass(frozen=True)
class Completion:
    """`label` is shown, `insert` takes the place of what was typed, `detail` explains."""

    label: str
    insert: str
    kind: Offer
    detail: str = ""


@dataclass(frozen=True)
class Completions:
    """What is offered for `text[start:end]`, the best first; `typed` is what stands there."""

    start: int
    end: int
    typed: str
    items: list[Completion] = field(default_factory=list)
    qualified: bool = False
    """A name and a dot are before it."""


def complete(text: str, offset: int, engine: str, metadata: SchemaMetadata) -> Completions:
    """The completions at `offset` of a statement (what is around it may be given too, without its semicolon)."""
    first = max(0, offset - BEFORE)
    left, right = text[first:offset], text[offset : offset + BEHIND]
    left, cut = _last_statement(left)
    first += cut
    if (following := _NEXT_STATEMENT.search(right)) is not None:
        right = right[: following.start()]
    before = tokens(left, engine)
    typed, start, quoted = "", offset, False
    if before:
        last = before[-1]
        if last.open and last.kind in (TokenKind.STRING, TokenKind.COMMENT):
            return Completions(offset, offset, "")
        if last.end == len(left) and last.kind in (TokenKind.NUMBER, TokenKind.STRING):
            return Completions(offset, offset, "")
        if last.kind is TokenKind.NAME and (last.open or last.end == len(left)):
            if not last.open:
                return Completions(offset, offset, "")
            typed, start, quoted = last.name, first + last.start, True
            before.pop()
        elif last.kind is TokenKind.WORD and last.end == len(left):
            typed, start = last.text, first + last.start
            before.pop()
    before = [token for token in before if token.kind is not TokenKind.COMMENT]
    if _begins_variable(before) and before[-1].end == start - first:
        return Completions(offset, offset, "")  # a variable or parameter
    rest = 0
    while rest < len(right) and (right[rest].isalnum() or right[rest] in "_$"):
        rest += 1
    after = [token for token in tokens(right[rest:], engine) if token.kind is not TokenKind.COMMENT]
    context = read(before, after)
    search = _Search(context, typed, quoted, engine, metadata, before, right[rest : rest + 1] == "(")
    return Completions(start, offset, typed, search.found(), bool(context.qualifiers))


def _begins_variable(before: list[Token]) -> bool:
    """`@name`, `:name` or `$1`, but not the `::` of a cast."""
    if not before or before[-1].text not in ("@", ":", "$"):
        return False
    return not (len(before) > 1 and before[-1].text == ":" == before[-2].text)


def _last_statement(left: str) -> tuple[str, int]:
    """What is behind an empty line and the first word of a statement, where no bracket is open."""
    for match in reversed(list(_NEXT_STATEMENT.finditer(left))):
        head = left[: match.end()]
        if head.count("(") <= head.count(")"):
            return left[match.end() :], match.end()
    return left, 0


def quality(name: str, typed: str) -> int | None:
    """How well a name fits what is typed: 0 begins with it, 1 a word in it does, 2 it is inside, 3 its letters are
    there in order; None: not at all."""
    if not typed:
        return 0
    folded = name.casefold()
    if folded.startswith(typed):
        return 0
    place = folded.find(typed)
    if place > 0:
        return 1 if not folded[place - 1].isalnum() else 2
    if len(typed) < 2 or typed[0] != folded[:1]:
        return None
    rest = iter(folded)
    return 3 if all(letter in rest for letter in typed) else None


def dialect_of(engine: str) -> Dialect:
    """How names are quoted."""
    return dialect_for(engine)


class _Search:
    """One search; `rank` orders kinds, and within one what fits better comes first."""

    def __init__(
        self, context: Context, typed: str, quoted: bool, engine: str, metadata: SchemaMetadata,
        before: list[Token], bracket_follows: bool,
    ) -> None:  # fmt: skip
        self._context, self._engine, self._metadata, self._before = context, engine, metadata, before
        self._typed = typed.casefold()
        self._as_typed, self._quoted, self._bracket = typed, quoted, bracket_follows
        self._dialect = dialect_of(engine)
        self._words: EngineWords = words_of(engine)
        self._found: dict[tuple[str, Offer], tuple[tuple[int, float, bool, int], Completion]] = {}
        self._upper = typed.isupper() if typed else context.upper

    def found(self) -> list[Completion]:
        """The best first."""
        if self._context.qualifiers:
            self._behind_dot()
        else:
            self._unqualified()
        ordered = sorted(self._found.values(), key=lambda entry: entry[0])
        return [completion for _order, completion in ordered[:MOST]]

    def _add(
        self,
        rank: float,
        label: str,
        kind: Offer,
        detail: str = "",
        insert: str | None = None,
        match: str | None = None,
    ) -> None:
        fits = quality(match if match is not None else label, self._typed)
        if fits is None or (label, kind) in self._found:
            return
        if insert is None:
            insert = self._name(label)
        exact = (match if match is not None else label).startswith(self._as_typed)
        awkward = not exact or insert[:1] in ('"', "`", "[")
        self._found[label, kind] = ((fits, rank, awkward, len(self._found)), Completion(label, insert, kind, detail))

    def _name(self, name: str) -> str:
        if self._quoted:
            mark = "`" if self._engine == "mysql" else '"'
            return mark + name.replace(mark, mark * 2) + mark
        return self._dialect.quote(name)

    # -- what is there

    def _unqualified(self) -> None:
        place = self._context.place
        if place is Place.NOTHING:
            return
        if self._before and (behind := self._follows(self._before[-1].text.lower())) is not None:
            self._keywords(0, *behind)
            return
        if place is Place.START:
            self._keywords(0, STARTS)
        elif place is Place.RELATION:
            self._relations()
        elif place is Place.SCHEMA:
            for schema in self._metadata.schemas:
                self._add(0, schema, Offer.SCHEMA)
        elif place is Place.ROUTINE:
            self._functions(0)
        elif place is Place.SHARED_COLUMN:
            self._shared_columns()
        elif place is Place.TYPE:
            for word in self._words.types:
                self._add(0, word, Offer.TYPE, insert=word)
        elif place is Place.TARGET_COLUMN and self._context.target is not None:
            self._columns([self._context.target], 0)
        elif place is Place.AFTER_RELATION:
            self._keywords(0, self._after_table())
        elif self._context.after_operand and not self._quoted:
            self._keywords(0, AFTER_VALUE)
            self._rest(5)
        elif place is Place.OTHER:
            self._keywords(1, self._words.common)
            self._functions(1.5)
            self._rest(3)
        else:
            self._values(place)

    def _after_table(self) -> Iterable[str]:
        """In a join without its condition ON comes first, behind a table of INSERT or UPDATE its own clauses."""
        word = next((t.text.lower() for t in reversed(self._before) if t.is_word("join", "from", "update", "into")), "")
        first = {"join": ("on", "using"), "update": ("set",), "into": ("values", "select", "default values")}
        return (*first.get(word, ()), *AFTER_TABLE)

    def _values(self, place: Place) -> None:
        queries = self._context.queries
        if place is Place.CONDITION:
            self._joins(queries[0])
        some = False
        for distance, query in enumerate(queries):
            some = some or bool(query.sources)
            self._columns(query.sources, 1 + distance)
            if not self._quoted or query.sources:
                for source in query.sources:
                    if source.called:
                        what = ".".join(source.path) if source.alias and source.path else ""
                        self._add(1.5 + distance, source.called, Offer.ALIAS, what)
        if not some and self._typed:
            for name in self._metadata.column_names_starting(self._as_typed):
                self._add(2, name, Offer.COLUMN)
        if self._quoted:
            return
        self._keywords(5, BEFORE_VALUE)
        if self._typed:
            self._functions(6)
            self._rest(9)

    def _joins(self, query: Query) -> None:
        """Conditions by foreign keys between the table that is joined and those before it."""
        if len(query.sources) < 2 or self._quoted:
            return
        joined = query.sources[-1]
        for index, source in enumerate(query.sources):
            ahead = next((i for i, t in enumerate(self._before) if t.identifies and t.name == source.called), None)
            if ahead is not None:
                joined = query.sources[index]
        one = self._table_of(joined)
        if one is None:
            return
        for source in query.sources:
            other = self._table_of(source)
            if other is None or source is joined:
                continue
            for key in self._metadata.keys_between(one.table, other.table):
                mine, theirs = (joined, source) if key.table == one.table else (source, joined)
                if key.table == key.referenced:
                    mine, theirs = joined, source
                condition = " and ".join(
                    f"{self._name(mine.called)}.{self._name(here)} = {self._name(theirs.called)}.{self._name(there)}"
                    for here, there in zip(key.columns, key.referenced_columns, strict=True)
                )
                self._add(0, condition, Offer.JOIN, insert=condition)

    def _shared_columns(self) -> None:
        """Names that the last table has in common with those before it."""
        *others, last = self._context.queries[0].sources or [Source((), "")]
        known = {name for source in others for name, _type in self._columns_of(source)}
        for name, type_name in self._columns_of(last):
            if name in known:
                self._add(0, name, Offer.COLUMN, type_name)

    def _columns(self, sources: Iterable[Source], rank: float) -> None:
        every = [(source, list(self._columns_of(source))) for source in sources]
        times = Counter(name.casefold() for _source, columns in every for name, _type in columns)
        for source, columns in every:
            for name, type_name in columns:
                if times[name.casefold()] > 1 and source.called and not self._quoted:
                    # In two tables: the bare name would be refused.
                    insert = f"{self._name(source.called)}.{self._name(name)}"
                    self._add(rank, f"{source.called}.{name}", Offer.COLUMN, type_name, insert, match=name)
                else:
                    detail = " · ".join(part for part in (type_name, source.called) if part)
                    self._add(rank, name, Offer.COLUMN, detail)

    def _columns_of(self, source: Source) -> Iterator[tuple[str, str]]:
        if source.columns is None:
            table = self._table_of(source)
            for column in table.columns if table is not None else ():
                yield column.name, column.type_name
            return
        for name in source.columns:
            if name.endswith(".*"):
                *schema, bare = name[:-2].split(".")
                table = self._metadata.table(bare, schema[-1] if schema else None)
                for column in table.columns if table is not None else ():
                    yield column.name, column.type_name
            else:
                yield name, ""

    def _table_of(self, source: Source) -> TableMetadata | None:
        if source.columns is not None or not source.path:
            return None
        return self._metadata.table(source.path[-1], source.path[-2] if len(source.path) > 1 else None)

    def _relations(self) -> None:
        for source in self._context.defined.values():
            self._add(0, source.called, Offer.CTE)
        self._tables(None, 1)
        for schema in self._metadata.schemas:
            self._add(3, schema, Offer.SCHEMA, insert=self._name(schema))
        if not self._quoted:
            if self._before and self._before[-1].text == "(":
                self._keywords(2.5, ("select",))
            self._keywords(6, ("lateral", "only", "select", "if exists", "table"))

    def _tables(self, schema: str | None, rank: float) -> None:
        metadata = self._metadata
        tables = list(metadata.tables_starting(self._as_typed, schema, MOST))
        if len(self._typed) >= 2 and len(tables) < MOST:
            words = [f"{schema}.", self._as_typed] if schema else [self._as_typed]
            tables += metadata.tables_with(words, 200)[0]
        for table in tables:
            if schema is not None and table.schema.casefold() != schema.casefold():
                continue
            kind = Offer.VIEW if "view" in table.kind else Offer.TABLE
            if schema is not None or not table.schema or table.schema in metadata.search_path:
                self._add(rank, table.name, kind, "" if schema or not table.schema else table.schema)
            else:
                label = f"{table.schema}.{table.name}"
                insert = f"{self._name(table.schema)}.{self._name(table.name)}"
                self._add(rank + (3 if table.system else 1), label, kind, "", insert, match=table.name)

    def _follows(self, word: str) -> tuple[tuple[str, ...], bool] | None:
        """What comes behind a word, and whether the engine itself says so."""
        if word in self._words.follows:
            return self._words.follows[word], True
        return (FOLLOWS[word], False) if word in FOLLOWS else None

    def _keywords(self, rank: float, words: Iterable[str], surely: bool = False) -> None:
        """`words` where the engine has them; `surely`: all of them."""
        if self._quoted:
            return
        known = set(self._words.common) | set(self._words.phrases) | set(self._words.keywords)
        for place, word in enumerate(words):
            if not (surely or not known or self._said_here(word, known)):
                continue
            shown = word.upper() if self._upper else word
            self._add(rank + place / 1000, shown, Offer.KEYWORD, insert=shown)

    def _said_here(self, words: str, known: set[str]) -> bool:
        return words not in self._words.foreign and (words in known or all(word in known for word in words.split()))

    def _rest(self, rank: float) -> None:
        """Whatever else the engine knows, once something is typed."""
        if self._typed:
            self._keywords(rank, self._words.common)
            self._keywords(rank, self._words.phrases)
            self._keywords(rank + 1, self._words.keywords)

    def _functions(self, rank: float, schema: str | None = None) -> None:
        for function in self._metadata.functions_starting(self._as_typed, schema, MOST):
            if not function.system or schema is not None:
                label = function.name
                arguments = " ".join(function.arguments.split())
                self._add(rank, label, Offer.FUNCTION, f"({arguments})", self._called(self._name(label)))
        if schema is None:
            for word in self._words.functions:
                shown = word.upper() if self._upper else word
                insert = shown if word in WITHOUT_BRACKETS else self._called(shown)
                self._add(rank + 1, shown, Offer.FUNCTION, insert=insert)

    def _called(self, name: str) -> str:
        return name if self._bracket else f"{name}("

    # -- behind a dot

    def _behind_dot(self) -> None:
        *schema, name = self._context.qualifiers
        if self._context.place is Place.RELATION and not schema:
            self._tables(name, 0)
            return
        if not schema:
            for query in self._context.queries:
                for source in query.sources:
                    if source.called.casefold() == name.casefold():
                        self._columns([source], 0)
                        return
            if self._context.target is not None and self._context.target.called.casefold() == name.casefold():
                self._columns([self._context.target], 0)
                return
        table = self._metadata.table(name, schema[-1] if schema else None)
        if table is not None:
            self._columns([Source((table.schema, table.name), "")], 0)
        if not schema and any(name.casefold() == known.casefold() for known in self._metadata.schemas):
            self._tables(name, 1)
            self._functions(2, name)


__all__ = ["Completion", "Completions", "Offer", "complete", "dialect_of", "quality"]
