"""The live list with many sessions: what a look costs the gateway's event loop, an answer on the wire, and the screen.

    python -m benchmarks.live_list [--sessions 1000]

No database and no network: the sessions are the gateway's own objects with relays whose counters move, and the page
is the workstation's, with answers handed to it. `measure(sessions)` gives the figures for other programs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from bastion.api import live
from bastion.gateway.live_list import LiveView
from bastion.protocols.contract import Transaction
from bastion.sessions.live import LiveSession, Visit
from bastion.sessions.record import OpenStatement, SessionRecord

STATEMENT = "update orders set status = 'paid' where customer_id = 4711 and created_at > now() - interval '1 day' "
LOOKS = 20


class _Side:
    """As much of a ServerSide as the figures look at."""

    def __init__(self) -> None:
        self.rows = 0
        self.transaction = Transaction.NONE


def _session(number: int, *, busy: bool) -> LiveSession:
    visit = Visit(
        f"person{number % 200:03}", f"t{number}", f"10.1.{number % 250}.7", f"database{number % 40:02}", "app_rw",
        "postgresql",
    )  # fmt: skip
    session = LiveSession(f"s{number:015}", visit, "node-1", cast(Any, None))
    record = SessionRecord(cast(Any, None), session.id, "postgresql", lambda text: "")
    session.state, session.client, session.record, session.unusual = "live", "psql", record, ()
    record.statements = 10
    if busy:
        record._open[10] = OpenStatement(time.monotonic(), STATEMENT * 3, "update")
    relay = SimpleNamespace(
        hold=None, at_work=10 if busy else None, server_side=_Side(), bytes_up=1000, bytes_down=100_000, unattributed=0
    )
    session.relay = cast(Any, relay)
    return session


async def _looks(count: int, *, busy: bool) -> dict[str, float]:
    """Looks at that many sessions; busy ones move between any two looks."""
    sessions = {each.id: each for each in (_session(number, busy=busy) for number in range(count))}
    view = LiveView()
    size = 0
    began = time.perf_counter()
    while True:
        changes = await view.changes(sessions, None)
        size += len(msgspec.json.encode(changes))
        if not changes.more:
            break
    first = time.perf_counter() - began
    longest = spent = 0.0
    later = 0
    for turn in range(LOOKS):
        if busy:
            for session in sessions.values():
                relay: Any = session.relay
                relay.bytes_down += 50_000
                relay.server_side.rows += 500 + turn
        await asyncio.sleep(0.21)
        began = last = time.perf_counter()
        looking = asyncio.ensure_future(view.changes(sessions, None))
        while not looking.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        spent += time.perf_counter() - began
        later += len(msgspec.json.encode(looking.result()))
    return {
        "first_ms": first * 1000, "first_kb": size / 1000, "look_ms": spent / LOOKS * 1000,
        "longest_turn_ms": longest * 1000, "look_kb": later / LOOKS / 1000,
    }  # fmt: skip


async def _screen(count: int, size: tuple[int, int]) -> dict[str, float]:
    """The page with that many sessions: all of them moving, sorted anew, filtered."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from screens.live import LiveScreen
    from tests.unit.screens.conftest import settled
    from tests.unit.screens.live_stage import AT, Bastion, session
    from tests.unit.screens.world import world

    people = [
        session(
            f"s{n:04}", f"person{n:03}",
            live.Figures(state="running", seq=1, running=STATEMENT, risk=n % 101, running_since=AT, statements=n),
        )
        for n in range(count)
    ]  # fmt: skip
    bastion = Bastion(people)
    with tempfile.TemporaryDirectory() as folder:
        scripted = world(Path(folder), roles=("auditor",), answers=bastion.answers())
        async with scripted.app.run_test(size=size) as pilot:
            await settled(pilot)
            await pilot.press("4")
            await settled(pilot)
            page = scripted.app.screen
            assert isinstance(page, LiveScreen)
            taken = 0.0
            for turn in range(LOOKS):
                figures = {
                    each.id: msgspec.structs.replace(each.figures, risk=(each.figures.risk + turn) % 101, rows=turn)
                    for each in people
                }
                changes = live.LiveChanges(view="v1", at=AT, changed=figures)
                began = time.perf_counter()
                page._taken(changes)
                await pilot.pause()
                taken += time.perf_counter() - began
            keys = 0.0
            for _ in range(LOOKS):
                began = time.perf_counter()
                await pilot.press("down")
                keys += time.perf_counter() - began
            began = time.perf_counter()
            await pilot.press("slash", *"person999")
            filtered = (time.perf_counter() - began) / 10
    return {"answer_ms": taken / LOOKS * 1000, "key_ms": keys / LOOKS * 1000, "letter_ms": filtered * 1000}


def measure(sessions: int = 1000) -> dict[str, dict[str, float]]:
    """Figures by case: `idle` and `busy` (every session moves between two looks) of the gateway, and of the page."""

    async def work() -> dict[str, dict[str, float]]:
        return {
            "idle": await _looks(sessions, busy=False),
            "busy": await _looks(sessions, busy=True),
            "page-80x24": await _screen(sessions, (80, 24)),
            "page-160x48": await _screen(sessions, (160, 48)),
        }

    return asyncio.run(work())


def main() -> None:
    """Prints the figures as lines, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.sessions)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(f"{name:12}", "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()))


if __name__ == "__main__":
    main()
