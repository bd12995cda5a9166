"""Conversations made up by hypothesis, of a client and a server that behaves as PostgreSQL does, and their record."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from bastion.protocols.results import Row

from . import messages as m
from .conversations import Turn

T = TypeVar("T")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@dataclass
class Statement:
    """A statement as it was made up, by which the record is measured."""

    operation: str
    text: str
    binds: tuple[str | None, ...] | None = None
    outcome: str = "skipped"
    rows: int | None = None
    error: str | None = None
    shown: list[Row] = field(default_factory=list)
    uploaded: int = 0
    answered: bool = field(default=False, compare=False, repr=False)


@dataclass
class Prepared:
    number: int
    text: str
    types: tuple[int, ...]
    joinable: bool = True


@dataclass
class Portal:
    prepared: Prepared
    binds: tuple[str | None, ...]
    numbers: list[int] = field(default_factory=list)
    """Of its Executes."""


ROWS = st.lists(st.lists(st.none() | TEXTS, max_size=3), max_size=4)
Bound = tuple[bytes, str]
"""A value in binary, and as the record has it."""
BINDS: dict[int, st.SearchStrategy[Bound]] = {
    23: st.integers(-(2**31), 2**31 - 1).map(lambda number: (struct.pack(">i", number), str(number))),
    25: TEXTS.map(lambda text: (text.encode(), text)),
    17: st.binary(max_size=9).map(lambda data: (data, "\\x" + data.hex())),
    0: st.binary(max_size=9).map(lambda data: (data, "\\x" + data.hex())),
}
"""By the type that Parse names."""


class Conversation:
    """Makes up turns of a client and a server that behaves as PostgreSQL does, and the record that is due of them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.turns: list[Turn] = []
        self.statements: list[Statement] = []
        self.order: list[int] = []
        self.calm = True
        """Nothing failed and nothing was uploaded: the client may run ahead of all answers."""
        self._prepared: dict[str, Prepared] = {}
        self._portals: dict[str, Portal] = {}

    def __repr__(self) -> str:
        return f"Conversation({self.turns})"

    def chance(self, one_in: int) -> bool:
        return self._draw(st.integers(1, one_in)) == one_in

    def pick(self, strategy: st.SearchStrategy[T]) -> T:
        return self._draw(strategy)

    def say(self, question: bytes, answer: bytes) -> None:
        self.turns += [("client", question), ("server", answer)]

    def begin(self, operation: str, text: str, binds: tuple[str | None, ...] | None = None) -> int:
        self.statements.append(Statement(operation, text, binds))
        return len(self.statements)

    def end(self, number: int, outcome: str = "done", error: str | None = None) -> None:
        statement = self.statements[number - 1]
        if not statement.answered:
            statement.answered, statement.outcome, statement.error = True, outcome, error
            self.order.append(number)

    def ready(self, *, failed: bool) -> bytes:
        state = self.pick(st.sampled_from("IE" if failed else "IT"))
        self.calm &= not failed
        if state != "T":
            self._portals.clear()
        return m.ready(state)

    def rows(self, statement: Statement) -> tuple[int, bytes]:
        rows = self.pick(ROWS)
        statement.shown += rows
        return len(rows), b"".join(m.row(*(None if one is None else one.encode() for one in row)) for row in rows)

    def result(self, statement: Statement) -> tuple[int | None, bytes]:
        """The rows that one statement of a text is said to have, and its answer."""
        kind = self.pick(st.sampled_from(["SELECT", "SHOW", "INSERT", "CREATE TABLE", "", "COPY"]))
        if kind in ("SELECT", "SHOW"):
            count, rows = self.rows(statement)
            tag = f"SELECT {count}" if kind == "SELECT" else "SHOW"
            return count if kind == "SELECT" or count else None, rows + m.complete(tag)
        if kind == "COPY":
            lines = self.pick(st.lists(TEXTS, max_size=3))
            statement.shown += [[line] for line in lines]
            data = b"".join(m.copy_data(line.encode() + b"\n") for line in lines)
            return len(lines), m.copy_out() + data + m.COPY_DONE + m.complete(f"COPY {len(lines)}")
        if kind == "INSERT":
            count = self.pick(st.integers(0, 10**6))
            return count, m.complete(f"INSERT 0 {count}")
        return None, m.complete(kind) if kind else m.EMPTY_QUERY

    # ------------------------------------------------------------------------------------------------------- a query

    def query(self) -> None:
        text = self.pick(TEXTS)
        number = self.begin("query", text)
        statement = self.statements[-1]
        question, answer, error = m.query(text), b"", None
        for _ in range(self.pick(st.integers(1, 3))):
            if self.chance(6):
                answer += self.rows(statement)[1] if self.chance(2) else b""
                error = "22012"
                break
            if self.chance(6):
                self.say(question, answer + m.copy_in())
                question, failing = self.upload(statement)
                answer, error = b"", "57014" if failing else None
                if failing:
                    break
                count: int | None = 7
                part = m.complete("COPY 7")
            else:
                count, part = self.result(statement)
            answer += (m.notice("so") if self.chance(5) else b"") + part
            if count is not None:
                statement.rows = (statement.rows or 0) + count
        answer += m.error(error, "no") if error else b""
        self._prepared.pop("", None)
        self._portals.pop("", None)
        self.end(number, "failed" if error else "done", error)
        self.say(question, answer + self.ready(failed=error is not None))

    def upload(self, statement: Statement) -> tuple[bytes, bool]:
        parts = self.pick(st.lists(st.binary(max_size=20), max_size=4))
        statement.uploaded += sum(map(len, parts))
        self.calm = False
        failing = self.chance(3)
        return b"".join(map(m.copy_data, parts)) + (m.copy_fail("no") if failing else m.COPY_DONE), failing

    def function(self) -> None:
        arguments = self.pick(st.binary(max_size=9))
        number = self.begin("function-call", "function OID 2200", (arguments.decode("utf-8", "backslashreplace"),))
        failed = self.chance(3)
        self.end(number, "failed" if failed else "done", "22012" if failed else None)
        # What a function returns is one row of one value.
        self.statements[-1].shown += [] if failed else [["xyz"]]
        answer = m.error("22012", "no") if failed else m.function_result(b"xyz")
        self.say(m.function_call(2200, arguments), answer + self.ready(failed=failed))

    def extended_copy(self) -> None:
        """As libpq sends it, with a Sync that the server ignores."""
        number = self.begin("parse", "copy", ())
        self.say(
            m.parse("copy", "") + m.bind() + m.execute() + m.SYNC, m.PARSE_COMPLETE + m.BIND_COMPLETE + m.copy_in()
        )
        question, failing = self.upload(self.statements[-1])
        prepared = self._prepared[""] = Prepared(number, "copy", (), joinable=False)
        self._portals[""] = Portal(prepared, (), [number])
        self.statements[-1].rows = None if failing else 7
        self.end(number, "failed" if failing else "done", "57014" if failing else None)
        answer = m.error("57014", "no") if failing else m.complete("COPY 7")
        self.say(question + m.SYNC, answer + self.ready(failed=failing))

    # ---------------------------------------------------------------------------------------------------- a pipeline

    def pipeline(self) -> None:
        """Messages up to a Sync. The client goes on as if all went well; what the server has of it is `_real`."""
        self._asked = self._answer = b""
        self._failed = False
        self._blamed: Callable[[], int] | None = None
        self._accepted: list[Prepared] = []
        self._real = dict(self._prepared)
        steps = [self.parse, self.parse, self.bind, self.bind, self.execute, self.execute, self.describe, self.close]
        for _ in range(self.pick(st.integers(1, 9))):
            self.pick(st.sampled_from(steps))()
            if self.chance(6):
                self._asked += m.FLUSH
                self._listen()
        at_end = not self._failed and self.chance(8)
        if at_end:
            self._answer += m.error("23503", "no")
        self._asked += m.SYNC
        self._listen(failed := self._failed or at_end, last=True)
        for prepared in self._accepted:
            # Prepared and not run: its outcome is that of the pipeline's end.
            statement = self.statements[prepared.number - 1]
            if prepared.joinable and not statement.answered:
                statement.outcome, statement.error = ("failed", "23503") if at_end else ("done", None)
        for statement in self.statements:
            statement.answered = True
        for prepared in self._prepared.values():
            prepared.joinable = False
        if failed:
            self._prepared = self._real

    def _listen(self, failed: bool = False, *, last: bool = False) -> None:
        if self._blamed is not None:
            number = self._blamed()
            if number:
                self.end(number, "failed", "42P01")
            self._blamed = None
        self.say(self._asked, self._answer + (self.ready(failed=failed) if last else b""))
        self._asked = self._answer = b""

    def step(self, message: bytes, answer: bytes, blamed: Callable[[], int]) -> bool:
        """A message and its answer, unless that is an error or there was one; whether the server has done it."""
        self._asked += message
        if self._failed:
            return False
        if self.chance(8):
            self._failed, self._blamed = True, blamed
            self._answer += m.error("42P01", "no")
            return False
        self._answer += answer
        return True

    def done(self, message: bytes, answer: bytes) -> bool:
        """One that cannot fail."""
        self._asked += message
        self._answer += b"" if self._failed else answer
        return not self._failed

    def open(self, prepared: Prepared) -> int:
        """The statement of a Parse, as long as it has no outcome."""
        return 0 if self.statements[prepared.number - 1].answered else prepared.number

    def parse(self) -> None:
        name = self.pick(st.sampled_from(["", "s"]))
        if name in self._prepared and name:
            self.close_statement(name)
        text = self.pick(TEXTS)
        types = tuple(self.pick(st.lists(st.sampled_from(sorted(BINDS)), max_size=4)))
        number = self.begin("parse", text)
        prepared = self._prepared[name] = Prepared(number, text, types)
        if not self._failed and not name:
            self._real.pop(name, None)
        if self.step(m.parse(text, name, types), m.PARSE_COMPLETE, lambda: number):
            self._accepted.append(prepared)
            self._real[name] = prepared

    def bind(self) -> None:
        if not self._prepared:
            return self.parse()
        statement = self.pick(st.sampled_from(sorted(self._prepared)))
        prepared = self._prepared[statement]
        name = self.pick(st.sampled_from(["", "p"]))
        values = [self.pick(st.none() | BINDS[kind]) for kind in prepared.types]
        binary = self.pick(st.booleans())
        texts = [None if one is None else one[1] if binary else "text" for one in values]
        sent = [None if one is None else one[0] if binary else b"text" for one in values]
        formats = (1,) if binary else self.pick(st.sampled_from([(), (0,), (0,) * len(values)]))
        portal = self._portals[name] = Portal(prepared, tuple(texts))
        self.step(m.bind(tuple(sent), name, statement, formats), m.BIND_COMPLETE, self.next_of(portal))

    def next_of(self, portal: Portal) -> Callable[[], int]:
        """The statement of the portal's next Execute, else of its Parse: what an error of a Bind or Describe ends."""
        at = len(portal.numbers)
        return lambda: portal.numbers[at] if len(portal.numbers) > at else 0 if at else self.open(portal.prepared)

    def execute(self) -> None:
        if not self._portals:
            return self.bind()
        name = self.pick(st.sampled_from(sorted(self._portals)))
        portal = self._portals[name]
        prepared = portal.prepared
        if prepared.joinable and not portal.numbers and self.open(prepared):
            number = prepared.number
            prepared.joinable = False
            self.statements[number - 1].binds = portal.binds
        else:
            number = self.begin("fetch" if portal.numbers else "execute", prepared.text, portal.binds)
        portal.numbers.append(number)
        statement = self.statements[number - 1]
        count, answer = self.result(statement)
        limit = self.pick(st.integers(0, 3))
        suspended = bool(limit) and self.chance(2)
        if suspended:
            statement.shown.clear()
            count, answer = self.rows(statement)
            answer += m.PORTAL_SUSPENDED
        if self.step(m.execute(name, limit), answer, lambda: number):
            statement.rows = count
            self.end(number, "suspended" if suspended else "done")
        else:
            statement.shown.clear()

    def describe(self) -> None:
        described = self.pick(st.sampled_from([m.NO_DATA, m.row_description("a", "b")]))
        if self._portals and self.chance(2):
            name = self.pick(st.sampled_from(sorted(self._portals)))
            portal = self._portals[name]
            self.step(m.describe("P", name), described, self.next_of(portal))
        elif self._prepared:
            name = self.pick(st.sampled_from(sorted(self._prepared)))
            prepared = self._prepared[name]
            parameters = m.parameter_description(*prepared.types)
            self.step(m.describe("S", name), parameters + described, lambda: self.open(prepared))

    def close(self) -> None:
        if self._portals and self.chance(2):
            name = self.pick(st.sampled_from(sorted(self._portals)))
            del self._portals[name]
            self.done(m.close("P", name), m.CLOSE_COMPLETE)
        elif self._prepared:
            self.close_statement(self.pick(st.sampled_from(sorted(self._prepared))))

    def close_statement(self, name: str) -> None:
        prepared = self._prepared.pop(name)
        self._portals = {key: portal for key, portal in self._portals.items() if portal.prepared is not prepared}
        if self.done(m.close("S", name), m.CLOSE_COMPLETE):
            self._real.pop(name, None)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    made = Conversation(draw)
    kinds = [made.query, made.pipeline, made.pipeline, made.pipeline, made.function, made.extended_copy]
    for _ in range(draw(st.integers(1, 9))):
        draw(st.sampled_from(kinds))()
    return made
