"""The packets with which a connection is made: CONNECT, ACCEPT, REFUSE, REDIRECT, and the descriptors in them.

Offsets are those of python-oracledb (`messages/connect.pyx`) and of captures; they count from the packet's start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import constants as c
from .codec import Malformed
from .framing import Packet, packet

VERSIONS = range(300, 320)
"""Versions of Oracle Net that are spoken."""

LONGEST_INLINE = 230
"""Bytes of a descriptor that stand in the CONNECT itself; a longer one follows in a DATA packet."""

LONGEST_DESCRIPTOR = 32 * 1024
DEEPEST = 24
NAME_LENGTH = 48
"""Letters of a name that a client gives itself."""

_VERSION, _OPTIONS, _UNIT, _LENGTH, _OFFSET, _NETWORK_FLAGS = 8, 10, 12, 24, 26, 32
_OUT_OF_BAND = 0x0400
_NETWORK_OFF, _NETWORK_REQUIRED = 0x04, 0x10
_FAST_AUTH, _END_OF_RESPONSE, _CHECK_OUT_OF_BAND = 0x10000000, 0x02000000, 0x1
_REDIRECTED = 0x04
_TLS_AGAIN = 0x08


@dataclass(frozen=True)
class Descriptor:
    """What a client wants to reach, and what it says of itself. `values`: every name with its values, in capitals."""

    values: dict[str, tuple[str, ...]]

    def value(self, name: str) -> str:
        """The first value of that name, '' where there is none."""
        return next(iter(self.values.get(name, ())), "")

    @property
    def service(self) -> str:
        return self.value("SERVICE_NAME")

    @property
    def sid(self) -> str:
        return self.value("SID")

    @property
    def program(self) -> str:
        """The client program as it calls itself."""
        return "".join(letter if letter.isprintable() else "?" for letter in self.value("PROGRAM"))[:256]


def read_descriptor(text: str) -> Descriptor:
    """`(NAME=value)` and `(NAME=(NAME=value)…)`, as deep as DEEPEST. Raises Malformed."""
    found: dict[str, tuple[str, ...]] = {}
    depth = 0
    name = value = ""
    tokens = _tokens(text)
    for mark, token in tokens:
        if mark == "(":
            depth += 1
            if depth > DEEPEST:
                raise Malformed("a descriptor that is too deep")
            name = next(tokens, ("", ""))[1].strip().upper()
            value = ""
            if next(tokens, ("", ""))[0] != "=":
                raise Malformed("a descriptor in which a name has no value")
        elif mark == ")":
            depth -= 1
            if depth < 0:
                raise Malformed("a descriptor with a bracket too many")
            if value.strip():
                found[name] = (*found.get(name, ()), value.strip())
            value = ""
        else:
            value += token
    if depth:
        raise Malformed("a descriptor that does not end")
    return Descriptor(found)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """What has a meaning, with itself; everything else, quoted or not, with ''."""
    for match in re.finditer(r"\\(.)|\"([^\"]*)\"|'([^']*)'|([()=])|[^()=\\\"']+", text, re.S):
        if match[4]:
            yield match[4], match[4]
            continue
        quoted = next((each for each in (match[1], match[2], match[3]) if each is not None), None)
        yield "", match[0] if quoted is None else quoted


@dataclass(frozen=True)
class Connect:
    """A client's CONNECT. `head` is it without its descriptor; `length` is that of a descriptor that follows."""

    head: bytes
    descriptor: str
    length: int

    @property
    def version(self) -> int:
        return int.from_bytes(self.head[_VERSION : _VERSION + 2], "big")


def read_connect(found: Packet) -> Connect:
    """Raises Malformed."""
    data = found.data
    if found.kind != c.CONNECT or len(data) < 58:
        raise Malformed("something else than a CONNECT at the beginning")
    length = int.from_bytes(data[_LENGTH : _LENGTH + 2], "big")
    offset = int.from_bytes(data[_OFFSET : _OFFSET + 2], "big")
    if not 34 <= offset <= len(data) or length > LONGEST_DESCRIPTOR:
        raise Malformed("a CONNECT whose descriptor is not where it should be")
    inline = data[offset : offset + length]
    connect = Connect(data[:offset], inline.decode("utf-8", "backslashreplace"), 0 if inline else length)
    if connect.version not in VERSIONS:
        raise Malformed(f"version {connect.version} of Oracle Net")
    return connect


