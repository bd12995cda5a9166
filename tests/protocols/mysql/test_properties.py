"""What is encoded here by the documentation comes back out of the readers: values, whole conversations, handshakes.

The encoders are this file's and `packets`'; they share nothing with the package. MySQL: "Binary Protocol Value",
"Binary Protocol Resultset Row", "Protocol::LengthEncodedInteger".
"""

from __future__ import annotations

import itertools
import struct

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import StatementBegins, StatementEnds, StatementExtends
from bastion.protocols.mysql import codec
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.handshake import HandshakeResponse, decode_greeting, decode_response, encode_response
from bastion.protocols.mysql.results import decode
from bastion.protocols.mysql.values import BindReader, decode_value

from . import packets as p
from .generated import (
    TEXTS,
    UNSIGNED,
    Conversation,
    Known,
    Statement,
    bitmap,
    conversations,
    counted,
    definition,
    joined,
    shown_of,
    text,
)  # fmt: skip

often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ------------------------------------------------------------------------------------------------------------- values


def whole_number(kind: int, form: str) -> st.SearchStrategy[Known]:
    bits = 8 * struct.calcsize(form)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if form[-1].islower() else (0, 2**bits - 1)
    flag = 0 if form[-1].islower() else UNSIGNED
    return st.integers(low, high).map(lambda number: (kind | flag, struct.pack(form, number), str(number)))


WHOLE = [
    whole_number(kind, "<" + (form.upper() if unsigned else form))
    for kind, form in ((1, "b"), (2, "h"), (13, "h"), (3, "i"), (9, "i"), (8, "q"))
    for unsigned in (False, True)
]
FRACTION = st.none() | st.integers(0, 999_999)


def clock(hours: int, minutes: int, seconds: int, micros: int | None) -> str:
    return f"{hours:02}:{minutes:02}:{seconds:02}" + ("" if micros is None else f".{micros:06}")


def moment(kind: int, year: int, month: int, day: int, hms: tuple[int, int, int] | None, micros: int | None) -> Known:
    """DATE, DATETIME, TIMESTAMP: 4 bytes without a time, 7 without microseconds, 11 with them."""
    form = struct.pack("<HBB", year, month, day)
    shown = f"{year:04}-{month:02}-{day:02}"
    if kind == 10:
        return kind, b"\x04" + form, shown
    if hms is None:
        return kind, b"\x04" + form, shown + " 00:00:00"
    form += bytes(hms) + (b"" if micros is None else struct.pack("<I", micros))
    return kind, bytes([len(form)]) + form, f"{shown} {clock(*hms, micros)}"


def span(negative: bool, days: int, hms: tuple[int, int, int], micros: int | None) -> Known:
    """TIME: 8 bytes without microseconds, 12 with them; its text has no days, and goes up to 838 hours."""
    form = struct.pack("<BI", negative, days) + bytes(hms) + (b"" if micros is None else struct.pack("<I", micros))
    shown = clock(days * 24 + hms[0], hms[1], hms[2], micros)
    return 11, bytes([len(form)]) + form, ("-" if negative else "") + shown


HMS = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
TIMES = [
    st.builds(moment, st.sampled_from([7, 10, 12]), st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31),
              st.none() | HMS, FRACTION),
    st.builds(span, st.booleans(), st.integers(0, 34), HMS, FRACTION),
    st.sampled_from([(10, b"\0", "0000-00-00"), (12, b"\0", "0000-00-00 00:00:00"), (11, b"\0", "00:00:00")]),
]  # fmt: skip
DECIMALS = st.decimals(-(10**15), 10**15, places=4).map(lambda number: (246, text(str(number).encode()), str(number)))
STRINGS = st.builds(
    lambda kind, shown: (kind, text(shown.encode()), shown), st.sampled_from([245, 247, 248, 253, 254]), TEXTS
)
LONGER = st.integers(240, 4096).map(lambda size: (253, text(b"v" * size), "v" * size))
BYTES = st.binary(max_size=40).filter(lambda data: b"\0" in data)
BITS = st.binary(min_size=1, max_size=8).map(lambda data: (16, text(data), "0x" + data.hex()))
BLOBS = BYTES.map(lambda data: (252, text(data), "0x" + data.hex()))
EXACT = st.one_of(*WHOLE, *TIMES, DECIMALS, STRINGS, LONGER, BLOBS)
"""Where binds and rows are written alike."""
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
SINGLES = (
    st.integers(0, 2**32 - 1)
    .filter(lambda bits: bits >> 23 & 0xFF != 0xFF)
    .map(lambda bits: float(struct.unpack("<f", struct.pack("<I", bits))[0]))
)


