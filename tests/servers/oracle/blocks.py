"""PL/SQL, as far as the tests speak it: a block is a list of statements, one after the other.

What a block computes is computed by SQLite: its variables are bound there by their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .columns import Value

if TYPE_CHECKING:
    from .sql import Cursor, Session

Given = Value | list[Value] | object
"""What a bind is given: a value, the values of an array, or a cursor."""

Procedure = Callable[["Session", list[Value]], list[Value]]
"""From the arguments to what they are afterwards."""

PROCEDURES: dict[str, Procedure] = {}
"""By their names in lower case. Functions are SQLite's."""


@dataclass
class Block:
    """One execution. `binds`: by their names, in the order in which they are first named."""

    session: Session
    binds: dict[str, Given]
    variables: dict[str, Given] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    """Binds that have got a value."""

    def run(self, text: str) -> None:
        """Raises OracleError."""
        declared, body = _parts(text)
        for each in statements(declared):
            self._declare(each)
        for each in statements(body):
            self._statement(each)

    def _declare(self, text: str) -> None:
        found = _DECLARATION.match(text)
        if found:
            self.variables[found[1].lower()] = self._value(found[2]) if found[2] else None

    def _statement(self, text: str) -> None:
        from .sql import Cursor, OracleError  # it imports this module

        session, word = self.session, text.split(None, 1)[0].lower().split("(")[0]
        if assigned := re.match(r"(:?\"?[\w$#]+\"?)\s*:=\s*(.+)$", text, re.S):
            self._set(assigned[1], self._value(assigned[2]))
        elif raised := re.match(r"raise_application_error\s*\(\s*-(\d+)\s*,\s*'([^']*)'", text, re.I):
            raise OracleError(int(raised[1]), f"{raised[2]}\nORA-06512: at line 1")
        elif slept := re.match(r"dbms_(?:session|lock)\.sleep\s*\((.+)\)$", text, re.I | re.S):
            if session.stop.wait(float(str(self._value(slept[1])))):
                raise OracleError(1013, "user requested cancel of current operation")
        elif opened := re.match(r"open\s+:(\w+)\s+for\s+(.+)$", text, re.I | re.S):
            cursor = Cursor(opened[2])
            self._sql(cursor, opened[2])
            self._set(":" + opened[1], cursor)
        elif chosen := re.match(r"(select\b.+?)\binto\b(.+?)(\bfrom\b.+)?$", text, re.I | re.S):
            cursor = Cursor(chosen[1] + (chosen[3] or "from dual"))
            self._sql(cursor, cursor.text)
            if not cursor.rows:
                raise OracleError(1403, "no data found\nORA-06512: at line 1")
            for target, value in zip(chosen[2].split(","), cursor.rows[0], strict=False):
                self._set(target.strip(), value)
        elif spoken := re.match(r"execute\s+immediate\s+(.+)$", text, re.I | re.S):
            session.run(Cursor(str(self._value(spoken[1]))), [])
        elif word in ("insert", "update", "delete", "merge"):
            self._sql(Cursor(text), text)
        elif word in ("commit", "rollback"):
            session.end(commit=word == "commit")
        elif called := re.match(r"([\w.$#\"]+)\s*(?:\((.*)\))?$", text, re.S):
            self._call(called[1].lower().replace('"', ""), arguments(called[2] or ""))
        else:
            raise OracleError(6550, f"line 1, column 7:\nPLS-00103: {text.split()[0]!r} is not read here", 6)

    def _call(self, name: str, words: list[str]) -> None:
        from .sql import OracleError  # it imports this module

        if name == "null":
            return
        procedure = PROCEDURES.get(name)
        if procedure is None:
            shown = name.upper().split(".")[0]
            raise OracleError(6550, f"line 1, column 7:\nPLS-00201: identifier '{shown}' must be declared", 6)
        values = [self._argument(word) for word in words]
        for word, value in zip(words, procedure(self.session, values), strict=False):
            if word.startswith(":") or word.lower() in self.variables:
                self._set(word, value)

    def _argument(self, word: str) -> Value:
        word = re.sub(r"^\w+\s*=>\s*", "", word)
        found = self._named(word)
        if found is None and not word.startswith(":") and word.lower() not in self.variables:
            found = self._value(word)
        return found  # type: ignore[return-value]

    def _named(self, word: str) -> Given:
        name = word.lstrip(":").strip('"').lower()
        return self.binds.get(name) if word.startswith(":") else self.variables.get(name)

    def _set(self, target: str, value: Given) -> None:
        name = target.lstrip(":").strip('"').lower()
        if target.startswith(":"):
            self.binds[name] = self.given[name] = value
        else:
            self.variables[name] = value

    def _value(self, expression: str) -> Given:
        from .sql import Cursor  # it imports this module

        cursor = Cursor(f"select {expression} from dual")
        self._sql(cursor, cursor.text)
        return cursor.rows[0][0]

    def _sql(self, cursor: Cursor, text: str) -> None:
        """A statement whose variables are the block's."""
        names = bind_names(text)
        for name in self.variables:
            text = re.sub(rf"(?<![:.\w\"'])({name})(?![\w.(\"'])", r":v_\1", text, flags=re.I)
        cursor.text = text
        every = {f"v_{name}": value for name, value in self.variables.items()} | dict(self.binds)
        values = [every.get(name) for name in (bind_names(text) if names or self.variables else [])]
        plain: list[Value] = [each if isinstance(each, str | bytes | int | float) else None for each in values]
        self.session.run_inner(cursor, plain)


