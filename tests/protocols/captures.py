"""Reads captures of real traffic (pcap, pcapng) into TCP connections. They are no part of the sources."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(os.environ.get("CASEMATE_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")

Flow = list[tuple[str, bytes]]
"""One connection: who speaks (`client`, `server`), and what, in order."""

LINK_HEADS = {0: 4, 1: 14, 101: 0, 113: 16, 276: 20}
"""Bytes in front of the IP packet, by the link type of the capture."""


def named(engine: str) -> list[str]:
    """The captures of an engine; a single empty name where there are none, for a test that says so."""
    folder = FOLDER / engine
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else [""]


def frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """The frames of a pcap file, or of a pcapng file of one interface, each with its link type."""
    data = path.read_bytes()
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        position, link = 0, 1
        while position + 12 <= len(data):
            kind, length = struct.unpack_from("<II", data, position)
            if kind == 1:
                link = struct.unpack_from("<H", data, position + 8)[0]
            elif kind == 6:
                size = struct.unpack_from("<I", data, position + 20)[0]
                yield link, data[position + 28 : position + 28 + size]
            position += length
        return
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link, position = struct.unpack_from(order + "I", data, 20)[0], 24
    while position + 16 <= len(data):
        size = struct.unpack_from(order + "I", data, position + 8)[0]
        yield link, data[position + 16 : position + 16 + size]
        position += 16 + size


def flows(path: Path) -> list[Flow]:
    """The connections of a capture; segments that were sent again are left out."""
    connections: dict[frozenset[tuple[bytes, int]], Flow] = {}
    servers: dict[frozenset[tuple[bytes, int]], tuple[bytes, int]] = {}
    expected: dict[tuple[bytes, int, bytes, int], int] = {}
    for link, frame in frames(path):
        packet = frame[LINK_HEADS[link] :]
        if not packet:
            continue
        if packet[0] >> 4 == 4:
            head, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big") or len(packet)
            source, target = packet[12:16], packet[16:20]
        else:
            head, total = 40, int.from_bytes(packet[4:6], "big") + 40
            source, target = packet[8:24], packet[24:40]
        tcp = packet[head:total]
        from_port, to_port = struct.unpack_from(">HH", tcp)
        sequence = struct.unpack_from(">I", tcp, 4)[0]
        payload = tcp[(tcp[12] >> 4) * 4 :]
        key = frozenset([(source, from_port), (target, to_port)])
        opens, answers = tcp[13] & 2, tcp[13] & 16
        if opens:
            servers[key] = (source, from_port) if answers else (target, to_port)
            connections.pop(key, None)
            expected.pop((source, from_port, target, to_port), None)
            continue
        way = (source, from_port, target, to_port)
        if not payload or sequence < expected.get(way, 0):
            continue
        expected[way] = sequence + len(payload)
        # A capture that begins in the middle: the lower port is the service.
        servers.setdefault(key, min(key, key=lambda end: end[1]))
        speaker = "server" if servers[key] == (source, from_port) else "client"
        connections.setdefault(key, []).append((speaker, payload))
    return list(connections.values())
