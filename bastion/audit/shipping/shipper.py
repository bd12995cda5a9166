"""Brings the journal to one destination, from where it stopped on, for as long as it takes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path

import msgspec

from bastion.audit.segments import JournalUnreadable
from bastion.destinations import Destination

from .events import Event
from .follower import Follower
from .senders import Sender, sender_for

RUN = 500
"""Records that are sent together at most."""

LOOK_AGAIN = 0.25
"""Seconds between two looks for new records."""

PAUSES = (1.0, 60.0)
"""Seconds between tries while a destination fails: the first pause, and the longest."""

_log = logging.getLogger(__name__)


class Shipper:
    """One destination. The cursor, a file beside the others', moves after the other side has taken a run."""

    def __init__(
        self, destination: Destination, journal: Path, node: str, cursors: Path, pauses: tuple[float, float] = PAUSES
    ) -> None:
        self.destination = destination
        self._journal = journal
        self._node = node
        self._cursor_file = cursors / f"{destination.name}.cursor"
        self._pauses = pauses
        self._stopping = threading.Event()
        self._failing = False

    @property
    def cursor(self) -> int:
        """The number of the last record that the destination has, as far as it is kept."""
        try:
            return int(self._cursor_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def run(self) -> None:
        """Until `stop`."""
        sender = sender_for(self.destination)
        pause = self._pauses[0]
        follower = Follower(self._journal, self.cursor)
        while not self._stopping.is_set():
            try:
                went_on = self._ship(follower, sender)
            except (OSError, JournalUnreadable, msgspec.DecodeError) as error:
                self._say(error)
                sender.close()
                follower.close()
                self._stopping.wait(pause)
                pause = min(pause * 2, self._pauses[1])
                follower = Follower(self._journal, self.cursor)
                continue
            pause = self._pauses[0]
            if not went_on:
                self._stopping.wait(LOOK_AGAIN)
        with contextlib.suppress(OSError, JournalUnreadable, msgspec.DecodeError):
            while self._ship(follower, sender):
                pass
        sender.close()
        follower.close()

    def stop(self) -> None:
        """Sends what is there, with one try, and ends."""
        self._stopping.set()

    def _ship(self, follower: Follower, sender: Sender) -> bool:
        lines = follower.lines(RUN)
        if not lines:
            return False
        sender.send([Event.of(self._node, line) for line in lines])
        self._keep(lines[-1].number)
        if self._failing:
            self._failing = False
            _log.warning("%s takes the record again", self.destination.name)
        return True

    def _say(self, error: Exception) -> None:
        if not self._failing:
            _log.error("%s does not take the record, trying on: %s", self.destination.name, _brief(error))
        self._failing = True

    def _keep(self, number: int) -> None:
        beside = self._cursor_file.with_suffix(".new")
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, b"%d" % number)
            os.fsync(file)
        finally:
            os.close(file)
        beside.replace(self._cursor_file)


def _brief(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
    return str(error) or type(error).__name__
