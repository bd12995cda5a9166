"""What must hold of both sides of a session, whatever they are fed and however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import msgspec

from bastion.protocols import contract
from bastion.protocols.contract import (
    ClientSide,
    Note,
    ProtocolError,
    Refusal,
    ServerSide,
    StatementBegins,
    StatementEnds,
    StatementExtends,
)

NOT_HERE = Refusal("statement-denied", "Not here.")

FLUSH = b"H\0\0\0\4"

Sides = tuple[ClientSide, ServerSide]


@dataclass
class Played:
    """What came of a conversation: notes in the journal's order, bytes passed on and bytes covered, a way each."""

    notes: list[Note] = field(default_factory=list)
    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)
    covered: dict[str, int] = field(default_factory=lambda: {"client": 0, "server": 0})
    refused: set[int] = field(default_factory=set)
    failed: tuple[int, str] | None = None
    """The turn that was not this protocol, and why."""


def play(sides: Sides, turns: list[tuple[str, bytes]], cut: int, *, refusing: int, held: Callable[[], int]) -> Played:
    """Plays turns in cuttings of `cut` bytes (0: whole), as the relay does; every `refusing`th statement is refused.

    `held` says how many bytes the sides keep. Checked: bytes out are bytes in, in order, unless a piece says otherwise.
    """
    client_side, server_side = sides
    client_side.judging = bool(refusing)
    played = Played()
    most_held = 2 * (contract.MAX_HELD_MESSAGE + contract.TEXT_PART + 64)
    fed = {"client": 0, "server": 0}
    for index, (speaker, data) in enumerate(turns):
        for start in range(0, len(data), cut or len(data) or 1):
            part = data[start : start + (cut or len(data))]
            fed[speaker] += len(part)
            try:
                pieces = (client_side if speaker == "client" else server_side).feed(part)
            except ProtocolError as error:
                assert error.reason and len(error.raw) <= 4096  # noqa: PT017, PT018 - no other exception is let through
                played.failed = (index, error.reason)
                return played
            for piece in pieces:
                played.covered[speaker] += piece.size
                if speaker == "client":
                    for note in piece.notes:
                        if isinstance(note, StatementBegins) and refusing and note.number % refusing == 0:
                            played.refused.add(note.number)
                            if piece.forward:
                                client_side.refuse(piece, NOT_HERE)
                played.notes += piece.notes
                if piece.forward:
                    (played.to_server if speaker == "client" else played.to_client).extend(piece.data)
            played.to_client += server_side.due()
            assert played.covered[speaker] <= fed[speaker]
            assert fed["client"] + fed["server"] - sum(played.covered.values()) == held(), "bytes lost or doubled"
            assert held() <= most_held, f"{held()} bytes are held"
            assert server_side.rows >= 0
            running = server_side.running
            assert running is None or running in server_side.open_statements() or refusing
    server_side.farewell(NOT_HERE)
    return played


def check(
    make: Callable[[], tuple[Sides, Callable[[], int]]],
    turns: list[tuple[str, bytes]],
    refusing: int,
    *,
    compared: bool = True,
) -> None:
    """Plays a conversation whole and in drips; what is recorded and passed on is the same. Raises AssertionError.

    `compared` False: only that each by itself is consistent.
    """
    sides, held = make()
    whole = play(sides, turns, 0, refusing=refusing, held=held)
    _consistent(whole.notes)
    if not refusing and whole.failed is None:
        for speaker, passed in (("client", whole.to_server), ("server", whole.to_client)):
            said = b"".join(data for who, data in turns if who == speaker)
            if len(passed) == whole.covered[speaker]:
                assert _same_but_rewritten(said, bytes(passed)), f"what the {speaker} said is not what went on"
    for cut in (1, 7):
        sides, held = make()
        dripped = play(sides, turns, cut, refusing=refusing, held=held)
        _consistent(dripped.notes)
        if not compared:
            continue
        if whole.failed is None:
            assert dripped.failed is None, f"only in drips of {cut}: {dripped.failed}"
            ours, theirs = joined(dripped.notes), joined(whole.notes)
            if refusing:
                # What stands behind a statement in one read is noted before anybody can refuse the statement.
                ours, theirs = ([n for n in notes if isinstance(n, StatementEnds)] for notes in (ours, theirs))
            ours, theirs = ([n for n in notes if not getattr(n, "data_bytes", 0)] for notes in (ours, theirs))
            different = next(((one, other) for one, other in zip_longest(ours, theirs) if one != other), None)
            assert different is None, f"in drips of {cut}: {different[0]}, whole: {different[1]}"
            assert without(FLUSH, dripped.to_server) == without(FLUSH, whole.to_server)
            assert dripped.to_client == whole.to_client
        else:
            assert dripped.failed is not None, f"only whole: {whole.failed}"
            assert dripped.failed[0] == whole.failed[0], f"in another turn: {dripped.failed}, {whole.failed}"
            if not refusing:
                assert dripped.to_server.startswith(whole.to_server)


def without(message: bytes, passed: bytearray) -> bytes:
    """A Flush of a refused pipeline may go on: it asks for nothing."""
    return bytes(passed).replace(message, b"")


def _same_but_rewritten(said: bytes, passed: bytes) -> bool:
    """Nothing is rewritten in place without a change of length by the readers that are fuzzed."""
    return said.startswith(passed)


def _consistent(notes: Iterable[Note]) -> None:
    """Numbers count from 1, and no statement has two beginnings or two outcomes, or an outcome before it began."""
    begun: set[int] = set()
    ended: set[int] = set()
    for note in notes:
        if isinstance(note, StatementBegins):
            assert note.number == len(begun) + 1, "statements are not counted one by one"
            begun.add(note.number)
        elif isinstance(note, StatementExtends):
            assert note.number in begun
        elif isinstance(note, StatementEnds):
            assert note.number in begun
            assert note.number not in ended, "a statement with two outcomes"
            ended.add(note.number)


def joined(notes: Iterable[Note]) -> list[Note]:
    """Text, data and binds noted together or in parts say the same: parts that follow each other are joined."""
    result: list[Note] = []
    for note in notes:
        last = result[-1] if result else None
        if (
            isinstance(note, StatementExtends)
            and isinstance(last, StatementBegins | StatementExtends)
            and last.number == note.number
        ):
            changes: dict[str, Any] = {"text": last.text + note.text, "complete": note.complete}
            if note.binds is not None:
                changes["binds"] = (last.binds or ()) + note.binds
            if isinstance(last, StatementExtends):
                changes |= {
                    "runs": last.runs or note.runs,
                    "data_bytes": last.data_bytes + note.data_bytes,
                    "detail": last.detail + note.detail,
                }
            elif note.runs or note.data_bytes or note.detail:
                result.append(note)
                continue
            result[-1] = msgspec.structs.replace(last, **changes)
        else:
            result.append(note)
    return result
