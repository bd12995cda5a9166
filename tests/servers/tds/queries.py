"""Queries and changes of data, run in SQLite with their results sent as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from . import result_types, system_views
from .definitions import alter_table, create_table
from .encoding import Value
from .functions import converted
from .response import Response
from .script import Module, Simple, Statement
from .sql_errors import SqlError
from .sql_lexer import Kind, SyntaxFault, Token, tokens_of
from .sql_types import ResultColumn, SqlType, storage
from .state import Session, Variables
from .translation import Names, Translator, closing, listed, name_at, named, quoted, select_list_end

if TYPE_CHECKING:
    from .interpreter import Interpreter

_COMMANDS = {"select": 0xC1, "insert": 0xC3, "delete": 0xC4, "update": 0xC5, "truncate": 0xC4}


class Queries:
    """Of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.savepoints: set[str] = set()
        self.batch = ""
        self._table_variables: set[str] = set()

    # -- expressions

    def _names(self, variables: Variables) -> Names:
        return Names(
            schemas=frozenset(self.session.schemas()) - {"sys", "information_schema"},
            databases=self.session.shared.databases.by_lower_name(),
            database=self.session.database,
            variables={name: kind for name, (kind, _value) in variables.items()},
            tables=frozenset(self._table_variables),
        )

    def _ready(self, names: Names) -> None:
        for database in names.attached:
            self.session.attach(database)
        for database, view in names.system:
            system_views.fill(self.session, database, view)

    def value(self, tokens: Sequence[Token], variables: Variables) -> Value:
        """What an expression gives. Raises SqlError and what SQLite raises."""
        if len(tokens) == 1 and tokens[0].kind is Kind.VARIABLE and tokens[0].value in variables:
            return variables[tokens[0].value][1]
        names = self._names(variables)
        sql = f"SELECT {Translator(names).expression(tokens)}"
        self._ready(names)
        row = self.session.connection.execute(sql, self._bindings(sql, variables)).fetchone()
        return None if row is None else row[0]

    def condition(self, tokens: Sequence[Token], variables: Variables) -> bool:
        """Whether it holds; NULL does not."""
        names = self._names(variables)
        sql = f"SELECT CASE WHEN {Translator(names).expression(tokens)} THEN 1 ELSE 0 END"
        self._ready(names)
        row = self.session.connection.execute(sql, self._bindings(sql, variables)).fetchone()
        return bool(row and row[0])

    @staticmethod
    def _bindings(sql: str, variables: Variables) -> dict[str, Any]:
        return _Bound({name[1:]: value for name, (_kind, value) in variables.items()})

    # -- statements

    def run(self, statement: Simple, out: Response, variables: Variables, interpreter: Interpreter) -> None:
        """A query or a change of data; its result is sent."""
        session = self.session
        word = statement.word
        tokens = statement.tokens
        if word == "declare":
            self._table_variable(statement, variables)
            out.statement_done(None)
            return
        if word not in ("select", "with", "insert", "update", "delete", "truncate", "merge"):
            raise SyntaxFault(tokens[0].text, tokens[0].line)
        if session.options.get("implicit_transactions") == "on" and not session.transactions:
            interpreter.begin_transaction(out)
        if word == "insert" and tokens[1].is_word("bulk"):
            interpreter.procedures.announce_bulk(statement, out)
            return
        names = self._names(variables)
        translator = Translator(names)
        if word == "insert" and (place := _word_at(tokens, "exec", "execute")) is not None:
            self._insert_results(translator, tokens, place, out, variables, interpreter)
            return
        if word == "select" and _assigns(tokens):
            self._assign(translator, names, tokens, variables)
            out.statement_done(1, 0xC1) if False else out.statement_done(None)
            return
        if word == "select" and (place := _word_at(tokens, "into")) is not None:
            self._select_into(translator, names, statement, place, out, variables)
            return
        sql = self._translated(translator, tokens, word)
        self._ready(names)
        self._send(sql, statement, names, out, variables)

    def _translated(self, translator: Translator, tokens: Sequence[Token], word: str) -> str:
        if word == "truncate":
            return f"DELETE FROM {translator.table_name(name_at(tokens, 2)[0])}"
        tokens = list(tokens)
        if word == "insert" and not tokens[1].is_word("into"):
            tokens.insert(1, _word("INTO", tokens[0]))
        if word == "delete":
            at = 1
            if tokens[1].is_word("top"):
                raise SqlError(50000, 16, "The test server does not know DELETE TOP.")
            if not tokens[at].is_word("from"):
                tokens.insert(1, _word("FROM", tokens[0]))
        tokens, returning = _output_clause(tokens)
        sql = translator.expression(tokens)
        if returning:
            sql += f" RETURNING {translator.expression(returning)}"
        return sql

    def _send(self, sql: str, statement: Statement, names: Names, out: Response, variables: Variables) -> None:
        session = self.session
        connection = session.connection
        cursor = connection.cursor()
        described: list[tuple[Any, ...]] = []

        def look(running: apsw.Cursor, _sql: str, _bindings: object) -> bool:
            described[:] = running.description_full
            return True

        cursor.exec_trace = look
        before = connection.total_changes()
        rows: Iterator[tuple[Value, ...]] = iter(cursor.execute(sql, self._bindings(sql, variables)))
        quiet = session.options.get("nocount") == "on"
        verb = _verb(statement.tokens)
        if not described:
            changed = connection.total_changes() - before
            session.row_count = connection.changes() if changed else 0
            if verb == "insert" and changed:
                session.identity = connection.last_insert_rowid()
            out.statement_done(None if quiet else session.row_count, _COMMANDS.get(verb, 0))
            return
        first = next(rows, None)
        columns = self._columns(described, statement, names, first)
        if session.options.get("fmtonly") == "on":
            out.columns(columns)
            out.statement_done(0, 0xC1)
            return
        out.columns(columns)
        count = 0
        if first is not None:
            out.row(first)
            count = 1
            for row in rows:
                out.row(row)
                count += 1
        if verb == "insert":
            session.identity = connection.last_insert_rowid()
        session.row_count = count
        out.statement_done(None if quiet and verb != "select" else count, _COMMANDS.get(verb, 0xC1))

    def _columns(self, described: Sequence[tuple[Any, ...]], statement: Statement, names: Names,
                 first: tuple[Value, ...] | None) -> list[ResultColumn]:  # fmt: skip
        written = result_types.of_select(statement, names.variables) if _verb(statement.tokens) == "select" else None
        types = result_types.settled([each[1] for each in described], written, first)
        labels = _labels(statement) if written is not None and len(written) == len(described) else None
        return [
            ResultColumn(str(each[0]) if labels is None or labels[index] is None else str(labels[index] or ""),
                         types[index], table=str(each[3] or ""))
            for index, each in enumerate(described)
        ]  # fmt: skip

    def rows_of(self, text: str, variables: Variables) -> tuple[list[ResultColumn], list[tuple[Value, ...]]]:
        """All rows of a query, for cursors."""
        gathered = Gathered()
        statement = Simple(tokens_of(text), tokens_of(text)[0].value)
        names = self._names(variables)
        sql = self._translated(Translator(names), statement.tokens, statement.word)
        self._ready(names)
        self._send(sql, statement, names, gathered, variables)  # type: ignore[arg-type]
        return gathered.found, gathered.rows

    # -- forms of their own

    def _assign(self, translator: Translator, names: Names, tokens: Sequence[Token], variables: Variables) -> None:
        """SELECT @a = …, the last row counts."""
        at = 1
        prefix: list[Token] = [tokens[0]]
        if tokens[at].is_word("top"):
            end = closing(tokens, at + 1) + 1 if tokens[at + 1].is_sign("(") else at + 2
            prefix += tokens[at:end]
            at = end
        end = select_list_end(tokens, at)
        targets, items = [], []
        for item in listed(tokens[at:end]):
            targets.append(item[0].value)
            items.append(item[2:])
        comma = Token(Kind.SIGN, ",", ",", tokens[0].start, tokens[0].line)
        joined = [token for item in items for token in (comma, *item)][1:]
        sql = translator.expression([*prefix, *joined, *tokens[end:]])
        self._ready(names)
        last: tuple[Value, ...] | None = None
        for row in self.session.connection.execute(sql, self._bindings(sql, variables)):
            last = row
        if last is not None:
            for target, value in zip(targets, last, strict=True):
                if target not in variables:
                    raise SqlError(137, 15, f'Must declare the scalar variable "{target}".', ends_batch=True)
                kind = variables[target][0]
                variables[target] = (kind, converted(kind, value))
        self.session.row_count = int(last is not None)

    def _select_into(self, translator: Translator, names: Names, statement: Simple, place: int, out: Response,
                     variables: Variables) -> None:  # fmt: skip
        tokens = statement.tokens
        chain, end = name_at(tokens, place + 1)
        query = [*tokens[:place], *tokens[end:]]
        sql = translator.expression(query)
        self._ready(names)
        gathered = Gathered()
        self._send(sql, Simple(query, "select"), names, gathered, variables)  # type: ignore[arg-type]
        columns = ", ".join(f"{quoted(one.name)} {quoted(storage(one.type))}" for one in gathered.found)
        table = translator.table_name(chain)
        temporary = "TEMP " if chain[-1].startswith("#") else ""
        self.session.connection.execute(f"CREATE {temporary}TABLE {table} ({columns})")
        marks = ", ".join("?" * len(gathered.found))
        self.session.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", gathered.rows)
        self.session.row_count = len(gathered.rows)
        out.statement_done(len(gathered.rows), 0xC1)

    def _insert_results(self, translator: Translator, tokens: Sequence[Token], place: int, out: Response,
                        variables: Variables, interpreter: Interpreter) -> None:  # fmt: skip
        gathered = Gathered()
        call = Simple(list(tokens[place:]), "exec")
        interpreter.procedures.execute_statement(call, gathered, variables)  # type: ignore[arg-type]
        target = list(tokens[1:place])
        if not target[0].is_word("into"):
            target.insert(0, _word("INTO", tokens[0]))
        marks = ", ".join("?" * len(gathered.found))
        sql = f"INSERT {translator.expression(target)} VALUES ({marks})"
        self.session.connection.executemany(sql, gathered.rows)
        self.session.row_count = len(gathered.rows)
        out.statement_done(len(gathered.rows), 0xC3)

    def _table_variable(self, statement: Simple, variables: Variables) -> None:
        tokens = statement.tokens
        if len(tokens) < 4 or not tokens[2].is_word("table"):
            raise SyntaxFault(tokens[1].text, tokens[1].line)
        name = tokens[1].value
        connection = self.session.connection
        connection.execute(f"DROP TABLE IF EXISTS temp.{quoted(name)}")
        connection.execute(
            create_table(Translator(self._names(variables)), tokens[3:], temporary=True, name=quoted(name))
        )
        self._table_variables.add(name)

    def define(self, statement: Simple, variables: Variables) -> None:
        """CREATE, ALTER and DROP of tables, views and indexes."""
        tokens = statement.tokens
        names = self._names(variables)
        translator = Translator(names)
        connection = self.session.connection
        if tokens[0].is_word("alter"):
            for sql in alter_table(translator, tokens[2:]):
                connection.execute(sql)
        elif tokens[0].is_word("create") and tokens[1].is_word("table"):
            sql = create_table(translator, tokens[2:])
            self._ready(names)
            connection.execute(sql)
        elif tokens[0].is_word("create"):
            connection.execute(_create_index(translator, tokens))
        elif tokens[1].is_word("table", "view", "index"):
            optional = tokens[2].is_word("if")
            start = 4 if optional else 2
            kind = tokens[1].value
            for part in listed(tokens[start:]):
                chain, _end = name_at(part, 0)
                name = translator.table_name(chain)
                self._ready(names)
                try:
                    connection.execute(f"DROP {kind} {'IF EXISTS ' if optional else ''}{name}")
                except apsw.SQLError as error:
                    if "no such" not in str(error):
                        raise
                    raise SqlError(3701, 11,
                        f"Cannot drop the {kind} '{chain[-1]}', because it does not exist or you do "
                                   "not have permission.") from None  # fmt: skip
                connection.execute("DELETE FROM tsql_modules WHERE name = ? AND kind = 'view'", (chain[-1],))
        else:
            raise SyntaxFault(tokens[1].text, tokens[1].line)

    def define_view(self, module: Module, name: str) -> None:
        """CREATE VIEW, in SQLite as well."""
        names = self._names({})
        sql = Translator(names).expression(tokens_of(module.body.rstrip().rstrip(";")))
        self.session.connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
        self.session.connection.execute(f"CREATE VIEW {quoted(name)} AS {sql}")


