"""The program that brings a journal into the store in a process of its own: `python -m bastion.audit.projector`.

`projection_apart` starts it, with a socket as its standard input. It holds no key: it reads the journal's files, no
further than it is told that they are written, and writes to the store. It ends when the socket does.

Lines that come in:
    {"url": …, "folder": …, …}             first, once (`Parameters`): here, since a URL may hold a password
    NUMBER new|hurry|stop                  the last record that is written; hurry: somebody waits; stop: ship it, end
Lines that go out:
    at NUMBER                              where the store is, once it has been asked
    stored NUMBER                          so far the store has it now
    failing "SENTENCE"                     a try failed; the sentence is without SQL and its parameters
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from bastion.store.store import Store

from .projection import RETRY, Projection, brief
from .records import AnyRecord

LONGEST_REASON = 1000
"""Characters of what the store said that are passed on."""

_PR_SET_PDEATHSIG = 1

NICENESS = 10
"""How much this process stands back for the data path where processors are short."""


class Parameters(msgspec.Struct, frozen=True):
    """What the program is told first. `parent` is the process that must live as long as this one."""

    url: str
    folder: str
    node: str
    parent: int

    def __repr__(self) -> str:
        return f"Parameters(folder={self.folder!r}, node={self.node!r})"


class Told:
    """The journal as this process knows it: its files, and what it is told of them."""

    durability = "written"

    def __init__(self, parameters: Parameters, say: Callable[[str], None]) -> None:
        self.folder = Path(parameters.folder)
        self.node = parameters.node
        self.on_written: Callable[[int, tuple[AnyRecord, ...], int], None] | None = None
        self.number = 0
        self.reason = ""
        self._say = say

    def flush(self) -> None:
        """What is not written is not known here."""

    def begins_at(self, number: int) -> None:
        """Says where the store is, before anything is shipped."""
        self._say(f"at {number}")

    def stored(self, number: int) -> None:
        """Passes it on."""
        self._say(f"stored {number}")

    def not_stored(self, _error: Exception) -> None:
        """Passes on why."""
        self._say(f"failing {json.dumps(self.reason[:LONGEST_REASON])}")


class _Projection(Projection):
    """The projection, which leaves it to the other process to say when something is amiss."""

    def __init__(self, told: Told, store: Store) -> None:
        # No lingering: what is to go together is announced together. No patience: the other process has it.
        super().__init__(told, store, linger=0.0, patience=0.0)
        self._told = told

    def begins_at(self, number: int) -> None:
        # Said behind the first batch it would take back what that has said.
        self._told.begins_at(number)

    def store_fails(self, reason: str) -> None:
        self._told.reason = reason

    def store_goes_on(self) -> None:
        self._told.stored(self.shipped)


class Projector:
    """Runs the projection as the other end of the socket says."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lines: BinaryIO = end.makefile("rb")
        self._stopping = threading.Event()

    def run(self) -> None:
        """Until it is told to stop. Does not return when the other end goes away."""
        parameters = msgspec.json.decode(self._lines.readline(), type=Parameters)
        end_with(parameters.parent)
        told = Told(parameters, self._say)
        store = Store.open(parameters.url)
        projection = _Projection(told, store)
        threading.Thread(target=self._listen, args=(told, projection), name="announcements", daemon=True).start()
        if self._start(told, projection):
            self._stopping.wait()
            projection.stop()

    def _start(self, told: Told, projection: _Projection) -> bool:
        """Whether the projection was started before it was to be stopped; one try is made in any case."""
        pause = RETRY[0]
        while True:
            try:
                projection.start()
            except Exception as error:  # noqa: BLE001 - whatever the store raises: the records stay in the journal
                told.reason = brief(error)
                told.not_stored(error)
                if self._stopping.wait(pause):
                    return False
                pause = min(pause * 2, RETRY[1])
            else:
                return True

    def _listen(self, told: Told, projection: _Projection) -> None:
        for line in self._lines:
            number, word = line.split()
            told.number = max(told.number, int(number))
            if word == b"stop":
                self._stopping.set()
            elif word == b"hurry":
                projection.hurry()
            else:
                projection.wake()
        # Nobody is there any more. What is under way is rolled back, and done again from the journal's files.
        os._exit(0)

    def _say(self, line: str) -> None:
        try:
            self._end.sendall(line.encode() + b"\n")
        except OSError:
            os._exit(0)


def end_with(parent: int) -> None:
    """The kernel ends this process with its parent, also where the end of the socket would not be noticed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(0)


def main() -> None:
    """Ends with 0, or with 1 and a sentence on standard error."""
    # A terminal and a service manager signal every process; when this one ends is for its parent to say.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    try:
        Projector(socket.socket(fileno=0)).run()
    except Exception as error:  # noqa: BLE001 - the boundary of a process: a sentence, not a traceback
        print(f"the journal's records cannot be brought into the store: {brief(error)}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
