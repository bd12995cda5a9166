"""Records as other systems get them: one JSON object each, as the journal has it, with its place there and its hash.

Whoever keeps the events keeps the proof: the hash covers all records before it, and checkpoints, with the signature
over it, are events too.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bastion.audit.segments import Line

ALERT = frozenset({"raw-bytes", "journal-repaired"})
WARNING = frozenset({"login-refused", "session-refused", "statement-refused", "cancel"})
NOTICE = frozenset({"act", "node-started", "node-stopped", "tombstone", "storage-alarm"})

ERROR_SEVERITY, WARNING_SEVERITY, NOTICE_SEVERITY, INFORMATIONAL_SEVERITY = 3, 4, 5, 6
"""RFC 5424, table 2."""

_MARK = "… (cut)"


@dataclass(frozen=True, slots=True)
class Event:
    """A record that is to be sent. `body` is its canonical JSON, without a line break."""

    node: str
    number: int
    hash: str
    kind: str
    at: str
    body: bytes
    blind: str = ""

    @classmethod
    def of(cls, node: str, line: Line) -> Event:
        """The event of a journal's line. Raises msgspec.DecodeError for one that is no record."""
        head = _decode(line.body)
        return cls(node, line.number, line.hash.hex(), head.kind, head.at, line.body, line.blind.decode())

    @property
    def severity(self) -> int:
        """As syslog counts: 3 what should not be, 4 what was refused or stopped, 5 what administers, 6 the rest."""
        if self.kind in ALERT or (self.kind == "storage-alarm" and b'"state":"raised"' in self.body):
            return ERROR_SEVERITY
        if self.kind in WARNING:
            return WARNING_SEVERITY
        return NOTICE_SEVERITY if self.kind in NOTICE else INFORMATIONAL_SEVERITY

    def json(self, longest: int | None = None) -> bytes:
        """The event's JSON object. Longer than `longest` bytes, its longest texts are cut, and `cut` says so."""
        node = msgspec.json.encode(self.node)
        place = b'"node":%b,"number":%d,"hash":"%b"' % (node, self.number, self.hash.encode())
        if self.blind:
            place += b',"blind":"%b"' % self.blind.encode()
        start = b'{"journal":{%b},' % place
        whole = start + self.body[1:]
        if longest is None or len(whole) <= longest:
            return whole
        return self._cut(start, longest)

    def _cut(self, start: bytes, longest: int) -> bytes:
        fields = msgspec.json.decode(self.body)
        fields["cut"] = True
        room = longest - len(start)
        for share in (2, 4, 16, 64, 256, 4096):
            cut = start + msgspec.json.encode(_shortened(fields, max(room // share, 16)))[1:]
            if len(cut) <= longest:
                return cut
        known = {name: fields[name] for name in ("kind", "at", "session", "seq", "user", "cut") if name in fields}
        return start + msgspec.json.encode(_shortened(known, 64))[1:]


class _Head(msgspec.Struct):
    kind: str
    at: str


_decode = msgspec.json.Decoder(_Head).decode


def _shortened(value: object, longest: int) -> object:
    """The value with texts of at most so many bytes, and lists of at most so many bytes together."""
    if isinstance(value, str):
        raw = value.encode()
        return value if len(raw) <= longest else raw[:longest].decode(errors="ignore") + _MARK
    if isinstance(value, list):
        kept: list[object] = []
        room = longest
        for each in value:
            short = _shortened(each, longest)
            room -= len(str(short))
            if room < 0:
                return [*kept, _MARK]
            kept.append(short)
        return kept
    if isinstance(value, dict):
        return {name: _shortened(each, longest) for name, each in value.items()}
    return value