class _Bound(dict[str, Any]):
    """Values by the names of parameters; one that nobody declared is an error of the statement."""

    def __missing__(self, name: str) -> Any:
        raise SqlError(137, 15, f'Must declare the scalar variable "@{name}".', ends_batch=True)


class Gathered:
    """Takes a result instead of a client."""

    def __init__(self) -> None:
        self.found: list[ResultColumn] = []
        self.rows: list[tuple[Value, ...]] = []
        self.inside_procedure = 0
        self.failed = False

    def columns(self, columns: list[ResultColumn]) -> None:
        self.found = columns

    def row(self, row: tuple[Value, ...]) -> None:
        self.rows.append(row)

    def statement_done(self, count: int | None, command: int = 0) -> None:
        """Nobody is told."""

    def procedure_done(self, status: int | None) -> None:
        """Nobody is told."""

    def check(self) -> None:
        """Nothing cancels it."""

    def message(self, number: int, state: int, severity: int, text: str, line: int = 1, procedure: str = "") -> None:
        if severity > 10:
            raise SqlError(number, severity, text, state=state, line=line)


def _word(text: str, near: Token) -> Token:
    return Token(Kind.WORD, text, text.lower(), near.start, near.line)


def _word_at(tokens: Sequence[Token], *words: str) -> int | None:
    depth = 0
    for at, token in enumerate(tokens):
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_word(*words):
            return at
    return None


