"""The live list at the keyboard: what it shows, what it asks, and what it calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bastion.api import language, live
from bastion.api.refusals import Refused
from screens.live import LiveScreen
from screens.live_acts import ActDialog
from screens.widgets.live_table import LiveTable

from .conftest import Compare, settled
from .live_stage import SESSIONS, Bastion, session
from .world import ATTACK, ScriptedLink, World, world

AUDITOR = ("auditor",)
SIZES = [(80, 24), (160, 48)]
both_sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])


class Desk:
    """An auditor at the live list."""

    def __init__(self, pilot: Pilot[Any], scripted: World, bastion: Bastion) -> None:
        self.pilot, self.scripted, self.bastion = pilot, scripted, bastion

    @property
    def page(self) -> LiveScreen:
        found = self.pilot.app.screen_stack[0]
        assert isinstance(found, LiveScreen)
        return found

    @property
    def link(self) -> ScriptedLink:
        return self.scripted.link

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await settled(self.pilot)

    async def type(self, text: str) -> None:
        for character in text:
            await self.pilot.press("space" if character == " " else character)
        await settled(self.pilot)

    def lines(self) -> list[str]:
        """What the list shows, heading first."""
        table = self.pilot.app.screen_stack[0].query_one(LiveTable)
        return [table.render_line(y).text.rstrip() for y in range(table.size.height)]

    def users(self) -> list[str]:
        """The people of the lines, in order."""
        table = self.page.query_one(LiveTable)
        return [session.user for session in table._sessions]

    async def taken(self) -> None:
        """The answer that was told of is taken in."""
        self.page._follow()
        await settled(self.pilot)


@pytest.fixture
def sat_down(tmp_path: Path) -> Callable[..., Any]:
    def make(bastion: Bastion | None = None, roles: tuple[str, ...] = AUDITOR, **answers: Any) -> tuple[World, Bastion]:
        stage = bastion or Bastion([*SESSIONS])
        return world(tmp_path, roles=roles, answers=stage.answers() | answers), stage

    return make


async def at_the_list(
    made: tuple[World, Bastion], work: Callable[[Desk], Awaitable[None]], size: tuple[int, int] = (120, 30)
) -> None:
    scripted, bastion = made
    async with scripted.app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        await work(Desk(pilot, scripted, bastion))


async def test_the_riskiest_comes_first_and_other_orders_are_a_key_away(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        assert desk.users() == ["bob", "dan", "上官婉儿", "carol", "eve"]
        assert "!75" in desk.lines()[1]
        await desk.press("s")
        assert desk.users() == ["bob", "dan", "上官婉儿", "carol", "eve"], "the statement that runs longest"
        await desk.press("s")
        assert desk.users()[0] == "carol", "the oldest transaction"
        await desk.press("s")
        assert desk.users()[0] == "上官婉儿", "most rows a second"

    await at_the_list(sat_down(), work)


async def test_typing_filters_and_escape_shows_all_again(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("slash")
        await desk.type("orders !held")
        assert desk.users() == ["上官婉儿", "eve"]
        await desk.press("enter", "s")
        assert desk.users() == ["上官婉儿", "eve"], "the filter stays while one works"
        await desk.press("slash")
        await desk.type(" nothing like it")
        assert desk.users() == []
        await desk.press("escape")
        assert len(desk.users()) == 5

    await at_the_list(sat_down(), work)


async def test_it_follows_what_happens_and_the_cursor_stays_on_its_session(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("down", "down", "down")
        chosen = desk.page.query_one(LiveTable).chosen
        assert chosen is not None
        assert chosen.user == "carol"
        desk.bastion.tell(
            sessions=[session("s09", "frank", live.Figures(risk=90, state="running", seq=1, running="drop table t"))],
            changed={"s05": live.Figures(statements=9, risk=80)},
            closed=[live.ClosedSession(id="s01", reason="client")],
        )
        await desk.taken()
        assert desk.users() == ["frank", "eve", "dan", "上官婉儿", "carol"]
        chosen = desk.page.query_one(LiveTable).chosen
        assert chosen is not None
        assert chosen.user == "carol"
        assert [request.view for request in desk.link.asked("sessions.live")][:2] == ["", "v1"]

    await at_the_list(sat_down(), work)


async def test_standing_still_takes_nothing_in_until_it_goes_on(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("p")
        desk.bastion.tell(closed=[live.ClosedSession(id="s01", reason="client")])
        await desk.taken()
        assert "bob" in desk.users()
        await desk.press("p")
        assert "bob" not in desk.users()

    await at_the_list(sat_down(), work)


async def fill(desk: Desk, *fields: str) -> None:
    """Types into a dialog's fields, in order, and agrees."""
    assert isinstance(desk.pilot.app.screen, ActDialog)
    for number, text in enumerate(fields):
        if number:
            await desk.press("down")
        await desk.press("ctrl+e", "ctrl+u")
        await desk.type(text)
    await desk.press("enter")


