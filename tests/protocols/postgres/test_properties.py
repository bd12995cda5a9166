"""What is encoded here by the documentation comes back out of the readers: values, whole conversations, startups.

The encoders are this file's and `messages`'; they share nothing with the package. Binary forms: PostgreSQL's `*send`
functions; texts: its `*out` functions.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import struct
from collections.abc import Callable, Iterator
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import LoggedIn
from bastion.protocols.postgres import codec
from bastion.protocols.postgres.engine import ENGINE
from bastion.protocols.postgres.results import decode
from bastion.protocols.postgres.values import bind_text, value_text

from . import messages as m
from .generated import TEXTS, Conversation, Statement, conversations
from .logins import asked, drive
from .session import Session

often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ------------------------------------------------------------------------------------------------------------- values

Known = tuple[int, bytes, str]
"""A type's OID, a value in binary, and the text that the server has for it."""

DAY = 86_400_000_000


def numeric_form(number: Decimal) -> bytes:
    """Digits to the base of 10,000 around the point, without the zeros at either end (numeric_send)."""
    whole, _, part = format(abs(number), "f").partition(".")
    whole = whole.lstrip("0")
    whole = whole.zfill(-(-len(whole) // 4) * 4)
    padded = part + "0" * (-len(part) % 4)
    groups = [int("".join(four)) for four in zip(*[iter(whole + padded)] * 4, strict=True)]
    weight = len(whole) // 4 - 1
    while groups and not groups[0]:
        groups.pop(0)
        weight -= 1
    while groups and not groups[-1]:
        groups.pop()
    sign = 0x4000 if number < 0 else 0
    return struct.pack(f">hhHH{len(groups)}H", len(groups), weight if groups else 0, sign, len(part), *groups)


def float_text(number: float, digits: Iterator[str], fixed_below: int) -> str:
    """The fewest digits that read back as the number; as `%e` outside of 1e-4 … 10 to the power of `fixed_below`."""
    if number != number or abs(number) == float("inf"):
        return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"
    mantissa, _, power = next(digits).partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    figures, exponent = (mantissa.replace(".", "").rstrip("0") or "0"), int(power)
    if not -4 <= exponent < fixed_below:
        return f"{sign}{figures[0]}{'.' + figures[1:] if figures[1:] else ''}e{exponent:+03}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{figures}"
    figures = figures.ljust(exponent + 1, "0")
    return f"{sign}{figures[: exponent + 1]}{'.' + figures[exponent + 1 :] if figures[exponent + 1 :] else ''}"


def single_text(number: float) -> str:
    form = struct.pack(">f", number)
    written = (f"{number:.{digits}e}" for digits in range(9))
    return float_text(number, (text for text in written if rounds_to(form, text)), 6)


def rounds_to(form: bytes, text: str) -> bool:
    try:
        return struct.pack(">f", float(text)) == form
    except OverflowError:
        return False


def double_text(number: float) -> str:
    written = (f"{number:.{digits}e}" for digits in range(17))
    return float_text(number, (text for text in written if float(text) == number), 15)


def clock_text(micros: int) -> str:
    sign, micros = "-" if micros < 0 else "", abs(micros)
    whole = f"{sign}{micros // 3_600_000_000:02}:{micros // 60_000_000 % 60:02}:{micros // 1_000_000 % 60:02}"
    return whole + (f".{micros % 1_000_000:06}".rstrip("0") if micros % 1_000_000 else "")


def moment_text(moment: dt.datetime) -> str:
    clock = clock_text(((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond)
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02} {clock}"


def micros_since_2000(moment: dt.datetime) -> bytes:
    past = moment - dt.datetime(2000, 1, 1, tzinfo=moment.tzinfo)
    return struct.pack(">q", past.days * DAY + past.seconds * 1_000_000 + past.microseconds)


def interval(months: int, days: int, micros: int) -> Known:
    """interval_send and EncodeInterval (intervalstyle postgres)."""
    text, behind_minus = "", False
    year = abs(months) // 12 * (1 if months >= 0 else -1)
    for count, unit in ((year, "year"), (months - 12 * year, "mon"), (days, "day")):
        if count:
            plus = "+" if behind_minus and count > 0 else ""
            text += f" {plus}{count} {unit}" + ("s" if count != 1 else "")
            behind_minus = count < 0
    if micros or not text:
        text += " " + ("+" if behind_minus and micros > 0 else "") + clock_text(micros)
    return 1186, struct.pack(">qii", micros, days, months), text[1:]


def address(value: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int, cidr: bool) -> Known:
    """inet_send and inet_net_ntop: an IPv4 address at the end of an IPv6 one is written as such."""
    text = str(value)
    if value.version == 6:
        words = struct.unpack(">8H", value.packed)
        zeros = next((index for index, word in enumerate(words) if word), 8)
        if zeros == 6 or (zeros == 5 and words[5] == 0xFFFF):
            start = "::ffff:" if zeros == 5 else "::"
            text = start + str(ipaddress.IPv4Address(value.packed[12:]))
    width = len(value.packed) * 8
    form = struct.pack(">BBBB", 2 if value.version == 4 else 3, bits, cidr, width // 8) + value.packed
    return 650 if cidr else 869, form, f"{text}/{bits}" if cidr or bits != width else text


def whole_number(oid: int, form: str) -> st.SearchStrategy[Known]:
    size = 8 * struct.calcsize(form)
    low, high = (-(2 ** (size - 1)), 2 ** (size - 1) - 1) if form.islower() else (0, 2**size - 1)
    return st.integers(low, high).map(lambda number: (oid, struct.pack(form, number), str(number)))


DECIMALS = st.builds(lambda digits, scale: Decimal(digits).scaleb(-scale), st.integers(-(10**28) + 1, 10**28 - 1),
                     st.integers(0, 20))  # fmt: skip
SINGLES = st.integers(0, 2**32 - 1).map(lambda bits: float(struct.unpack(">f", struct.pack(">I", bits))[0]))
DOUBLES = st.floats() | st.integers(-(10**18), 10**18).map(float)
SCALARS: dict[str, st.SearchStrategy[Known]] = {
    "int2": whole_number(21, ">h"),
    "int4": whole_number(23, ">i"),
    "int8": whole_number(20, ">q"),
    "oid": whole_number(26, ">I"),
    "bool": st.booleans().map(lambda truth: (16, b"\1" if truth else b"\0", "true" if truth else "false")),
    "numeric": DECIMALS.map(lambda number: (1700, numeric_form(number), format(number, "f"))),
    "float4": SINGLES.map(lambda number: (700, struct.pack(">f", number), single_text(number))),
    "float8": DOUBLES.map(lambda number: (701, struct.pack(">d", number), double_text(number))),
    "text": TEXTS.map(lambda text: (25, text.encode(), text)),
    "bytea": st.binary(max_size=40).map(lambda data: (17, data, "\\x" + data.hex())),
    "uuid": st.uuids().map(lambda value: (2950, value.bytes, str(value))),
    "date": st.dates().map(lambda day: (1082, struct.pack(">i", (day - dt.date(2000, 1, 1)).days), day.isoformat())),
    "time": st.integers(0, DAY).map(lambda micros: (1083, struct.pack(">q", micros), clock_text(micros))),
    "timestamp": st.datetimes().map(lambda moment: (1114, micros_since_2000(moment), moment_text(moment))),
    "timestamptz": st.datetimes(timezones=st.just(dt.UTC)).map(
        lambda moment: (1184, micros_since_2000(moment), moment_text(moment) + "+00:00")
    ),
    "interval": st.builds(
        interval, st.integers(-(10**5), 10**5), st.integers(-(10**6), 10**6), st.integers(-(10**15), 10**15)
    ),
    "inet": st.builds(address, st.ip_addresses(v=4), st.integers(0, 32), st.booleans())
    | st.builds(address, st.ip_addresses(v=6), st.integers(0, 128), st.booleans())
    | st.integers(0, 2**49).map(lambda low: address(ipaddress.IPv6Address(low), 128, False)),
}  # fmt: skip
ARRAY_OF = {
    "int2": 1005, "int4": 1007, "int8": 1016, "bool": 1000, "numeric": 1231, "float8": 1022, "text": 1009,
    "bytea": 1001, "uuid": 2951, "date": 1182, "timestamp": 1115, "timestamptz": 1185, "interval": 1187,
}  # fmt: skip


@often
@given(st.one_of(*SCALARS.values(), SCALARS["float4"], SCALARS["float8"]), st.booleans())
def test_a_value_in_binary_reads_as_the_server_writes_it(known: Known, in_row: bool) -> None:
    oid, form, text = known
    if not in_row:
        assert bind_text(oid, True, form, "utf-8") == text
        return
    description = m.framed(b"T", struct.pack(">H", 1) + b"a\0" + struct.pack(">IHIhih", 0, 0, oid, -1, -1, 1))
    assert list(decode(description + m.row(form), "utf-8"))[1:] == [[text]]


@often
@given(st.data(), st.sampled_from(sorted(ARRAY_OF)), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_an_array_reads_as_the_server_writes_it(data: st.DataObject, kind: str, counts: list[int]) -> None:
    lows = data.draw(
        st.just([1] * len(counts)) | st.lists(st.integers(-3, 3), min_size=len(counts), max_size=len(counts))
    )
    size = 1
    for count in counts:
        size *= count
    elements = data.draw(st.lists(st.none() | SCALARS[kind], min_size=size, max_size=size))
    oid = data.draw(SCALARS[kind])[0]
    form = struct.pack(">iiI", len(counts), None in elements, oid)
    form += b"".join(struct.pack(">ii", count, low) for count, low in zip(counts, lows, strict=True))
    form += b"".join(
        struct.pack(">i", -1) if one is None else struct.pack(">i", len(one[1])) + one[1] for one in elements
    )
    texts = ["NULL" if one is None else element_text(one[2]) for one in elements]
    for count in reversed(counts):
        texts = ["{" + ",".join(texts[at : at + count]) + "}" for at in range(0, len(texts), count)]
    bounds = "".join(f"[{low}:{low + count - 1}]" for low, count in zip(lows, counts, strict=True)) + "="
    assert value_text(ARRAY_OF[kind], True, form, "utf-8") == (bounds if set(lows) != {1} else "") + texts[0]


def element_text(text: str) -> str:
    """array_out: quotes around what the reader of an array would take for something else."""
    if text and text.lower() != "null" and not set(text) & set('{}",\\ \t\n\r\v\f'):
        return text
    return '"' + "".join("\\" + one if one in '"\\' else one for one in text) + '"'


# ------------------------------------------------------------------------------------------------------ conversations


def played(made: Conversation, cut: Callable[[bytes], list[bytes]], *, ahead: bool) -> Session:
    session = Session()
    turns = sorted(made.turns, key=lambda turn: turn[0]) if ahead else made.turns
    for speaker, data in turns:
        for part in cut(data):
            (session.client if speaker == "client" else session.server)(part)
    return session


def recorded(session: Session) -> list[Statement]:
    """What the notes say of every statement, and the rows that its kept bytes decode to."""
    found = []
    ended, stream = session.ended(), bytes(session.to_client)
    for number, begun in session.begun().items():
        end, binds, uploaded = ended[number], begun.binds, 0
        for more in session.extended(number):
            binds = more.binds if more.runs else binds
            uploaded += more.data_bytes
        kept = stream[end.position - end.bytes_down : end.position]
        parts = decode(kept, "utf-8", described=stream[end.described :] if end.described else b"", formats=end.formats)
        shown = [part for part in parts if isinstance(part, list)]
        error = end.error.code if end.error else None
        found.append(Statement(begun.operation, begun.text, binds, end.outcome, end.rows, error, shown, uploaded))
    return found


@often
@given(conversations(), st.data())
def test_a_conversation_is_on_record_as_it_was_held(made: Conversation, data: st.DataObject) -> None:
    def cut(message: bytes) -> list[bytes]:
        places = sorted(data.draw(st.sets(st.integers(0, len(message)), max_size=4)))
        return [message[a:b] for a, b in itertools.pairwise([0, *places, len(message)]) if a < b]

    session = played(made, cut, ahead=made.calm and data.draw(st.booleans()))
    sent, received = (b"".join(part for who, part in made.turns if who == one) for one in ("client", "server"))
    assert (bytes(session.to_server), bytes(session.to_client)) == (sent, received)
    assert recorded(session) == made.statements
    assert list(session.begun()) == list(range(1, len(made.statements) + 1))
    assert [number for number in session.ended() if number in made.order] == made.order
    assert session.server_side.open_statements() == []


# ------------------------------------------------------------------------------------------------------------ startups

NAMES = TEXTS.filter(bool)
PARAMETERS = st.dictionaries(NAMES.filter(lambda name: not name.startswith("_pq_.")), TEXTS, max_size=6)


@often
@given(PARAMETERS, st.binary(max_size=12).filter(lambda data: b"\0" not in data))
def test_startup_parameters_come_back(parameters: dict[str, str], odd: bytes) -> None:
    """Also those that are in no encoding: they go on as they came."""
    pairs = [(name.encode(), value.encode()) for name, value in parameters.items()] + [(b"odd", odd)]
    body = b"".join(name + b"\0" + value + b"\0" for name, value in dict(pairs).items()) + b"\0"
    whole = struct.pack(">II", len(body) + 8, 3 << 16) + body
    read = codec.startup_parameters(whole[8:])
    assert [(codec.encoded(name), codec.encoded(value)) for name, value in read.items()] == list(dict(pairs).items())
    assert codec.startup(3 << 16, read) == whole


@often
@given(PARAMETERS, NAMES, TEXTS, st.sampled_from([0x30000, 0x30002]))
def test_a_login_passes_the_client_s_parameters_on(
    parameters: dict[str, str], user: str, program: str, version: int
) -> None:
    theirs = {**parameters, "user": user, "database": "shop", "application_name": program, "replication": "no"}
    ready = m.AUTHENTICATION_OK + m.parameter_status("server_version", "18.1") + m.backend_key(7, b"key!") + m.ready()
    driven = drive(ENGINE.login(asked()), [m.startup(version, **theirs)], [ready])
    assert isinstance(driven.result, LoggedIn)
    assert (driven.result.login, driven.result.client, driven.result.catalog) == (user, program, "shop")
    size, spoken = struct.unpack_from(">II", driven.to_server)
    assert (size, spoken) == (len(driven.to_server), version)
    parts = bytes(driven.to_server[8:-2]).split(b"\0")
    ours = dict(zip(parts[::2], parts[1::2], strict=True))
    shown = ours.pop(b"application_name").decode()
    assert shown.endswith("(alice)")
    assert len(shown.encode()) <= 63
    expected = {name.encode(): value.encode() for name, value in theirs.items() if name != "application_name"}
    assert ours == {**expected, b"user": b"orders_rw"}