def _verb(tokens: Sequence[Token]) -> str:
    """What a statement does: behind WITH it comes later."""
    if not tokens[0].is_word("with"):
        return tokens[0].value
    at = _word_at(tokens[1:], "select", "insert", "update", "delete", "merge")
    return "select" if at is None else tokens[at + 1].value


def _assigns(tokens: Sequence[Token]) -> bool:
    at = 1
    if tokens[1:2] and tokens[1].is_word("top"):
        at = closing(tokens, 2) + 1 if tokens[2].is_sign("(") else 3
    return len(tokens) > at + 1 and tokens[at].kind is Kind.VARIABLE and tokens[at + 1].is_sign("=")


def _labels(statement: Statement) -> list[str | None]:
    """The names of the first select list: '' for an expression without one, None for a column's own."""
    tokens = statement.tokens
    start = _word_at(tokens, "select")
    if start is None:
        return []
    at = start + 1
    while at < len(tokens) and tokens[at].is_word("distinct", "all"):
        at += 1
    if at < len(tokens) and tokens[at].is_word("top"):
        at = closing(tokens, at + 1) + 1 if tokens[at + 1].is_sign("(") else at + 2
    labels: list[str | None] = []
    for item in listed(tokens[at : select_list_end(tokens, at)]):
        value, name = named(item)
        if name is not None:
            labels.append(name)
        elif value and value[0].kind in (Kind.WORD, Kind.QUOTED) and name_at(value, 0)[1] == len(value):
            labels.append(None if not value[0].is_word("null", "current_timestamp", "system_user", "user") else "")
        else:
            labels.append("")
    return labels


