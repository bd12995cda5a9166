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
from rich.cells import cell_len
from textual.app import App
from textual.notifications import Notification
from textual.pilot import Pilot

from bastion.api import language, moments

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


_at_work: set[object] = set()
"""What has been handed to threads and is not done yet."""


@pytest.fixture(autouse=True)
def threads_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the workstation hands to threads (`asyncio.to_thread`) is known to `settled`, which waits for it."""
    to_thread = asyncio.to_thread

    async def known(work: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        mark = object()
        _at_work.add(mark)
        try:
            return await to_thread(work, *args, **named)
        finally:
            _at_work.discard(mark)

    monkeypatch.setattr(asyncio, "to_thread", known)
    _at_work.clear()


PICTURE_LIMIT = 30.0
"""Seconds in which a screen comes to what its picture shows."""
THREADS_LIMIT = 3.0
"""Seconds that threads at work are waited for; a test may well hold one up to see what is shown meanwhile."""


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


async def settled(pilot: Pilot[Any]) -> None:
    """Until every message is handled, and those that these and the threads that they asked brought forth."""
    end = time.monotonic() + THREADS_LIMIT
    for _ in range(4):
        await pilot.pause()
        while _at_work and time.monotonic() < end:
            await pilot.pause(0.005)
