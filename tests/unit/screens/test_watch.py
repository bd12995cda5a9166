"""Watching: the statements of live sessions as they happen, their screens as they are, several in tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from textual.pilot import Pilot

from bastion.api import language
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.api.screens import ScreenSessions
from screens.replay import ReplayScreen
from screens.watch import Tile, WatchScreen, open_watch
from screens.widgets.screen_pane import ScreenPane
from screens.widgets.time_line import TimeLine

from . import recorded
from .conftest import Compare, settled
from .reading import told
from .test_replay import until
from .test_screens_behaviour import shown
from .world import STATEMENTS, World, world

SMALL = (80, 24)
LARGE = (160, 48)
LIVE = ScreenSessions(screen=msgspec.structs.replace(recorded.SCREEN, ended_at=None), sessions=["s-0192f3", "s-0192f2"])


def page_of_orders(columns: int = 120, lines: int = 40) -> bytes:
    """A whole picture of somebody's console."""
    drawn = recorded.picture(
        columns, lines,
        recorded.at(1, 1, " casemate  1 Databases  2 Console ".ljust(columns), "48;5;236;38;5;252"),
        recorded.at(3, 2, "select id, customer from orders", "38;5;110"),
        *[recorded.at(10 + row, 2, f"{100001 + row}  上海贸易有限公司  paid") for row in range(8)],
        recorded.at(lines, 1, " F5 Run  F1 Help".ljust(columns), "48;5;236;38;5;250"),
    )  # fmt: skip
    return json.dumps([0.2, "o", drawn]).encode() + b"\n"


class Watched:
    """A world in which alice works."""

    def __init__(self, folder: Path, *sessions: str, **more: Any) -> None:
        self.sessions = sessions or ("s-0192f3",)
        self.statements = {id: recorded.LiveStatements(recorded.facts(id, user)) for id, user in self._people()}
        self.screen = recorded.LiveScreen(page_of_orders())
        self.at: World = world(
            folder,
            roles=("auditor",),
            answers=recorded.answers()
            | {
                "session.watch": lambda wanted: self.statements[wanted.session](wanted),
                "screen.of": LIVE,
                "session.unwatch": None,
                "screen.follow": self.screen,
                "screen.read": recorded.read_of(self.whole(), live=True),
                "audit.search": self.search,
            }
            | more,
        )

    def _people(self) -> list[tuple[str, str]]:
        return list(zip(self.sessions, ("alice", "bob", "carol", "dave"), strict=False))

    @property
    def alice(self) -> recorded.LiveStatements:
        return self.statements[self.sessions[0]]

    def search(self, wanted: m.StatementFilter) -> m.StatementPage:
        found = STATEMENTS[:3]
        return m.StatementPage(statements=found[::-1] if wanted.newest else found, cursor=None)

    def whole(self) -> bytes:
        """The recording up to where the watch joins: 1000 bytes of it, and what came since."""
        data = recorded.cast((5.0, "o", recorded.at(5, 2, "what was before")), columns=120, lines=40)
        return data + b" " * (self.screen.base - len(data) - 1) + b"\n"

    async def open(self, pilot: Pilot[Any], *, screen: bool = False) -> None:
        """The watch, with what was before it."""
        await settled(pilot)
        open_watch(self.at.app, self.sessions, screen=screen)
        await until(pilot, lambda: shown(pilot).count("LIVE") >= 1)

    async def on_screen(self, pilot: Pilot[Any]) -> ScreenPane:
        """And alice's screen."""
        await self.open(pilot)
        await pilot.press("v")
        await until(pilot, lambda: "120×40" in shown(pilot))
        return self.at.app.screen.query(ScreenPane).first()


# -- pictures