async def test_every_act_wants_a_reason_and_calls_with_it(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("x", "enter")
        assert isinstance(desk.pilot.app.screen, ActDialog), "without a reason nothing is done"
        assert desk.link.asked("session.end") == []
        await fill(desk, "no deletes today")
        [end] = desk.link.asked("session.end")
        assert (end.id, end.reason) == ("s01", "no deletes today")

        await desk.press("M")
        await fill(desk, "is this planned?", "a question")
        [message] = desk.link.asked("session.message")
        assert (message.id, message.text, message.reason) == ("s01", "is this planned?", "a question")

        await desk.press("L")
        await fill(desk, "2h", "an inquiry")
        [lock] = desk.link.asked("user.lock")
        assert (lock.user, lock.seconds, lock.reason) == ("bob", 7200, "an inquiry")

        await desk.press("H")
        await fill(desk, "90", "looks odd")
        [hold] = desk.link.asked("session.hold")
        assert (hold.id, hold.seconds, hold.reason) == ("s01", 90, "looks odd")

        await desk.press("H", "escape")
        assert len(desk.link.asked("session.hold")) == 1

    await at_the_list(sat_down(), work)


async def test_what_is_held_is_let_go_refused_or_followed_by_the_next(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("down")
        for key, said in (("H", "fine"), ("R", "not today"), ("A", "one by one")):
            await desk.press(key)
            await fill(desk, said)
        asked = [(each.id, each.refuse, each.again, each.reason) for each in desk.link.asked("session.release")]
        assert asked == [
            ("s04", False, False, "fine"), ("s04", True, False, "not today"), ("s04", False, True, "one by one"),
        ]  # fmt: skip

    await at_the_list(sat_down(), work)


async def test_a_locked_person_is_unlocked_from_a_list(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("u", "enter")
        await fill(desk, "it is over")
        [unlock] = desk.link.asked("user.unlock")
        assert (unlock.user, unlock.reason) == ("bob", "it is over")

    await at_the_list(sat_down(), work)


async def test_a_no_is_told_and_nothing_is_pretended(sat_down: Callable[..., Any]) -> None:
    async def work(desk: Desk) -> None:
        await desk.press("H")
        await fill(desk, "60", "looks odd")
        assert any("holds the next statement" in n.message for n in desk.pilot.app._notifications)

    await at_the_list(sat_down(**{"session.hold": Refused("already-held", by="dora")}), work)


async def test_administrators_look_on_and_operators_have_no_such_page(sat_down: Callable[..., Any]) -> None:
    async def look(desk: Desk) -> None:
        assert len(desk.users()) == 5
        await desk.press("H", "M", "L", "w")
        assert len(desk.pilot.app.screen_stack) == 1

    await at_the_list(sat_down(roles=("administrator",)), look)
    scripted, _ = sat_down(roles=("operator",))
    async with scripted.app.run_test() as pilot:
        await settled(pilot)
        await pilot.press("ctrl+g", "4")
        await settled(pilot)
        assert not isinstance(pilot.app.screen, LiveScreen)


async def test_nothing_that_a_client_says_of_itself_reaches_the_terminal(sat_down: Callable[..., Any]) -> None:
    nasty = session(
        "s1", "bob", live.Figures(state="running", seq=1, running=ATTACK, kind="select"), client=ATTACK, source=ATTACK
    )

    async def work(desk: Desk) -> None:
        shown = desk.pilot.app.export_screenshot()
        assert "\x1b" not in shown
        assert "\x9b" not in shown
        assert "[bold" in "".join(desk.lines())

    await at_the_list(sat_down(Bastion([nasty])), work, (160, 48))


async def test_a_thousand_sessions_are_shown_sorted_and_filtered(sat_down: Callable[..., Any]) -> None:
    many = [
        session(f"s{n:04}", f"user{n:04}", live.Figures(risk=n % 101, statements=n), database=f"db{n % 7}")
        for n in range(1000)
    ]

    async def work(desk: Desk) -> None:
        assert len(desk.users()) == 1000
        assert desk.users()[0] == "user0100"
        await desk.press("end")
        chosen = desk.page.query_one(LiveTable).chosen
        assert chosen is not None
        assert chosen.figures.risk == 0
        await desk.press("slash")
        await desk.type("user0999")
        assert desk.users() == ["user0999"]

    await at_the_list(sat_down(Bastion(many)), work, (80, 24))


async def test_an_auditors_words_are_shown_to_the_person_wherever_they_are(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        assert "notices" in scripted.link.topics
        notice = live.Notice(
            at="2026-11-22T03:04:05Z", by="carol", session="s1", database="orders", text=f"stop, please{ATTACK}"
        )
        import msgspec

        from bastion.api import messages as m

        event = m.Event(topic="notices", kind="message", data=msgspec.to_builtins(notice))
        for listener in scripted.link.listeners:
            listener(event)
        await settled(pilot)
        [shown] = list(pilot.app._notifications)
        assert shown.message.startswith("The auditor carol, about your session on orders: stop, please")
        assert "\x1b" not in shown.message


# ------------------------------------------------------------------------------------------------------- the pictures


async def show(pilot: Pilot[Any]) -> None:
    await pilot.press("4")
    await settled(pilot)


@both_sizes
async def test_the_list(picture: Compare, sat_down: Callable[..., Any], size: tuple[int, int]) -> None:
    await picture(sat_down()[0].app, "live", size, show)


async def test_the_list_with_nobody_at_work(picture: Compare, sat_down: Callable[..., Any]) -> None:
    await picture(sat_down(Bastion([]))[0].app, "live-empty", SIZES[0], show)


async def test_the_list_filtered(picture: Compare, sat_down: Callable[..., Any]) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await show(pilot)
        await pilot.press("slash", *"billing")

    await picture(sat_down()[0].app, "live-filtered", SIZES[0], prepare)


async def test_a_held_statement(picture: Compare, sat_down: Callable[..., Any]) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await show(pilot)
        await pilot.press("down")

    await picture(sat_down()[0].app, "live-held", SIZES[0], prepare)


async def test_the_question_before_an_act(picture: Compare, sat_down: Callable[..., Any]) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await show(pilot)
        await pilot.press("H")
        await settled(pilot)
        await pilot.press("down", "enter")

    await picture(sat_down()[0].app, "live-hold", SIZES[0], prepare)


async def test_the_list_in_chinese(picture: Compare, sat_down: Callable[..., Any]) -> None:
    language.use("zh_CN")
    language.everywhere("zh_CN")
    await picture(sat_down()[0].app, "live-zh", SIZES[0], show)
