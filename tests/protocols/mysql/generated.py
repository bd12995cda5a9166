"""Conversations made up by hypothesis, of a client and a MySQL server that answers it, and the record that is due."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from bastion.protocols.mysql.constants import Capability
from bastion.protocols.results import Row

from . import packets as p

T = TypeVar("T")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
UNSIGNED = 0x8000

Known = tuple[int, bytes, str]
"""A type with UNSIGNED where it is, a value in binary, and the text that the server has for it."""


def counted(number: int, width: int | None = None) -> bytes:
    """A length-encoded integer, in the shortest width or in this one."""
    width = width or (1 if number < 251 else 2 if number < 1 << 16 else 3 if number < 1 << 24 else 8)
    return {1: b"", 2: b"\xfc", 3: b"\xfd", 8: b"\xfe"}[width] + number.to_bytes(width, "little")


def text(data: bytes) -> bytes:
    return counted(len(data)) + data


def bitmap(values: list[Known | None], offset: int) -> bytes:
    """A bit for each NULL, from bit `offset` on: 0 for binds, 2 for rows."""
    bits = sum(1 << (index + offset) for index, one in enumerate(values) if one is None)
    return bits.to_bytes((len(values) + offset + 7) // 8, "little")


def joined(values: list[Known | None]) -> bytes:
    return b"".join(one[1] for one in values if one is not None)


def shown_of(values: list[Known | None]) -> list[str | None]:
    return [None if one is None else one[2] for one in values]


def definition(kind: int) -> bytes:
    """Of a column. The collation of text is utf8mb4 (45), that of all else 63."""
    flags = 0x20 if kind & UNSIGNED else 0
    collation = 45 if kind & 0xFF in (245, 247, 248, 253, 254) else 63
    fixed = struct.pack("<HIBHB", collation, 100, kind & 0xFF, flags, 0)
    return b"".join(map(text, (b"def", b"s", b"t", b"t", b"a", b"a"))) + b"\x0c" + fixed + b"\0\0"


MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 0x08, 0x40, 0x80
WITH_ATTRIBUTES = p.MODERN | int(Capability.QUERY_ATTRIBUTES)
FAILED = p.err(1064, "42000", "no")
VALUES: dict[int, st.SearchStrategy[Known]] = {
    8: st.integers(-(2**63), 2**63 - 1).map(lambda number: (8, struct.pack("<q", number), str(number))),
    8 | UNSIGNED: st.integers(0, 2**64 - 1).map(lambda number: (8 | UNSIGNED, struct.pack("<Q", number), str(number))),
    253: (TEXTS | st.integers(248, 254).map(lambda size: "v" * size)).map(lambda one: (253, text(one.encode()), one)),
}
KINDS = st.lists(st.sampled_from(sorted(VALUES)), max_size=10)


@dataclass
class Statement:
    """A statement as it was made up, by which the record is measured."""

    operation: str
    text: str
    binds: tuple[str | None, ...] | None = None
    outcome: str = "done"
    rows: int | None = None
    error: str | None = None
    shown: list[Row] = field(default_factory=list)
    uploaded: int = 0


@dataclass
class Handle:
    """`kinds` are the types that the server knows of its parameters, `columns` those of its open cursor."""

    identifier: int
    text: str
    parameters: int
    kinds: list[int] | None = None
    columns: list[int] | None = None


class Conversation:
    """Makes up the turns. `calm`: no answer decides how the client's next bytes are read, so it may run ahead."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.capabilities = draw(st.sampled_from([p.CLASSIC, p.MODERN, WITH_ATTRIBUTES]))
        self.turns: list[tuple[str, bytes]] = []
        self.statements: list[Statement] = []
        self.calm = True
        self._modern = self.capabilities != p.CLASSIC
        self._attributes = self.capabilities == WITH_ATTRIBUTES
        self._handles: dict[int, Handle] = {}
        self._identifiers = 0

    def __repr__(self) -> str:
        return f"Conversation({self.capabilities:#x}, {self.turns})"

    def chance(self, one_in: int) -> bool:
        return self._draw(st.integers(1, one_in)) == one_in

    def pick(self, strategy: st.SearchStrategy[T]) -> T:
        return self._draw(strategy)

    def say(self, command: bytes, *answer: bytes, first: int = 1) -> None:
        self.turns.append(("client", p.packet(0, command)))
        if answer:
            self.turns.append(("server", p.run(first, *answer)))

    def values(self, kinds: list[int]) -> list[Known | None]:
        return [self.pick(st.none() | VALUES[kind]) for kind in kinds]

    def ok(self, affected: int, status: int = 2, head: int = 0) -> bytes:
        return bytes([head]) + counted(affected) + b"\0" + struct.pack("<HH", status, 0)

    def end(self, status: int) -> bytes:
        return self.ok(0, status, 0xFE) if self._modern else p.eof(status)

    def result(self, statement: Statement, status: int, *, binary: bool) -> list[bytes]:
        """A result set; perhaps with an error among its rows."""
        kinds = [self.pick(st.sampled_from(sorted(VALUES))), *self.pick(KINDS)]
        payloads = [counted(len(kinds)), *map(definition, kinds), *([] if self._modern else [p.eof()])]
        statement.rows = statement.rows or 0
        for _ in range(self.pick(st.integers(0, 3))):
            payloads.append(self.row(statement, kinds, binary=binary))
        if self.chance(8):
            statement.outcome, statement.error = "failed", "1064 (42000)"
            return [*payloads, FAILED]
        return [*payloads, self.end(status)]

    def row(self, statement: Statement, kinds: list[int], *, binary: bool) -> bytes:
        values = self.values(kinds)
        shown = shown_of(values)
        statement.shown.append(shown)
        statement.rows = (statement.rows or 0) + 1
        if binary:
            return b"\0" + bitmap(values, 2) + joined(values)
        return b"".join(b"\xfb" if one is None else text(one.encode()) for one in shown)

    def answer(self, statement: Statement, *, binary: bool) -> list[bytes]:
        """One or several results, up to the first error."""
        payloads: list[bytes] = []
        for left in reversed(range(self.pick(st.integers(1, 3)))):
            status = 2 | (MORE_RESULTS if left else 0)
            if self.chance(8):
                statement.outcome, statement.error = "failed", "1064 (42000)"
                return [*payloads, FAILED]
            if self.chance(2):
                affected = self.pick(st.sampled_from([0, 1, 250, 251, 70_000, 2**24]))
                statement.rows = (statement.rows or 0) + affected
                payloads.append(self.ok(affected, status))
                continue
            payloads += self.result(statement, status, binary=binary)
            if statement.error:
                break
        return payloads

    def begin(self, operation: str, said: str, binds: tuple[str | None, ...] | None = None) -> Statement:
        self.statements.append(Statement(operation, said, binds))
        return self.statements[-1]

    # -------------------------------------------------------------------------------------------------------- commands

    def query(self) -> None:
        said = self.pick(TEXTS)
        statement = self.begin("COM_QUERY", said)
        command = b"\x03"
        if self._attributes:
            kinds = self.pick(KINDS)
            values = self.values(kinds)
            command += counted(len(kinds)) + b"\x01"
            if kinds:
                types = b"".join(struct.pack("<H", kind) + text(b"name") for kind in kinds)
                command += bitmap(values, 0) + b"\x01" + types + joined(values)
                statement.binds = tuple(f"name={'NULL' if one is None else one}" for one in shown_of(values))
        command += said.encode()
        if not self.chance(6):
            self.say(command, *self.answer(statement, binary=False))
            return
        self.calm = False
        self.say(command, b"\xfbfile")
        parts = self.pick(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
        statement.uploaded = sum(map(len, parts))
        self.turns.append(("client", p.run(2, *parts, b"")))
        statement.rows = 3
        self.turns.append(("server", p.packet(len(parts) + 3, self.ok(3))))

    def prepare(self) -> None:
        self.calm = False
        said = self.pick(TEXTS)
        statement = self.begin("COM_STMT_PREPARE", said)
        if self.chance(8):
            statement.outcome, statement.error = "failed", "1064 (42000)"
            self.say(b"\x16" + said.encode(), FAILED)
            return
        self._identifiers += 1
        parameters, columns = self.pick(st.integers(0, 18)), self.pick(st.integers(0, 3))
        self._handles[self._identifiers] = Handle(self._identifiers, said, parameters)
        answer = p.prepare_ok(self._identifiers, parameters, columns, modern=self._modern)
        self.say(b"\x16" + said.encode(), *answer)

    def handle(self) -> Handle | None:
        return self.pick(st.sampled_from(list(self._handles.values()))) if self._handles else None

    def execute(self) -> None:
        handle = self.handle()
        if handle is None:
            return self.prepare()
        known = handle.kinds if self.chance(2) else None
        count = handle.parameters
        kinds = known or self.pick(st.lists(st.sampled_from(sorted(VALUES)), min_size=count, max_size=count))
        values = self.values(kinds)
        shown = shown_of(values)
        if count and self.chance(4):
            # One value comes ahead, in parts; what the execution has in its place is left out.
            index, parts = self.pick(st.integers(0, count - 1)), self.pick(st.lists(TEXTS, min_size=1, max_size=3))
            for part in parts:
                self.say(b"\x18" + struct.pack("<IH", handle.identifier, index) + part.encode())
            shown[index], values[index] = "".join(parts), (kinds[index], b"", "")
        command = b"\x17" + struct.pack("<IBI", handle.identifier, 0, 1)
        if count:
            command += (counted(count) if self._attributes else b"") + bitmap(values, 0) + bytes([known is None])
            if known is None:
                command += b"".join(struct.pack("<H", kind) + (b"\0" if self._attributes else b"") for kind in kinds)
            command += joined(values)
            handle.kinds = kinds
        statement = self.begin("COM_STMT_EXECUTE", handle.text, tuple(shown))
        if not self.chance(3):
            handle.columns = None
            self.say(command, *self.answer(statement, binary=True))
            return
        handle.columns = [8, *self.pick(KINDS)]
        statement.outcome, statement.rows = "suspended", 0
        definitions = map(definition, handle.columns)
        self.say(command, counted(len(handle.columns)), *definitions, self.end(2 | CURSOR_EXISTS))

    def fetch(self) -> None:
        handle = next((one for one in self._handles.values() if one.columns), None)
        if handle is None or handle.columns is None:
            return self.execute()
        statement = self.begin("COM_STMT_FETCH", handle.text)
        statement.rows = 0
        rows = [self.row(statement, handle.columns, binary=True) for _ in range(self.pick(st.integers(0, 3)))]
        last = self.chance(2)
        statement.outcome = "done" if last else "suspended"
        command = b"\x1c" + struct.pack("<II", handle.identifier, 3)
        self.say(command, *rows, self.end(2 | (LAST_ROW_SENT if last else CURSOR_EXISTS)))
        handle.columns = None if last else handle.columns

    def close(self) -> None:
        handle = self.handle()
        if handle is not None:
            del self._handles[handle.identifier]
            self.say(b"\x19" + struct.pack("<I", handle.identifier))

    def reset(self) -> None:
        handle = self.handle()
        if handle is not None:
            handle.columns = None
            lost = b"\x18" + struct.pack("<IH", handle.identifier, 0) + b"never used"
            self.say(lost)
            self.say(b"\x1a" + struct.pack("<I", handle.identifier), self.ok(0))

    def reset_connection(self) -> None:
        self._handles.clear()
        self.begin("COM_RESET_CONNECTION", "RESET CONNECTION")
        self.say(b"\x1f", self.ok(0))

    def use(self) -> None:
        name = self.pick(TEXTS.filter(lambda one: "`" not in one))
        statement = self.begin("COM_INIT_DB", f"USE `{name}`")
        failed = self.chance(4)
        if failed:
            statement.outcome, statement.error = "failed", "1064 (42000)"
        self.say(b"\x02" + name.encode(), FAILED if failed else self.ok(0))

    def small(self) -> None:
        """Commands that are no statements."""
        command, answer = self.pick(st.sampled_from([(b"\x0e", self.ok(0)), (b"\x09", b"Uptime: 1")]))
        self.say(command, answer)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    made = Conversation(draw)
    prepared = [made.prepare, made.execute, made.execute, made.fetch, made.fetch, made.close, made.reset]
    kinds = [made.query, made.query, made.use, made.small]
    if draw(st.booleans()):
        kinds += [*prepared, made.reset_connection]
    for _ in range(draw(st.integers(1, 9))):
        draw(st.sampled_from(kinds))()
    return made
