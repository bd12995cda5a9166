"""A login through both legs without a network: what each side is sent, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bastion.protocols.contract import (
    Leg,
    LoggedIn,
    LoginEnded,
    LoginRequest,
    LoginResult,
    ProtocolError,
    Read,
    Received,
    Redial,
    Refusal,
    Send,
    StartTls,
    TlsMode,
    TlsStarted,
)
from bastion.protocols.oracle import native_encryption
from bastion.protocols.oracle.codec import Malformed
from bastion.protocols.oracle.connect import read_connect, read_descriptor, redirect_target, server_descriptor
from bastion.protocols.oracle.engine import ENGINE
from bastion.protocols.oracle.framing import Packets

SERVICE = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=orders)(CID=(PROGRAM=sqlplus)(HOST=here)(USER=me))))"


def connect(descriptor: str = SERVICE, *, version: int = 319, flags: int = 0x41) -> bytes:
    """A CONNECT as clients write it, out-of-band breaks and native encryption included."""
    data = descriptor.encode()
    inline = data if len(data) <= 230 else b""
    head = bytearray(74 - 8)
    head[0:4] = version.to_bytes(2, "big") + (300).to_bytes(2, "big")
    head[4:6] = b"\x04\x01"
    head[6:10] = b"\x20\0\xff\xff"
    head[16:20] = len(data).to_bytes(2, "big") + (74).to_bytes(2, "big")
    head[24:26] = bytes((flags, flags))
    head[62:66] = b"\0\0\0\1"
    packet = (74 + len(inline)).to_bytes(2, "big") + b"\0\0\1\0\0\0" + bytes(head) + inline
    return packet if inline else packet + (10 + len(data)).to_bytes(2, "big") + b"\0\0\6\0\0\0\0\0" + data


def accept(version: int = 319, *, network: int = 0x01, flags: int = 0x13000001) -> bytes:
    body = (
        version.to_bytes(2, "big")
        + b"\x04\x01"
        + b"\x20\0\x7f\xff\1\0\0\0\0\x3d"
        + bytes((network, network))
        + bytes(8)
    )
    body += b"\0\0\x20\0\0\x20\0\0" + b"\0" + flags.to_bytes(4, "big") + bytes(range(16))
    return (8 + len(body)).to_bytes(2, "big") + b"\0\0\2\0\0\0" + body


REFUSED = b"\0\x2e\0\0\4\0\0\0\1\0\0\x22" + b"(DESCRIPTION=(TMP=)(ERR=12514)   )"


class Driven:
    """What a login's steps wanted, with these bytes of each leg."""

    def __init__(self, request: LoginRequest, client: list[bytes], server: list[bytes]) -> None:
        self.sent: dict[Leg, bytes] = {Leg.CLIENT: b"", Leg.SERVER: b""}
        self.steps: list[object] = []
        self.result: LoginResult | None = None
        self.error: ProtocolError | None = None
        given: dict[Leg | None, Iterator[bytes]] = {Leg.CLIENT: iter(client), Leg.SERVER: iter(server)}
        steps = ENGINE.login(request)
        answer: Received | TlsStarted | None = None
        try:
            while True:
                step = steps.send(answer)
                self.steps.append(step)
                answer = None
                if isinstance(step, Read):
                    leg = step.leg or Leg.CLIENT
                    answer = Received(leg, next(given[leg], b""))
                elif isinstance(step, Send):
                    self.sent[step.leg] += step.data
                elif isinstance(step, StartTls):
                    answer = TlsStarted(step.leg, "TLSv1.3")
        except StopIteration as stop:
            self.result = stop.value
        except ProtocolError as error:
            self.error = error


def asked(**settings: object) -> LoginRequest:
    return LoginRequest("alice", "app", **{"secret": "s", "token": "t", "service": "orders", **settings})  # type: ignore[arg-type]


def test_the_database_is_asked_for_its_own_service_in_the_person_s_name_without_what_does_not_pass() -> None:
    driven = Driven(asked(service="ORDERS"), [connect()], [])
    packets = Packets()
    packets.feed(driven.sent[Leg.SERVER])
    packet = packets.next()
    assert packet is not None
    found = read_connect(packet)
    assert found.descriptor == (
        "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=ORDERS)(CID=(PROGRAM=sqlplus)(HOST=database)(USER=alice))))"
    )
    assert found.head[12:14] == b"\0\1"  # no out-of-band breaks
    assert found.head[32:34] == b"\x84\x84"  # no native encryption
    assert found.head[70:74] == bytes(4)


def test_an_answer_reaches_the_client_without_what_does_not_pass() -> None:
    for version in (315, 318, 319):
        driven = Driven(asked(), [connect()], [accept(version)])
        told = driven.sent[Leg.CLIENT]
        assert told[8:10] == version.to_bytes(2, "big")
        assert told[10:12] == b"\0\1"
        assert told[22:24] == b"\4\4"
        if version >= 318:
            assert told[41:45] == b"\x01\0\0\0"
            assert told[45:61] == bytes(16)


