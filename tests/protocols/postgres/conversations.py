"""A scripted conversation with every kind of message, and strategies that make up others."""

from __future__ import annotations

from hypothesis import strategies as st

from . import messages as m

Turn = tuple[str, bytes]
"""Who speaks (`client`, `server`), and what."""

GOOD = m.PARSE_COMPLETE + m.BIND_COMPLETE

EVERY_KIND: list[Turn] = [
    ("server", m.parameter_status("search_path", "public") + m.notice("welcome")),
    ("client", m.query("select 1; select 'é'")),
    (
        "server",
        m.row_description("a", "b") + m.row(b"1", None) + m.complete("SELECT 1") + m.row(b"\xc3\xa9")
        + m.complete("SELECT 1") + m.ready("T"),
    ),
    (
        "client",
        m.parse("insert into a values ($1, $2)", "s", (23,)) + m.describe("S", "s") + m.FLUSH
        + m.bind((b"\0\0\0\7", None), "c", "s", (1, 0)) + m.describe("P", "c") + m.execute("c", 1)
        + m.close("P", "c") + m.close("S", "s") + m.SYNC,
    ),
    (
        "server",
        m.PARSE_COMPLETE + m.parameter_description(23, 25) + m.NO_DATA + m.BIND_COMPLETE + m.row_description("a")
        + m.row(b"7") + m.PORTAL_SUSPENDED + m.CLOSE_COMPLETE * 2 + m.ready("T"),
    ),
    ("client", m.query("copy a from stdin")),
    ("server", m.copy_in(2)),
    ("client", m.copy_data(b"1\t2\n") + m.copy_data(b"3\t4\n") + m.COPY_DONE),
    ("server", m.complete("COPY 2") + m.ready("T")),
    ("client", m.query("copy a from stdin")),
    ("server", m.copy_in(1)),
    ("client", m.copy_data(b"1") + m.copy_fail("stop")),
    ("server", m.error("57014", "stopped") + m.ready("E")),
    ("client", m.query("rollback")),
    ("server", m.complete("ROLLBACK") + m.ready("I")),
    ("client", m.query("copy a to stdout")),
    ("server", m.copy_out() + m.copy_data(b"row\n") * 3 + m.COPY_DONE + m.complete("COPY 3") + m.ready()),
    ("client", m.function_call(2200, b"abc")),
    ("server", m.notification("channel", "payload") + m.function_result(b"xyz") + m.ready()),
    ("client", m.parse("") + m.bind() + m.execute() + m.parse("bad") + m.bind() + m.execute() + m.SYNC),
    ("server", GOOD + m.EMPTY_QUERY + m.error("42601", "syntax error", P="1") + m.ready()),
    ("client", m.query("START_REPLICATION 0/0")),
    ("server", m.copy_both() + m.copy_data(b"wal")),
    ("client", m.copy_data(b"status") + m.COPY_DONE),
    ("server", m.COPY_DONE + m.complete("START_REPLICATION") + m.ready()),
    ("server", m.parameter_status("client_encoding", "LATIN1") + m.error("57P01", "shutdown", "FATAL")),
    ("client", m.TERMINATE),
]  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> list[Turn]:
    """Pipelines of statements with right answers, some with errors, and what comes unasked."""
    turns: list[Turn] = []
    for _ in range(draw(st.integers(1, 6))):
        asked, answer, failed = b"", b"", False
        text = draw(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
        values = draw(st.lists(st.none() | st.binary(max_size=40), max_size=4))
        rows = draw(st.integers(0, 5))
        results = m.row(*values) * rows + m.complete(f"SELECT {rows}")
        if draw(st.booleans()):
            asked = m.query(text)
            answer = m.row_description("a") + (m.error() if draw(st.booleans()) else results)
        else:
            for _ in range(draw(st.integers(1, 4))):
                name = draw(st.sampled_from(["", "s", "t"]))
                asked += m.parse(text, name) + m.bind(tuple(values), "", name) + m.describe() + m.execute()
                if not failed and draw(st.integers(0, 4)) == 0:
                    failed = True
                    answer += draw(st.sampled_from([b"", m.PARSE_COMPLETE, GOOD, GOOD + m.NO_DATA])) + m.error()
                elif not failed:
                    answer += GOOD + m.row_description("a") + results
            asked += m.SYNC
        answer += m.ready(draw(st.sampled_from("ITE")))
        if draw(st.booleans()):
            answer += m.notice("by the way")
        turns += [("client", asked), ("server", answer)]
    return turns
