"""The process that sends the record to other systems, as its parent sees it: kept running until the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

import msgspec

from bastion.destinations import Destination

from .program import LAST_TRY, Orders

PAUSE = 5.0
"""Seconds before a process that ended is started again."""

KEPT_ENVIRONMENT = ("HOME", "LANG", "LC_", "PATH", "PYTHON", "SSL_", "TMPDIR", "TZ", "COVERAGE_")
_PROGRAM = "bastion.audit.shipping.program"
_log = logging.getLogger(__name__)


class Shipping:
    """Starts the process where there is a destination. On the event loop."""

    def __init__(self, journal: Path, node: str, cursors: Path, destinations: list[Destination]) -> None:
        self._orders = Orders(str(journal), node, str(cursors), destinations)
        self._tending: asyncio.Task[None] | None = None
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> int | None:
        """The process's number, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Raises OSError where the cursors have no place."""
        if self._orders.destinations:
            Path(self._orders.cursors).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._tending = asyncio.create_task(self._tend(), name="shipping")

    async def stop(self) -> None:
        """Lets it send what is there, and ends it."""
        process = self._process
        if self._tending is None:
            return
        self._stopping = True
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LAST_TRY + 1)
        self._tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tending

    async def _tend(self) -> None:
        while True:
            try:
                ended = await self._run()
            except OSError as error:
                ended = f"cannot be started: {error.strerror or error}"
            if self._stopping:
                return
            _log.error("the process that sends the record to other systems %s; it is started again", ended)
            await asyncio.sleep(PAUSE)

    async def _run(self) -> str:
        environment = {name: value for name, value in os.environ.items() if name.startswith(KEPT_ENVIRONMENT)}
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", _PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True, env=environment,
        )  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(self._orders) + b"\n")
            return f"ended with {await process.wait()}"
        finally:
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