def for_server(client: Connect, descriptor: str, *, redirected: bool = False) -> bytes:
    """The CONNECT for the database: the client's, with a descriptor of the bastion's and nothing that it cannot carry.

    Out-of-band breaks do not pass a channel; native encryption would make everything opaque; nor is data compressed.
    """
    head = bytearray(client.head)
    head[12:14] = (int.from_bytes(head[12:14], "big") & ~_OUT_OF_BAND).to_bytes(2, "big")
    head[_NETWORK_FLAGS : _NETWORK_FLAGS + 2] = bytes((0x84, 0x84))
    if len(head) >= 74:
        head[66:70] = bytes(4)
        head[70:74] = (int.from_bytes(head[70:74], "big") & ~_CHECK_OUT_OF_BAND).to_bytes(4, "big")
    data = descriptor.encode()
    head[_LENGTH : _LENGTH + 2] = len(data).to_bytes(2, "big")
    head[_OFFSET : _OFFSET + 2] = len(head).to_bytes(2, "big")
    flags = _REDIRECTED if redirected else 0
    if len(data) <= LONGEST_INLINE:
        return packet(c.CONNECT, bytes(head[c.HEADER :]) + data, wide=False, flags=flags)
    return packet(c.CONNECT, bytes(head[c.HEADER :]), wide=False, flags=flags) + packet(
        c.DATA, b"\0\0" + data, wide=False
    )


def server_descriptor(theirs: Descriptor, *, service: str, sid: str, person: str, host: str = "database") -> str:
    """What the bastion asks the listener for. The person stands where clients put the user of their machine."""
    wanted = f"(SERVICE_NAME={_plain(service)})" if service else f"(SID={_plain(sid)})"
    program = _plain(theirs.program)[:NAME_LENGTH] or "casemate"
    identity = f"(CID=(PROGRAM={program})(HOST={host})(USER={_plain(person)[:NAME_LENGTH]}))"
    return f"(DESCRIPTION=(CONNECT_DATA={wanted}{identity}))"


def _plain(text: str) -> str:
    """Without what has a meaning in a descriptor."""
    return re.sub(r"[()=\\\"'\s]", "_", text)


@dataclass(frozen=True)
class Accept:
    """A server's ACCEPT."""

    version: int
    unit: int
    encryption_required: bool
    for_client: bytes


def read_accept(found: Packet) -> Accept:
    """What was agreed on; `for_client` is the packet without what does not pass the bastion. Raises Malformed."""
    data = bytearray(found.data)
    if len(data) < 24:
        raise Malformed("an ACCEPT that is too short")
    version = int.from_bytes(data[_VERSION : _VERSION + 2], "big")
    if version not in VERSIONS:
        raise Malformed(f"version {version} of Oracle Net")
    unit = int.from_bytes(data[_UNIT : _UNIT + 2], "big")
    required = bool((data[22] | data[23]) & _NETWORK_REQUIRED)
    data[_OPTIONS : _OPTIONS + 2] = (int.from_bytes(data[10:12], "big") & ~_OUT_OF_BAND).to_bytes(2, "big")
    for place in (22, 23):
        data[place] = data[place] & ~(_NETWORK_REQUIRED | 0x01) | _NETWORK_OFF
    if version >= c.WIDE_LENGTHS and len(data) >= 41:
        unit = int.from_bytes(data[32:36], "big") or unit
        data[40] = 0
    if version >= 318 and len(data) >= 45:
        kept = int.from_bytes(data[41:45], "big") & ~(_FAST_AUTH | _END_OF_RESPONSE | _CHECK_OUT_OF_BAND)
        data[41:45] = kept.to_bytes(4, "big")
        data[45:61] = bytes(len(data[45:61]))
    return Accept(version, max(512, unit), required, bytes(data))


def wants_tls_again(found: Packet) -> bool:
    """Whether a RESEND asks for a second handshake."""
    return bool(found.flags & _TLS_AGAIN)


def refusal_text(data: bytes) -> str:
    """What a REFUSE says, as an auditor reads it."""
    text = data[c.HEADER + 4 :].decode("utf-8", "backslashreplace")
    number = re.search(r"\(ERR=(\d{1,5})\)", text)
    return f"ORA-{int(number[1]):05d}: the listener refused the connection" if number else text[:500]


def redirect_target(text: str) -> tuple[str, int, str]:
    """Host, port and the descriptor that is to be sent there. Raises Malformed."""
    address, _, descriptor = text.partition("\0")
    found = read_descriptor(address)
    host, port = found.value("HOST"), found.value("PORT")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise Malformed("a redirection without an address")
    return host, int(port), descriptor.rstrip("\0")
