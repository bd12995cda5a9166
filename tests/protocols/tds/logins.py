"""A login of the engine without connections: both peers say what they will, in order, and close."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from bastion.protocols.contract import (
    Leg,
    LoginRequest,
    ProtocolError,
    Read,
    Received,
    Redial,
    Send,
    StartTls,
    TlsMode,
    TlsStarted,
)
from bastion.protocols.tds.engine import ENGINE

from . import messages as m

SECRET = "the hosted secret"
ASKED = LoginRequest("alice", "app", SECRET, server_tls=TlsMode.DISABLE)
V71, V74, V8 = 0x71000001, 0x74000004, 0x08000000


def prelogin(encryption: int = 0, *, mars: int | None = None, version: bytes = b"\x10\0\x03\xe8\0\0") -> bytes:
    options = [(0, version), (1, bytes((encryption,))), (2, b"\0")]
    if mars is not None:
        options.append((4, bytes((mars,))))
    head, body = b"", b""
    start = 5 * len(options) + 1
    for token, value in options:
        head += struct.pack(">BHH", token, start + len(body), len(value))
        body += value
    return head + b"\xff" + body


def scrambled(password: str) -> bytes:
    return bytes(((b << 4 | b >> 4) & 0xFF) ^ 0xA5 for b in m.wide(password))


def login7(
    user: str = "whoever",
    password: str = "typed",
    *,
    database: str = "",
    version: int = V74,
    flags: tuple[int, int, int, int] = (0xE0, 0x03, 0, 0),
    program: str = "the program",
    features: dict[int, bytes] | None = None,
    attached: str = "",
    sspi: bytes = b"",
) -> bytes:
    start = 94 if version == V8 or version >= 0x72000000 else 86
    body = bytearray()
    fields: dict[int, bytes] = {}

    def put(at: int, data: bytes, count: int) -> None:
        fields[at] = struct.pack("<HH", start + len(body), count)
        body.extend(data)

    names = {
        36: "client host",
        40: user,
        48: program,
        52: "127.0.0.1",
        60: "library",
        64: "",
        68: database,
        82: attached,
    }
    for at, name in names.items():
        put(at, m.wide(name), len(name))
    put(44, scrambled(password), len(password))
    put(78, sspi, len(sspi))
    options = list(flags)
    if features is not None:
        options[3] |= 0x10
        put(56, struct.pack("<I", start + len(body) + 4), 4)
        for number, data in features.items():
            body += bytes((number,)) + struct.pack("<I", len(data)) + data
        body += b"\xff"
    else:
        put(56, b"", 0)
    head = struct.pack("<IIIIII4BiI", start + len(body), version, 4096, 7, 42, 0, *options, 0, 0x409)
    head += b"".join(fields[at] for at in (36, 40, 44, 48, 52, 56, 60, 64, 68)) + b"\1\2\3\4\5\6"
    head += fields[78] + fields[82] + (bytes(8) if start == 94 else b"")
    return head + bytes(body)


def login_ack(version: int = V74) -> bytes:
    body = b"\x01" + version.to_bytes(4, "big") + m.b_text("Microsoft SQL Server") + b"\x10\x00\x03\xe8"
    return b"\xad" + struct.pack("<H", len(body)) + body


def welcome(*more: bytes, database: str = "master", version: int = V74) -> bytes:
    old = version < 0x72000000 and version != V8
    return m.answer(
        m.change(1, m.b_text(database), m.b_text("master")), m.change(4, m.b_text("4096"), m.b_text("4096")),
        login_ack(version), *more, m.done(old=old),
    )  # fmt: skip


def route(host: str, port: int) -> bytes:
    target = b"\0" + struct.pack("<H", port) + m.us_text(host)
    return m.change(20, struct.pack("<H", len(target)) + target, b"\0\0")


@dataclass
class Login:
    """Runs a login; `client` and `server` are what the peers send, each item in one read."""

    request: LoginRequest
    client: list[bytes]
    server: list[bytes]
    result: Any = None
    failed: str = ""
    sent: dict[Leg, list[bytes]] = field(default_factory=lambda: {Leg.CLIENT: [], Leg.SERVER: []})
    tls: list[StartTls] = field(default_factory=list)
    redials: list[Redial] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = ENGINE.login(self.request)
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                answer = None
                match step:
                    case Read(leg=Leg.CLIENT):
                        answer = Received(Leg.CLIENT, self.client.pop(0) if self.client else b"")
                    case Read():
                        answer = Received(Leg.SERVER, self.server.pop(0) if self.server else b"")
                    case Send(leg=leg, data=data):
                        self.sent[leg].append(data)
                    case StartTls(leg=leg):
                        self.tls.append(step)
                        answer = TlsStarted(leg, "TLSv1.2")
                    case Redial():
                        self.redials.append(step)
        except StopIteration as stop:
            self.result = stop.value
        except ProtocolError as error:
            self.failed = error.reason

    @property
    def told(self) -> bytes:
        """What the client was told last."""
        return self.sent[Leg.CLIENT][-1]

    @property
    def error(self) -> tuple[int, str]:
        """Number and text of the error that the client was told last."""
        data = self.told[8:]
        assert data[0] == 0xAA
        size = struct.unpack_from("<H", data, 9)[0]
        return struct.unpack_from("<i", data, 3)[0], data[11 : 11 + 2 * size].decode("utf-16-le")
