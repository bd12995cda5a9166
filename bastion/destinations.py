"""Where the record may be sent to, as the configuration says it. The sending itself is in audit/shipping."""

from __future__ import annotations

import re

import msgspec

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")

LEAST_SYSLOG = 480
"""Bytes that every syslog receiver takes (RFC 5424, 6.1)."""


class Syslog(msgspec.Struct, frozen=True, tag="syslog", tag_field="kind", kw_only=True):
    """RFC 5424 over UDP (RFC 5426), TCP with octet counting (RFC 6587, 3.4.1) or TLS (RFC 5425).

    longest   bytes of one message at most; texts of a longer one are cut, and the event says so
    ca        PEM file of the authorities for TLS; '' the system's. certificate, key: for a client certificate
    """

    name: str
    host: str
    port: int
    transport: str = "tcp"
    facility: int = 13
    longest: int = 64 * 1024
    ca: str = ""
    certificate: str = ""
    key: str = ""


class File(msgspec.Struct, frozen=True, tag="file", tag_field="kind", kw_only=True):
    """A file of JSON lines, one event each. At `size` bytes it becomes NAME.1, that NAME.2, up to `kept` of them."""

    name: str
    path: str
    size: int = 100 * 1024 * 1024
    kept: int = 10


class Webhook(msgspec.Struct, frozen=True, tag="webhook", tag_field="kind", kw_only=True):
    """POST of JSON lines, `batch` of them at most. `token_file` holds what follows `Authorization: Bearer`."""

    name: str
    url: str
    token_file: str = ""
    ca: str = ""
    batch: int = 500


Destination = Syslog | File | Webhook
