"""The projection in a process of its own (`projector`), as its parent sees it.

Then the store's work does not take the interpreter from the data path: an append costs an attribute's look. No
record is held here for it; the process reads them from the journal's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from time import monotonic

import msgspec

from bastion.store.store import Store

from .durability import resolve, waiting
from .journal import Journal, NotStored
from .projection import LINGER, PATIENCE, RETRY, StoreBehind, cursor_of
from .projector import Parameters
from .records import AnyRecord

STOP_LIMIT = 10.0
"""Seconds that the process has to ship what is there at the end."""

UNREAD_BYTES = 4096
"""Bytes of announcements that may wait for a process that does not read them."""

KEPT_ENVIRONMENT = ("HOME", "LANG", "LC_", "PATH", "PG", "PYTHON", "SSL_", "TMPDIR", "TZ", "COVERAGE_")
"""Beginnings of the names that the process gets of the environment: what Python and libpq look at."""

_PROGRAM = "bastion.audit.projector"
_log = logging.getLogger(__name__)


class ProjectionApart:
    """Starts the process, tells it what is written, and passes on how far it is. All methods on the event loop."""

    def __init__(self, journal: Journal, store: Store, *, linger: float = LINGER, patience: float = PATIENCE) -> None:
        self._journal = journal
        self._store = store
        self._somebody_always_waits = journal.durability == "stored"
        self._linger = linger
        self._patience = patience
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._shipped = 0
        self._announced = 0
        self._announcing = False
        self._failing_since: float | None = None
        self._reason = ""
        self._check: asyncio.TimerHandle | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._took_something = False
        self._stopping = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    @property
    def shipped(self) -> int:
        """The number of the last record that is known to be in the store."""
        return self._shipped

    @property
    def failing(self) -> bool:
        """Whether the store refused the last batch, or there is no process to take one."""
        return self._failing_since is not None

    @property
    def process(self) -> int | None:
        """The process's number, while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Reads the cursor and starts the process. Raises what the store raises."""
        self._loop = asyncio.get_running_loop()
        self._shipped = await self._store.read(lambda connection: cursor_of(connection, self._journal.node))
        self._journal.on_written = self._written
        self._tending = asyncio.create_task(self._tend(), name="journal-projection")

    def settled(self) -> asyncio.Future[None]:
        """Done when everything that is in the journal now is in the store; StoreBehind when the store takes nothing."""
        waiter = waiting()
        self._journal.flush()
        number = self._journal.number
        if number <= self._shipped:
            waiter.set_result(None)
        else:
            self._waiters.append((number, waiter))
            self._announce("hurry")
        return waiter

    async def stop(self) -> None:
        """Ships what is there, with one try in STOP_LIMIT, and ends the process. The next start does the rest."""
        self._stopping.set()
        self._journal.on_written = None
        self._announce("stop")
        if self._tending is not None:
            try:
                await asyncio.wait_for(self._tending, STOP_LIMIT)
            except TimeoutError:
                _log.warning("the store has not taken all of the journal's records in time; the next start ships them")
        if self._check is not None:
            self._check.cancel()
        if self._waiters:
            self._give_up()

    # ---------------------------------------------------------------------------------------------- from the data path

    def _written(self, _first: int, _records: tuple[AnyRecord, ...], _size: int) -> None:
        if not self._announcing:
            self._announcing = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the records are shipped at the next start
                self._loop.call_soon_threadsafe(self._announce_new)

    # --------------------------------------------------------------------------------------------------- announcements

    def _announce_new(self) -> None:
        """Says at once what is new after a silence, and then at intervals."""
        if self._stopping.is_set():
            return
        if self._somebody_always_waits:
            self._announcing = False
            self._announce("hurry")
            return
        if self._journal.number == self._announced:
            self._announcing = False
            # Only now is an append noticed again; one may have come just before that from another thread.
            if self._journal.number == self._announced:
                return
            self._announcing = True
        self._announce("new")
        self._loop.call_later(self._linger, self._announce_new)

    def _announce(self, word: str) -> None:
        """Where there is no process, or one that does not read, it is said when there is one again."""
        if self._writer is None or self._writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            return
        self._announced = self._journal.number
        self._writer.write(f"{self._announced} {word}\n".encode())

    # ----------------------------------------------------------------------------------------------------- the process

    async def _tend(self) -> None:
        """Keeps a process running until the end."""
        pause = RETRY[0]
        while not self._stopping.is_set():
            self._took_something = False
            try:
                ended = await self._run()
            except OSError as error:
                ended = f"cannot be started: {error.strerror or error}"
            if self._stopping.is_set():
                return
            if self._took_something:
                pause = RETRY[0]
            self._failed(f"the process that brings them there {ended}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, RETRY[1])

    async def _run(self) -> str:
        """Starts one and listens to it until it ends; how it ended. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            # The loop's own thread starts it: the kernel ends the process with the thread that did.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", _PROGRAM,
                stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
                env={name: value for name, value in os.environ.items() if name.startswith(KEPT_ENVIRONMENT)},
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        process = self._process
        try:
            reader, self._writer = await asyncio.open_unix_connection(sock=ours)
            self._writer.write(msgspec.json.encode(self._parameters()) + b"\n")
            self._announce("stop" if self._stopping.is_set() else "hurry" if self._waiters else "new")
            with contextlib.suppress(ConnectionError):
                while line := await reader.readline():
                    self._heard(line.decode())
        finally:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
            self._process = None
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"

    def _parameters(self) -> Parameters:
        url = self._store.engine.url.render_as_string(hide_password=False)
        return Parameters(url=url, folder=str(self._journal.folder), node=self._journal.node, parent=os.getpid())

    def _heard(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "failing":
            self._failed(json.loads(rest))
            return
        self._shipped = int(rest)
        if word == "stored":
            self._took_something = True
        # That a new process could read the store does not say that it can write.
        if self._failing_since is not None and (word == "stored" or self._shipped >= self._journal.number):
            _log.warning("the store takes the journal's records again")
            self._failing_since = None
        self._journal.stored(self._shipped)
        done = [waiter for number, waiter in self._waiters if number <= self._shipped]
        self._waiters = [one for one in self._waiters if one[0] > self._shipped]
        for waiter in done:
            resolve(waiter)
        if (self._waiters or self._somebody_always_waits) and self._journal.number > self._announced:
            self._announce("hurry")

    # ---------------------------------------------------------------------------------------------------- when it fails

    def _failed(self, reason: str) -> None:
        self._reason = reason
        if self._failing_since is None:
            self._failing_since = monotonic()
            _log.error("the store does not take the journal's records, trying on: %s", reason)
            self._look_again()
        if monotonic() - self._failing_since >= self._patience or self._stopping.is_set():
            self._give_up()

    def _look_again(self) -> None:
        """Those who wait are told in time, whatever the process does."""
        if self._check is not None:
            self._check.cancel()
        self._check = self._loop.call_later(max(self._patience, 1.0), self._still_failing)

    def _still_failing(self) -> None:
        if self._failing_since is not None:
            if monotonic() - self._failing_since >= self._patience:
                self._give_up()
            self._look_again()

    def _give_up(self) -> None:
        self._journal.not_stored(
            NotStored("The record is in the journal, but the store has not taken it. Check the store.")
        )
        waiters, self._waiters = self._waiters, []
        for _, waiter in waiters:
            resolve(
                waiter,
                StoreBehind(
                    f"The store lacks the records after {self._shipped} of {self._journal.number}: "
                    f"{self._reason or 'it did not take them in time'}. Check the store; the journal has them all."
                ),
            )
