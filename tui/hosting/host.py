"""The UI host: imports the workstation once, then forks a process for each session that the gateway asks for.

It has one thread and no event loop: what a fork would copy half-done must not exist. It holds no key and no secret; the
gateway gives it sockets, and each process of it can reach the bastion as its own person only.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import pwd
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

BACKLOG = 4
FOLDERS = "casemate-ui-"
"""What temporary folders begin with; the host's process id follows."""
LIBRARY_SETTINGS = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "TEXTUAL_FPS": "60",
    "ESCDELAY": "100",
}
"""Read by libraries when they are imported. Arrow's allocators begin threads of their own, which a fork would lose."""
KEPT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")

log = logging.getLogger("casemate.ui")


class NotAlone(Exception):
    """The host has more than one thread."""


class Host:
    """Takes orders on one control socket at a time."""

    def __init__(self, control: socket.socket) -> None:
        from bastion.api import screen_frames

        self._frames = screen_frames
        self._control = control
        self._pid = os.getpid()
        self._processes: dict[int, tuple[int, Path]] = {}
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDERS}{self._pid}-"))

    def serve(self) -> None:
        """Until the gateway hangs up; then nothing of it is left."""
        frames = self._frames
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        self._inherited = [wake, woken, selector.fileno(), self._control.fileno()]
        try:
            self._report(frames.Ready(self._pid, os.geteuid()))
            while True:
                for key, _mask in selector.select():
                    if key.fd == wake:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake, 512)
                        self._reap()
                    elif not self._take_order():
                        return
        except (BrokenPipeError, ConnectionError):
            return
        finally:
            signal.set_wakeup_fd(before)
            selector.close()
            os.close(wake)
            os.close(woken)
            self._end_all()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _report(self, report: object) -> None:
        self._control.send(self._frames.encode(report))

    def _take_order(self) -> bool:
        packet, sockets, _flags, _address = socket.recv_fds(self._control, self._frames.PACKET, 2)
        if not packet:
            return False
        try:
            order = self._frames.order(packet)
        except self._frames.FrameBroken:
            log.warning("the gateway sent what is no order")
            _close(sockets)
            return False
        if isinstance(order, self._frames.Spawn):
            try:
                if len(sockets) != 2:
                    raise OSError(0, "it needs two sockets")
                pid = self._fork(order, sockets)
            except (OSError, NotAlone) as error:
                log.exception("no workstation process")
                self._report(self._frames.Failed(order.id, str(error)))
            else:
                self._report(self._frames.Started(order.id, pid))
            finally:
                _close(sockets)
        elif (known := self._processes.get(order.id)) is not None:
            os.kill(known[0], signal.SIGKILL if order.signal == "KILL" else signal.SIGTERM)
        return True

    def _fork(self, order: object, sockets: list[int]) -> int:
        from . import process, session

        assert isinstance(order, self._frames.Spawn)
        if (found := process.threads()) != 1:
            raise NotAlone(f"the UI host has {found} threads and cannot fork")
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        pid = os.fork()
        if pid:
            self._processes[order.id] = (pid, folder)
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            _close(self._inherited)
            screen, bastion = (socket.socket(fileno=descriptor) for descriptor in sockets)
            code = session.run(order, screen, bastion, folder, self._pid)
        except BaseException:
            log.exception("a workstation process failed")
        finally:
            _end(code)

    def _reap(self) -> None:
        for id, (pid, folder) in list(self._processes.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._processes[id]
                shutil.rmtree(folder, ignore_errors=True)
                self._report(self._frames.Ended(id, os.waitstatus_to_exitcode(status)))

    def _end_all(self) -> None:
        for pid, _folder in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid, folder in self._processes.values():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            shutil.rmtree(folder, ignore_errors=True)
        self._processes.clear()


def _sweep() -> None:
    """Removes what hosts have left that were killed: temporary files of their sessions."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        pid = folder.name.removeprefix(FOLDERS).partition("-")[0]
        try:
            if folder.stat().st_uid == os.geteuid() and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody else was faster


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _end(code: int) -> NoReturn:
    """Without the clean-up of the host, which is not this process's."""
    with contextlib.suppress(Exception):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _clean_environment() -> None:
    """What the host was started with is nobody's business in a session; what libraries read at import is ours."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(LIBRARY_SETTINGS)


def _import_everything() -> None:
    """What every session needs, once. Nothing here may begin a thread."""
    import asyncssh  # noqa: F401
    import psycopg  # noqa: F401
    import pyarrow  # noqa: F401
    import pymysql  # noqa: F401
    import sqlglot  # noqa: F401

    from .. import safe_output
    from . import (
        private_marks,
        session,  # noqa: F401
    )

    safe_output.install()
    safe_output.mark_secrets(private_marks.BEGIN, private_marks.END)
    gc.collect()
    gc.freeze()


def _accept(listener: socket.socket, allowed: set[int]) -> socket.socket:
    """The next gateway that may give orders."""
    while True:
        control, _address = listener.accept()
        peer = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", peer)
        if uid in allowed:
            return control
        log.error("user %d may not give orders here", uid)
        control.close()


def _user(name: str, parser: argparse.ArgumentParser) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        parser.error(f"there is no user {name}")


def _become(name: str, parser: argparse.ArgumentParser) -> None:
    user = _user(name, parser)
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main(words: list[str] | None = None) -> int:
    """`casemate-ui`: for a bastion that has started it (`--control`), or as a service of its own (`--listen`)."""
    parser = argparse.ArgumentParser(
        prog="casemate-ui", description="Holds the workstations that a bastion serves. `casemate serve` starts it."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--control", type=int, metavar="DESCRIPTOR", help="a socket that the bastion has handed over")
    where.add_argument("--listen", metavar="SOCKET", help="a Unix socket on which the bastion comes")
    parser.add_argument("--for", dest="bastion", metavar="USER", help="with --listen: the bastion's user")
    parser.add_argument("--user", metavar="USER", help="with --control, for a bastion that runs as root: whose it is")
    arguments = parser.parse_args(words)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncssh").setLevel(logging.ERROR)

    from . import process

    os.umask(0o077)
    parent = os.getppid()
    if arguments.user is not None and arguments.control is not None:
        _become(arguments.user, parser)
    if arguments.control is not None:
        process.die_with(parent)
    process.close_to_others()
    _clean_environment()
    _import_everything()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if arguments.control is not None:
        control = socket.socket(fileno=arguments.control)
        Host(control).serve()
        return 0
    allowed = {0, os.geteuid()}
    if arguments.bastion:
        allowed.add(_user(arguments.bastion, parser).pw_uid)
    path = Path(arguments.listen)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(BACKLOG)
        print(f"casemate-ui: listening on {path}", flush=True)
        while True:
            with _accept(listener, allowed) as control:
                Host(control).serve()
