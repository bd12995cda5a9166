"""Which version and options a session speaks (documentation, "Protocol Versions" and NegotiateProtocolVersion).

A client may ask for a newer minor version than is read here, or for protocol options (`_pq_.…`), which may change what
messages look like. Both are taken off what the server is asked for, and the client is told, as a server that does not
know them would: otherwise a session could come to speak what the record cannot follow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bastion.protocols.contract import Leg, ProtocolError

from . import codec

NEWEST = 3 << 16 | 2
"""3.2 (PostgreSQL 18): longer cancel keys."""

OPTION = "_pq_."
"""How the names of protocol options begin."""

_counts = struct.Struct(">II")


@dataclass(slots=True)
class Negotiation:
    """What is not agreed to: `version` is what is spoken instead, `options` are those that nobody knows."""

    version: int
    options: list[str]
    is_due: bool

    @classmethod
    def of(cls, version: int, parameters: dict[str, str]) -> Negotiation:
        """Of a client's startup message; options are taken out of its `parameters`."""
        options = [name for name in parameters if name.startswith(OPTION)]
        for name in options:
            del parameters[name]
        return cls(min(version, NEWEST), options, bool(options) or version > NEWEST)

    def message(self) -> bytes:
        """The bastion's own NegotiateProtocolVersion, where the server has none to say."""
        self.is_due = False
        names = b"".join(codec.encoded(name) + b"\0" for name in self.options)
        return codec.message(b"v", _counts.pack(self.version, len(self.options)) + names)

    def merged(self, body: bytes) -> bytes:
        """The server's NegotiateProtocolVersion with what the bastion took off; a client takes only one."""
        if len(body) < 8:
            raise ProtocolError(Leg.SERVER, "a negotiation of the protocol that cannot be read", body)
        version, count = _counts.unpack_from(body)
        version = version if version >> 16 else 3 << 16 | version  # documented as the minor number, sent as both
        names = body[8:].split(b"\0")
        if len(names) != count + 1 or names[-1] or version > self.version:
            raise ProtocolError(Leg.SERVER, "a negotiation of the protocol that cannot be read", body)
        self.version = version
        self.options.extend(codec.decoded(name) for name in names[:-1])
        return self.message()
