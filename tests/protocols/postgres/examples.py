"""Every message of the protocol in a short conversation: named by who sends it and its kind."""

from __future__ import annotations

from . import messages as m
from .conversations import Turn

ONE_ROW = m.row_description("a") + m.row(b"1") + m.complete("SELECT 1") + m.ready()
BOUND = m.PARSE_COMPLETE + m.BIND_COMPLETE


def _asked(answer: bytes, question: bytes | None = None) -> list[Turn]:
    return [("client", question or m.query("select 1")), ("server", answer)]


CLIENT: dict[bytes, list[Turn]] = {
    b"Q": _asked(ONE_ROW, m.query("select 'é'; -- end")),
    b"P": _asked(m.PARSE_COMPLETE + m.ready(), m.parse("select $1, $2", "s", (23, 25)) + m.SYNC),
    b"B": _asked(
        BOUND + m.ready(),
        m.parse("select $1, $2, $3", "", (23, 1700))
        + m.bind((b"\0\0\0\7", None, b"x" * 30), "p", "", (1, 0, 0), (1,)) + m.SYNC,
    ),
    b"E": _asked(
        BOUND + m.row(b"1") + m.PORTAL_SUSPENDED + m.row(b"2") + m.complete("SELECT 1") + m.ready(),
        m.parse("select 1") + m.bind() + m.execute("", 1) + m.execute("", 1) + m.SYNC,
    ),
    b"D": _asked(
        m.PARSE_COMPLETE + m.parameter_description(23) + m.NO_DATA + m.ready(),
        m.parse("delete from t where a = $1", "s") + m.describe("S", "s") + m.SYNC,
    ),
    b"C": _asked(m.CLOSE_COMPLETE * 2 + m.ready(), m.close("S", "s") + m.close("P", "p") + m.SYNC),
    b"S": _asked(m.ready(), m.SYNC),
    b"H": _asked(m.PARSE_COMPLETE + m.ready(), m.parse("select 1") + m.FLUSH + m.SYNC),
    b"F": _asked(m.function_result(b"xyz") + m.ready(), m.function_call(2200, b"abc")),
    b"d": [
        *_asked(m.copy_in(2), m.query("copy t from stdin")),
        *_asked(m.complete("COPY 2") + m.ready(), m.copy_data(b"1\t2\n") + m.copy_data(b"3\t4\n") + m.COPY_DONE),
    ],
    b"c": [
        *_asked(m.copy_in(), m.query("copy t from stdin")),
        *_asked(m.complete("COPY 0") + m.ready(), m.COPY_DONE),
    ],
    b"f": [
        *_asked(m.copy_in(), m.query("copy t from stdin")),
        *_asked(m.error("57014", "stopped") + m.ready(), m.copy_fail("stop")),
    ],
    b"X": [("client", m.TERMINATE)],
}  # fmt: skip

SERVER: dict[bytes, list[Turn]] = {
    b"1": CLIENT[b"P"],
    b"2": CLIENT[b"B"],
    b"3": CLIENT[b"C"],
    b"t": CLIENT[b"D"],
    b"n": CLIENT[b"D"],
    b"s": CLIENT[b"E"],
    b"T": _asked(m.row_description("a", "b") + m.row(b"1", None) + m.complete("SELECT 1") + m.ready()),
    b"D": _asked(m.row_description("a") + m.row(b"1") * 3 + m.row(None) + m.complete("SELECT 4") + m.ready("T")),
    b"C": _asked(m.complete("INSERT 0 3") + m.complete("DELETE 2") + m.ready(), m.query("insert …; delete …")),
    b"I": _asked(m.EMPTY_QUERY + m.ready(), m.query("")),
    b"E": _asked(m.error("42601", "syntax error", P="1") + m.ready("E")),
    b"Z": _asked(m.complete("BEGIN") + m.ready("T"), m.query("begin")),
    b"S": [
        *_asked(m.complete("SET") + m.parameter_status("search_path", "audit") + m.ready(), m.query("set …")),
        ("server", m.parameter_status("client_encoding", "LATIN1")),
        *_asked(ONE_ROW, m.query(b"select '\xe9'")),
    ],
    b"G": CLIENT[b"d"],
    b"H": _asked(m.copy_out() + m.COPY_DONE + m.complete("COPY 0") + m.ready(), m.query("copy t to stdout")),
    b"d": _asked(
        m.copy_out() + m.copy_data(b"row\n") * 3 + m.COPY_DONE + m.complete("COPY 3") + m.ready(),
        m.query("copy t to stdout"),
    ),
    b"c": _asked(m.copy_out() + m.COPY_DONE + m.complete("COPY 0") + m.ready(), m.query("copy t to stdout")),
    b"W": [
        *_asked(m.copy_both() + m.copy_data(b"wal"), m.query("START_REPLICATION 0/0")),
        *_asked(m.COPY_DONE + m.complete("START_REPLICATION") + m.ready(), m.copy_data(b"status") + m.COPY_DONE),
    ],
    b"V": CLIENT[b"F"],
    b"A": [("server", m.notification("channel", "payload")), *_asked(m.notification("c", "") + ONE_ROW)],
    b"N": [("server", m.notice("welcome")), *_asked(m.notice("by the way") + ONE_ROW)],
    b"K": [("server", m.backend_key(7, b"12345678")), *_asked(ONE_ROW)],
}
