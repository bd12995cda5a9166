"""A recorded screen for the tests: an asciicast in pieces, as the bastion gives it, and the calls about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import zstandard

from bastion.api import live
from bastion.api import messages as m
from bastion.api.screens import PICTURE_BEGINS, ScreenFollowRequest, ScreenPiece, ScreenReadRequest, ScreenSessions

from .world import STATEMENTS, statement

SCREEN = m.Screen(
    id="screen-0f", user="alice", source="10.1.2.3", terminal="xterm-256color", recorded=True,
    began_at="2026-11-22T03:00:50.000000Z", ended_at="2026-11-22T03:05:00.000000Z",
)  # fmt: skip
SESSIONS_OF = ScreenSessions(screen=SCREEN, sessions=["s-0192f3"])

FAILED = statement(
    3, "update orders set statsu = 'paid' where id = 9", "failed", rows=None,
    error='column "statsu" of relation "orders" does not exist',
)  # fmt: skip


def at(y: int, x: int, text: str, look: str = "") -> str:
    """Output that puts text somewhere."""
    return f"\x1b[{y};{x}H\x1b[{look}m{text}\x1b[0m"


def picture(columns: int, lines: int, *texts: str) -> str:
    """A whole screen."""
    return PICTURE_BEGINS + "".join(texts)


def cast(*events: tuple[float, str, str], columns: int = 80, lines: int = 24) -> bytes:
    """The lines of an asciicast; each event with its seconds from the one before."""
    header = {"version": 3, "term": {"cols": columns, "rows": lines, "type": "xterm"}, "timestamp": 1}
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in (header, *events))


def screen_of_orders() -> bytes:
    """A minute of alice's work: a query, an error, Chinese names."""
    return cast(
        (0.1, "o", "\x1b[?1049h\x1b[?25l\x1b[?7l"),
        (
            0.1,
            "o",
            at(1, 1, " casemate  1 Databases  2 Console ".ljust(80), "48;5;236;38;5;252")
            + at(3, 2, "select id, status from orders", "38;5;110")
            + at(24, 1, " F5 Run  F1 Help".ljust(80), "48;5;236;38;5;250"),
        ),
        (9.8, "o", at(3, 2, "select id, status from orders where customer = '4711'", "38;5;110")),
        (
            0.4,
            "o",
            at(12, 1, " 17 rows, all of them · 11 ms".ljust(80), "1;48;5;236")
            + "".join(at(13 + row, 2, f"{100001 + row}  上海贸易有限公司  paid") for row in range(8)),
        ),
        (2.4, "o", at(4, 2, "update orders set statsu = 'paid' where id = 9;", "38;5;110")),
        (0.2, "o", at(12, 1, ' ✗ Error 42703: column "statsu" does not exist'.ljust(80), "1;38;5;203")),
        (40.0, "o", at(4, 2, "-- gone for tea".ljust(50), "3;38;5;244")),
        (5.0, "x", "0"),
    )


