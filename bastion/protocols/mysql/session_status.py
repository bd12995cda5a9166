"""What OK and EOF packets say of the session: its transaction, schema and encoding, and how many rows were affected."""

from __future__ import annotations

from bastion.protocols.contract import Note, SessionChanged, Transaction

from .character_sets import codec_of_name
from .codec import Malformed, Short, lenenc_int
from .constants import Status
from .exchange import Answer, Command, Exchange
from .session_track import Tracked, session_changes


class SessionStatus:
    """Keeps the session's state in the exchange as the server tells it; what changes is noted in `notes`."""

    def __init__(self, exchange: Exchange, notes: list[Note]) -> None:
        self.transaction = Transaction.NONE
        self._exchange = exchange
        self._notes = notes

    def read_ok(self, payload: bytes, command: Command | None) -> int:
        """Reads an OK or EOF packet into the session's state; returns its status flags. Raises Short and Malformed."""
        exchange = self._exchange
        if command is not None and command.codec is not None:
            exchange.codec = command.codec
        if payload[0] == 0xFE and len(payload) <= 5:
            status = int.from_bytes(payload[3:5], "little")
        else:
            affected, position = lenenc_int(payload, 1)
            _, position = lenenc_int(payload, position)
            if position + 2 > len(payload):
                raise Short
            status = payload[position] | payload[position + 1] << 8
            if command is not None and payload[0] == 0x00 and command.answer is Answer.RESULT:
                command.counted = True
                if affected < 1 << 63:
                    command.rows += affected
            if command is not None and command.schema is not None and payload[0] == 0x00:
                self.set_schema(command.schema)
            if status & Status.SESSION_STATE_CHANGED and exchange.session_track:
                self._read_changes(payload, position + 4)
        exchange.status = status
        transaction = Transaction.OPEN if status & Status.IN_TRANSACTION else Transaction.NONE
        if transaction is not self.transaction:
            self.set_transaction(transaction)
        return status

    def set_transaction(self, transaction: Transaction) -> None:
        """The server tells this state of the transaction."""
        if transaction is not self.transaction:
            self.transaction = transaction
            self._notes.append(SessionChanged(transaction=transaction))

    def _read_changes(self, payload: bytes, position: int) -> None:
        exchange = self._exchange
        for kind, name in session_changes(payload, position):
            if kind is Tracked.ENCODING:
                exchange.codec = codec_of_name(name.decode("ascii", "replace"))
                continue
            schema = name.decode("utf-8", "backslashreplace")
            if schema and exchange.databases and schema not in exchange.databases:
                raise Malformed(f"the database {schema!r:.200} was opened, which is not among the allowed ones")
            self.set_schema(schema)

    def set_schema(self, schema: str) -> None:
        """This schema is the current one now."""
        if schema != self._exchange.schema:
            self._exchange.schema = schema
            self._notes.append(SessionChanged(schema=schema))
