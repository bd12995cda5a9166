"""What Linux is told about a process of the UI host's: it dies with its parent, and nobody looks into it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38


class Orphaned(Exception):
    """The parent was gone before its death could be asked for."""


def _prctl(option: int, argument: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def die_with(parent: int) -> None:
    """Has this process killed when `parent` ends. Raises Orphaned where that is too late."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise Orphaned


def close_to_others() -> None:
    """No core dumps, no debugger of the same user, no program with more rights from here on."""
    _prctl(_SET_DUMPABLE, 0)
    _prctl(_SET_NO_NEW_PRIVS, 1)


def begin_session(parent: int) -> None:
    """In a forked UI process: a process group of its own."""
    os.setsid()
    die_with(parent)
    close_to_others()


def threads() -> int:
    """Threads of this process, also those that are not Python's."""
    return len(os.listdir("/proc/self/task"))
