"""However the bytes arrive, the same is recorded and the same is passed on."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import Note, ProtocolError, StatementBegins, StatementEnds
from bastion.protocols.mysql.codec import encode_lenenc_bytes
from bastion.protocols.mysql.commands import OPERATIONS, READERS
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.exchange import Answer
from bastion.protocols.mysql.server_side import MysqlServerSide

from .examples import CLIENT, SERVER
from .packets import CLASSIC, MODERN, Session, eof, err, ok, packet, prepare_ok, query, result_set, run

Conversation = list[tuple[str, bytes]]


def conversation(*, modern: bool) -> Conversation:
    """Every kind of command once, with its answer."""
    end = ok(head=0xFE) if modern else eof()
    execute = b"\x17\x01\0\0\0\0\x01\0\0\0"
    return [
        ("client", query("select a, b from t")),
        ("server", run(1, *result_set([b"\x011\x012", b"\0\0", b"\xfb\xfb"], modern=modern, columns=2, status=0x0A),
                       *result_set([b"\x03abc"], modern=modern))),
        ("client", packet(0, b"\x16insert into t values (?, ?)")),
        ("server", run(1, *prepare_ok(1, 2, 0, modern=modern))),
        ("client", packet(0, b"\x18\x01\0\0\0\x01\0long data")),
        ("client", packet(0, execute + b"\x00\x01\x03\x00\xfc\x00\x07\0\0\0")),
        ("server", run(1, ok(affected=1, status=3))),
        ("client", packet(0, execute + b"\x03\x00")),
        ("server", run(1, err(1062, "23000", "Duplicate entry"))),
        ("client", packet(0, b"\x19\x01\0\0\0") + packet(0, b"\x0e")),
        ("server", run(1, ok())),
        ("client", query("load data local infile 'f' into table t")),
        ("server", packet(1, b"\xfbf")),
        ("client", packet(2, b"1\n2\n") + packet(3, b"")),
        ("server", packet(4, ok(affected=2))),
        ("client", packet(0, b"\x04t\0")),
        ("server", run(1, b"\x03def" + bytes(20), end)),
        ("client", packet(0, b"\x09")),
        ("server", run(1, b"Uptime: 1")),
        ("client", packet(0, b"\x02other")),
        ("server", run(1, ok())),
        ("client", packet(0, b"\x01")),
    ]  # fmt: skip


def play(capabilities: int, steps: Conversation, cut: Callable[[bytes], list[bytes]]) -> Session:
    session = Session(capabilities)
    for side, data in steps:
        for part in cut(data):
            (session.client if side == "client" else session.server)(part)
    return session


def outcome(session: Session) -> tuple[list[Note], bytes, bytes]:
    return session.notes, session.up, session.down


@pytest.mark.parametrize("capabilities", [CLASSIC, MODERN], ids=["eof", "deprecate-eof"])
def test_every_message_cut_at_every_byte(capabilities: int) -> None:
    steps = conversation(modern=capabilities == MODERN)
    whole = play(capabilities, steps, lambda data: [data])
    assert whole.up == b"".join(data for side, data in steps if side == "client")
    assert whole.down == b"".join(data for side, data in steps if side == "server")
    expected = outcome(whole)
    for at in range(1, max(len(data) for _, data in steps)):
        cut = play(capabilities, steps, lambda data, at=at: [data[:at], data[at:]] if at < len(data) else [data])  # type: ignore[misc]
        assert outcome(cut) == expected, at


@pytest.mark.parametrize("capabilities", [CLASSIC, MODERN], ids=["eof", "deprecate-eof"])
def test_one_byte_at_a_time(capabilities: int) -> None:
    steps = conversation(modern=capabilities == MODERN)
    expected = outcome(play(capabilities, steps, lambda data: [data]))
    dripped = play(capabilities, steps, lambda data: [data[index : index + 1] for index in range(len(data))])
    assert outcome(dripped) == expected
    assert (dripped.size_up, dripped.size_down) == (len(dripped.up), len(dripped.down))


def test_everything_sent_ahead_in_one_read() -> None:
    commands = [query("select 1"), packet(0, b"\x0e"), query("select 2"), packet(0, b"\x09"), query("select 3")]
    answers = [
        run(1, *result_set([b"\x011"], modern=True)), run(1, ok()), run(1, err(1064, "42000", "no")),
        run(1, b"Uptime"), run(1, *result_set([b"\x011", b"\x012"], modern=True)),
    ]  # fmt: skip
    one_by_one = Session()
    for command, answer in zip(commands, answers, strict=True):
        one_by_one.client(command)
        one_by_one.server(answer)
    at_once = Session()
    at_once.client(b"".join(commands))
    at_once.server(b"".join(answers))
    assert sorted(map(repr, at_once.notes)) == sorted(map(repr, one_by_one.notes))
    assert (at_once.up, at_once.down) == (one_by_one.up, one_by_one.down)
    assert [piece.statement for piece in at_once.pieces[5:]] == [1, None, 2, None, 3]


def test_a_long_read_of_rows_is_one_piece() -> None:
    session = Session()
    session.client(query("select a from t"))
    session.server(run(1, *result_set([], modern=True)[:-1]))
    rows = b"".join(packet(3 + index, encode_lenenc_bytes(b"v" * (index % 200))) for index in range(500))
    assert len(session.server(rows)) == 1
    assert session.server_side.rows == 500
    assert session.pieces[-1].data is rows


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_passed_on_is_what_came(data: st.DataObject) -> None:
    capabilities = data.draw(st.sampled_from([CLASSIC, MODERN]))
    steps = conversation(modern=capabilities == MODERN)

    def cut(message: bytes) -> list[bytes]:
        places = sorted(data.draw(st.sets(st.integers(0, len(message)), max_size=6)))
        return [message[a:b] for a, b in itertools.pairwise([0, *places, len(message)])]

    session = play(capabilities, steps, cut)
    assert outcome(session) == outcome(play(capabilities, steps, lambda message: [message]))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([CLASSIC, MODERN, MODERN | int(Capability.QUERY_ATTRIBUTES)]),
    st.booleans(),
)
def test_noise_is_refused_or_passed_whole(noise: bytes, capabilities: int, mariadb: bool) -> None:
    session = Session(capabilities, mariadb=mariadb)
    session.client(packet(0, b"\x16select ?, ?"))
    session.server(run(1, *prepare_ok(1, 2, 0, modern=capabilities != CLASSIC)))
    before = session.size_up
    with contextlib.suppress(ProtocolError):
        session.client(packet(0, noise))
        assert session.size_up - before == len(noise) + 4
    other = Session(capabilities & MODERN, mariadb=mariadb)
    other.client(query("select 1"))
    with contextlib.suppress(ProtocolError):
        other.server(packet(1, noise) + packet(2, noise[::-1]))
        assert other.size_down + len(other.server_side._held) == 2 * (len(noise) + 4)


# ---------------------------------------------------------------------------------------- every message of the protocol

EXAMPLES = {
    **{f"client {OPERATIONS[code]}": turns for code, turns in CLIENT.items()},
    **{f"server {name}": turns for name, turns in SERVER.items()},
}


def example_session() -> Session:
    return Session(MODERN, mariadb=True, allow_replication=True)


def play_example(turns: Conversation, cut: Callable[[bytes], list[bytes]]) -> Session:
    session = example_session()
    for side, data in turns:
        for part in cut(data):
            (session.client if side == "client" else session.server)(part)
    return session


def test_every_command_that_is_read_has_an_example() -> None:
    assert set(CLIENT) == set(READERS) == set(OPERATIONS)
    for code, turns in CLIENT.items():
        sent = b"".join(data for side, data in turns if side == "client")
        codes, position = set(), 0
        while position < len(sent):
            codes.add(sent[position + 4])
            position += 4 + int.from_bytes(sent[position : position + 3], "little")
        assert code in codes, f"the example for {OPERATIONS[code]} has none"


def test_every_kind_of_answer_has_an_example() -> None:
    """The names that the reader has for what it reads, and the ways in which a command is answered."""
    source = inspect.getsource(MysqlServerSide)
    names = set(re.findall(r'return "([A-Za-z_ ]+)"', source)) - {"PREPARE_OK"} | {"PrepareOK", "Row"}
    assert names <= set(SERVER), "the reader knows a packet that has no example"
    awaited = set()
    for turns in EXAMPLES.values():
        session = example_session()
        for side, data in turns:
            (session.client if side == "client" else session.server)(data)
            awaited |= {command.answer for command in session.exchange.waiting}
    assert awaited == set(Answer)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_message_in_every_cutting(name: str) -> None:
    turns = EXAMPLES[name]
    whole = play_example(turns, lambda data: [data])
    sent, received = (b"".join(data for side, data in turns if side == who) for who in ("client", "server"))
    if "CHANGE_USER" not in name:
        assert (whole.up, whole.down) == (sent, received)
    assert (whole.size_up, whole.size_down) == (len(sent), len(received))
    assert whole.server_side.open_statements() == []
    for at in range(1, max(len(data) for _, data in turns)):
        cut = play_example(turns, lambda data, at=at: [data[:at], data[at:]] if at < len(data) else [data])  # type: ignore[misc]
        assert outcome(cut) == outcome(whole), at
    for size in (1, 2, 5):
        drips = lambda data, size=size: [data[at : at + size] for at in range(0, len(data), size)]  # noqa: E731
        assert outcome(play_example(turns, drips)) == outcome(whole), size


def test_all_commands_in_one_read_and_all_answers_in_one() -> None:
    """But for those whose answer decides how the following bytes are read."""
    apart_only = ("LOCAL INFILE", "COM_QUIT", "COM_CHANGE_USER", "STMT_", "BINLOG", "Prepare", "stream")
    turns = [turn for name, turns in EXAMPLES.items() if not any(one in name for one in apart_only) for turn in turns]
    asked, answered = (b"".join(data for side, data in turns if side == who) for who in ("client", "server"))
    session = example_session()
    session.client(asked)
    session.server(answered)
    assert (session.up, session.down) == (asked, answered)
    apart = play_example(turns, lambda data: [data])
    assert session.noted(StatementBegins) == apart.noted(StatementBegins)
    assert session.noted(StatementEnds) == apart.noted(StatementEnds)
