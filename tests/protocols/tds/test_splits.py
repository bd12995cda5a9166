"""However bytes arrive, the same is recorded and passed on."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import Note, ProtocolError, StatementEnds
from bastion.protocols.tds.exchange import Exchange

from .examples import EXAMPLES, Turns
from .session import Session


def played(turns: Turns, cut: int) -> Session:
    session = Session(Exchange(database="shop"))
    for who, data in turns:
        for start in range(0, len(data), cut or len(data)):
            (session.client if who == "client" else session.server)(data[start : start + (cut or len(data))])
    return session


def outcomes(notes: list[Note]) -> list[Note]:
    return [note for note in notes if isinstance(note, StatementEnds)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_everything_goes_on_as_it_came_and_belongs_to_something(name: str) -> None:
    turns = EXAMPLES[name]
    session = played(turns, 0)
    assert bytes(session.to_server) == b"".join(data for who, data in turns if who == "client")
    assert bytes(session.to_client) == b"".join(data for who, data in turns if who == "server")
    assert all(piece.understood for piece in session.pieces)
    assert not session.exchange.waiting
    assert session.server_side.open_statements() == []
    assert sorted(note.number for note in session.ends()) == [note.number for note in session.begins()]


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 13, 64, 1000])
@pytest.mark.parametrize("name", EXAMPLES)
def test_in_drips(name: str, cut: int) -> None:
    whole, dripped = played(EXAMPLES[name], 0), played(EXAMPLES[name], cut)
    assert bytes(dripped.to_client) == bytes(whole.to_client)
    assert bytes(dripped.to_server) == bytes(whole.to_server)
    assert outcomes(dripped.notes) == outcomes(whole.notes)
    if name != "bulk":
        assert dripped.notes == whole.notes


@pytest.mark.parametrize("name", EXAMPLES)
def test_cut_in_two_at_every_byte(name: str) -> None:
    turns = EXAMPLES[name]
    whole = played(turns, 0)
    for index, (who, data) in enumerate(turns):
        for at in range(1, len(data), 1 if len(data) < 700 else 17):
            cut = [*turns[:index], (who, data[:at]), (who, data[at:]), *turns[index + 1 :]]
            session = played(cut, 0)
            assert outcomes(session.notes) == outcomes(whole.notes), at
            assert bytes(session.to_client) == bytes(whole.to_client), at


@pytest.mark.parametrize("name", EXAMPLES)
def test_whole_answers_in_one_read_with_what_follows(name: str) -> None:
    """Requests one behind the other without waiting, as far as they do not need each other's answers."""
    turns = EXAMPLES[name]
    if name in ("prepared", "bulk", "cursor", "attention", "reset"):
        turns = turns[:2]
    together = [
        ("client", b"".join(data for who, data in turns if who == "client")),
        ("server", b"".join(data for who, data in turns if who == "server")),
    ]
    session, apart = played(together, 0), played(turns, 0)
    assert [end.number for end in session.ends()] == [end.number for end in apart.ends()]
    assert [(end.rows, end.outcome) for end in session.ends()] == [(end.rows, end.outcome) for end in apart.ends()]
    assert bytes(session.to_client) == bytes(apart.to_client)


def test_what_is_no_packet_is_refused() -> None:
    session = Session()
    for data in (
        b"\x53\x01\0\0\x10\0\0\0",
        b"\x16\x03\x01\x02\0\0\0\0",
        b"\x01\x01\0\x07\0\0\1\0",
        b"\x10\x01\0\x10\0\0\1\0",
    ):
        with pytest.raises(ProtocolError):
            Session().client(data)
    with pytest.raises(ProtocolError):
        session.server(b"\x01\x01\0\x09\0\0\1\0\xfd")
