"""Live sessions for the screens' tests, and a bastion that tells what is new of them."""

from __future__ import annotations

from typing import Any

import msgspec

from bastion.api import live

AT = "2026-11-22T03:04:05.000Z"


def session(id: str, user: str, figures: live.Figures | None = None, **more: Any) -> live.LiveSession:
    values: dict[str, Any] = {
        "id": id, "user": user, "source": "10.1.2.3", "client": "psql", "database": "orders", "account": "app_rw",
        "login": "app_rw", "engine": "postgresql", "node": "node-1", "purpose": "client", "production": False,
        "started_at": "2026-11-22T02:55:10.000Z",
    }  # fmt: skip
    return live.LiveSession(**(values | more), figures=figures or live.Figures())


def reason(code: str, weight: int, **params: Any) -> live.Reason:
    return live.Reason(code=code, params=params, weight=weight)


SESSIONS = [
    session(
        "s01", "bob",
        live.Figures(
            state="running", statements=41, seq=41, running="delete from line_item", kind="delete", errors=2,
            running_since="2026-11-22T03:03:12.500Z", bytes_down=88_000, risk=75,
            reasons=[reason("without-where", 40, kind="DELETE"), reason("production", 25),
                     reason("running-long", 10, minutes="50 s")],
        ),
        database="billing", production=True, client="DBeaver 24.1 - Main", source="10.1.9.77",
    ),
    session(
        "s02", "上官婉儿",
        live.Figures(
            state="streaming", statements=3, seq=3, running="select * from 订单 order by created_at", kind="select",
            running_since="2026-11-22T03:04:01.000Z", rows=120_400, rows_per_second=31_000,
            bytes_per_second=4_800_000, bytes_down=22_000_000, risk=30,
            reasons=[reason("many-rows", 20, rows="120,400"), reason("much-data", 10, mebibytes=4)],
        ),
        client="casemate", purpose="console",
    ),
    session(
        "s03", "carol",
        live.Figures(
            state="transaction", statements=12, transaction="open", transaction_since="2026-11-22T02:52:00.000Z",
            bytes_down=4_100, risk=20, reasons=[reason("transaction-long", 20, minutes="12 min")],
        ),
        client="mysql", engine="mysql", database="crm",
    ),
    session(
        "s04", "dan",
        live.Figures(
            state="held", statements=7, seq=7, running="update accounts set balance = 0", kind="update",
            running_since="2026-11-22T03:03:50.000Z", bytes_down=900, risk=40,
            reasons=[reason("without-where", 40, kind="UPDATE")],
            hold=live.Hold(by="alice", reason="looks odd", at="2026-11-22T03:03:50.000Z",
                           until="2026-11-22T03:04:50.000Z", seq=7),
        ),
    ),
    session("s05", "eve", live.Figures(statements=2, bytes_down=310)),
]  # fmt: skip


class Bastion:
    """Answers `sessions.live`: everything at first, then what a test has `tell` it."""

    def __init__(self, sessions: list[live.LiveSession]) -> None:
        # A reader's list puts new figures into what it was given.
        self.sessions = [msgspec.structs.replace(each) for each in sessions]
        self._news: list[live.LiveChanges] = []

    def tell(self, **changes: Any) -> None:
        self._news.append(live.LiveChanges(view="v1", at=AT, **changes))

    def answers(self) -> dict[str, Any]:
        delivered = live.Delivered(workstations=0, protocol=True, ssh=True)
        hold = live.Hold(by="alice", reason="r", at=AT, until=AT, seq=7)
        lock = live.Lock(user="bob", until="2026-11-22T11:04:05Z", by="alice", reason="an inquiry", sessions=1)
        return {
            "sessions.live": self._answer, "session.message": delivered, "session.hold": hold,
            "session.release": hold, "user.lock": lock, "user.unlock": None, "user.locks": [lock],
        }  # fmt: skip

    def _answer(self, request: live.LiveRequest) -> live.LiveChanges:
        if not request.view:
            return live.LiveChanges(view="v1", at=AT, whole=True, sessions=self.sessions)
        return self._news.pop(0) if self._news else live.LiveChanges(view="v1", at=AT)
