"""Captures of real clients and servers, replayed through both sides; skipped where the captures are not at hand."""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from pathlib import Path

import pytest

from bastion.protocols.contract import ProtocolError, StatementBegins, StatementEnds
from bastion.protocols.mysql.codec import Malformed
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.handshake import decode_greeting, decode_response
from tests.servers import excuses

from .packets import Session

FOLDER = Path(os.environ.get("CASEMATE_CAPTURES") or Path(__file__).parents[4] / "shared" / "captures") / "mysql"

Flow = list[tuple[str, bytes]]


def frames(path: Path) -> list[tuple[int, bytes]]:
    """The frames of a classic pcap file or a pcapng file of one interface, each with its link type."""
    data = path.read_bytes()
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        found, position, link = [], 0, 1
        while position + 12 <= len(data):
            kind, length = struct.unpack_from("<II", data, position)
            if kind == 1:
                link = struct.unpack_from("<H", data, position + 8)[0]
            elif kind == 6:
                size = struct.unpack_from("<I", data, position + 20)[0]
                found.append((link, data[position + 28 : position + 28 + size]))
            position += length
        return found
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link = struct.unpack_from(order + "I", data, 20)[0]
    found, position = [], 24
    while position + 16 <= len(data):
        size = struct.unpack_from(order + "I", data, position + 8)[0]
        found.append((link, data[position + 16 : position + 16 + size]))
        position += 16 + size
    return found


ANOTHER_FRAMING = (
    Capability.COMPRESS | Capability.ZSTD | Capability.OPTIONAL_METADATA | Capability.MARIADB_CACHE_METADATA
)
HEADS = {0: 4, 1: 14, 101: 0, 113: 16, 276: 20}


def flows(path: Path) -> list[Flow]:
    """The TCP connections of a capture, each as what either side sent in order; repeated segments are left out."""
    connections: dict[frozenset[tuple[bytes, int]], Flow] = defaultdict(list)
    expected: dict[tuple[bytes, int, bytes, int], int] = {}
    servers: dict[frozenset[tuple[bytes, int]], tuple[bytes, int]] = {}
    for link, frame in frames(path):
        packet = frame[HEADS[link] :]
        if not packet:
            continue
        if packet[0] >> 4 == 4:
            head, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big") or len(packet)
            source, target = packet[12:16], packet[16:20]
        else:
            head, total = 40, int.from_bytes(packet[4:6], "big") + 40
            source, target = packet[8:24], packet[24:40]
        tcp = packet[head:total]
        ports = struct.unpack_from(">HH", tcp)
        sequence = struct.unpack_from(">I", tcp, 4)[0]
        payload = tcp[(tcp[12] >> 4) * 4 :]
        key = frozenset([(source, ports[0]), (target, ports[1])])
        way = (source, ports[0], target, ports[1])
        if tcp[13] & 2:
            if tcp[13] & 16:
                servers[key] = (source, ports[0])
            continue
        if not payload or sequence < expected.get(way, 0):
            continue
        expected[way] = sequence + len(payload)
        servers.setdefault(key, (source, ports[0]))
        side = "server" if servers[key] == (source, ports[0]) else "client"
        connections[key].append((side, payload))
    return list(connections.values())


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


NAMES = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else [""]


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_is_read_to_its_last_byte(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    replayed = 0
    for flow in flows(FOLDER / name):
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