def _output_clause(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """OUTPUT INSERTED.a, … taken out of its place."""
    start = _word_at(tokens, "output")
    if start is None or not tokens[0].is_word("insert", "update", "delete"):
        return tokens, []
    end = start + 1
    depth = 0
    while end < len(tokens):
        token = tokens[end]
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_word("values", "select", "where", "from", "default"):
            break
        end += 1
    clause: list[Token] = []
    skip = 0
    for at, token in enumerate(tokens[start + 1 : end], start + 1):
        if skip:
            skip -= 1
        elif token.is_word("inserted", "deleted") and tokens[at + 1].is_sign("."):
            skip = 1
        else:
            clause.append(token)
    return tokens[:start] + tokens[end:], clause


def _create_index(translator: Translator, tokens: Sequence[Token]) -> str:
    at = 1
    unique = False
    while not tokens[at].is_word("index"):
        unique = unique or tokens[at].is_word("unique")
        if not tokens[at].is_word("unique", "clustered", "nonclustered"):
            raise SyntaxFault(tokens[at].text, tokens[at].line)
        at += 1
    name = tokens[at + 1].name
    chain, end = name_at(tokens, at + 3)
    close = closing(tokens, end)
    columns = translator.expression(tokens[end + 1 : close])
    where = _word_at(tokens[close:], "where")
    condition = f" WHERE {translator.expression(tokens[close + where + 1 :])}" if where is not None else ""
    table = translator.table_name(chain)
    return f"CREATE {'UNIQUE ' if unique else ''}INDEX {quoted(name)} ON {table} ({columns}){condition}"


def type_of_definition(text: str) -> SqlType | None:
    """The type of one parameter of a definition such as `@a nvarchar(10) output`."""
    from .sql_types import parsed

    words = [word for word in text.split() if word.lower() not in ("output", "out", "readonly")]
    return parsed(" ".join(words[1:]))
