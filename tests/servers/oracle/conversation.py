"""What happens on one connection: acceptance, negotiation, login, and then one call after the other."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from . import columns as values
from .blocks import Given, assigned_binds
from .calls import BATCH_ERRORS, COMMIT, EXECUTE, read_execution, read_row
from .columns import BLOB, CLOB, Bind, Value
from .lobs import Lobs, WrongLocator
from .passwords import Logon
from .sql import Cursor, Database, OracleError, Outcome, Session, is_block, returned_binds
from .wire import (
    ACCEPT,
    BREAK,
    CONNECT,
    DATA,
    MARKER,
    REDIRECT,
    REFUSE,
    RESEND,
    RESET,
    Broken,
    Gone,
    Wire,
    counted,
    number,
    string,
)

SERVICES = ("FREEPDB1", "orders")
FAST_AUTH, END_OF_RESPONSE = 0x10000000, 0x02000000
BEGIN_PIPELINE, END_PIPELINE = 0xC7, 0xC8


@dataclass(frozen=True)
class Manners:
    """Of one listener. `fields`: the TTC field version; `redirect`: HOST:PORT where every connection is sent on to;
    `release`: of the database, as Oracle counts it.
    """

    version: int = 319
    fields: int = 24
    verifier: str = "12c"
    unit: int = 8192
    fast_auth: bool = True
    end_of_response: bool = True
    markers: bool = True
    resends: int = 0
    redirect: str = ""
    release: int = 0x17090000


@dataclass
class Known:
    """Of a cursor: the statement, and the binds that its last execution described."""

    cursor: Cursor
    binds: list[Bind] = field(default_factory=list)
    returning: int = 0
    is_open: bool = False
    """It came as a value: its rows are there."""
    counts: bool = False
    """Its last execution with a text or binds of its own asked for the rows of each of its executions."""
    only_out: set[int] = field(default_factory=set)
    """Places of binds that were said to be of no use to the block: a client does not send them again."""


class Unknown(Exception):
    """The client has sent what this server does not speak; the connection is over."""


class Conversation:
    """One client."""

    def __init__(self, wire: Wire, database: Database, passwords: dict[str, str], manners: Manners) -> None:
        self._wire, self._database, self._passwords, self._manners = wire, database, passwords, manners
        self._fields = manners.fields
        self._scale_is_number = False
        self._new_end = False
        self._token = False
        self._cursors: dict[int, Known] = {}
        self._lobs = Lobs()
        self._sequence = 0
        self._session: Session

    def run(self) -> None:
        """To its end. Raises Gone."""
        if not self._accept():
            return
        if self._negotiate() and self._log_in():
            try:
                while self._call():
                    pass
            finally:
                self._session.close()

    # ------------------------------------------------------------------------------------------------------ acceptance

    def _accept(self) -> bool:
        wire, manners = self._wire, self._manners
        resends = manners.resends
        while True:
            kind, _, body = wire.packet()
            if kind != CONNECT:
                raise Gone
            length, offset = struct.unpack(">HH", body[16:20])
            data = body[offset - 8 : offset - 8 + length]
            if not data:
                data = wire.packet()[2][2:]
            if not resends:
                break
            resends -= 1
            wire.send_packet(RESEND, b"")
        text = data.decode()
        if manners.redirect:
            host, port = manners.redirect.split(":")
            target = f"(ADDRESS=(PROTOCOL=tcp)(HOST={host})(PORT={port}))\0{text}".encode()
            wire.send_packet(REDIRECT, struct.pack(">H", len(target)))
            wire.send_packet(DATA, b"\0\0" + target)
            return False
        if not any(f"SERVICE_NAME={name})".lower() in text.lower() for name in SERVICES):
            refusal = b"(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))"
            wire.send_packet(REFUSE, b"\1\0" + struct.pack(">H", len(refusal)) + refusal)
            return False
        version = min(manners.version, struct.unpack(">H", body[:2])[0])
        flags = (FAST_AUTH if manners.fast_auth else 0) | (
            END_OF_RESPONSE if manners.end_of_response and version >= 319 else 0
        )
        accept = struct.pack(">HHHHHHHBB", version, 0, manners.unit, 32767, 256, 0, 61, 4, 4) + bytes(8)
        accept += struct.pack(">IIBI", manners.unit, 2097152, 0, flags) + os.urandom(16)
        wire.send_packet(ACCEPT, accept)
        wire.wide = version >= 315
        self._offers_end = bool(flags & END_OF_RESPONSE)
        return True

    # ----------------------------------------------------------------------------------------------------- negotiation

    def _negotiate(self) -> bool:
        wire = self._wire
        wire.begin()
        kind = wire.byte()
        fast = kind == 0x22
        if fast:
            wire.take(3)
            kind = wire.byte()
        assert kind == 1, kind
        while wire.byte():
            pass
        while wire.byte():
            pass
        if not fast:
            wire.send(self._protocol())
            wire.begin()
            answer = b""
        else:
            wire.take(5)
            first_fields = wire.byte()
            answer = self._protocol()
        assert wire.byte() == 2
        answer += self._data_types()
        if fast:
            self._token = first_fields >= 18
            self._first_fields = first_fields
            self._pending = answer
        else:
            wire.send(answer)
            wire.begin()
            self._token = self._fields >= 18
            self._pending = b""
        return True

    def _protocol(self) -> bytes:
        capabilities = bytearray(54)
        for place, value in ((0, 6), (1, 1), (4, 0x2A), (7, self._manners.fields), (15, 1), (16, 1), (27, 1),
                             (37, 0xA0), (40, 0x20 if self._manners.end_of_response else 0),
                             (44, 0x16 if self._manners.end_of_response else 0)):  # fmt: skip
            capabilities[place] = value
        properties = bytearray(15)
        properties[6:8] = b"\0\0"
        properties[9:11] = struct.pack(">H", 2000)
        run_time = bytearray(12)
        run_time[1] = 1
        run_time[6] = 4
        banner = b"\1\6\0" + b"Test double\0" + struct.pack("<HBH", 873, 1, 0)
        banner += struct.pack(">H", len(properties)) + properties
        return banner + bytes((len(capabilities),)) + capabilities + bytes((len(run_time),)) + run_time

    def _data_types(self) -> bytes:
        wire = self._wire
        wire.take(4)
        wire.byte()
        theirs = wire.take(wire.byte())
        run_time = wire.take(wire.byte())
        answer = b"\2"
        if run_time[1] & 1:
            answer += wire.take(11)
            if theirs[37] & 2:
                answer += wire.take(4)
        if theirs[37] & 2:
            wire.take(2)
        self._fields = min(self._manners.fields, theirs[7])
        wire.end_of_response = False
        self._uses_end = len(theirs) > 40 and bool(theirs[40] & 0x20) and self._offers_end
        while kind := struct.unpack(">H", wire.take(2))[0]:
            forms = []
            if conversion := struct.unpack(">H", wire.take(2))[0]:
                while conversion:
                    forms.append((conversion, struct.unpack(">H", wire.take(2))[0]))
                    conversion = struct.unpack(">H", wire.take(2))[0]
            if not forms or (kind == 652 and self._fields < 14):
                answer += struct.pack(">HH", kind, 0)
                continue
            chosen = next((form for form in forms if form[1] == 1), forms[0])
            answer += struct.pack(">HHHH", kind, *chosen, 0)
            if kind == 27:
                self._scale_is_number = chosen[1] == 1
            self._new_end = self._new_end or kind == 652
        return answer + b"\0\0"

    # ----------------------------------------------------------------------------------------------------------- login

    def _log_in(self) -> bool:
        user, _, claimed = self._authentication()
        wire = self._wire
        password = self._passwords.get(user.upper())
        logon = Logon(password if password is not None else os.urandom(8).hex(), self._manners.verifier)
        wire.end_of_response = self._uses_end
        body = b"".join(
            counted(name.encode()) + counted(value.encode()) + number(flags) for name, value, flags in logon.pairs()
        )
        wire.send(self._pending + b"\x08" + number(len(logon.pairs())) + body + self._end())
        wire.begin()
        self._token = self._fields >= 18
        user, _, fields = self._authentication()
        proof = logon.proof(fields["AUTH_SESSKEY"], fields["AUTH_PASSWORD"]) if password is not None else None
        if proof is None:
            self._fail(OracleError(1017, "invalid credential or not authorized; logon denied"))
            return False
        self._session = Session(self._database, user)
        answers = [
            ("AUTH_VERSION_NO", str(self._manners.release)), ("AUTH_VERSION_STRING", "- Test double"),
            ("AUTH_SESSION_ID", "41"), ("AUTH_SERIAL_NUM", "7"), ("AUTH_SC_SERVICE_NAME", "FREEPDB1"),
            ("AUTH_MAX_OPEN_CURSORS", "300"), ("AUTH_MAX_IDEN_LENGTH", "128"), ("AUTH_SVR_RESPONSE", proof),
        ]  # fmt: skip
        body = b"".join(counted(name.encode()) + counted(value.encode()) + number(0) for name, value in answers)
        wire.send(b"\x08" + number(len(answers)) + body + self._end())
        self._database.log.append((user.upper(), f"-- login: {claimed.get('AUTH_PROGRAM_NM', '')}"))
        return True

    def _authentication(self) -> tuple[str, int, dict[str, str]]:
        wire = self._wire
        assert wire.byte() == 3
        wire.byte()
        self._sequence = wire.byte()
        if self._token:
            wire.number()
        wire.byte()
        wire.number()
        mode = wire.number()
        wire.byte()
        count = wire.number()
        wire.take(2)
        user = (wire.string() or b"").decode()
        found = {}
        for _ in range(count):
            name, value = wire.counted().decode().rstrip("\0"), wire.counted().decode()
            wire.number()
            found[name] = value
        return user, mode, found

    # ----------------------------------------------------------------------------------------------------------- calls

    def _call(self) -> bool:
        wire = self._wire
        wire.begin()
        try:
            while True:
                kind, function = wire.byte(), wire.byte()
                self._sequence = wire.byte()
                wire.token = wire.number() if self._fields >= 18 else 0
                if kind == 0x11:
                    self._piggyback(function)
                    continue
                if kind != 3:
                    raise Unknown(f"a message {kind:#x} where a call should be")
                return self._answer(function)
        except Broken:
            # A break while nothing runs, or which the answer outran: it is answered all the same.
            self._fail(OracleError(1013, "user requested cancel of current operation"))
            return True

    def _piggyback(self, function: int) -> None:
        wire = self._wire
        if function in (0x69, 0x78):
            wire.byte()
            for _ in range(wire.number()):
                cursor = wire.number()
                if function == 0x69:
                    self._cursors.pop(cursor, None)
        elif function == 0x60:
            self._lobs.free_many(wire)
        elif function == BEGIN_PIPELINE:
            wire.number()
            wire.take(2)
            self._database.pipelines += 1
        elif function == 0x98:
            wire.byte()
            self._session.schema = wire.counted().decode().upper()
        elif function == 0xB0:
            wire.number()
        elif function == 0x87:
            self._end_to_end()
        else:
            raise Unknown(f"a piggyback {function:#x}")

    def _end_to_end(self) -> None:
        wire = self._wire
        wire.take(2)
        wire.number()
        lengths = []
        for _ in range(3):
            wire.byte()
            lengths.append(wire.number())
        wire.byte()
        wire.number()
        wire.byte()
        wire.number()
        for _ in range(4):
            wire.byte()
            lengths.append(wire.number())
        for length in lengths:
            if length:
                wire.string()

    def _answer(self, function: int) -> bool:
        wire = self._wire
        if function == 9:
            wire.send(b"\x09" + number(1) + number(0))
            return False
        if function in (0x67, 0x68):
            self._two_phases(function)
            return True
        if function in (0x0E, 0x0F):
            self._session.end(commit=function == 0x0E)
            wire.send(self._status())
        elif function == END_PIPELINE:
            wire.number()
            wire.send(self._status())
        elif function == 0x93:
            wire.send(self._status())
        elif function == 0x3B:
            wire.byte()
            wire.number()
            wire.take(2)
            wire.number()
            text = b"Oracle Database 23ai (test double)"
            wire.send(b"\x08" + number(len(text)) + string(text) + number(0x17090000) + self._status())
        elif function == 0x5E:
            self._guarded(self._execute)
        elif function in (4, 0x4E):
            self._guarded(lambda: self._execute_again(function))
        elif function == 5:
            self._guarded(self._fetch)
        elif function == 0x60:
            self._lob()
        else:
            self._fail(OracleError(3115, "unsupported network datatype or representation"))
        return True

    def _two_phases(self, function: int) -> None:
        """A branch of a distributed transaction is begun, left, prepared or ended; what it did stays as it is."""
        wire = self._wire
        operation = wire.number()
        wire.byte()
        context = wire.number()
        kind, first, second = wire.number(), wire.number(), wire.number()
        wire.byte()
        length = wire.number()
        names = []
        if function == 0x67:
            wire.number()
            wire.number()
            wire.take(3)
            for _ in range(2):
                wire.byte()
                names.append(wire.number())
        else:
            wire.number()
            wire.number()
            wire.byte()
            wire.number()
        wire.take(context)
        branch = wire.take(length)[: first + second].decode()
        if function == 0x67:
            wire.number()
            for size in names:
                wire.take(size)
            answer = b"\x08" + number(0) + number(3) + b"ctx"
        else:
            answer = b"\x08" + number({1: 5, 2: 3, 3: 1, 4: 5}[operation])
        self._database.log.append((self._session.user, f"-- branch: {function:#x} {operation} {kind} {branch}"))
        wire.send(answer + self._end())

    def _guarded(self, work) -> None:  # type: ignore[no-untyped-def]
        try:
            work()
        except OracleError as error:
            self._fail(error)

    def _execute(self) -> None:
        call = read_execution(self._wire, self._fields)
        cursor_id, known = call.cursor, self._cursors.get(call.cursor)
        if call.text is not None:
            if known is not None:
                known.cursor = Cursor(call.text)
            else:
                known = Known(Cursor(call.text))
                cursor_id = self._new_cursor(known)
        elif known is None:
            raise OracleError(1001, "invalid cursor")
        known.binds = call.binds or known.binds
        known.counts = call.counts_rows
        text = known.cursor.text
        known.returning = returned_binds(text)
        rows = []
        if call.binds and call.options & EXECUTE:
            rows = self._bind_rows(known, 1 if call.is_query else call.count)
        if call.defines and not call.options & EXECUTE:
            known.cursor.defines = call.defines
        if (call.defines and not call.options & EXECUTE) or known.is_open:
            self._send_rows(cursor_id, known, call.prefetch, described=False)
            return
        if not call.options & EXECUTE and not text.lstrip().upper().startswith(("CREATE", "DROP", "ALTER")):
            self._described_only(cursor_id, known)
            return
        self._done(
            cursor_id, known, rows, call.prefetch, described=call.text is not None, commits=bool(call.options & COMMIT),
            counts=call.counts_rows, goes_on=bool(call.options & BATCH_ERRORS),
        )  # fmt: skip

    def _new_cursor(self, known: Known) -> int:
        number_of_it = next(each for each in range(1, 70000) if each not in self._cursors)
        self._cursors[number_of_it] = known
        return number_of_it

    def _bind_rows(self, known: Known, count: int, *, again: bool = False) -> list[list[Given]]:
        rows: list[list[Given]] = []
        block = is_block(known.cursor.text)
        sent = known.binds[: len(known.binds) - known.returning]
        places = [place for place in range(len(sent)) if not again or place not in known.only_out]
        for _ in range(count if places else 0):
            row: list[Given] = [None] * len(known.binds)
            for place, value in zip(
                places, read_row(self._wire, [sent[place] for place in places], is_block=block), strict=True
            ):
                row[place] = [self._bound(each) for each in value] if isinstance(value, list) else self._bound(value)
            rows.append(row)
        return rows

    def _bound(self, value: Value) -> Value:
        if isinstance(value, str) and value.startswith("LOB:"):
            return self._lobs.value(bytes.fromhex(value[4:]))
        return value

    def _execute_again(self, function: int) -> None:
        wire = self._wire
        cursor_id, count = wire.number(), wire.number()
        options, more = wire.number(), wire.number()
        known = self._cursors.get(cursor_id)
        if known is None:
            raise OracleError(1001, "invalid cursor")
        rows = self._bind_rows(known, 1 if known.cursor.is_query else count, again=True) if known.binds else []
        prefetch = count if known.cursor.is_query else 0
        self._done(
            cursor_id, known, rows, prefetch, described=False, commits=bool(more & 1), counts=known.counts,
            goes_on=bool(options & BATCH_ERRORS),
        )  # fmt: skip

    def _described_only(self, cursor_id: int, known: Known) -> None:
        message = b""
        if re.match(r"\s*(SELECT|WITH)\b", known.cursor.text, re.I):
            self._run(known, [[None] * len(known.binds)] if known.binds else [])
            message = b"\x10" + values.description(known.cursor.columns, self._fields, self._scale_is_number)
        self._wire.send(message + self._parameters() + self._end(cursor=cursor_id))

    def _done(
        self, cursor_id: int, known: Known, rows: list[list[Given]], prefetch: int, *, described: bool, commits: bool,
        counts: bool = False, goes_on: bool = False,
    ) -> None:  # fmt: skip
        outcome = self._run(known, rows, goes_on)
        if commits:
            self._session.end(commit=True)
        if known.cursor.is_query:
            self._send_rows(cursor_id, known, prefetch, described=described)
            return
        message = self._given_back(known, outcome)
        message += self._parameters(counts=outcome.counts if counts else None)
        error = OracleError(24381, "error(s) in array DML") if outcome.errors else None
        self._wire.send(message + self._end(error, rows=sum(outcome.counts), cursor=cursor_id, batch=outcome.errors))

    def _given_back(self, known: Known, outcome: Outcome) -> bytes:
        """The directions of the binds, and a row of values for each execution."""
        places = sorted({place for each in outcome.out for place in each})
        if known.returning:
            places = list(range(len(known.binds) - known.returning, len(known.binds)))
        if not places:
            return b""
        count = len(known.binds)
        parts = [b"\x0b\0", number(count % 256), number(count // 256), number(1), number(0), number(0), number(0)]
        known.only_out = set(places) if known.returning else assigned_binds(known.cursor.text) & set(places)
        parts.append(bytes(16 if place in known.only_out else 48 if place in places else 32 for place in range(count)))
        for each in outcome.out:
            parts.append(b"\x07" + b"".join(self._out_value(known.binds[place], each.get(place)) for place in places))
        for returned in outcome.returned:
            parts.append(b"\x07")
            for index, place in enumerate(places):
                parts.append(number(len(returned)))
                parts += [self._out_value(known.binds[place], row[index]) for row in returned]
        return b"".join(parts)

    def _out_value(self, bind: Bind, value: Given) -> bytes:
        if bind.array:
            several = value if isinstance(value, list) else []
            return number(len(several)) + b"".join(values.given_back(bind, each) for each in several)
        if isinstance(value, Cursor) or bind.kind == values.CURSOR:
            cursor = value if isinstance(value, Cursor) else Cursor("")
            shape = values.description_body(cursor.columns, self._fields, self._scale_is_number)
            return b"\1" + shape + number(self._new_cursor(Known(cursor, is_open=True))) + number(0)
        assert value is None or isinstance(value, int | float | str | bytes)
        if bind.kind in (CLOB, BLOB):
            return self._lobs.column(value, bind.kind) + number(0)
        return values.given_back(bind, value)

    def _run(self, known: Known, rows: list[list[Given]], goes_on: bool = False) -> Outcome:
        """In a thread, so that a break is heard. Raises OracleError and Gone."""
        session, wire = self._session, self._wire
        session.stop.clear()
        outcome: list[Outcome | OracleError] = []

        def work() -> None:
            try:
                outcome.append(session.run(known.cursor, rows, goes_on=goes_on))
            except OracleError as error:
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        broken = False
        wire.connection.settimeout(0.02)
        try:
            while thread.is_alive():
                thread.join(0.01)
                if not thread.is_alive():
                    break
                try:
                    head = wire.connection.recv(8, socket.MSG_PEEK)
                    if len(head) > 4 and head[4] != MARKER:
                        thread.join()  # the next message of a pipeline
                        break
                    if not head:
                        session.stop.set()
                        session.connection.interrupt()
                        raise Gone
                except TimeoutError:
                    continue
                wire.connection.settimeout(20)
                kind, _, body = wire.packet()
                if kind == MARKER and body[2] != RESET:
                    broken = True
                    session.stop.set()
                    session.connection.interrupt()
                wire.connection.settimeout(0.02)
        finally:
            wire.connection.settimeout(None)
        if broken:
            raise OracleError(1013, "user requested cancel of current operation")
        if not outcome:
            raise Unknown(f"a failure of this server at {known.cursor.text!r}")
        if isinstance(outcome[0], OracleError):
            raise outcome[0]
        return outcome[0]

    def _fetch(self) -> None:
        cursor_id, count = self._wire.number(), self._wire.number()
        known = self._cursors.get(cursor_id)
        if known is None:
            raise OracleError(1001, "invalid cursor")
        self._send_rows(cursor_id, known, count, described=False)

    def _send_rows(self, cursor_id: int, known: Known, count: int, *, described: bool) -> None:
        cursor = known.cursor
        message = b""
        if described:
            message += b"\x10" + values.description(cursor.columns, self._fields, self._scale_is_number)
        if described and any(column.kind in (CLOB, BLOB) for column in cursor.columns):
            count = 0  # the client says first in which form it wants them
        rows = cursor.rows[cursor.at : cursor.at + count]
        if rows:
            message += (
                b"\x06\2"
                + number(len(cursor.columns))
                + number(0)
                + number(len(rows))
                + number(0)
                + number(0)
                + number(0)
            )
        parts = [message]
        wanted = cursor.columns
        if len(cursor.defines) == len(wanted):
            wanted = [replace(column, kind=define.kind) for column, define in zip(wanted, cursor.defines, strict=True)]
        for row in rows:
            parts.append(
                b"\x07" + b"".join(self._value(column, value) for column, value in zip(wanted, row, strict=True))
            )
        cursor.at += len(rows)
        finished = cursor.at >= len(cursor.rows) and (count > 0 or not cursor.rows)
        if cursor.failure is not None and len(rows) < count:
            self._wire.send(b"".join(parts), whole=False)
            raise cursor.failure
        finished = finished and cursor.failure is None
        parts.append(self._parameters() if described else b"")
        error = OracleError(1403, "no data found") if finished else None
        parts.append(self._end(error, rows=cursor.at, cursor=cursor_id))
        self._wire.send(b"".join(parts))

    def _value(self, column: values.Column, value: Value) -> bytes:
        if column.kind not in (CLOB, BLOB):
            return values.encode(column, value)
        return self._lobs.column(value, column.kind)

    def _lob(self) -> None:
        try:
            message = self._lobs.operate(self._wire)
        except WrongLocator:
            self._fail(OracleError(22275, "invalid LOB locator specified"))
            return
        self._wire.send(message + self._end())

    # -------------------------------------------------------------------------------------------------- ends of calls

    def _state(self) -> int:
        return 1 | (2 if self._session_in_transaction else 0)

    @property
    def _session_in_transaction(self) -> bool:
        session = getattr(self, "_session", None)
        return session is not None and session.in_transaction

    def _status(self) -> bytes:
        return b"\x09" + number(self._state()) + number(0)

    def _parameters(self, counts: list[int] | None = None) -> bytes:
        changed = b""
        session = self._session
        if session.schema_changed:
            session.schema_changed = False
            changed = counted(session.schema.encode()) + number(0) + number(168)
        message = b"\x08" + number(1) + number(7) + number(0) + number(1 if changed else 0) + changed + number(0)
        if counts is not None:
            message += number(len(counts)) + b"".join(number(each) for each in counts)
        return message

    def _fail(self, error: OracleError) -> None:
        wire = self._wire
        if self._manners.markers and not wire.token:
            wire.send_marker(BREAK)
            wire.send_marker(RESET)
            while True:
                kind, _, body = wire.packet()
                if kind == MARKER and body[2] == RESET:
                    break
                if kind == DATA and body[:2] == b"\0\x40":
                    raise Gone
        wire.send(self._end(error))

    def _end(
        self, error: OracleError | None = None, *, rows: int = 0, cursor: int = 0,
        batch: Sequence[tuple[int, OracleError]] = (),
    ) -> bytes:  # fmt: skip
        code = 0 if error is None else error.number
        message = [
            b"\x04", number(self._state()), number(0), number(rows), number(code), number(0), number(0), number(cursor),
            number(error.position if error else 0), b"\0", b"\0\0\0", b"\0\0",
            number(0), number(0), b"\0", number(0), number(0), number(0), b"\0", bytes((self._sequence,)), number(0),
            number(0), number(0), _batch(batch),
        ]  # fmt: skip
        if self._fields >= 7:
            message += [number(code), number(rows)]
        if self._new_end:
            message += [number(0), number(0)]
        if error is not None:
            message.append(string((error.text + "\n").encode()))
        return b"".join(message)


def _batch(errors: Sequence[tuple[int, OracleError]]) -> bytes:
    """The errors of an array: their numbers, their places, their messages."""
    if not errors:
        return number(0) * 3
    count = number(len(errors))
    parts = [count, b"\0", *(number(error.number) for _, error in errors), count, b"\0"]
    parts += [number(place) for place, _ in errors]
    parts += [count, b"\0"]
    for _, error in errors:
        parts.append(counted((error.text + "\n").encode()) + b"\0\0")
    return b"".join(parts)