async def test_statements_as_they_happen(picture: Compare, tmp_path: Path) -> None:
    there = Watched(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        await there.open(pilot)
        there.alice.sent(4, "select * from orders where id = 7")
        there.alice.sent(5, "update orders set status = 'paid' where customer = '上海贸易有限公司'")
        there.alice.done(4, rows=1, duration_ms=3.1)
        await until(pilot, lambda: "running" in shown(pilot) and "3 ms" in shown(pilot))

    await picture(there.at.app, "watch", SMALL, prepare)


async def test_a_screen_at_a_smaller_terminal(picture: Compare, tmp_path: Path) -> None:
    there = Watched(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        await there.on_screen(pilot)

    await picture(there.at.app, "watch-screen", SMALL, prepare)


async def test_a_screen_that_is_paused_and_behind(picture: Compare, tmp_path: Path) -> None:
    there = Watched(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        await there.on_screen(pilot)
        await pilot.press("space")
        there.screen.put((90.0, "o", recorded.at(3, 2, "drop table orders")))
        await until(pilot, lambda: "1 min 30 s behind" in shown(pilot))

    await picture(there.at.app, "watch-behind", SMALL, prepare)


async def test_a_session_that_has_ended_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    there = Watched(tmp_path)

    async def prepare(pilot: Pilot[Any]) -> None:
        open_watch(there.at.app, there.sessions)
        await until(pilot, lambda: "实时" in shown(pilot))
        there.alice.end("ended by an auditor")
        await until(pilot, lambda: "ended by an auditor" in shown(pilot))

    await picture(there.at.app, "watch-ended-zh", SMALL, prepare)


async def test_four_in_tiles(picture: Compare, tmp_path: Path) -> None:
    there = Watched(tmp_path, "s-1", "s-2", "s-3", "s-4")

    async def prepare(pilot: Pilot[Any]) -> None:
        await there.open(pilot)
        await pilot.press("2", "v")
        await until(pilot, lambda: shown(pilot).count("LIVE") == 4 and "120×40" in shown(pilot))

    await picture(there.at.app, "watch-tiles", LARGE, prepare)


async def test_several_where_there_is_room_for_one(picture: Compare, tmp_path: Path) -> None:
    there = Watched(tmp_path, "s-1", "s-2", "s-3", "s-4")

    async def prepare(pilot: Pilot[Any]) -> None:
        await there.open(pilot)
        await pilot.press("3")
        await until(pilot, lambda: "carol" in shown(pilot).splitlines()[1])

    await picture(there.at.app, "watch-tiles", SMALL, prepare)


# -- statements


async def test_outcomes_holds_and_what_came_too_fast(tmp_path: Path) -> None:
    from bastion.api import live

    there = Watched(tmp_path)
    async with there.at.app.run_test(size=SMALL) as pilot:
        await there.open(pilot)
        line = there.at.app.screen.query_one(TimeLine)
        assert [each.seq for each in line.statements] == [1, 2, 3]
        there.alice.sent(4, "select 1")
        there.alice.put(live.WatchEvent(kind="extended", seq=4, at="", text=", 2", binds=["x"]))
        there.alice.put(live.WatchEvent(kind="held", seq=4, at="", by="auditor"))
        await until(pilot, lambda: "held" in shown(pilot))
        assert "select 1, 2" in shown(pilot)
        assert "binds: 'x'" in shown(pilot)
        there.alice.put(live.WatchEvent(kind="released", seq=4, at="", by="auditor"))
        there.alice.done(4, "failed", error="division by zero", duration_ms=4.0)
        await until(pilot, lambda: "division by zero" in shown(pilot))
        there.alice.skipped = live.Skipped(events=500, first=5, last=200)
        there.alice.sent(201, "select 201")
        await until(pilot, lambda: "came too fast" in shown(pilot))
        assert "select 201" in shown(pilot)


async def test_paused_it_stands_still_and_catches_up(tmp_path: Path) -> None:
    there = Watched(tmp_path)
    async with there.at.app.run_test(size=SMALL) as pilot:
        await there.open(pilot)
        await pilot.press("space")
        await settled(pilot)
        there.alice.sent(4, "select 'while paused'")
        there.alice.sent(5, "select 'while paused too'")
        await until(pilot, lambda: "2 statements behind" in shown(pilot))
        assert "while paused" not in shown(pilot)
        await pilot.press("c")
        await settled(pilot)
        assert "while paused too" in shown(pilot)
        assert "LIVE" in shown(pilot)


async def test_the_result_of_a_statement_that_runs(tmp_path: Path) -> None:
    there = Watched(tmp_path)
    async with there.at.app.run_test(size=SMALL) as pilot:
        await there.open(pilot)
        await pilot.press("up", "enter")
        await until(pilot, lambda: isinstance(there.at.app.screen, ReplayScreen) and "100001" in shown(pilot))
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(there.at.app.screen, WatchScreen)
        await pilot.press("escape")
        await settled(pilot)
        assert not isinstance(there.at.app.screen, WatchScreen)
        await until(pilot, lambda: [each.watch for each in there.at.link.asked("session.unwatch")] == ["w1"])


async def test_a_session_that_is_not_there_is_told(tmp_path: Path) -> None:
    there = Watched(tmp_path, **{"session.watch": Refused("session-not-live", session="s-0192f3"), "screen.of": None})
    async with there.at.app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        open_watch(there.at.app, ["s-0192f3"])
        await until(pilot, lambda: str(Refused("session-not-live", session="s-0192f3"))[:30] in shown(pilot))
        await pilot.press("v")
        await settled(pilot)
        assert not there.at.app.screen.query_one(Tile).shows_screen


# -- the screen


async def test_what_is_drawn_is_seen_and_the_view_goes_there(tmp_path: Path) -> None:
    there = Watched(tmp_path)
    async with there.at.app.run_test(size=SMALL) as pilot:
        await there.on_screen(pilot)
        assert "上海贸易有限公司" in shown(pilot)
        there.screen.put((1.0, "o", recorded.at(38, 100, "far away")))
        await until(pilot, lambda: "far away" in shown(pilot))
        assert "● LIVE" in shown(pilot)
        await pilot.press("h", "h", "h", "k", "k", "k", "k")
        await settled(pilot)
        there.screen.put((1.0, "o", recorded.at(39, 100, "unseen")), (0.1, "o", recorded.at(4, 2, "in view")))
        await until(pilot, lambda: "in view" in shown(pilot))
        assert "unseen" not in shown(pilot)


async def test_pause_rewind_before_the_watch_and_catch_up(tmp_path: Path) -> None:
    there = Watched(tmp_path)
    async with there.at.app.run_test(size=SMALL) as pilot:
        pane = await there.on_screen(pilot)
        there.screen.put((5.0, "o", recorded.at(4, 2, "five later")))
        await until(pilot, lambda: "five later" in shown(pilot))
        await pilot.press("left")
        await settled(pilot)
        assert "PAUSED · 5.0 s behind" in shown(pilot)
        assert "five later" not in shown(pilot)
        await pilot.press("home")
        await until(pilot, lambda: "what was before" in shown(pilot))
        assert "select id, customer" not in shown(pilot)
        there.screen.put((60.0, "o", recorded.at(4, 2, "much later!")))
        await until(pilot, lambda: "1 min 30 s behind" in shown(pilot))
        await pilot.press("c")
        await until(pilot, lambda: "much later!" in shown(pilot))
        assert "● LIVE" in shown(pilot)
        assert pane.feed is not None
        assert [each.after for each in there.screen.asked].count(None) == 1


async def test_a_screen_that_is_not_recorded_cannot_be_rewound_further(tmp_path: Path) -> None:
    there = Watched(tmp_path)

    async def not_kept(wanted: Any) -> Any:
        piece = await there.screen(wanted)
        piece.kept = False
        return piece

    async with there.at.app.run_test(size=SMALL, notifications=True) as pilot:
        await settled(pilot)
        there.at.link.answers["screen.follow"] = not_kept
        await there.on_screen(pilot)
        await pilot.press("home")
        await until(pilot, lambda: "this screen is not recorded" in told(pilot))


async def test_its_end_is_told_and_it_can_be_gone_about_in(tmp_path: Path) -> None:
    there = Watched(tmp_path)
    async with there.at.app.run_test(size=SMALL) as pilot:
        await there.on_screen(pilot)
        there.screen.put((5.0, "o", recorded.at(4, 2, "the last words")))
        there.screen.end()
        await until(pilot, lambda: "ENDED" in shown(pilot))
        assert "the last words" in shown(pilot)
        await pilot.press("left", "left")
        await settled(pilot)
        assert "the last words" not in shown(pilot)


async def test_tiles_are_chosen_and_zoomed_by_keys(tmp_path: Path) -> None:
    there = Watched(tmp_path, "s-1", "s-2", "s-3")
    async with there.at.app.run_test(size=LARGE) as pilot:
        await there.open(pilot)
        await until(pilot, lambda: shown(pilot).count("● LIVE") == 3)
        await pilot.press("f6", "z")
        await settled(pilot)
        assert shown(pilot).count("● LIVE") == 1
        assert "bob" in shown(pilot).splitlines()[1]
        there.statements["s-1"].sent(4, "select 'for alice'")
        there.statements["s-2"].sent(4, "select 'for bob'")
        await until(pilot, lambda: "for bob" in shown(pilot))
        assert "for alice" not in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "for alice" in shown(pilot))
        await pilot.press("3", "space")
        await settled(pilot)
        assert shown(pilot).count("PAUSED") == 1


async def test_a_workstation_without_a_session_is_watched_as_its_screen(tmp_path: Path) -> None:
    there = Watched(tmp_path, "screen-0f")
    async with there.at.app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        open_watch(there.at.app, ["screen-0f"])
        await until(pilot, lambda: "120×40" in shown(pilot))
        assert there.at.link.asked("session.watch") == []


async def test_what_is_watched_is_held_and_ended_for_a_reason(tmp_path: Path) -> None:
    there = Watched(tmp_path, **{"session.hold": None})
    async with there.at.app.run_test(size=SMALL, notifications=True) as pilot:
        await there.open(pilot)
        await pilot.press("H")
        await settled(pilot)
        await pilot.press(*"looks odd", "enter")
        await until(pilot, lambda: "The next statement of alice waits." in told(pilot))
        assert [each.reason for each in there.at.link.asked("session.hold")] == ["looks odd"]
        await pilot.press("x")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert there.at.link.asked("session.end") == []  # not without a reason
        await pilot.press(*"case 17", "enter")
        await until(pilot, lambda: "The session is ended." in told(pilot))
        assert [each.reason for each in there.at.link.asked("session.end")] == ["case 17"]