def answered(
    values: list[list[Known | None]], kinds: list[int], operation: str, rows: list[bytes], modern: bool
) -> None:
    head = [counted(len(kinds)), *map(definition, kinds), *([] if modern else [p.eof()])]
    end = p.ok(head=0xFE) if modern else p.eof()
    parts = list(decode(p.run(1, *head, *rows, end), "utf-8", operation))
    assert [part for part in parts if isinstance(part, list)] == [shown_of(row) for row in values]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], list[list[Known | None]]]:
    """The types of any number of columns, and rows of values."""
    # NULL bitmaps have two bits more than columns: a byte more from 7 columns on, not from 9 on.
    count = draw(st.sampled_from([1, 5, 6, 7, 8, 14, 15, 16, 20]))
    first = draw(st.lists(EXACT | BITS, min_size=count, max_size=count))
    rows: list[list[Known | None]] = [[one if draw(st.integers(0, 3)) else None for one in first] for _ in range(3)]
    return [one[0] for one in first], rows


@often
@given(EXACT, st.binary(max_size=5))
def test_a_bind_reads_as_the_server_writes_it(known: Known, behind: bytes) -> None:
    kind, form, shown = known
    assert decode_value(kind, form + behind, 0, "utf-8") == (shown, len(form))


@often
@given(DOUBLES, SINGLES)
def test_numbers_with_a_point_read_back(double: float, single: float) -> None:
    pairs: list[tuple[int, str, float]] = [(5, "<d", double), (4, "<f", single)]
    for kind, form, number in pairs:
        known = (kind, struct.pack(form, number), "")
        bound, _ = decode_value(kind, known[1], 0, "utf-8")
        row = b"\0" + bitmap([known], 2) + known[1]
        parts = list(decode(p.run(1, b"\x01", definition(kind), row, p.ok(head=0xFE)), "utf-8", "COM_STMT_EXECUTE"))
        assert isinstance(parts[1], list)
        for shown in (bound, parts[1][0]):
            assert shown is not None
            assert struct.pack(form, float(shown)) == known[1]
            figures = shown.partition("e")[0].replace("-", "").replace(".", "").strip("0")
            assert len(figures) <= (9 if kind == 4 else 17)


@often
@given(tables(), st.booleans())
def test_rows_of_the_binary_protocol(table: tuple[list[int], list[list[Known | None]]], modern: bool) -> None:
    kinds, rows = table
    answered(rows, kinds, "COM_STMT_EXECUTE", [b"\0" + bitmap(row, 2) + joined(row) for row in rows], modern)


@often
@given(st.lists(st.lists(st.none() | TEXTS.map(lambda one: (253, text(one.encode()), one)), min_size=3, max_size=3)),
       st.booleans())  # fmt: skip
def test_rows_of_the_text_protocol(rows: list[list[Known | None]], modern: bool) -> None:
    forms = [b"".join(b"\xfb" if one is None else one[1] for one in row) for row in rows]
    answered(rows, [253] * 3, "COM_QUERY", forms, modern)


