"""The gateway's side of the UI host: starts it by its name, asks it for processes, hears of their ends.

The gateway holds every key and is never forked. The host is a program of its own, begun by exec with an environment of
its own; it is told what to do by packets, and gets the two sockets of a session with each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from bastion.api import screen_frames as frames
from bastion.api.refusals import Refused
from bastion.configuration import WorkstationSettings

PROGRAM = "casemate-ui"
KEPT_ENVIRONMENT = ("PATH", "VIRTUAL_ENV", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
READY_SECONDS = 30.0
SPAWN_SECONDS = 10.0
AGAIN_SECONDS = (0.2, 1.0, 5.0, 15.0)
"""Between the ends of hosts and their next starts, while none lives for long."""
LONG_ENOUGH = 60.0
STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)


class HostGone(Exception):
    """The UI host ended, or never came up."""


class UiHost:
    """One host at a time, started again when it ends. `ended` is told of each process that is gone."""

    def __init__(self, settings: WorkstationSettings, ended: Callable[[int, int], None]) -> None:
        self._settings = settings
        self._ended = ended
        self._control: socket.socket | None = None
        self._ready = asyncio.Event()
        self._gone = asyncio.Event()
        self._starting: dict[int, asyncio.Future[int]] = {}
        self._task: asyncio.Task[None] | None = None
        self.pid = 0
        self.uid = -1

    def start(self) -> None:
        """Begins; the host is ready in a second or two."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_running(), name="ui-host")

    async def stop(self) -> None:
        """Ends the host, and with it every process of its."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def spawn(self, spawn: frames.Spawn, sockets: tuple[socket.socket, socket.socket]) -> int:
        """A UI process with its two sockets, which it keeps; its process id. Raises Refused."""
        self.start()
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._come_up()
        except (TimeoutError, HostGone):
            raise Refused("workstation-not-ready") from None
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._starting[spawn.id] = started
        try:
            self._order(spawn, [each.fileno() for each in sockets])
            async with asyncio.timeout(SPAWN_SECONDS):
                return await started
        except (TimeoutError, OSError, HostGone) as error:
            logger.error("no workstation process: %s", error)  # noqa: TRY400 - a sentence is enough
            raise Refused("workstation-not-ready") from None
        finally:
            del self._starting[spawn.id]

    async def _come_up(self) -> None:
        """Waits until the host is ready. Raises HostGone where it ends before it was."""
        while not self._ready.is_set():
            gone = self._gone
            waiting = [asyncio.ensure_future(event.wait()) for event in (self._ready, gone)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()
            if gone.is_set() and not self._ready.is_set():
                raise HostGone("the UI host does not come up")

    def kill(self, id: int, signal: str) -> None:
        """TERM or KILL to a process, if it is there still."""
        with contextlib.suppress(OSError, HostGone):
            self._order(frames.Kill(id, signal), [])

    # -- inside

    def _order(self, order: frames.Order, descriptors: list[int]) -> None:
        if self._control is None:
            raise HostGone("the UI host is not there")
        socket.send_fds(self._control, [frames.encode(order)], descriptors)

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        failures = -1
        while True:
            began = loop.time()
            try:
                await self._run_once()
            except (OSError, HostGone) as error:
                self._gone.set()
                logger.error("the UI host cannot be started: %s", error)  # noqa: TRY400 - a sentence is enough
            failures = 0 if loop.time() - began > LONG_ENOUGH else failures + 1
            await asyncio.sleep(AGAIN_SECONDS[min(failures, len(AGAIN_SECONDS) - 1)])

    async def _run_once(self) -> None:
        """One host, from its start to its end."""
        process: asyncio.subprocess.Process | None = None
        loop = asyncio.get_running_loop()
        if self._settings.socket is not None:
            control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            control.setblocking(False)
            try:
                control.connect(str(self._settings.socket))
            except OSError as error:
                control.close()
                raise HostGone(f"{self._settings.socket}: {error.strerror}. Is casemate-ui.service running?") from error
        else:
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            control.setblocking(False)
            with theirs:
                try:
                    process = await self._start_program(theirs)
                except BaseException:
                    control.close()
                    raise
        try:
            self._control = control
            self._gone = asyncio.Event()
            loop.add_reader(control.fileno(), self._hear, control)
            await self._gone.wait()
            if self._ready.is_set():
                logger.error("the UI host has ended; it is started again")
        finally:
            loop.remove_reader(control.fileno())
            self._control = None
            self._ready.clear()
            control.close()
            for waiting in self._starting.values():
                if not waiting.done():
                    waiting.set_exception(HostGone("the UI host has ended"))
            if process is not None:
                await _see_off(process)

    async def _start_program(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        beside = shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
        words = [beside] if beside is not None else [sys.executable, "-P", "-m", "tui.hosting"]
        words += ["--control", str(theirs.fileno())]
        if self._settings.user:
            words += ["--user", self._settings.user]
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
            cwd="/",
            start_new_session=True,
        )

    def _hear(self, control: socket.socket) -> None:
        try:
            packet = control.recv(frames.PACKET)
            report = frames.report(packet) if packet else None
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, frames.FrameBroken):
            report = None
        if report is None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            self._gone.set()
        elif isinstance(report, frames.Ready):
            self.pid, self.uid = report.pid, report.uid
            self._ready.set()
        elif isinstance(report, frames.Ended):
            self._ended(report.id, report.status)
        else:
            waiting = self._starting.get(report.id)
            if waiting is not None and not waiting.done():
                if isinstance(report, frames.Started):
                    waiting.set_result(report.pid)
                else:
                    waiting.set_exception(HostGone(report.reason))


async def _see_off(process: asyncio.subprocess.Process) -> None:
    """It ends by itself when its control socket closes."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
