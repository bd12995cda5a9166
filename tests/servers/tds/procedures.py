"""Stored procedures: those that clients prepare and run statements with, the server's own, and people's.

[MS-TDS] 2.2.6.6 names those with numbers; their parameters stand in SQL Server's documentation of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import apsw

from . import catalog_procedures, cursors, tokens
from .arguments import Argument, Arguments, argument, declared_parameters, plain_procedure
from .encoding import encoder, text_of
from .functions import converted
from .requests import NO_METADATA, Call, Parameter
from .response import Cancelled, Response
from .script import Simple
from .sql_errors import EXPECTED, SqlError, as_sql_error
from .sql_lexer import Kind, Token, tokens_of
from .sql_types import INT, TEXT, SqlType, on_wire, type_info
from .state import Prepared, Variables
from .translation import closing, listed, name_at

if TYPE_CHECKING:
    from .interpreter import Interpreter


class Procedures:
    """Of one session."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.session = interpreter.session
        interpreter.procedures = self
        self.bulk: Simple | None = None
        """The INSERT BULK that waits for its rows."""
        self._own: dict[str, Callable[[Arguments, Response], int]] = {
            "sp_executesql": self._executesql, "sp_prepare": self._prepare, "sp_execute": self._execute,
            "sp_prepexec": self._prepexec, "sp_unprepare": self._unprepare, "sp_prepexecrpc": self._prepexec_call,
        }  # fmt: skip
        self._own |= cursors.procedures(self)
        self._own |= catalog_procedures.procedures(self)

    # -- from RPC messages

    def call(self, call: Call, out: Response) -> None:
        """Runs a call and answers with its return status and output parameters."""
        arguments = [
            Argument(each.name, each.type.sql_type, each.value, output=each.output) for each in call.parameters
        ]
        out.inside_procedure += 1
        out.bare_metadata = bool(call.flags & NO_METADATA)
        try:
            status = self._run(call.name, arguments, out)
        except apsw.InterruptError:
            raise Cancelled from None
        except EXPECTED as error:
            told = as_sql_error(error, 1)
            self.session.last_error = told.number
            out.message(told.number, told.state, told.severity, told.text, told.line or 1, told.procedure)
            status = None
        finally:
            out.inside_procedure -= 1
            out.bare_metadata = False
        failed = out.failed
        if status is not None:
            out.add(tokens.return_status(status))
            self._give_back(call.parameters, arguments, out)
        out.failed = failed
        out.procedure_done(None)

    def _give_back(self, parameters: Sequence[Parameter], arguments: Arguments, out: Response) -> None:
        for place, (parameter, given) in enumerate(zip(parameters, arguments, strict=True)):
            if parameter.output:
                sql_type = on_wire(given.type, out.version)
                if sql_type.name in ("text", "ntext", "image") and out.version.wide:
                    sql_type = {"text": SqlType("varchar", -1), "ntext": SqlType("nvarchar", -1)}.get(
                        sql_type.name, SqlType("varbinary", -1)
                    )
                value = encoder(sql_type, in_row=False)(given.value)
                out.add(tokens.return_value(place, parameter.name, type_info(sql_type), value, out.version))

    def _run(self, name: str, arguments: Arguments, out: Response) -> int:
        plain = plain_procedure(name)
        own = self._own.get(plain.lower())
        if own is not None:
            return own(arguments, out)
        module = self.session.module(plain)
        if module is None or module[0] != "procedure":
            raise SqlError(2812, 16, f"Could not find stored procedure '{plain}'.", state=62, ends_batch=True)
        return self._run_module(plain, module[1], module[2], arguments, out)

    def _run_module(self, name: str, declared: str, body: str, arguments: Arguments, out: Response) -> int:
        variables: Variables = {}
        outputs: list[tuple[str, Argument]] = []
        parameters = declared_parameters(declared)
        for place, (parameter, sql_type, default) in enumerate(parameters):
            given = argument(arguments, place, parameter)
            if given is None and default is None:
                raise SqlError(201, 16,
                    f"Procedure or function '{name}' expects parameter '{parameter}', which was not "
                               "supplied.", state=4, procedure=name)  # fmt: skip
            value = given.value if given is not None else self.interpreter.queries.value(default or [], {})
            variables[parameter] = (sql_type, converted(sql_type, value))
            if given is not None:
                outputs.append((parameter, given))
        status = self.interpreter.run_batch(body, out, variables)
        for parameter, given in outputs:
            if given.output:
                given.type, given.value = variables[parameter]
        return status

    # -- statements with parameters

    def run_text(self, text: str, definition: str, values: Arguments, out: Response) -> int:
        """A batch with parameters, as sp_executesql does it."""
        variables: Variables = {}
        names: list[tuple[str, Argument]] = []
        parameters = declared_parameters(definition)
        for place, (name, sql_type, default) in enumerate(parameters):
            given = argument(values, place, name)
            if given is None and default is None:
                raise SqlError(8178, 16,
                    f"The parameterized query '({definition}){text}' expects the parameter '{name}', "
                               "which was not supplied.")  # fmt: skip
            value = given.value if given is not None else self.interpreter.queries.value(default or [], {})
            variables[name] = (sql_type, value)
            if given is not None:
                names.append((name, given))
        status = self.interpreter.run_batch(text, out, variables)
        for name, given in names:
            if given.output:
                given.type, given.value = variables[name]
        return status

    def _executesql(self, arguments: Arguments, out: Response) -> int:
        text = argument(arguments, 0, "@statement") or argument(arguments, 0, "@stmt")
        definition = argument(arguments, 1, "@params") or argument(arguments, 1, "@parameters")
        if text is None:
            raise SqlError(201, 16, "Procedure or function 'sp_executesql' expects parameter '@statement'.")
        return self.run_text(text_of(text.value), _text(definition), arguments[2:], out)

    def keep(self, text: str, definition: str) -> int:
        handle = next(self.session.handles)
        self.session.prepared[handle] = Prepared(text, definition)
        return handle

    def _prepare(self, arguments: Arguments, out: Response) -> int:
        handle = argument(arguments, 0, "@handle")
        definition = argument(arguments, 1, "@params")
        text = argument(arguments, 2, "@stmt")
        if handle is None or text is None:
            raise SqlError(201, 16, "Procedure or function 'sp_prepare' expects parameter '@stmt'.")
        handle.type, handle.value = INT, self.keep(_text(text), _text(definition))
        return 0

    def prepared(self, handle: Argument | None) -> Prepared:
        """Raises SqlError for a handle that there is not."""
        number = handle.value if handle is not None else None
        found = self.session.prepared.get(number) if isinstance(number, int) else None
        if found is None:
            raise SqlError(
                8179, 16, f"Could not find prepared statement with handle {number!r}.", state=2, ends_batch=True
            )
        return found

    def _execute(self, arguments: Arguments, out: Response) -> int:
        found = self.prepared(argument(arguments, 0, "@handle"))
        return self.run_text(found.text, found.definition, arguments[1:], out)

    def _prepexec(self, arguments: Arguments, out: Response) -> int:
        handle = arguments[0]
        text = _text(argument(arguments, 2, "@stmt"))
        definition = _text(argument(arguments, 1, "@params"))
        if isinstance(handle.value, int):
            self.session.prepared.pop(handle.value, None)
        handle.type, handle.value = INT, self.keep(text, definition)
        return self.run_text(text, definition, arguments[3:], out)

    def _prepexec_call(self, arguments: Arguments, out: Response) -> int:
        handle, text = arguments[0], _text(arguments[1])
        handle.type, handle.value = INT, self.keep(text, "")
        return self.interpreter.run_batch(text, out, {})

    def _unprepare(self, arguments: Arguments, out: Response) -> int:
        handle = argument(arguments, 0, "@handle")
        self.prepared(handle)
        assert handle is not None
        self.session.prepared.pop(int(handle.value or 0), None)
        return 0

    # -- EXEC in a batch

    def execute_statement(self, statement: Simple, out: Response, variables: Variables) -> None:
        """EXEC name …, EXEC @status = name …, EXEC ('text')."""
        words = statement.tokens
        queries = self.interpreter.queries
        if words[1].is_sign("("):
            end = closing(words, 1)
            text = text_of(queries.value(words[2:end], variables))
            self.interpreter.run_batch(text, out, {})
            return
        at, target = 1, ""
        if words[1].kind is Kind.VARIABLE and len(words) > 2 and words[2].is_sign("="):
            target, at = words[1].value, 3
        if words[at].kind is Kind.VARIABLE:
            name, end = text_of(queries.value(words[at : at + 1], variables)), at + 1
        else:
            chain, end = name_at(words, at)
            name = ".".join(chain)
        arguments: Arguments = []
        into: list[tuple[str, Argument]] = []
        for part in listed(words[end:]):
            if part[-1].is_word("recompile"):
                continue
            given, variable = self._given(part, variables)
            arguments.append(given)
            if variable:
                into.append((variable, given))
        out.inside_procedure += 1
        try:
            status = self._run(name, arguments, out)
        finally:
            out.inside_procedure -= 1
        for variable, given in into:
            variables[variable] = (variables[variable][0], converted(variables[variable][0], given.value))
        if target:
            variables[target] = (INT, status)
        out.procedure_done(status)

    def _given(self, part: list[Token], variables: Variables) -> tuple[Argument, str]:
        name = ""
        if len(part) > 2 and part[0].kind is Kind.VARIABLE and part[1].is_sign("="):
            name, part = part[0].value, part[2:]
        output = len(part) > 1 and part[-1].is_word("output", "out")
        if output:
            part = part[:-1]
        if len(part) == 1 and part[0].kind is Kind.WORD and not part[0].is_word("null", "default"):
            return Argument(name, TEXT, part[0].text), ""
        value = self.interpreter.queries.value(part, variables)
        sql_type = variables[part[0].value][0] if part[0].value in variables else TEXT
        if sql_type is TEXT and isinstance(value, int):
            sql_type = INT
        return Argument(name, sql_type, value, output=output), part[0].value if output else ""

    # -- bulk load

    def announce_bulk(self, statement: Simple, out: Response) -> None:
        """INSERT BULK: its rows come in a message of their own."""
        chain, _end = name_at(statement.tokens, 2)
        self.interpreter.queries.value(tokens_of(f"(select count(*) from {'.'.join(chain)})"), {})
        self.bulk = statement
        out.statement_done(None)


def _text(given: Argument | None) -> str:
    return "" if given is None or given.value is None else text_of(given.value)
