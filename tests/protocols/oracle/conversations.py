"""Recorded sessions, cut into the part before the calls begin and the calls themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.protocols.contract import Note, StatementBegins, StatementEnds, StatementExtends
from bastion.protocols.oracle import constants as c
from bastion.protocols.oracle import negotiation
from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect, Reader, Short
from bastion.protocols.oracle.exchange import Exchange
from bastion.protocols.oracle.framing import Packet, Packets
from bastion.protocols.oracle.server_side import OracleServerSide
from tests.protocols import captures

Said = tuple[str, Packet]


def packets_of(flow: captures.Flow) -> list[Said]:
    """All packets, in order."""
    both = {"client": Packets(), "server": Packets()}
    found = []
    for who, data in flow:
        both[who].feed(data)
        while (packet := both[who].next()) is not None:
            if packet.kind == c.ACCEPT and int.from_bytes(packet.data[8:10], "big") >= c.WIDE_LENGTHS:
                both["client"].wide = both["server"].wide = True
            found.append((who, packet))
    assert both["client"].rest == both["server"].rest == b""
    return found


@dataclass
class Recorded:
    """What was agreed on, and the packets from the first call on."""

    dialect: Dialect
    login: list[Said]
    calls: list[Said]


def recorded(packets: list[Said]) -> Recorded:
    """Cuts a session behind its login."""
    reading = _Negotiation()
    logging_in = False
    for place, (who, packet) in enumerate(packets):
        if packet.kind != c.DATA or packet.content[:2] == b"\xde\xad" or packet.content[:1] == b"(":
            continue
        if reading.dialect is None:
            reading.take(who, packet.content)
        elif who == "client":
            if packet.content[:2] == bytes((c.CALL, c.AUTH_PHASE_TWO)):
                logging_in = True
            elif logging_in:
                return Recorded(reading.dialect, packets[:place], packets[place:])
    raise AssertionError("no call behind a login")


class _Negotiation:
    def __init__(self) -> None:
        self.dialect: Dialect | None = None
        self._content = {"client": b"", "server": b""}
        self._server: negotiation.Protocol | None = None
        self._asked: negotiation.DataTypes | None = None

    def take(self, who: str, content: bytes) -> None:
        self._content[who] += content
        reader = Reader(self._content[who], Dialect())
        try:
            self._client(reader) if who == "client" else self._answer(reader)
        except Short:
            return
        self._content[who] = b""

    def _client(self, reader: Reader) -> None:
        kind = reader.ub1()
        if kind == c.FAST_AUTH:
            reader.skip(3)
            reader.skip(1)
            negotiation.protocol_request(reader)
            reader.skip(6)
            kind = reader.ub1()
        if kind == c.PROTOCOL:
            negotiation.protocol_request(reader)
        else:
            self._asked = negotiation.data_types_request(reader)

    def _answer(self, reader: Reader) -> None:
        kind = reader.ub1()
        if kind == c.PROTOCOL:
            self._server = negotiation.protocol_answer(reader)
            if reader.position == len(reader.data):
                return
            kind = reader.ub1()
        assert kind == c.DATA_TYPES
        assert self._asked is not None
        assert self._server is not None
        answered = negotiation.data_types_answer(reader, self._asked)
        self.dialect = negotiation.agreed(self._server, self._asked, answered)


@dataclass
class Replayed:
    """What the two sides said of a session."""

    exchange: Exchange
    notes: list[Note] = field(default_factory=list)
    unattributed: int = 0
    client: OracleClientSide | None = None

    def begun(self) -> list[StatementBegins]:
        return [note for note in self.notes if isinstance(note, StatementBegins)]

    def ended(self) -> dict[int, StatementEnds]:
        return {note.number: note for note in self.notes if isinstance(note, StatementEnds)}

    def record(self) -> list[tuple[str, str, tuple[str | None, ...] | None, int | None, str]]:
        """Operation, text, binds, rows, and the outcome or the error's code."""
        ends = self.ended()
        lines = []
        for note in self.begun():
            binds = note.binds
            for more in self.notes:
                if isinstance(more, StatementExtends) and more.number == note.number and more.binds:
                    binds = (binds or ()) + more.binds
            end = ends[note.number]
            lines.append((note.operation, note.text, binds, end.rows, end.error.code if end.error else end.outcome))
        return lines


def replay(found: Recorded, step: int = 0) -> Replayed:
    """Through both sides; `step`: so many bytes at a time (0: packet by packet). Everything fed must come out."""
    exchange = Exchange(found.dialect)
    client, server = OracleClientSide(exchange), OracleServerSide(exchange)
    replayed = Replayed(exchange, client=client)
    for who, packet in found.calls:
        side = client if who == "client" else server
        given, passed = len(packet.data), b""
        parts = [packet.data[at : at + step] for at in range(0, given, step)] if step else [packet.data]
        held = sum(len(each) for each in client._held) if who == "client" else 0
        for part in parts:
            for piece in side.feed(part):
                passed += piece.data
                replayed.notes += piece.notes
                replayed.unattributed += 0 if piece.understood else piece.size
        still = sum(len(each) for each in client._held) if who == "client" else 0
        assert len(passed) + still == given + held
    return replayed