@often
@given(st.lists(st.none() | EXACT, min_size=1, max_size=40), st.data())
def test_any_number_of_binds_in_any_cutting(values: list[Known | None], data: st.DataObject) -> None:
    kinds = [6 if one is None else one[0] for one in values]
    reader = BindReader(kinds, bitmap(values, 0), {}, "utf-8")
    form = joined(values)
    places = sorted(data.draw(st.sets(st.integers(0, len(form)), max_size=5)))
    for start, stop in itertools.pairwise([0, *places, len(form)]):
        reader.feed(form[start:stop], last=stop == len(form) and start == ([0, *places])[-1])
    assert list(reader.taken()) == shown_of(values)


@often
@given(st.integers(0, 8).flatmap(lambda size: st.integers(0, 256**size - 1)), st.sampled_from([1, 2, 3, 8]), TEXTS)
@example(250, 1, "")
@example(251, 2, "")
@example(0xFFFF, 2, "")
@example(0x10000, 3, "")
@example(0xFFFFFF, 3, "")
@example(0x1000000, 8, "")
@example(2**64 - 1, 8, "")
def test_lengths_of_every_width(number: int, width: int, behind: str) -> None:
    shortest = counted(number)
    assert codec.encode_lenenc_int(number) == shortest
    assert codec.lenenc_int(b"x" + shortest + behind.encode(), 1) == (number, 1 + len(shortest))
    if width > 1 and number < 256**width:
        # Longer than need be, as some clients write it.
        assert codec.lenenc_int(counted(number, width), 0) == (number, width + 1)
    if number <= 0x20000:
        value = b"v" * number
        assert codec.encode_lenenc_bytes(value) == shortest + value
        assert codec.lenenc_bytes(shortest + value + b"more", 0) == (value, len(shortest) + number)


# ------------------------------------------------------------------------------------------------------ conversations


def recorded(session: p.Session) -> list[Statement]:
    """What the notes say of every statement, and the rows that its kept bytes decode to."""
    found = []
    ended = {note.number: note for note in session.notes if isinstance(note, StatementEnds)}
    for begun in [note for note in session.notes if isinstance(note, StatementBegins)]:
        end = ended.pop(begun.number)
        more = [one for one in session.notes if isinstance(one, StatementExtends) and one.number == begun.number]
        kept = session.down[end.position - end.bytes_down : end.position]
        described = session.down[end.described :] if end.described else b""
        parts = decode(kept, "utf-8", begun.operation, described=described)
        shown = [part for part in parts if isinstance(part, list)]
        error, uploaded = end.error.code if end.error else None, sum(one.data_bytes for one in more)
        found.append(Statement(begun.operation, begun.text, begun.binds, end.outcome, end.rows, error, shown, uploaded))
    assert not ended, "a statement with two outcomes, or an outcome of none"
    return found


@often
@given(conversations(), st.data())
def test_a_conversation_is_on_record_as_it_was_held(made: Conversation, data: st.DataObject) -> None:
    session = p.Session(made.capabilities)
    ahead = made.calm and data.draw(st.booleans())
    for speaker, message in sorted(made.turns, key=lambda turn: turn[0]) if ahead else made.turns:
        places = sorted(data.draw(st.sets(st.integers(0, len(message)), max_size=4)))
        for start, stop in itertools.pairwise([0, *places, len(message)]):
            (session.client if speaker == "client" else session.server)(message[start:stop])
    sent, received = (b"".join(part for who, part in made.turns if who == one) for one in ("client", "server"))
    assert (session.up, session.down) == (sent, received)
    assert (session.size_up, session.size_down) == (len(sent), len(received))
    assert all(piece.understood and piece.forward for piece in session.pieces)
    numbers = [note.number for note in session.notes if isinstance(note, StatementEnds)]
    assert numbers == list(range(1, len(made.statements) + 1))
    assert recorded(session) == made.statements
    assert session.server_side.open_statements() == []