def pack(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def read_of(data: bytes, size: int = 100_000, *, live: bool = False) -> Callable[[ScreenReadRequest], ScreenPiece]:
    """Answers `screen.read` from a cast, in pieces of about `size` bytes."""

    def answer(wanted: ScreenReadRequest) -> ScreenPiece:
        part = data[wanted.offset : wanted.offset + size]
        if len(part) == size:
            part = part[: part.rfind(b"\n") + 1]
        after = wanted.offset + len(part)
        return ScreenPiece(
            data=pack(part) if part else b"", offset=wanted.offset, next=after, live=live, more=after < len(data)
        )

    return answer


def answers(data: bytes | None = None, statements: list[m.Statement] | None = None) -> dict[str, Any]:
    """What the scripted bastion says about a session with a screen."""
    page = m.StatementPage(statements=statements or STATEMENTS, cursor=None)
    return {
        "screen.of": SESSIONS_OF,
        "screen.read": read_of(screen_of_orders() if data is None else data),
        "audit.search": page,
        "audit.show": result_of_orders,
    }


def result_of_orders(wanted: Any) -> m.StatementResult:
    """What the second statement returned; nothing for the others."""
    found = next((each for each in STATEMENTS if each.seq == wanted.seq), STATEMENTS[0])
    if wanted.seq == 3:
        return m.StatementResult(
            statement=found, operation="query", kept="whole", why="", bytes_kept=120, bytes_total=120,
            errors=['ERROR: column "statsu" of relation "orders" does not exist'],
        )  # fmt: skip
    if wanted.seq != 2:
        return m.StatementResult(statement=found, operation="query", kept="none", why="no-answer", bytes_kept=0)
    rows: list[list[str | None]] = [[str(100001 + row), "paid" if row % 3 else None] for row in range(17)]
    columns = [m.ResultColumn(name="id", type="int8"), m.ResultColumn(name="status", type="text")]
    return m.StatementResult(
        statement=found, operation="query", kept="whole", why="", bytes_kept=1320, bytes_total=1320,
        results=[m.ResultSet(number=1, columns=columns, rows=rows, first_row=1, tag="SELECT 17", count=17, ended=True)],
    )  # fmt: skip


class LiveScreen:
    """Answers `screen.follow`: what was put in, to whoever asks for what is behind."""

    def __init__(self, first: bytes, began: float = 30.0, columns: int = 120, lines: int = 40) -> None:
        self.data = first
        self.base = 1000
        self.began = began
        self.size = (columns, lines)
        self.live = True
        self.asked: list[ScreenFollowRequest] = []
        self.news = asyncio.Event()

    def put(self, *events: tuple[float, str, str]) -> None:
        """More output."""
        self.news.set()
        self.data += b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in events)

    def end(self) -> None:
        """The workstation is closed."""
        self.put((0.5, "x", "0"))
        self.live = False

    async def __call__(self, wanted: ScreenFollowRequest) -> ScreenPiece:
        self.asked.append(wanted)
        if wanted.after == self.base + len(self.data) and self.live:
            self.news.clear()
            await self.news.wait()
        joined = wanted.after is None
        offset = self.base if joined else wanted.after or 0
        part = self.data[offset - self.base :]
        return ScreenPiece(
            data=pack(part) if part else b"", offset=offset, next=self.base + len(self.data), live=self.live,
            joined=joined, at=self.began if joined else 0.0, columns=self.size[0] if joined else 0,
            lines=self.size[1] if joined else 0,
        )  # fmt: skip


class LiveStatements:
    """Answers `session.watch`: what was put in, once."""

    def __init__(self, facts: live.LiveSession, before: int = 3) -> None:
        self.facts: live.LiveSession | None = facts
        self.before = before
        self.events: list[live.WatchEvent] = []
        self.skipped: live.Skipped | None = None
        self.ended = ""
        self.news = asyncio.Event()

    def put(self, *events: live.WatchEvent) -> None:
        """Something happens."""
        self.events.extend(events)
        self.news.set()

    def sent(self, seq: int, text: str) -> None:
        """A statement is sent."""
        self.put(live.WatchEvent(kind="sent", seq=seq, at="2026-11-22T03:02:00Z", statement=statement(
            seq, text, "sent", rows=None, duration_ms=None, at=f"2026-11-22T03:02:{seq:02}Z",
        )))  # fmt: skip

    def done(self, seq: int, state: str = "done", **more: Any) -> None:
        """Its outcome."""
        self.put(live.WatchEvent(kind="done", seq=seq, at="2026-11-22T03:02:01Z", state=state, **more))

    def end(self, reason: str) -> None:
        """The session is over."""
        self.ended = reason
        self.news.set()

    async def __call__(self, wanted: live.WatchRequest) -> live.Watched:
        if wanted.watch and not self.events and not self.ended:
            self.news.clear()
            await self.news.wait()
        events, self.events = self.events, []
        skipped, self.skipped = self.skipped, None
        return live.Watched(
            watch="w1", at="2026-11-22T03:02:00Z", events=events, before=self.before, skipped=skipped,
            session=None if self.ended else self.facts, ended=bool(self.ended), end_reason=self.ended,
        )  # fmt: skip


def facts(id: str = "s-0192f3", user: str = "alice", database: str = "orders", **figures: Any) -> live.LiveSession:
    """A session that is open now."""
    return live.LiveSession(
        id=id, user=user, source="10.1.2.3", client="casemate", database=database, account="app_rw", login="app_rw",
        engine="postgresql", node="node-1", purpose="console", production=False, started_at="2026-11-22T03:01:00Z",
        figures=live.Figures(**figures),
    )  # fmt: skip


__all__ = [
    "FAILED", "SCREEN", "SESSIONS_OF", "LiveScreen", "LiveStatements", "answers", "cast", "facts", "picture", "read_of",
    "screen_of_orders",
]  # fmt: skip
