"""Runs batches of Transact-SQL: control flow, variables, messages and transactions here, queries in SQLite."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import apsw

from . import showplan, tokens
from .databases import NoSuchDatabase
from .encoding import Value, text_of
from .functions import converted
from .queries import Queries
from .response import Cancelled, Response
from .script import Assign, Block, Declare, If, Module, Simple, Statement, TryCatch, While, statements_of
from .sql_errors import EXPECTED, SqlError, as_sql_error
from .sql_lexer import Kind, SyntaxFault, Token
from .sql_types import parsed
from .state import Session, Variables
from .translation import listed, name_at

if TYPE_CHECKING:
    from .procedures import Procedures

_DEEPEST = 32


class _Return(Exception):
    def __init__(self, value: int) -> None:
        self.value = value


class _Leave(Exception):
    """BREAK and CONTINUE."""

    def __init__(self, *, goes_on: bool) -> None:
        self.goes_on = goes_on


class Interpreter:
    """Of one session. `procedures` is set by who makes both."""

    procedures: Procedures

    def __init__(self, session: Session) -> None:
        self.session = session
        self.queries = Queries(session)
        self._handlers: dict[str, Callable[[Simple, Response, Variables], None]] = {
            "set": self._set, "print": self._print, "raiserror": self._raiserror, "throw": self._throw,
            "waitfor": self._waitfor, "use": self._use, "begin": self._begin, "commit": self._commit,
            "rollback": self._rollback, "save": self._save, "exec": self._execute, "execute": self._execute,
            "return": self._return, "break": self._break, "continue": self._break, "kill": self._kill,
            "create": self._create, "drop": self._drop, "alter": self._alter,
            "grant": self._nothing, "revoke": self._nothing, "deny": self._nothing, "dbcc": self._nothing,
            "checkpoint": self._nothing, "reconfigure": self._nothing, "go": self._nothing,
        }  # fmt: skip

    def run_batch(self, text: str, out: Response, variables: Variables) -> int:
        """Runs it; errors are sent. Returns what a RETURN gave, else 0. Raises Cancelled."""
        try:
            statements = statements_of(text)
        except SyntaxFault as fault:
            self._send(SqlError(102, 15, str(fault), line=fault.line), out)
            out.statement_done(None)
            return 0
        except RecursionError:
            self._send(SqlError(191, 15, "Some part of your SQL statement is nested too deeply."), out)
            out.statement_done(None)
            return 0
        if self.session.options.get("showplan_xml") == "on" and not _sets_showplan(statements):
            showplan.answer(text, statements, out)
            return 0
        self.queries.batch = text
        try:
            self._run(statements, out, variables)
            if self.session.options.get("xml") == "on" and not _sets_showplan(statements):
                showplan.answer(text, statements, out, measured=True)
        except _Return as returned:
            return returned.value
        except _Leave:
            return 0
        except SqlError as error:
            self._send(error, out)
            out.statement_done(None)
        return 0

    def _run(self, statements: Sequence[Statement], out: Response, variables: Variables) -> None:
        for statement in statements:
            out.check()
            try:
                self._one(statement, out, variables)
            except apsw.InterruptError:
                out.check()
                raise Cancelled from None
            except EXPECTED as error:
                told = as_sql_error(error, statement.line)
                self._failed(told, out)

    def _failed(self, error: SqlError, out: Response) -> None:
        """Sends an error, or raises it where it ends more than its statement."""
        aborts = self.session.options.get("xact_abort") == "on"
        if self.session.depth_of_try or error.ends_batch or (aborts and error.severity > 10):
            if aborts and self.session.transactions and not self.session.depth_of_try:
                self.session.rollback()
            raise error
        self._send(error, out)
        out.statement_done(None)

    def _send(self, error: SqlError, out: Response) -> None:
        self.session.last_error = error.number
        out.message(error.number, error.state, error.severity, error.text, error.line or 1, error.procedure)

    def _one(self, statement: Statement, out: Response, variables: Variables) -> None:
        match statement:
            case Block(body=body):
                self._run(body, out, variables)
            case If(condition=condition, then=then, otherwise=otherwise):
                chosen = then if self.queries.condition(condition, variables) else otherwise
                if chosen is not None:
                    self._run([chosen], out, variables)
            case While(condition=condition, body=body):
                while self.queries.condition(condition, variables):
                    try:
                        self._run([body] if body is not None else [], out, variables)
                    except _Leave as leave:
                        if not leave.goes_on:
                            break
            case TryCatch():
                self._try(statement, out, variables)
            case Declare(variables=declared):
                for name, kind, value in declared:
                    sql_type = parsed(kind)
                    if sql_type is None:
                        raise SqlError(
                            2715, 16, f"Column, parameter, or variable {name}: Cannot find data type {kind.strip()}."
                        )
                    found = self.queries.value(value, variables) if value else None
                    variables[name] = (sql_type, converted(sql_type, found))
            case Assign(name=name, value=value):
                if name not in variables:
                    raise SqlError(137, 15, f'Must declare the scalar variable "{name}".', ends_batch=True)
                sql_type = variables[name][0]
                variables[name] = (sql_type, converted(sql_type, self.queries.value(value, variables)))
            case Module():
                self._module(statement, out)
            case Simple(word=word):
                self.session.running = " ".join(token.text for token in statement.tokens[:200])
                handler = self._handlers.get(word)
                if handler is not None:
                    handler(statement, out, variables)
                elif word:
                    self.queries.run(statement, out, variables, self)
                else:
                    self._bare_call(statement, out, variables)

    def _bare_call(self, statement: Simple, out: Response, variables: Variables) -> None:
        """A procedure's name alone begins a batch."""
        first = statement.tokens[0]
        if first.kind not in (Kind.WORD, Kind.QUOTED):
            raise SyntaxFault(first.text, first.line)
        word = Token(Kind.WORD, "exec", "exec", first.start, first.line)
        self._execute(Simple([word, *statement.tokens], "exec"), out, variables)

    def _try(self, statement: TryCatch, out: Response, variables: Variables) -> None:
        session = self.session
        session.depth_of_try += 1
        try:
            self._run(statement.body, out, variables)
        except SqlError as error:
            session.depth_of_try -= 1
            session.caught.append((error.number, error.severity, error.state, error.line, error.procedure, error.text))
            try:
                self._run(statement.handler, out, variables)
            finally:
                session.caught.pop()
                session.depth_of_try += 1
        finally:
            session.depth_of_try -= 1

    # -- statements with a form of their own

    def _nothing(self, statement: Simple, out: Response, variables: Variables) -> None:
        out.statement_done(None)

    def _set(self, statement: Simple, out: Response, variables: Variables) -> None:
        words = [token.name.lower() for token in statement.tokens[1:]]
        if words[:3] == ["transaction", "isolation", "level"]:
            self.session.options["isolation"] = " ".join(words[3:])
        elif len(words) >= 2:
            for name in words[:-1]:
                if name != ",":
                    self.session.options[name] = words[-1]
        out.statement_done(None)

    def _print(self, statement: Simple, out: Response, variables: Variables) -> None:
        value = self.queries.value(statement.tokens[1:], variables)
        out.message(0, 1, 0, "" if value is None else text_of(value), statement.line)
        out.statement_done(None)

    def _raiserror(self, statement: Simple, out: Response, variables: Variables) -> None:
        inside = statement.tokens[2:]
        depth = 1
        for end, token in enumerate(inside):  # noqa: B007
            depth += token.is_sign("(") - token.is_sign(")")
            if depth == 0:
                break
        else:
            raise SyntaxFault("raiserror", statement.line)
        values = [self.queries.value(part, variables) for part in listed(inside[:end])]
        text = text_of(values[0])
        number = 50000
        if isinstance(values[0], int):
            number, text = values[0], f"Error {values[0]}, severity {values[1]!r}, state 1 was raised."
        for value in values[3:]:
            text = re.sub(r"%[-+0 #]*\d*(?:\.\d+)?[sdiuxXo]", text_of(value).replace("\\", r"\\"), text, count=1)
        severity = int(number_text(values[1])) if len(values) > 1 else 16
        state = int(number_text(values[2])) if len(values) > 2 else 1
        error = SqlError(number, severity, text, state=state, line=statement.line)
        if severity <= 10:
            out.message(number, state, severity, text, statement.line)
            out.statement_done(None)
        else:
            self._failed(error, out)

    def _throw(self, statement: Simple, out: Response, variables: Variables) -> None:
        if len(statement.tokens) == 1:
            if not self.session.caught:
                raise SqlError(10704, 15, "To rethrow an error, a THROW statement must be used inside a CATCH block.")
            number, severity, state, line, procedure, text = self.session.caught[-1]
        else:
            values = [self.queries.value(part, variables) for part in listed(statement.tokens[1:])]
            number, text, state = int(number_text(values[0])), text_of(values[1]), int(number_text(values[2]))
            severity, line, procedure = 16, statement.line, ""
        raise SqlError(number, severity, text, state=state, line=line, ends_batch=True, procedure=procedure)

    def _waitfor(self, statement: Simple, out: Response, variables: Variables) -> None:
        value = text_of(self.queries.value(statement.tokens[2:3], variables))
        pieces = [float(piece) for piece in value.split(":")]
        while len(pieces) < 3:
            pieces.append(0.0)
        end = time.monotonic() + min(pieces[0] * 3600 + pieces[1] * 60 + pieces[2], 3600)
        while (left := end - time.monotonic()) > 0:
            out.wait(left)
        out.statement_done(None)

    def _use(self, statement: Simple, out: Response, variables: Variables) -> None:
        self.use(statement.tokens[1].name, out)
        out.statement_done(None)

    def use(self, name: str, out: Response) -> None:
        """Opens another database and says so."""
        session = self.session
        try:
            real = session.shared.databases.real_name(name)
        except NoSuchDatabase:
            raise SqlError(
                911, 16, f"Database '{name}' does not exist. Make sure that the name is entered correctly."
            ) from None
        old, session.database = session.database, real
        out.add(tokens.changed(tokens.ENV_DATABASE, real, old))
        out.message(5701, 2, 0, f"Changed database context to '{real}'.")

    def _begin(self, statement: Simple, out: Response, variables: Variables) -> None:
        self.begin_transaction(out)
        out.statement_done(None)

    def begin_transaction(self, out: Response) -> None:
        """Tells the client, where it is a new one."""
        if self.session.begin() and out.version.wide:
            out.add(tokens.changed_bytes(tokens.ENV_BEGIN, self.session.descriptor.to_bytes(8, "little"), b""))

    def _commit(self, statement: Simple, out: Response, variables: Variables) -> None:
        self.commit_transaction(out)
        out.statement_done(None)

    def commit_transaction(self, out: Response) -> None:
        if not self.session.transactions:
            raise SqlError(3902, 16, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if self.session.commit() and out.version.wide:
            out.add(tokens.changed_bytes(tokens.ENV_COMMIT, b"", self.session.descriptor.to_bytes(8, "little")))

    def _rollback(self, statement: Simple, out: Response, variables: Variables) -> None:
        names = [token.name for token in statement.tokens[1:] if not token.is_word("tran", "transaction", "work")]
        if names and names[0].lower() in self.queries.savepoints:
            self.session.connection.execute(f'ROLLBACK TO "{names[0].lower()}"')
        else:
            self.rollback_transaction(out)
        out.statement_done(None)

    def rollback_transaction(self, out: Response) -> None:
        if not self.session.transactions:
            raise SqlError(3903, 16, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self.session.rollback()
        self.queries.savepoints.clear()
        if out.version.wide:
            out.add(tokens.changed_bytes(tokens.ENV_ROLLBACK, b"", self.session.descriptor.to_bytes(8, "little")))

    def _save(self, statement: Simple, out: Response, variables: Variables) -> None:
        self.save_transaction(statement.tokens[-1].name)
        out.statement_done(None)

    def save_transaction(self, name: str) -> None:
        """A point in the transaction that it can go back to."""
        self.queries.savepoints.add(name.lower())
        self.session.connection.execute(f'SAVEPOINT "{name.lower()}"')

    def _execute(self, statement: Simple, out: Response, variables: Variables) -> None:
        if self.session.depth >= _DEEPEST:
            raise SqlError(
                217, 16, "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32)."
            )
        self.session.depth += 1
        try:
            self.procedures.execute_statement(statement, out, variables)
        finally:
            self.session.depth -= 1

    def _return(self, statement: Simple, out: Response, variables: Variables) -> None:
        rest = statement.tokens[1:]
        raise _Return(int(number_text(self.queries.value(rest, variables))) if rest else 0)

    def _break(self, statement: Simple, out: Response, variables: Variables) -> None:
        raise _Leave(goes_on=statement.word == "continue")

    def _kill(self, statement: Simple, out: Response, variables: Variables) -> None:
        spid = int(number_text(self.queries.value(statement.tokens[1:2], variables)))
        other = self.session.shared.sessions.get(spid)
        if other is None:
            raise SqlError(6106, 16, f"Process ID {spid} is not an active process ID.")
        other.killed.set()
        other.on_kill()
        out.statement_done(None)

    # -- databases, logins, modules

    def _create(self, statement: Simple, out: Response, variables: Variables) -> None:
        words = statement.tokens
        databases = self.session.shared.databases
        if words[1].is_word("database"):
            try:
                databases.create(words[2].name)
            except ValueError:
                raise SqlError(
                    1801, 16, f"Database '{words[2].name}' already exists. Choose a different database name."
                ) from None
        elif words[1].is_word("login"):
            databases.logins[words[2].name.lower()] = _password(words)
        elif words[1].is_word("schema"):
            self.session.connection.execute("INSERT INTO tsql_schemas VALUES (?)", (words[2].name,))
        elif not words[1].is_word("user", "role", "type", "synonym", "statistics", "certificate"):
            self.queries.define(statement, variables)
        out.statement_done(None)

    def _drop(self, statement: Simple, out: Response, variables: Variables) -> None:
        words = statement.tokens
        optional = len(words) > 3 and words[2].is_word("if")
        chain, _end = name_at(words, 4 if optional else 2)
        databases = self.session.shared.databases
        if words[1].is_word("database"):
            try:
                databases.drop(chain[-1])
            except NoSuchDatabase:
                if not optional:
                    raise SqlError(
                        3701, 11, f"Cannot drop the database '{chain[-1]}', because it does not exist."
                    ) from None
        elif words[1].is_word("login"):
            databases.logins.pop(chain[-1].lower(), None)
        elif words[1].is_word("schema"):
            self.session.connection.execute("DELETE FROM tsql_schemas WHERE name = ?", (chain[-1],))
        elif words[1].is_word("procedure", "proc", "function", "trigger"):
            self.session.connection.execute("DELETE FROM tsql_modules WHERE name = ?", (plain_name(chain),))
            if not optional and self.session.connection.changes() == 0:
                raise SqlError(3701, 11, f"Cannot drop the procedure '{chain[-1]}', because it does not exist.")
        elif not words[1].is_word("user", "role", "type", "synonym", "statistics"):
            self.queries.define(statement, variables)
        out.statement_done(None)

    def _alter(self, statement: Simple, out: Response, variables: Variables) -> None:
        words = statement.tokens
        if words[1].is_word("login"):
            self.session.shared.databases.logins[words[2].name.lower()] = _password(words)
        elif words[1].is_word("table"):
            self.queries.define(statement, variables)
        out.statement_done(None)

    def _module(self, module: Module, out: Response) -> None:
        chain, _end = name_at(module.name, 0)
        if module.kind == "view":
            self.queries.define_view(module, plain_name(chain))
        statements_of(module.body)
        with contextlib.suppress(KeyError):
            self.session.keep_module(module, plain_name(chain))
        out.statement_done(None)


def plain_name(chain: Sequence[str]) -> str:
    """A name as tables and modules are kept under: with its schema unless that is dbo."""
    if len(chain) > 1 and chain[-2] and chain[-2].lower() != "dbo":
        return f"{chain[-2]}.{chain[-1]}"
    return chain[-1]


def number_text(value: Value) -> str:
    """A number for int(); 0 for NULL."""
    return "0" if value is None else text_of(value)


def _password(words: Sequence[Token]) -> str:
    for at, token in enumerate(words):
        if token.is_word("password") and at + 2 < len(words):
            return words[at + 2].value
    raise SyntaxFault(words[-1].text, words[-1].line)


def _sets_showplan(statements: Sequence[Statement]) -> bool:
    return any(isinstance(each, Simple) and each.word == "set" for each in statements)
