"""One UI process, from its fork to its end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import resource
import signal
import socket
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

from backends.host_keys import HostKeys
from backends.link import Credentials, Link, Target
from bastion.api import language
from bastion.api.screen_frames import Spawn

from . import process
from .environment import take
from .screen_link import ScreenLink
from .served_app import ServedApp

OPEN_FILES = 512
LAST_FRAME_SECONDS = 5.0
FAILED = 1

log = logging.getLogger(__name__)


def run(spawn: Spawn, screen: socket.socket, bastion: socket.socket, folder: Path, parent: int) -> int:
    """In the forked process: its exit code. `folder` is its own, for temporary files; the UI host removes it."""
    process.begin_session(parent)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    _limit(spawn.memory)
    tempfile.tempdir = str(folder)
    os.environ["TMPDIR"] = os.environ["HOME"] = str(folder)
    take(spawn.terminal.environment)
    return asyncio.run(_run(spawn, screen, bastion))


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if memory:
        # What is written to counts, not address space: threads and allocators reserve far more than they use.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _arrive(target: Target, bastion: socket.socket) -> Future[Link]:
    """Connects on a thread while the application is being made."""
    arriving: Future[Link] = Future()
    context = contextvars.copy_context()

    def connect() -> None:
        try:
            arriving.set_result(Link.connect_now(target, Credentials(agent=False), HostKeys([]), sock=bastion))
        except BaseException as error:  # noqa: BLE001 - it is told where the result is waited for
            arriving.set_exception(error)

    threading.Thread(target=context.run, args=(connect,), name="arriving", daemon=True).start()
    return arriving


async def _run(spawn: Spawn, screen: socket.socket, bastion: socket.socket) -> int:
    # The context of this task is the application's: the language is set in it.
    language.use(language.from_environment())
    arriving = _arrive(Target(spawn.user, spawn.host, spawn.port), bastion)
    size = (spawn.terminal.columns, spawn.terminal.lines)
    app = ServedApp(arriving, f"{spawn.user}@{spawn.host}:{spawn.port}")
    link = await ScreenLink.on(screen, app)
    app.to_terminal = link.send
    app.when_ready = link.ready
    code = FAILED
    try:
        result = await app.run_async(size=size)
        code = result if isinstance(result, int) else (app.return_code or 0)
    except Exception:
        log.exception("the workstation of %s failed", spawn.user)
    link.exit(code, "\n".join(app.last_words))
    await link.close(LAST_FRAME_SECONDS)
    if app.link is not None:
        with contextlib.suppress(Exception):
            await asyncio.to_thread(app.link.close)
    return code
