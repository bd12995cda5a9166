"""The results pane by itself on a page, with rows of a test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.pilot import Pilot

from backends import arrow
from backends.connection import ResultBegan, ResultEnded
from backends.interface import Column, Row
from backends.row_store import ResultSpace, RowStore
from backends.spill import SpillFolder
from screens.widgets.frame import KeyLine
from screens.widgets.results import Results
from screens.workstation import Page

from .conftest import settled
from .world import COLUMNS, ROWS, world


class ResultsPage(Page):
    """Results, and the line of keys."""

    def compose(self) -> ComposeResult:
        yield Results(id="results")
        yield KeyLine()


async def idle(pilot: Pilot[Any]) -> None:
    """Until the workers of the table are done; a dialog that waits for its answer is not waited for."""
    await settled(pilot)
    arranging = [worker for worker in pilot.app.workers if worker.group.startswith("arrange")]
    if arranging:
        await pilot.app.workers.wait_for_complete(arranging)
    await settled(pilot)


class Stage:
    """What a test sees and does."""

    def __init__(self, pilot: Pilot[Any], results: Results, folder: Path) -> None:
        self.pilot, self.results = pilot, results
        self.space = ResultSpace(SpillFolder(folder))
        self.copied: list[tuple[str, str]] = []
        self.told: list[str] = []

    @property
    def text(self) -> str:
        """The screen as text, dialogs too."""
        strips = self.pilot.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    async def press(self, *keys: str) -> None:
        """Keys, one after the other, each handled before the next."""
        for key in keys:
            await self.pilot.press(key)
            await idle(self.pilot)

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


@asynccontextmanager
async def stage(folder: Path, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Stage]:
    """The pane on the screen, without any rows."""
    app: Any = world(folder, signed_in=False).app
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        page = ResultsPage()
        await app.push_screen(page)
        await settled(pilot)
        made = Stage(pilot, page.query_one(Results), folder)
        app.copy = lambda text, what: made.copied.append((text, what))
        app.told = lambda message, bad=False: made.told.append(message)
        yield made
    made.space.close()
