"""The recorded screen of a served workstation, played: to any moment, any statement, any text that was on it."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from backends.link import LinkError
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from bastion.api.screens import ScreenSessions

from .replay import moments_of
from .widgets.frame import KeyLine
from .widgets.screen_pane import Moment, ScreenPane
from .words import mark, sentence
from .workstation import Page

PAGE = 1000
MOST_STATEMENTS = 20_000
"""Statements of one screen that are marked in its time."""


class ScreenReplay(Page):
    """Gives the Moment whose statement is wanted, or None.

    at      seconds from the screen's beginning; None: the beginning
    find    words that are looked for on it
    reason  why values are to be seen, where it was given already
    """

    DEFAULT_CSS = """
    ScreenReplay { layout: vertical; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", mark("Back"))]

    def __init__(
        self,
        found: ScreenSessions,
        moments: list[Moment] | None = None,
        at: float | None = None,
        find: str = "",
        reason: str = "",
    ) -> None:
        super().__init__()
        self.found = found
        self._moments = moments or []
        self._at = at
        self._find = find
        self._reason = reason

    def title_words(self) -> str:
        return _("Screen")

    def compose(self) -> ComposeResult:
        yield ScreenPane()
        yield KeyLine()

    def on_mount(self) -> None:
        pane = self.query_one(ScreenPane)
        pane.focus()
        pane.put_moments(self._moments)
        pane.show(self.found.screen, live=False, at=self._at, reason=self._reason)
        if self._find:
            pane.look_for(self._find)
        self._mark_statements()

    @work(exclusive=True, group="statements")
    async def _mark_statements(self) -> None:
        """Those of all sessions of this workstation."""
        known = {moment.session for moment in self._moments}
        moments = list(self._moments)
        for session in self.found.sessions:
            if session in known:
                continue
            after: int | None = 0
            while after is not None and len(moments) < MOST_STATEMENTS:
                try:
                    page: m.StatementPage = await self.workstation.bastion.call(
                        methods.STATEMENTS, m.StatementFilter(session=session, limit=PAGE, after=after)
                    )
                except (Refused, LinkError) as error:
                    self.workstation.told(sentence(error), bad=True)
                    return
                moments += moments_of(self.found.screen, page.statements)
                after = page.cursor
        moments.sort(key=lambda moment: (moment.at, moment.session, moment.seq))
        self.query_one(ScreenPane).put_moments(moments)

    @on(ScreenPane.StatementWanted)
    def _statement_wanted(self, message: ScreenPane.StatementWanted) -> None:
        self.dismiss(message.moment)

    def action_leave(self) -> None:
        if not self.query_one(ScreenPane).leave_search():
            self.dismiss(None)
