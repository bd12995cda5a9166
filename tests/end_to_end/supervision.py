"""What the tests of supervision share: stock clients that stay open, and an auditor at a control channel."""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bastion.api import live
from tests.end_to_end.stock_clients import SshTunnel, client_environment
from tests.end_to_end.test_gateway_control import Control
from tests.servers import excuses

LIMIT = 60.0
"""Seconds that anything may take."""


class StockClient:
    """A client that is typed to. `said` is all that it has printed so far, standard error among it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            list(command), env=client_environment(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, bufsize=1,
        )  # fmt: skip
        self.said = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def type(self, *lines: str) -> None:
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def until(self, words: str) -> str:
        """Waits until it has said that; all that it has said."""
        end = time.monotonic() + LIMIT
        while words not in self.said:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"{words!r} was never said, but:\n{self.said}") from None
            if line is None:
                raise AssertionError(f"the client ended without {words!r}:\n{self.said}")
            self.said += line
        return self.said

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT)


def psql(tunnel: SshTunnel, catalog: str) -> StockClient:
    program = shutil.which("psql")
    if program is None:
        excuses.skip("no-psql")
    where = f"host={tunnel.host} port={tunnel.port} user=whoever dbname={catalog}"
    return StockClient([program, "-X", "-A", "-t", where], {"PGPASSWORD": "anything"})


def mariadb(tunnel: SshTunnel, catalog: str) -> StockClient:
    program = shutil.which("mariadb")
    if program is None:
        excuses.skip("no-mariadb")
    words = [
        "--no-defaults", "--protocol=tcp", f"--host={tunnel.host}", f"--port={tunnel.port}", "--user=whoever",
        "--password=anything", "--skip-ssl", "--batch", "--skip-column-names", "--unbuffered", "--force",
        "--skip-reconnect", catalog,
    ]  # fmt: skip
    return StockClient([program, *words], {"HOME": os.environ.get("HOME", "/")})


class Auditor:
    """An auditor: the live list and the watch of one session, kept up to date by asking."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.kept = live.LiveList()
        self.events: list[dict[str, Any]] = []
        self._watch = ""

    async def session(self, what: str, condition: Callable[[live.LiveSession], bool]) -> live.LiveSession:
        """Waits for a live session of which that holds."""
        async with asyncio.timeout(LIMIT):
            while True:
                answer = await self.control.result("sessions.live", view=self.kept.view, wait=5)
                self.kept.apply(msgspec.convert(answer, live.LiveChanges))
                for session in self.kept.sessions.values():
                    if condition(session):
                        return session

    async def session_gone(self, id: str) -> None:
        """Waits until a session is not live any more."""
        async with asyncio.timeout(LIMIT):
            while id in self.kept.sessions:
                answer = await self.control.result("sessions.live", view=self.kept.view, wait=5)
                self.kept.apply(msgspec.convert(answer, live.LiveChanges))

    async def begin(self, session: str) -> None:
        """Begins to watch: what happens from now on will be among the events."""
        answer = await self.control.result("session.watch", session=session)
        self._watch = answer["watch"]

    async def watch(self, session: str, condition: Callable[[list[dict[str, Any]]], Any]) -> Any:
        """Watches on until the events so far fulfil the condition; what it says."""
        async with asyncio.timeout(LIMIT):
            while True:
                found = condition(self.events)
                if found:
                    return found
                answer = await self.control.result("session.watch", session=session, watch=self._watch, wait=5)
                self._watch = answer["watch"]
                self.events += answer["events"]
                if answer["ended"]:
                    self.events.append({"kind": "ended", "reason": answer["end_reason"]})
