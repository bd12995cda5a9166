"""However the bytes are cut, the same is noted and the same is passed on, and no byte is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import Note, StatementExtends
from bastion.protocols.postgres.client_side import NAMES
from bastion.protocols.postgres.server_side import ROWS

from .conversations import EVERY_KIND, Turn, conversations
from .examples import CLIENT, SERVER
from .session import Session


def joined(notes: list[Note]) -> list[Note]:
    """Runs of COPY data noted together or apart say the same."""
    result: list[Note] = []
    for note in notes:
        last = result[-1] if result else None
        if (
            isinstance(note, StatementExtends) and note.data_bytes
            and isinstance(last, StatementExtends) and last.data_bytes and last.number == note.number
        ):  # fmt: skip
            result[-1] = StatementExtends(note.number, data_bytes=last.data_bytes + note.data_bytes)
        else:
            result.append(note)
    return result


def play(turns: list[Turn], cut: int | None = None, drip: int | None = None, *, judging: bool = False) -> Session:
    """Plays the turns; one of them cut at a byte, or all in drips of some bytes. Nothing may be passed on twice."""
    session = Session()
    session.client_side.judging = judging
    at = 0
    for speaker, data in turns:
        feed = session.client if speaker == "client" else session.server
        if drip is not None:
            for start in range(0, len(data), drip):
                feed(data[start : start + drip])
        elif cut is not None and 0 < cut - at < len(data):
            feed(data[: cut - at])
            feed(data[cut - at :])
        else:
            feed(data)
        at += len(data)
    return session


def said(turns: list[Turn], speaker: str) -> bytes:
    return b"".join(data for who, data in turns if who == speaker)


WHOLE = play(EVERY_KIND)


def test_the_whole_conversation() -> None:
    assert WHOLE.to_server == said(EVERY_KIND, "client")
    assert WHOLE.to_client == said(EVERY_KIND, "server")
    assert WHOLE.server_side.open_statements() == []
    assert [(end.number, end.outcome) for end in WHOLE.ended().values()] == [
        (1, "done"), (2, "suspended"), (3, "done"), (4, "failed"), (5, "done"), (6, "done"), (7, "done"), (8, "done"),
        (9, "failed"), (10, "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("judging", [False, True])
def test_cut_at_every_byte(judging: bool) -> None:
    for cut in range(1, sum(len(data) for _, data in EVERY_KIND)):
        session = play(EVERY_KIND, cut, judging=judging)
        assert joined(session.notes) == joined(WHOLE.notes), cut
        assert session.to_server == WHOLE.to_server, cut
        assert session.to_client == WHOLE.to_client, cut


@pytest.mark.parametrize("drip", [1, 2, 3, 7])
def test_in_drips(drip: int) -> None:
    session = play(EVERY_KIND, drip=drip)
    assert joined(session.notes) == joined(WHOLE.notes)
    assert session.to_server == WHOLE.to_server
    assert session.to_client == WHOLE.to_client


def test_a_fragment_gives_nothing() -> None:
    for speaker, data in EVERY_KIND:
        if data[:1] in b"Dd":
            continue
        session = Session()
        feed = session.client if speaker == "client" else session.server
        for end in range(1, 6):
            feed_in = data[:end] if end < 5 else data[:4]
            assert feed(feed_in) == []
            break


@settings(max_examples=60, deadline=None)
@given(conversations(), st.data())
def test_pieces_are_the_bytes_that_came(turns: list[Turn], data: st.DataObject) -> None:
    whole = play(turns)
    assert whole.to_server == said(turns, "client")
    assert whole.to_client == said(turns, "server")
    assert whole.server_side.open_statements() == []
    assert sorted(whole.begun()) == sorted(whole.ended())
    drip = data.draw(st.integers(1, 50))
    cut = play(turns, drip=drip)
    assert cut.notes == whole.notes
    assert cut.to_server == whole.to_server
    assert cut.to_client == whole.to_client


@settings(max_examples=40, deadline=None)
@given(conversations())
def test_all_questions_before_all_answers(turns: list[Turn]) -> None:
    pipelined = [("client", said(turns, "client")), ("server", said(turns, "server"))]
    session, apart = play(pipelined), play(turns)
    assert session.outcomes() == apart.outcomes()
    assert {n: b.text for n, b in session.begun().items()} == {n: b.text for n, b in apart.begun().items()}


# ---------------------------------------------------------------------------------------- every message of the protocol

EXAMPLES = {
    **{f"client {chr(kind[0])}": turns for kind, turns in CLIENT.items()},
    **{f"server {chr(kind[0])}": turns for kind, turns in SERVER.items()},
}


def kinds_in(data: bytes) -> set[bytes]:
    kinds, position = set(), 0
    while position < len(data):
        kinds.add(data[position : position + 1])
        position += 1 + int.from_bytes(data[position + 1 : position + 5], "big")
    return kinds


def test_every_message_that_is_read_has_an_example() -> None:
    session = Session()
    assert (
        {kind[0] for kind in CLIENT}
        == set(NAMES)
        == set(session.client_side._handlers) | {ord("H"), ord("X"), ord("d")}
    )
    assert {kind[0] for kind in SERVER} == set(session.server_side._handlers) | set(ROWS)
    for speaker, examples in (("client", CLIENT), ("server", SERVER)):
        for kind, turns in examples.items():
            assert kind in kinds_in(said(turns, speaker)), f"the example for {kind!r} of the {speaker} has none"


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("judging", [False, True])
def test_every_message_in_every_cutting(name: str, judging: bool) -> None:
    turns = EXAMPLES[name]
    whole = play(turns, judging=judging)
    assert (bytes(whole.to_server), bytes(whole.to_client)) == (said(turns, "client"), said(turns, "server"))
    assert whole.server_side.open_statements() == []
    cuttings = [play(turns, cut, judging=judging) for cut in range(1, sum(len(data) for _, data in turns))]
    cuttings += [play(turns, drip=drip, judging=judging) for drip in (1, 2, 5)]
    for cut in cuttings:
        assert joined(cut.notes) == joined(whole.notes)
        assert (cut.to_server, cut.to_client) == (whole.to_server, whole.to_client)


def test_all_messages_of_the_client_in_one_read_and_all_answers_in_one() -> None:
    # Not where the answer says in which encoding the next statement is.
    turns = [turn for name, turns in EXAMPLES.items() if name not in ("client X", "server S") for turn in turns]
    asked, answered = said(turns, "client"), said(turns, "server")
    apart, at_once = play(turns), play([("client", asked), ("server", answered)])
    assert (bytes(at_once.to_server), bytes(at_once.to_client)) == (asked, answered)
    assert at_once.server_side.open_statements() == []
    assert {number: begun.text for number, begun in at_once.begun().items()} == {
        number: begun.text for number, begun in apart.begun().items()
    }
    assert [outcome[:2] for outcome in at_once.outcomes()] == [outcome[:2] for outcome in apart.outcomes()]
