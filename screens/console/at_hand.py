"""What the console is connected to."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from backends.connection import EngineNotSupported
from backends.interface import DatabaseError
from backends.link import LinkError
from bastion.api import messages as m
from bastion.api.refusals import Refused

from ..workstation import Console

CONNECTION_ERRORS = (Refused, LinkError, DatabaseError, EngineNotSupported)
"""What a call on a `Console` may raise."""


class ConnectionEnded(Message):
    """The database or the bastion has ended the connection. `committing`: while a commit was on its way."""

    def __init__(self, *, committing: bool = False) -> None:
        super().__init__()
        self.committing = committing


@dataclass
class AtHand:
    """One console has one of these, and every part of it reads it; `Connecting` alone changes it.

    database   the connection; None when there is none
    token      what it was opened with; stays after the connection is lost
    catalog    the database name that is open there
    """

    database: Console | None = None
    token: m.Token | None = None
    catalog: str = ""
    connecting: bool = False

    @property
    def engine(self) -> str:
        """Of the database at hand; '' without one."""
        return self.database.engine if self.database is not None else ""


def ends_connection(error: BaseException) -> bool:
    """Whether nothing more can run on the connection that raised it."""
    return isinstance(error, DatabaseError) and error.connection_lost
