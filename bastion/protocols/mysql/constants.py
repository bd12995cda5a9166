"""Numbers of the MySQL client/server protocol.

Sources: MySQL's "Client/Server Protocol" in its source documentation, MariaDB's "Client/Server Protocol" pages.
"""

from __future__ import annotations

import enum
from typing import Final

MAX_PACKET_PAYLOAD = 0xFFFFFF
"""Payload bytes of one packet. A packet with this many is continued by the next one (which may be empty)."""


class Capability(enum.IntFlag):
    """What client and server agree on at login; the upper 32 bits are MariaDB's extended capabilities."""

    LONG_PASSWORD = 1 << 0
    """Called CLIENT_MYSQL by MariaDB: a MariaDB server that offers extended capabilities leaves it out."""
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    COMPRESS = 1 << 5
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    RESERVED = 1 << 14
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    EXPIRED_PASSWORDS = 1 << 22
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24
    OPTIONAL_METADATA = 1 << 25
    ZSTD = 1 << 26
    QUERY_ATTRIBUTES = 1 << 27
    MULTI_FACTOR = 1 << 28
    EXTENSION = 1 << 29
    SSL_VERIFY = 1 << 30
    REMEMBER_OPTIONS = 1 << 31

    MARIADB_PROGRESS = 1 << 32
    MARIADB_COM_MULTI = 1 << 33
    MARIADB_BULK = 1 << 34
    MARIADB_EXTENDED_TYPES = 1 << 35
    MARIADB_CACHE_METADATA = 1 << 36
    MARIADB_BULK_UNIT_RESULTS = 1 << 37


NOT_OFFERED = int(
    Capability.COMPRESS
    | Capability.ZSTD
    | Capability.SSL
    | Capability.OPTIONAL_METADATA
    | Capability.MULTI_FACTOR
    | Capability.EXTENSION
    | Capability.MARIADB_COM_MULTI
    | Capability.MARIADB_CACHE_METADATA
)
"""Taken off the server's greeting: what would hide the stream or leave out the parts that its reading rests on."""

OFFERED = ((1 << 38) - 1) & ~NOT_OFFERED


class Status:
    """Server status flags of OK and EOF packets. Plain numbers: they are looked at on every answer."""

    IN_TRANSACTION: Final = 0x0001
    AUTOCOMMIT: Final = 0x0002
    MORE_RESULTS: Final = 0x0008
    CURSOR_EXISTS: Final = 0x0040
    LAST_ROW_SENT: Final = 0x0080
    NO_BACKSLASH_ESCAPES: Final = 0x0200
    OUT_PARAMETERS: Final = 0x1000
    SESSION_STATE_CHANGED: Final = 0x4000


class CommandCode(enum.IntEnum):
    """First byte of a client's packet after login."""

    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    REFRESH = 0x07
    SHUTDOWN = 0x08
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    CHANGE_USER = 0x11
    BINLOG_DUMP = 0x12
    REGISTER_SLAVE = 0x15
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    BINLOG_DUMP_GTID = 0x1E
    RESET_CONNECTION = 0x1F
    STMT_BULK_EXECUTE = 0xFA


LAST_PREPARED = 0xFFFFFFFF
"""MariaDB's statement id -1: the statement that was prepared last."""
