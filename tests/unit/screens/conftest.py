"""Pictures of the screens, kept in snapshots/ at the top: the same everywhere, whatever the terminal of the tests."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import textual.app
import textual.pilot
from rich.cells import cell_len
from textual.app import App
from textual.notifications import Notification
from textual.pilot import Pilot

from bastion.api import language, moments
from screens import databases
from screens.console import stage
from screens.widgets import find

SNAPSHOTS = Path(__file__).parents[3] / "snapshots"

Prepare = Callable[[Pilot[Any]], Awaitable[None]]
Compare = Callable[..., Awaitable[None]]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """English, and no colours or multiplexer of the terminal that the tests happen to run in."""
    for name in ("TMUX", "NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    language.use("en")
    language.everywhere(None)
    yield
    language.use("en")
    language.everywhere(None)
    moments.everywhere(local=False)


@pytest.fixture(autouse=True)
def passing_messages_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told for a few seconds is there for as long as the test looks, however slow the machine is."""
    monkeypatch.setattr(Notification, "time_left", 3600.0)


class StandingClock:
    """What the screens take for the time that passes: it stands, however slow the machine is, until a test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time

    def goes_on(self, seconds: float) -> None:
        """So much later."""
        self.time += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    """The time by which the screens say how long something lasts, and give something up."""
    standing = StandingClock()
    for module in (stage, databases, find):
        monkeypatch.setattr(module, "monotonic", standing)
    return standing


_at_work: set[object] = set()
"""What has been handed to threads and is not done yet."""


@pytest.fixture(autouse=True)
def threads_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed to threads (`asyncio.to_thread`, workers) is known to `settled`, which waits for it."""
    run_in_executor = asyncio.BaseEventLoop.run_in_executor

    def known(loop: asyncio.BaseEventLoop, executor: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        done = run_in_executor(loop, executor, work, *args)
        _at_work.add(done)
        done.add_done_callback(_at_work.discard)
        return done

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", known)
    _at_work.clear()


@pytest.fixture(autouse=True)
def pauses_are_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for an application to be idle goes by its loop, not only by how busy the processor was."""
    for module in (textual.pilot, textual.app):
        seldom_busy = module.wait_for_idle

        async def idle(*times: float, seldom_busy: Callable[..., Awaitable[None]] = seldom_busy) -> None:
            await seldom_busy(*times)
            await nothing_is_due()

        monkeypatch.setattr(module, "wait_for_idle", idle)


QUIET_TURNS = 3
"""So often the loop goes round with nothing to do before it counts as idle."""
BUSY_LIMIT = 10.0
"""Seconds after which what never comes to rest is left alone: something that plays, draws or asks all the time."""


async def nothing_is_due() -> None:
    """Until nothing is left to do at once: the loop waits for a time, a thread or somebody."""
    loop: Any = asyncio.get_running_loop()
    end, quiet = time.monotonic() + BUSY_LIMIT, 0
    while quiet < QUIET_TURNS and time.monotonic() < end:
        await asyncio.sleep(0)
        quiet = 0 if loop._ready else quiet + 1


PICTURE_LIMIT = 30.0
"""Seconds in which a screen comes to what its picture shows."""
THREADS_LIMIT = 60.0
"""Seconds that threads at work are waited for; a disk may be slow. A test that holds one up says so: `held`."""


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Compare:
    """Runs an application, prepares it and compares what it shows with the kept picture.

    `pytest --snapshot-update` keeps what is shown now; look at it before committing it.
    """

    async def compare(
        app: App[Any], name: str, size: tuple[int, int], prepare: Prepare | None = None, press: Iterable[str] = ()
    ) -> None:
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            for key in press:
                await pilot.press(key)
                await settled(pilot)
            if prepare is not None:
                await prepare(pilot)
            await settled(pilot)
            kept = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.svg"
            expected = kept.read_text(encoding="utf-8") if kept.exists() else ""
            shown = _shown(app)
            # What threads have found out may still be on its way to the screen.
            end = time.monotonic() + PICTURE_LIMIT
            while shown != expected and time.monotonic() < end:
                await pilot.pause(0.05)
                shown = _shown(app)
        if request.config.getoption("--snapshot-update"):
            kept.write_text(shown, encoding="utf-8")
            return
        if shown != expected:
            now = tmp_path / kept.name
            now.write_text(shown, encoding="utf-8")
            pytest.fail(f"The screen differs from {kept}; it is now {now}. Where it is right: --snapshot-update.")

    return compare


def _shown(app: App[Any]) -> str:
    return _with_wide_characters(_without_random_ids(app.export_screenshot(title="casemate", simplify=True)))


def _without_random_ids(svg: str) -> str:
    return re.sub(r"\bterminal-\d+-([\w-]+)", r"terminal-\1", svg)


def _with_wide_characters(svg: str) -> str:
    """The export gives every text as many cells as it has characters; wide ones have two."""

    def widened(match: re.Match[str]) -> str:
        text = html.unescape(match[4])
        if text.isascii() or (cells := cell_len(text)) == len(text):
            return match[0]
        return f'{match[1]}textLength="{float(match[2]) * cells / len(text):g}"{match[3]}>{match[4]}</text>'

    return re.sub(r'(<text [^>]*?)textLength="([\d.]+)"([^>]*)>([^<]*)</text>', widened, svg)


async def settled(pilot: Pilot[Any], *, held: int = 0) -> None:
    """Until every message is handled, and those that these and the threads that they asked brought forth.

    `held`: so many threads are held up by the test, to see what is shown meanwhile.
    """
    end, turns = time.monotonic() + THREADS_LIMIT, 4
    while turns:
        await pilot.pause()
        turns -= 1
        while len(_at_work) > held:
            assert time.monotonic() < end, "threads are at work that this test does not say it holds up"
            await pilot.pause(0.005)
            turns = max(turns, 2)
