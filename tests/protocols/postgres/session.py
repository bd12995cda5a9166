"""A session without sockets: what the two sides make of scripted bytes, as the relay would pass it on."""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.protocols.contract import Note, Piece, Refusal, StatementBegins, StatementEnds, StatementExtends
from bastion.protocols.postgres.client_side import PostgresClientSide
from bastion.protocols.postgres.exchange import Exchange
from bastion.protocols.postgres.server_side import PostgresServerSide

NOT_ALLOWED = Refusal("statement-denied", "Not here.")


@dataclass
class Session:
    """Feeds both sides; keeps the notes in the order in which the journal would get them, and what is passed on."""

    exchange: Exchange = field(default_factory=Exchange)
    notes: list[Note] = field(default_factory=list)
    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)
    refuse_texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.client_side = PostgresClientSide(self.exchange)
        self.server_side = PostgresServerSide(self.exchange)
        self.client_side.judging = bool(self.refuse_texts)

    def client(self, data: bytes) -> list[Piece]:
        pieces = self.client_side.feed(data)
        assert self.client_side.judging or all(piece.forward for piece in pieces)
        for piece in pieces:
            assert piece.size == len(piece.data)
            assert piece.understood
            self.notes.extend(piece.notes)
            for note in piece.notes:
                refused = isinstance(note, StatementBegins) and any(text in note.text for text in self.refuse_texts)
                if refused and piece.forward:
                    self.client_side.refuse(piece, NOT_ALLOWED)
            if piece.forward:
                self.to_server += piece.data
        self.to_client += self.server_side.due()
        return pieces

    def server(self, data: bytes) -> list[Piece]:
        pieces = self.server_side.feed(data)
        for piece in pieces:
            self.notes.extend(piece.notes)
            self.to_client += piece.data
        self.to_client += self.server_side.due()
        return pieces

    # ------------------------------------------------------------------------------------------------ what was recorded

    def begun(self) -> dict[int, StatementBegins]:
        return {note.number: note for note in self.notes if isinstance(note, StatementBegins)}

    def ended(self) -> dict[int, StatementEnds]:
        ends = [note for note in self.notes if isinstance(note, StatementEnds)]
        assert len({note.number for note in ends}) == len(ends), "a statement with two outcomes"
        return {note.number: note for note in ends}

    def extended(self, number: int) -> list[StatementExtends]:
        return [note for note in self.notes if isinstance(note, StatementExtends) and note.number == number]

    def text(self, number: int) -> str:
        return self.begun()[number].text + "".join(note.text for note in self.extended(number))

    def outcomes(self) -> list[tuple[int, str, int | None]]:
        return [(note.number, note.outcome, note.rows) for note in self.ended().values()]
