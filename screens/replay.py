"""A past session, statement by statement: the time line beside what each returned, and the screen where there is one."""

from __future__ import annotations

from dataclasses import dataclass

from .workstation import Page, Workstation


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay, and where to begin.

    session  its id
    seq      the statement that the cursor is put on; None: by `at`
    at       a moment, RFC 3339; '' is the session's first statement
    find     words that are looked for in the statements, as a search that led here had them
    """

    session: str
    seq: int | None = None
    at: str = ""
    find: str = ""


class ReplayScreen(Page):
    """One session."""

    def __init__(self, request: ReplayRequest) -> None:
        super().__init__()
        self.request = request


def open_replay(workstation: Workstation, request: ReplayRequest) -> None:
    """Shows the replay over the page in view; Esc leads back to it."""
    workstation.push_screen(ReplayScreen(request))
