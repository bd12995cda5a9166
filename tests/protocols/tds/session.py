"""A session of the engine without a connection: what is fed to its sides, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.protocols.contract import Note, Piece, Refusal, SessionChanged, StatementBegins, StatementEnds
from bastion.protocols.tds.client_side import TdsClientSide
from bastion.protocols.tds.exchange import Exchange
from bastion.protocols.tds.server_side import TdsServerSide

NOT_HERE = Refusal("statement-denied", "Not here.")


@dataclass
class Session:
    """`notes` are all in order; `to_server` and `to_client` what went on."""

    exchange: Exchange = field(default_factory=lambda: Exchange(database="shop"))
    notes: list[Note] = field(default_factory=list)
    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)
    pieces: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client_side = TdsClientSide(self.exchange)
        self.server_side = TdsServerSide(self.exchange)

    def client(self, data: bytes) -> list[Piece]:
        """The client says something."""
        pieces = self.client_side.feed(data)
        for piece in pieces:
            self.notes += piece.notes
            self.pieces.append(piece)
            if piece.forward:
                self.to_server += piece.data
        self.to_client += self.server_side.due()
        return pieces

    def server(self, data: bytes) -> list[Piece]:
        """The server says something."""
        pieces = self.server_side.feed(data)
        for piece in pieces:
            self.notes += piece.notes
            self.pieces.append(piece)
            self.to_client += piece.data
        self.to_client += self.server_side.due()
        return pieces

    def begins(self) -> list[StatementBegins]:
        return [note for note in self.notes if isinstance(note, StatementBegins)]

    def ends(self) -> list[StatementEnds]:
        return [note for note in self.notes if isinstance(note, StatementEnds)]

    def changes(self) -> list[SessionChanged]:
        return [note for note in self.notes if isinstance(note, SessionChanged)]

    def texts(self) -> list[tuple[str, str]]:
        return [(note.operation, note.text) for note in self.begins()]

    def outcomes(self) -> list[tuple[int, int | None, str, str]]:
        """Number, rows, outcome and error of each end."""
        return [(note.number, note.rows, note.outcome, str(note.error or "")) for note in self.ends()]
