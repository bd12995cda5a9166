"""The results pane by itself on a page, with rows of a test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.pilot import Pilot

from backends import arrow
from backends.connection import ResultBegan, ResultEnded
from backends.interface import Column, Row
from backends.link import Target
from backends.row_store import ResultSpace, RowStore
from backends.spill import SpillFolder
from screens.widgets.frame import KeyLine
from screens.widgets.results import Results
from screens.workstation import Page

from .conftest import settled
from .world import COLUMNS, ROWS, ScriptedLink, world


class ResultsPage(Page):
    """Results, and the line of keys."""

    def compose(self) -> ComposeResult:
        yield Results(id="results")
        yield KeyLine()


async def idle(pilot: Pilot[Any], *, held: int = 0) -> None:
    """Until every message is handled, rows are arranged and charts read; what waits for a person is not waited for."""
    await settled(pilot, held=held)
    working = [w for w in pilot.app.workers if w.is_running and (w.group.startswith("arrange") or w.group == "chart")]
    if working:
        await pilot.app.workers.wait_for_complete(working)
        await settled(pilot, held=held)


class Stage:
    """What a test sees and does."""

    def __init__(self, pilot: Pilot[Any], results: Results, folder: Path) -> None:
        self.pilot, self.results = pilot, results
        self.space = ResultSpace(SpillFolder(folder))
        self.copied: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.held = 0
        """Threads that the test holds up, to see what is shown meanwhile."""

    @property
    def link(self) -> ScriptedLink:
        """The bastion."""
        app: Any = self.pilot.app
        link: ScriptedLink = app.link
        return link

    @property
    def text(self) -> str:
        """The screen as text, dialogs too."""
        strips = self.pilot.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    async def press(self, *keys: str) -> None:
        """Keys, one after the other; runs of single characters are typed, other keys are handled before the next."""
        for typed, group in groupby(keys, lambda key: len(key) == 1):
            for some in [list(group)] if typed else [[key] for key in group]:
                await self.pilot.press(*some)
                await idle(self.pilot, held=self.held)

    async def show(
        self,
        columns: Sequence[Column] = COLUMNS,
        rows: Sequence[Row] = ROWS,
        *,
        statement: str = "select * from orders",
        engine: str = "postgresql",
        took: float = 0.0123,
        ended: bool = True,
        truncated: bool = False,
    ) -> RowStore:
        """A result set arrives."""
        store = RowStore(columns, self.space)
        await self.results.began(ResultBegan(tuple(columns), store, statement, engine))
        if rows:
            store.append(arrow.batch(columns, rows))
            self.results.arrived([None])
        if ended:
            self.results.ended(ResultEnded("", len(rows), len(rows), took, truncated=truncated))
        self.results.focus_inside()
        await idle(self.pilot)
        return store


async def place(pilot: Pilot[Any], folder: Path, answers: dict[str, Any] | None = None) -> Stage:
    """Puts the pane on the screen, without any rows. `answers`: the bastion's."""
    app: Any = pilot.app
    app.link = ScriptedLink(Target("alice", "bastion.example.com", 60022))
    app.link.answers |= answers or {}
    page = ResultsPage()
    await app.push_screen(page)
    await settled(pilot)
    made = Stage(pilot, page.query_one(Results), folder)
    app.copy = lambda text, what: made.copied.append((text, what))
    app.told = lambda message, bad=False: made.told.append(message)
    return made


@asynccontextmanager
async def stage(
    folder: Path, size: tuple[int, int] = (100, 30), answers: dict[str, Any] | None = None
) -> AsyncIterator[Stage]:
    """The pane on a screen of its own."""
    async with world(folder, signed_in=False).app.run_test(size=size) as pilot:
        await settled(pilot)
        made = await place(pilot, folder, answers)
        yield made
    made.space.close()
