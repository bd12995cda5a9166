"""Group commit: appends that must survive power loss wait for one fdatasync together, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path


def resolve(waiter: asyncio.Future[None], error: Exception | None = None) -> None:
    """Ends a wait, from any thread. A waiter that has given up, or whose loop is gone, is passed over."""

    def end() -> None:
        if waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        waiter.get_loop().call_soon_threadsafe(end)


def waiting() -> asyncio.Future[None]:
    """A wait on the running loop. Its error counts as seen: whoever appends an outcome need not look at it."""
    waiter = asyncio.get_running_loop().create_future()
    waiter.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
    return waiter


def sync_folder(folder: Path) -> None:
    """Makes the names of new files durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class GroupCommit:
    """Syncs a file whenever somebody waits for it; while it syncs, the next group gathers.

    `failed` is told, in the thread, when the disk refuses; every waiter of then gets the error.
    """

    def __init__(self, folder: Path, failed: Callable[[OSError], Exception]) -> None:
        self._folder = folder
        self._failed = failed
        self._condition = threading.Condition()
        self._waiters: list[asyncio.Future[None]] = []
        self._descriptor = -1
        self._retired: list[int] = []
        self._stopping = False
        self._thread: threading.Thread | None = None

    def follow(self, descriptor: int) -> None:
        """From now on `descriptor` is the file that is written; the one before is synced and closed."""
        with self._condition:
            before, self._descriptor = self._descriptor, descriptor
            if before >= 0:
                self._retired.append(before)
                self._wake()

    def wait(self) -> asyncio.Future[None]:
        """Done when everything written before this call is on the disk."""
        waiter = waiting()
        with self._condition:
            self._waiters.append(waiter)
            self._wake()
        return waiter

    def stop(self) -> None:
        """Syncs what is left, closes the file and ends the thread. Raises the error of the last sync."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
            self._thread.start()
        self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self._waiters or self._retired or self._stopping):
                    self._condition.wait()
                waiters, self._waiters = self._waiters, []
                retired, self._retired = self._retired, []
                descriptor = self._descriptor
                if self._stopping and not waiters and not retired:
                    return
            error: Exception | None = None
            try:
                for old in retired:
                    os.fdatasync(old)
                if retired:
                    sync_folder(self._folder)
                if waiters:
                    os.fdatasync(descriptor)
            except OSError as refused:
                error = self._failed(refused)
            for old in retired:
                os.close(old)
            for waiter in waiters:
                resolve(waiter, error)