def test_a_listener_s_refusal_is_the_client_s() -> None:
    driven = Driven(asked(), [connect()], [REFUSED])
    assert driven.sent[Leg.CLIENT] == REFUSED
    assert driven.result == LoginEnded("database", "ORA-12514: the listener refused the connection", "", "sqlplus")


def test_a_listener_that_wants_the_same_again_and_one_that_sends_on() -> None:
    resend = b"\0\x08\0\0\x0b\0\0\0"
    text = b"(ADDRESS=(PROTOCOL=tcp)(HOST=node2)(PORT=1522))\0(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=o2)))"
    redirect = (10 + len(text)).to_bytes(2, "big") + b"\0\0\5\0\0\0" + len(text).to_bytes(2, "big") + text
    driven = Driven(asked(), [connect()], [resend, redirect, accept()])
    assert [step for step in driven.steps if isinstance(step, Redial)] == [Redial("node2", 1522)]
    assert driven.sent[Leg.SERVER].count(b"SERVICE_NAME=orders") == 2
    assert driven.sent[Leg.SERVER].endswith(b"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=o2)))")
    assert b"node2" not in driven.sent[Leg.CLIENT]
    assert resend not in driven.sent[Leg.CLIENT]
    again = Driven(asked(), [connect()], [resend] * 10)
    assert again.error is not None
    round_and_round = Driven(asked(), [connect()], [redirect] * 10)
    assert isinstance(round_and_round.result, LoginEnded)
    assert round_and_round.result.error.startswith("redirect-not-allowed")


@pytest.mark.parametrize(("descriptor", "code"), [
    (SERVICE.replace("orders", "other"), "database-name-not-allowed"),
    ("(DESCRIPTION=(CONNECT_DATA=(COMMAND=status)))", "not-a-session"),
    (SERVICE.replace("(CID=", "(SERVER=pooled)(CID="), "server-pool"),
])  # fmt: skip
def test_what_a_client_may_not_ask_a_listener_for(descriptor: str, code: str) -> None:
    driven = Driven(asked(), [connect(descriptor)], [])
    assert isinstance(driven.result, LoginEnded)
    assert driven.result.error.startswith(code)
    assert driven.sent[Leg.CLIENT][4] == 4  # REFUSE
    assert driven.sent[Leg.SERVER] == b""


def test_a_descriptor_that_does_not_fit_follows() -> None:
    long = SERVICE.replace("(HOST=here)", f"(HOST={'x' * 300})")
    driven = Driven(asked(), [connect(long)], [REFUSED])
    assert b"SERVICE_NAME=orders" in driven.sent[Leg.SERVER]


def test_native_encryption_that_is_demanded_is_said_to_be_the_reason() -> None:
    driven = Driven(asked(), [connect()], [accept(network=0x11)])
    assert isinstance(driven.result, LoginEnded)
    assert "native network encryption" in driven.result.error
    assert b"(ERR=28860)" in driven.sent[Leg.CLIENT]


def test_tls_to_the_database_begins_before_anything_else() -> None:
    for mode, expected in ((TlsMode.VERIFY_FULL, True), (TlsMode.REQUIRE, True), (TlsMode.PREFER, False)):
        driven = Driven(asked(server_tls=mode), [connect()], [REFUSED])
        assert (StartTls(Leg.SERVER) in driven.steps) is expected


def test_what_is_no_oracle_client() -> None:
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\x3a\0\0\6\0\0\0" + bytes(50), bytes(64)):
        driven = Driven(asked(), [data], [])
        assert driven.error is not None or isinstance(driven.result, LoginEnded)
        assert not isinstance(driven.result, LoggedIn)


def test_a_refusal_in_place_of_a_session() -> None:
    steps = ENGINE.refuse(Refusal("database-unreachable", "The database (orders) does not answer."))
    next(steps)
    sent = steps.send(Received(Leg.CLIENT, connect()))
    assert isinstance(sent, Send)
    assert sent.data[4] == 4
    assert b"(ERR=12541)" in sent.data
    assert b"The database [orders] does not answer." in sent.data


def test_descriptors() -> None:
    found = read_descriptor(
        '( description = (address=(host=a)(port=1))(connect_data=(service_name="a (b)")(sid=x\\)y)))'
    )
    assert (found.service, found.value("HOST"), found.value("PORT")) == ("a (b)", "a", "1")
    for wrong in ("(" * 30 + ")" * 30, "(A=b", "(A=b))", "(A b)"):
        with pytest.raises(Malformed):
            read_descriptor(wrong)
    hostile = read_descriptor("(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM='a)(SERVICE_NAME=x'))))")
    assert "SERVICE_NAME=x" not in server_descriptor(hostile, service="s", sid="", person="p)(q").replace("_x", "")
    for wrong in ("", "(ADDRESS=(HOST=a))", "(ADDRESS=(HOST=a)(PORT=99999))"):
        with pytest.raises(Malformed):
            redirect_target(wrong)


def test_native_encryption_is_declined_as_a_server_does() -> None:
    answer = native_encryption.declined()
    assert len(answer) == 117
    assert answer[:6] == b"\xde\xad\xbe\xef\0\x75"
    assert native_encryption.is_whole(answer)
    assert not native_encryption.is_whole(answer[:50])
    assert not native_encryption.asks(b"\1\6\0")