# ---------------------------------------------------------------------------------------------------------- handshakes

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)
OFTEN = int(Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION)
RESPONSES = st.builds(
    HandshakeResponse,
    capabilities=st.lists(
        st.sampled_from([Capability.LONG_PASSWORD, Capability.PLUGIN_AUTH_LENENC, Capability.CONNECT_WITH_DB,
                         Capability.PLUGIN_AUTH, Capability.CONNECT_ATTRS, Capability.MARIADB_BULK])
    ).map(lambda more: OFTEN | sum(set(map(int, more)))),
    max_packet=st.integers(0, 2**32 - 1), collation=st.integers(0, 255), user=NAMES | st.just(b""),
    answer=st.binary(max_size=255), database=NAMES, plugin=st.sampled_from(["caching_sha2_password", "parsec"]),
    attributes=st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=4),
)  # fmt: skip


def normal(response: HandshakeResponse) -> HandshakeResponse:
    """Only what its capabilities say that it has."""
    capabilities = response.capabilities
    if capabilities & Capability.LONG_PASSWORD:
        # A client of MySQL: its reserved bytes hold no capabilities.
        capabilities &= 0xFFFFFFFF
    return HandshakeResponse(
        capabilities, response.max_packet, response.collation, response.user, response.answer,
        response.database if capabilities & Capability.CONNECT_WITH_DB else None,
        response.plugin if capabilities & Capability.PLUGIN_AUTH else None,
        response.attributes if capabilities & Capability.CONNECT_ATTRS else None,
    )  # fmt: skip


def response_form(response: HandshakeResponse) -> bytes:
    """Protocol::HandshakeResponse41."""
    capabilities = response.capabilities
    form = struct.pack("<IIB", capabilities & 0xFFFFFFFF, response.max_packet, response.collation) + bytes(19)
    form += struct.pack("<I", capabilities >> 32) + response.user + b"\0"
    lenenc = capabilities & Capability.PLUGIN_AUTH_LENENC
    form += text(response.answer) if lenenc else bytes([len(response.answer)]) + response.answer
    form += b"" if response.database is None else response.database + b"\0"
    form += b"" if response.plugin is None else response.plugin.encode() + b"\0"
    if response.attributes is not None:
        form += text(b"".join(text(name) + text(value) for name, value in response.attributes))
    return form


@often
@given(RESPONSES.map(normal))
def test_a_handshake_response_comes_back(response: HandshakeResponse) -> None:
    form = response_form(response)
    assert decode_response(form) == response
    assert encode_response(response) == form


@often
@given(st.integers(0, 2**32 - 1), st.binary(min_size=20, max_size=20).filter(lambda one: one[-1:] != b"\0"),
       st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255), st.booleans())  # fmt: skip
def test_a_greeting_is_shown_on_with_its_capabilities_changed(
    number: int, nonce: bytes, offered: int, kept: int, collation: int, mariadb: bool
) -> None:
    """Protocol::HandshakeV10. Nothing but the capabilities differs in what the client is shown."""
    offered |= int(Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH)
    offered = offered & ~1 if mariadb else offered | 1
    extended = 0x1D if mariadb else 0

    def form(capabilities: int, more: int) -> bytes:
        return (
            b"\x0a8.4.2\0" + struct.pack("<I", number) + nonce[:8] + b"\0"
            + struct.pack("<HBHHB", capabilities & 0xFFFF, collation, 2, capabilities >> 16, 21)
            + bytes(6) + struct.pack("<I", more) + nonce[8:] + b"\0caching_sha2_password\0"
        )  # fmt: skip

    greeting = decode_greeting(form(offered, extended))
    assert (greeting.version, greeting.connection_id, greeting.nonce) == ("8.4.2", number, nonce)
    assert (greeting.capabilities, greeting.collation, greeting.status) == (offered | extended << 32, collation, 2)
    assert (greeting.plugin, greeting.mariadb) == ("caching_sha2_password", mariadb)
    shown = offered & kept | (extended & 0x0C) << 32
    assert greeting.with_capabilities(shown) == form(shown & 0xFFFFFFFF, shown >> 32)