_DECLARATION = re.compile(
    r"(\w+)\s+(?:constant\s+)?[\w.%]+\s*(?:\([^)]*\))?\s*(?:(?::=|default)\s*(.+))?$", re.I | re.S
)


def statements(text: str) -> list[str]:
    """Of a body, cut at the semicolons that are in no literal."""
    found, begin, quoted = [], 0, False
    for at, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif letter == ";" and not quoted:
            found.append(text[begin:at].strip())
            begin = at + 1
    found.append(text[begin:].strip())
    return [each for each in found if each]


def arguments(text: str) -> list[str]:
    found, begin, depth, quoted = [], 0, 0, False
    for at, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and not depth and letter == ",":
            found.append(text[begin:at].strip())
            begin = at + 1
    return [each for each in (*found, text[begin:].strip()) if each]


_BIND = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|(?<![\w:]):\s*(\"[^\"]+\"|[\w$#]+)", re.S)


def bind_names(text: str) -> list[str]:
    """Every place of a bind, in order, in lower case."""
    return [found[1].strip('"').lower() for found in _BIND.finditer(text) if found[1]]


_ASSIGNED = re.compile(r":\s*\"?([\w$#]+)\"?\s*:=|\binto\s+:\s*\"?([\w$#]+)|\bopen\s+:\s*([\w$#]+)", re.I)


def assigned_binds(text: str) -> set[int]:
    """The places of binds that a block writes and does not read: all others of it go both ways."""
    written = [next(name for name in found.groups() if name).lower() for found in _ASSIGNED.finditer(text)]
    names = bind_names(text)
    every = list(dict.fromkeys(names))
    return {every.index(name) for name in written if names.count(name) == written.count(name)}


def _parts(text: str) -> tuple[str, str]:
    text = re.sub(r"--[^\n]*", "", text)
    found = re.match(r"\s*(?:declare\b(.*?))?\bbegin\b(.*)\bend\s*;?\s*$", text, re.I | re.S)
    return ("", text) if found is None else (found[1] or "", found[2])


def run_block(session: Session, text: str, values: Sequence[Given]) -> dict[int, Given]:
    """What binds have been given, by their places. Raises OracleError."""
    names = list(dict.fromkeys(bind_names(text)))
    block = Block(session, dict(zip(names, [*values, *[None] * len(names)], strict=False)))
    block.run(text)
    return {names.index(name): value for name, value in block.given.items()}
