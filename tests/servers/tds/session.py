"""What a logged-in client sends, answered: batches, calls, transaction requests, bulk loads, attentions."""

from __future__ import annotations

from collections.abc import Callable

import apsw

from . import bulk_load, requests, tokens
from .channels import Channel
from .encoding import Unfit, Value
from .interpreter import Interpreter
from .packets import (
    IGNORE_MESSAGE,
    RESET_CONNECTION,
    RESET_KEEPING_TRANSACTION,
    Closed,
    Packet,
    PacketType,
    ProtocolError,
)
from .procedures import Procedures
from .requests import Call
from .response import Cancelled, Response
from .sql_errors import SqlError, as_sql_error
from .state import Session
from .versions import Version

LARGEST_MESSAGE = 256 << 20
LONGEST_LOGGED = 20_000
"""Characters of a statement, and of a parameter, that the log keeps."""

_TEXT_AT = {
    "sp_executesql": 0, "sp_prepare": 2, "sp_prepexec": 2, "sp_prepexecrpc": 1, "sp_cursoropen": 1,
    "sp_cursorprepare": 2,
    "sp_cursorprepexec": 3,
}  # fmt: skip
"""Where the statement stands among the parameters."""


class Conversation:
    """Of one session; several share a `Session` where the client multiplexes."""

    def __init__(self, channel: Channel, session: Session, packet_size: int, version: Version) -> None:
        self._channel, self._session = channel, session
        self._packet_size, self._version = packet_size, version
        self._interpreter = Interpreter(session)
        self._procedures = Procedures(self._interpreter)
        channel.on_attention = session.interrupt

    def run(self) -> None:
        """Until the client is gone. Raises Closed, ProtocolError."""
        while True:
            packet = self._channel.packet()
            if packet.type == PacketType.ATTENTION:
                self._channel.attention.clear()
                self._log("attention", "")
                self._response().acknowledge()
            elif packet.type == PacketType.BULK:
                self._bulk(packet)
            else:
                self._request(packet)

    def _response(self) -> Response:
        session = self._session
        return Response(self._channel.write, self._version, self._packet_size, session.spid, self._channel.attention,
                        lambda: session.transactions > 0)  # fmt: skip

    def _log(self, kind: str, text: str, **more: object) -> None:
        session = self._session
        session.shared.log.write(session=session.spid, user=session.login.user, database=session.database, kind=kind,
                                 text=text[:LONGEST_LOGGED], **more)  # fmt: skip

    def _request(self, first: Packet) -> None:
        parts, size, packet = [first.data], len(first.data), first
        while not packet.last:
            packet = self._channel.packet()
            if packet.type == PacketType.ATTENTION:
                self._channel.attention.clear()
                self._log("attention", "")
                self._response().acknowledge()
                return
            if packet.type != first.type:
                raise ProtocolError(f"a packet of type {packet.type} inside a message of type {first.type}")
            parts.append(packet.data)
            size += len(packet.data)
            if size > LARGEST_MESSAGE:
                raise ProtocolError(f"a message of more than {LARGEST_MESSAGE} bytes")
        if packet.status & IGNORE_MESSAGE:
            self._response().finish_cancelled()
            return
        response = self._response()
        if first.status & (RESET_CONNECTION | RESET_KEEPING_TRANSACTION):
            self._session.reset()
            response.add(tokens.changed_bytes(tokens.ENV_RESET, b"", b""))
        self._answered(response, self._work(first.type, b"".join(parts)))

    def _work(self, kind: int, data: bytes) -> Callable[[Response], None]:
        if kind == PacketType.BATCH:
            text = requests.read_batch(data, self._version)
            self._log("batch", text)
            return lambda out: self._batch(text, out)
        if kind == PacketType.RPC:
            calls = requests.read_calls(data, self._version)
            for call in calls:
                self._log_call(call)
            return lambda out: self._calls(calls, out)
        if kind == PacketType.TRANSACTION:
            request = requests.read_transaction(data, self._version)
            self._log("transaction", f"{request.kind} {request.name}".strip())
            return lambda out: self._transaction(request, out)
        raise ProtocolError(f"a message of type {kind}")

    def _log_call(self, call: Call) -> None:
        values = {each.name or f"@{place}": _shown(each.value) for place, each in enumerate(call.parameters, 1)}
        own = call.name.lower().rpartition(".")[2].strip("[]")
        text = call.name
        if own in _TEXT_AT and len(call.parameters) > _TEXT_AT[own]:
            text = str(call.parameters[_TEXT_AT[own]].value)
        elif own in ("sp_execute", "sp_cursorexecute") and call.parameters:
            prepared = self._session.prepared.get(int(call.parameters[0].value or 0))
            text = prepared.text if prepared is not None else text
        self._log("rpc", text, name=call.name, parameters=values)

    def _answered(self, response: Response, work: Callable[[Response], None]) -> None:
        try:
            work(response)
            response.check()
            response.finish()
        except Cancelled:
            if self._session.killed.is_set():
                raise Closed from None
            response.finish_cancelled()
            self._channel.take_attention()
            self._log("attention", "")
            self._response().acknowledge()
        finally:
            self._session.running = ""

    def _batch(self, text: str, out: Response) -> None:
        self._interpreter.run_batch(text, out, {})
        if not out.started:
            out.statement_done(None)

    def _calls(self, calls: list[Call], out: Response) -> None:
        for call in calls:
            self._procedures.call(call, out)

    def _transaction(self, request: requests.TransactionRequest, out: Response) -> None:
        run = self._interpreter
        try:
            if request.kind == "begin":
                run.begin_transaction(out)
            elif request.kind == "commit":
                run.commit_transaction(out)
            elif request.kind == "rollback":
                run.rollback_transaction(out)
            elif request.kind == "save":
                run.save_transaction(request.name)
            else:
                raise SqlError(8501, 16, "MSDTC on this server is unavailable.")
            if request.begin:
                run.begin_transaction(out)
        except (SqlError, apsw.Error) as error:
            told = as_sql_error(error, 1)
            out.message(told.number, told.state, told.severity, told.text)
        out.statement_done(None)

    def _bulk(self, first: Packet) -> None:
        response = self._response()
        statement, self._procedures.bulk = self._procedures.bulk, None
        if statement is None:
            raise ProtocolError("rows of a bulk load that nothing announced")
        reader = bulk_load.Stream(first, self._channel.packet)

        def load(out: Response) -> None:
            try:
                count = bulk_load.load(self._interpreter.queries, statement, reader, self._version)
            except (SqlError, Unfit, apsw.Error) as error:
                told = as_sql_error(error, 1)
                reader.read_away()
                out.message(told.number, told.state, told.severity, told.text)
                out.statement_done(None)
                return
            self._log("bulk", " ".join(token.text for token in statement.tokens), rows=count)
            out.statement_done(count, 0xC3)

        self._answered(response, load)


def _shown(value: Value) -> Value:
    if isinstance(value, str) and len(value) > LONGEST_LOGGED:
        return value[:LONGEST_LOGGED]
    return f"{len(value)} bytes" if isinstance(value, bytes) and len(value) > 1000 else value
