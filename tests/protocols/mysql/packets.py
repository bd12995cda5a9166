"""Packets for tests, and a session's two sides that keep what came out of them."""

from __future__ import annotations

from bastion.protocols.contract import Note, Piece, Refusal, Reply
from bastion.protocols.mysql.client_side import MysqlClientSide
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.exchange import Exchange
from bastion.protocols.mysql.server_side import MysqlServerSide

CLASSIC = int(Capability.PROTOCOL_41 | Capability.LOCAL_FILES | Capability.MULTI_RESULTS)
MODERN = CLASSIC | int(Capability.DEPRECATE_EOF | Capability.SESSION_TRACK)


def packet(sequence: int, payload: bytes) -> bytes:
    """One packet of fewer than 0xFFFFFF bytes."""
    return len(payload).to_bytes(3, "little") + bytes([sequence & 0xFF]) + payload


def run(first: int, *payloads: bytes) -> bytes:
    """Packets with consecutive sequence ids."""
    return b"".join(packet(first + index, payload) for index, payload in enumerate(payloads))


def query(text: str) -> bytes:
    return packet(0, b"\x03" + text.encode())


def ok(*, affected: int = 0, status: int = 2, head: int = 0x00) -> bytes:
    return bytes([head, affected, 0]) + status.to_bytes(2, "little") + b"\0\0"


def eof(status: int = 2) -> bytes:
    return b"\xfe\0\0" + status.to_bytes(2, "little")


def err(number: int, state: str, text: str) -> bytes:
    return b"\xff" + number.to_bytes(2, "little") + b"#" + state.encode() + text.encode()


DEFINITION = b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x0b\0\0\0\x03\x81\0\0\0\0"


def result_set(rows: list[bytes], *, modern: bool, columns: int = 1, status: int = 2) -> list[bytes]:
    """The payloads of a result set: count, definitions, EOF where it is due, rows, end."""
    payloads = [bytes([columns]), *[DEFINITION] * columns]
    if not modern:
        payloads.append(eof(status & ~0x48))
    return [*payloads, *rows, ok(head=0xFE, status=status) if modern else eof(status)]


def prepare_ok(handle: int, parameters: int, columns: int, *, modern: bool) -> list[bytes]:
    payloads = [
        b"\0"
        + handle.to_bytes(4, "little")
        + columns.to_bytes(2, "little")
        + parameters.to_bytes(2, "little")
        + bytes(3)
    ]
    for count in (parameters, columns):
        payloads += [DEFINITION] * count
        if count and not modern:
            payloads.append(eof())
    return payloads


class Session:
    """Both sides of one session; what came out of them is kept in order."""

    def __init__(self, capabilities: int = MODERN, **settings: object) -> None:
        self.exchange = Exchange(capabilities=capabilities, **settings)  # type: ignore[arg-type]
        self.client_side = MysqlClientSide(self.exchange)
        self.server_side = MysqlServerSide(self.exchange)
        self.up = b""
        self.down = b""
        self.size_up = 0
        self.size_down = 0
        self.notes: list[Note] = []
        self.pieces: list[Piece] = []
        self.refusals: dict[int, Refusal] = {}
        """Statement number -> the refusal that the relay would give."""

    def client(self, data: bytes) -> list[Piece]:
        pieces = self.client_side.feed(data)
        for piece in pieces:
            self.size_up += piece.size
            refusal = self.refusals.get(piece.statement or 0)
            if refusal is not None:
                self.client_side.refuse(piece, refusal)
            elif piece.forward:
                self.up += piece.data
            self.notes += piece.notes
        self.pieces += pieces
        self.down += self.server_side.due()
        return pieces

    def server(self, data: bytes) -> list[Piece]:
        pieces = self.server_side.feed(data)
        for piece in pieces:
            self.size_down += piece.size
            self.down += piece.data
            if isinstance(piece, Reply):
                self.up += piece.back
            self.notes += piece.notes
        self.pieces += pieces
        self.down += self.server_side.due()
        return pieces

    def noted(self, kind: type) -> list[Note]:
        return [note for note in self.notes if isinstance(note, kind)]
