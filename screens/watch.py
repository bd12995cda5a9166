"""Live sessions, watched: one, or several in tiles."""

from __future__ import annotations

from collections.abc import Sequence

from .workstation import Page, Workstation

MOST_TILES = 4


class WatchScreen(Page):
    """A tile a session: the statements as they happen, or the screen of a served workstation."""

    def __init__(self, sessions: Sequence[str]) -> None:
        super().__init__()
        self.sessions = list(sessions)[:MOST_TILES]


def open_watch(workstation: Workstation, sessions: Sequence[str]) -> None:
    """Shows the watch over the page in view, up to MOST_TILES sessions by their ids; Esc leads back to it."""
    workstation.push_screen(WatchScreen(sessions))
