"""Every message of the protocol in a short conversation: commands by their code, answers by what they are.

Conversations are for a session with DEPRECATE_EOF and SESSION_TRACK (`packets.MODERN`), on MariaDB.
"""

from __future__ import annotations

from bastion.protocols.mysql.constants import CommandCode as Code

from .packets import err, ok, packet, prepare_ok, query, result_set, run

Turns = list[tuple[str, bytes]]

OK = run(1, ok())
END = ok(head=0xFE)
PREPARED: Turns = [
    ("client", packet(0, b"\x16select ?, ?")),
    ("server", run(1, *prepare_ok(1, 2, 1, modern=True))),
]
EXECUTE = b"\x17\x01\0\0\0\0\x01\0\0\0"
TWO_VALUES = b"\x00\x01\x03\x00\xfc\x00\x07\0\0\0\x03abc"


def _asked(command: bytes, answer: bytes = OK) -> Turns:
    return [("client", packet(0, command)), ("server", answer)]


def _rows(*rows: bytes, status: int = 2) -> bytes:
    return run(1, *result_set(list(rows), modern=True, status=status))


CLIENT: dict[int, Turns] = {
    Code.QUIT: [("client", packet(0, b"\x01"))],
    Code.INIT_DB: _asked(b"\x02shop"),
    Code.QUERY: _asked("\x03select 'é'".encode(), _rows(b"\x02\xc3\xa9")),
    Code.FIELD_LIST: _asked(b"\x04t\0%", run(1, b"\x03def" + bytes(20), END)),
    Code.REFRESH: _asked(b"\x07\x01"),
    Code.SHUTDOWN: _asked(b"\x08\x00"),
    Code.STATISTICS: _asked(b"\x09", run(1, b"Uptime: 1  Threads: 2")),
    Code.PROCESS_INFO: _asked(b"\x0a", _rows(b"\x011")),
    Code.PROCESS_KILL: _asked(b"\x0c\x07\0\0\0"),
    Code.DEBUG: _asked(b"\x0d", run(1, END)),
    Code.PING: _asked(b"\x0e"),
    Code.CHANGE_USER: [("client", packet(0, b"\x11bob\0\0db\0"))],
    Code.BINLOG_DUMP: _asked(b"\x12\x04\0\0\0\0\0\x01\0\0\0binlog.1", run(1, b"\0event", b"\0event", END)),
    Code.REGISTER_SLAVE: _asked(b"\x15\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    Code.STMT_PREPARE: PREPARED,
    Code.STMT_EXECUTE: [*PREPARED, *_asked(EXECUTE + TWO_VALUES, _rows(b"\0\0\x011"))],
    Code.STMT_SEND_LONG_DATA: [
        *PREPARED,
        ("client", packet(0, b"\x18\x01\0\0\0\x01\0long ") + packet(0, b"\x18\x01\0\0\0\x01\0data")),
        *_asked(EXECUTE + b"\x00\x01\x03\x00\xfc\x00\x07\0\0\0"),
    ],
    Code.STMT_CLOSE: [*PREPARED, ("client", packet(0, b"\x19\x01\0\0\0"))],
    Code.STMT_RESET: [*PREPARED, *_asked(b"\x1a\x01\0\0\0")],
    Code.SET_OPTION: _asked(b"\x1b\x00\x00", run(1, END)),
    Code.STMT_FETCH: [
        *PREPARED,
        *_asked(EXECUTE + TWO_VALUES, run(1, b"\x01", b"\x03def" + bytes(20), ok(head=0xFE, status=0x42))),
        *_asked(b"\x1c\x01\0\0\0\x02\0\0\0", run(1, b"\0\0\x011", b"\0\0\x012", ok(head=0xFE, status=0x42))),
        *_asked(b"\x1c\x01\0\0\0\x02\0\0\0", run(1, b"\0\0\x013", ok(head=0xFE, status=0x82))),
    ],
    Code.BINLOG_DUMP_GTID: _asked(b"\x1e" + bytes(30), run(1, b"\0event", END)),
    Code.RESET_CONNECTION: _asked(b"\x1f"),
    Code.STMT_BULK_EXECUTE: [
        *PREPARED,
        *_asked(b"\xfa\x01\0\0\0\x80\x00\x03\x00\xfc\x00\0\x07\0\0\0\0\x01a\0\x08\0\0\0\x01", run(1, ok(affected=2))),
    ],
}  # fmt: skip

SERVER: dict[str, Turns] = {
    "OK": _asked(b"\x03insert", run(1, ok(affected=3, status=3))),
    "OK with changes of the session": _asked(b"\x03use shop", run(1, b"\0\0\0\x02\x40\0\0\0\x07\x01\x05\x04shop")),
    "ERR": _asked(b"\x03selekt", run(1, err(1064, "42000", "You have an error"))),
    "ERR among rows": [
        ("client", query("select")),
        ("server", run(1, *result_set([b"\x011"], modern=True)[:-1], err(1317, "70100", "interrupted"))),
    ],
    "EOF": _asked(b"\x0d", run(1, END)),
    "PROGRESS": _asked(b"\x03alter table", run(1, b"\xff\xff\xff\x01\x01\x02\0\0\0\x04copy", ok())),
    "ColumnCount": _asked(b"\x03select", _rows()),
    "ColumnDefinition": CLIENT[Code.FIELD_LIST],
    "Row": _asked(b"\x03select", _rows(b"\x011", b"\xfb", b"\x00", b"\xfc\x00\x01" + b"v" * 256)),
    "several results": [
        ("client", query("call p()")),
        (
            "server",
            run(1, *result_set([b"\x011"], modern=True, status=0x0A), *result_set([], modern=True, status=0x0A), ok()),
        ),
    ],
    "LOCAL INFILE": [
        *_asked(b"\x03load data local infile 'f' into table t", packet(1, b"\xfbf")),
        ("client", packet(2, b"1\n2\n") + packet(3, b"3\n") + packet(4, b"")),
        ("server", packet(5, ok(affected=3))),
    ],
    "STATISTICS": CLIENT[Code.STATISTICS],
    "PrepareOK": PREPARED,
    "stream": CLIENT[Code.BINLOG_DUMP],
}
