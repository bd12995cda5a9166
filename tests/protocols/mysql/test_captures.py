"""Captures of real clients and servers, replayed through both sides; skipped where the captures are not at hand."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import ProtocolError, StatementBegins, StatementEnds
from bastion.protocols.mysql.codec import Malformed
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.handshake import decode_greeting, decode_response
from tests.protocols.captures import FOLDER, Flow, flows, named
from tests.servers import excuses

from .packets import Session

ANOTHER_FRAMING = (
    Capability.COMPRESS | Capability.ZSTD | Capability.OPTIONAL_METADATA | Capability.MARIADB_CACHE_METADATA
)


def packets_of(flow: Flow) -> list[tuple[str, int, bytes]]:
    """The MySQL packets of a connection in the order in which they ended."""
    buffers = {"client": b"", "server": b""}
    found = []
    for side, payload in flow:
        buffers[side] += payload
        while len(buffers[side]) >= 4:
            size = 4 + int.from_bytes(buffers[side][:3], "little")
            if len(buffers[side]) < size:
                break
            found.append((side, buffers[side][3], buffers[side][4:size]))
            buffers[side] = buffers[side][size:]
    return found


COMES_TO = {
    "mysql-allow.pcap": {"replayed"},
    "mysql-auth.pcap": {"replayed", "refused in place of the greeting", "login failed"},
    "mysql-caching_sha2_password.pcap": {"replayed", "login failed"},
    "mysql-change-user-success.pcap": {"replayed"},
    "mysql-deny.pcap": {"login failed"},
    "mysql-encrypted.pcap": {"TLS"},
    "mysql-mysql.pcap": {"replayed"},
    "mysql-query-attr.pcap": {"replayed"},
    "mysql-selects_with_new_proto.pcap": {"replayed"},
    "mysql-tls.pcap": {"begun in its middle"},
    "mysql.pcapng": {"another framing", "TLS"},
}
"""Every capture with what its connections come to: what is not replayed has no data phase that can be read, or one
that the bastion never agrees to."""


def comes_to(flow: Flow) -> str:
    found = packets_of(flow)
    if not found or found[0][0] != "server" or not found[0][2]:
        return "begun in its middle"
    if found[0][2][:1] == b"\xff":
        return "refused in place of the greeting"
    greeting = decode_greeting(found[0][2])
    if len(found[1][2]) == 32 and found[1][2][1] & 8:
        return "TLS"
    if greeting.capabilities & decode_response(found[1][2]).capabilities & ANOTHER_FRAMING:
        return "another framing"
    accepted = any(side == "server" and index > 1 and data[:1] == b"\0" for index, (side, _, data) in enumerate(found))
    return "replayed" if accepted else "login failed"


@pytest.mark.parametrize("name", named("mysql"))
def test_what_a_capture_comes_to(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    assert {comes_to(flow) for flow in flows(FOLDER / "mysql" / name)} == COMES_TO[name]


@pytest.mark.parametrize("name", named("mysql"))
def test_a_capture_is_read_to_its_last_byte(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    replayed = 0
    for flow in flows(FOLDER / "mysql" / name):
        found = packets_of(flow)
        try:
            greeting = decode_greeting(found[0][2])
            response = decode_response(found[1][2])
        except (Malformed, IndexError):
            continue  # refused in place of the greeting, or TLS from the client's first packet on
        capabilities = greeting.capabilities & response.capabilities
        if capabilities & ANOTHER_FRAMING:
            continue  # through the bastion these are never agreed on
        oks = [index for index, (side, _, p) in enumerate(found) if side == "server" and index > 1 and p[:1] == b"\0"]
        if not oks:
            continue  # the login was refused
        begin = oks[0]
        session = Session(capabilities, mariadb=greeting.mariadb, collation=response.collation)
        sent = {"client": b"", "server": b""}
        for side, sequence, payload in found[begin + 1 :]:
            data = len(payload).to_bytes(3, "little") + bytes([sequence]) + payload
            if payload[:1] == b"\x11" and side == "client":
                break  # COM_CHANGE_USER is not passed on
            sent[side] += data
            try:
                (session.client if side == "client" else session.server)(data)
            except ProtocolError as error:
                raise AssertionError(f"{name}: {side} {payload[:60]!r}") from error
        assert (session.up, session.down) == (sent["client"], sent["server"])
        begun = [note for note in session.notes if isinstance(note, StatementBegins)]
        ended = [note for note in session.notes if isinstance(note, StatementEnds)]
        assert len(ended) >= len(begun) - 1
        replayed += len(begun)
    if name in ("mysql-mysql.pcap", "mysql-query-attr.pcap", "mysql-selects_with_new_proto.pcap"):
        assert replayed
