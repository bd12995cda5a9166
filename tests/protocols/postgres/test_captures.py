"""Captures of real clients and servers: the logins as far as they can be replayed, the data phase to the last byte."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import LoggedIn, LoginEnded, ProtocolError
from bastion.protocols.postgres import ENGINE
from tests.protocols import captures
from tests.servers import excuses

from . import messages as m
from .logins import asked, drive
from .session import Session

NAMES = captures.named("postgresql")


def said(flow: captures.Flow, speaker: str) -> bytes:
    return b"".join(data for who, data in flow if who == speaker)


def login_bytes(flow: captures.Flow) -> tuple[int, int] | None:
    """Bytes of client and server up to the first ReadyForQuery; None where there is none, or TLS."""
    client, server, up, down = said(flow, "client"), said(flow, "server"), 0, 0
    while client[up : up + 8] in (m.SSL_REQUEST, m.GSSENC_REQUEST):
        if server[down : down + 1] != b"N":
            return None
        up, down = up + 8, down + 1
    if client[up + 4 : up + 6] != b"\0\3":
        return None
    up += int.from_bytes(client[up : up + 4], "big")
    while client[up : up + 1] == b"p":
        up += 1 + int.from_bytes(client[up + 1 : up + 5], "big")
    while down + 5 <= len(server):
        kind, down = server[down : down + 1], down + 1 + int.from_bytes(server[down + 1 : down + 5], "big")
        if kind == b"Z":
            return up, down
    return None


@pytest.mark.parametrize("name", NAMES)
def test_a_login(name: str) -> None:
    """With the recorded server's answers: MD5, cleartext and trust come to the same end; SCRAM meets another nonce."""
    if not name:
        excuses.skip("no-captures")
    for flow in captures.flows(captures.FOLDER / "postgresql" / name):
        client, server = said(flow, "client"), said(flow, "server")
        asks_first = client.startswith((m.SSL_REQUEST, m.GSSENC_REQUEST))
        try:
            driven = drive(ENGINE.login(asked(client_tls=False)), [client], [server[1:] if asks_first else server])
        except ProtocolError as error:
            assert error.leg.value == "client" or server[:1] == b"S", f"{name}: {error.reason}"  # noqa: PT017
            continue
        if isinstance(driven.result, LoggedIn):
            bounds = login_bytes(flow)
            assert bounds is not None
            assert driven.result.server_version or bounds[1] < 200
        else:
            assert isinstance(driven.result, LoginEnded)
            if driven.result.by == "database" and "closed the connection" not in driven.result.error:
                assert bytes(driven.to_client[1:] if asks_first else driven.to_client) in server


def test_how_much_of_the_captures_is_replayed() -> None:
    if NAMES == [""]:
        excuses.skip("no-captures")
    sessions = statements = 0
    for name in NAMES:
        for flow in captures.flows(captures.FOLDER / "postgresql" / name):
            session = replayed(name, flow)
            if session is not None:
                sessions, statements = sessions + 1, statements + len(session.begun())
    assert sessions >= 4
    assert statements >= 10


COMES_TO = {
    "pgsql.pcap": {"replayed", "declined request for encryption", "login failed"},
    "pgsql2.pcapng": {"TLS"},
    "postgres-badpass.pcap": {"login failed"},
    "postgres-good.pcap": {"replayed"},
    "postgres-no-sslrequest.pcap": {"replayed"},
    "postgresql-bad-startup-message-1.pcap": {"login failed"},
    "postgresql-psql-aws-ssl-require.pcap": {"TLS"},
    "postgresql-psql-create-insert-select-delete-drop.pcap": {"replayed"},
    "postgresql-psql-login-fail.pcap": {"login failed"},
    "postgresql-psql-login-no-sslrequest.pcap": {"replayed", "login failed"},
    "postgresql-psql-login.pcap": {"replayed"},
}
"""Every capture with what its connections come to: what is not replayed has no data phase that can be read."""


@pytest.mark.parametrize("name", NAMES)
def test_what_a_capture_comes_to(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    found = set()
    for flow in captures.flows(captures.FOLDER / "postgresql" / name):
        server = said(flow, "server")
        if login_bytes(flow) is not None:
            found.add("replayed")
        elif server[:1] == b"S":
            found.add("TLS")
        elif len(server) == 1:
            found.add("declined request for encryption")
        else:
            assert b"Z\0\0\0\5" not in server, "a data phase that was not replayed"
            found.add("login failed")
    assert found == COMES_TO[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_data_phase_is_read_to_its_last_byte(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    for flow in captures.flows(captures.FOLDER / "postgresql" / name):
        replayed(name, flow)


def replayed(name: str, flow: captures.Flow) -> Session | None:
    """The session of a connection that logged in, None for another; fails where a byte is not read."""
    bounds = login_bytes(flow)
    if bounds is None:
        return None
    skip = {"client": bounds[0], "server": bounds[1]}
    session = Session()
    for speaker, data in flow:
        rest = data[skip[speaker] :]
        skip[speaker] -= min(skip[speaker], len(data))
        try:
            (session.client if speaker == "client" else session.server)(rest)
        except ProtocolError as error:
            pytest.fail(f"{name}: {speaker}: {error.reason}")
    assert session.to_server == said(flow, "client")[bounds[0] :]
    assert session.to_client == said(flow, "server")[bounds[1] :]
    ended = session.ended()
    for number, begun in session.begun().items():
        assert begun.text or number in ended
    assert len(session.begun()) - len(ended) <= 1
    return session
