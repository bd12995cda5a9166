"""Real traffic of SQL Server, read by the engine: captures that are no part of the sources."""

from __future__ import annotations

from itertools import zip_longest

import pytest

from bastion.protocols.tds.constants import HEADER, PACKET_KINDS, PacketKind
from bastion.protocols.tds.exchange import Exchange
from bastion.protocols.tds.handshake import decode_login7
from bastion.protocols.tds.negotiation import decode_prelogin
from tests.protocols.captures import FOLDER, flows, named
from tests.servers import excuses

from .session import Session

SESSION = {PacketKind.BATCH, PacketKind.RPC, PacketKind.TRANSACTION, PacketKind.ATTENTION, PacketKind.BULK}


def messages(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Kind, data and bytes of the messages of one direction; what is no packet ends them."""
    found: list[tuple[int, bytes, bytes]] = []
    position = start = 0
    contents = b""
    while position + HEADER <= len(data):
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if length < HEADER or data[position] not in PACKET_KINDS or position + length > len(data):
            break
        contents += data[position + HEADER : position + length]
        if data[position + 1] & 1:
            found.append((data[position], contents, data[start : position + length]))
            contents, start = b"", position + length
        position += length
    return found


@pytest.mark.parametrize("name", named("tds"))
def test_a_capture(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    read = 0
    for flow in flows(FOLDER / "tds" / name):
        said = {
            who: messages(b"".join(data for speaker, data in flow if speaker == who)) for who in ("client", "server")
        }
        if any(kind == PacketKind.ANSWER for kind, _, _ in said["client"]):
            # A capture that begins in the middle does not show who has called whom.
            said = {"client": said["server"], "server": said["client"]}
        # Without its login a flow tells by its headers what was agreed on.
        headers = any(data[:4] == b"\x16\0\0\0" for kind, data, _ in said["client"] if kind in SESSION)
        version = 0x72090002 if headers else 0x71000001
        for kind, data, _ in said["client"]:
            if kind == PacketKind.PRELOGIN:
                assert len(decode_prelogin(data).version) == 6
            elif kind == PacketKind.LOGIN7:
                login = decode_login7(data)
                assert login.user.isprintable()
                version = login.version
            read += 1
        session = Session(Exchange(version=version))
        asked = [raw for kind, _, raw in said["client"] if kind in SESSION]
        answers = [raw for _, _, raw in said["server"]]
        for request, answer in zip_longest(asked, answers[len(answers) - len(asked) :] if answers else []):
            session.client(request)
            refused = session.ends() and session.ends()[-1].number == session.begins()[-1].number
            if answer is not None and not refused:
                session.server(answer)
        if answers:
            assert [end.number for end in session.ends()] == [begin.number for begin in session.begins()]
    assert read
