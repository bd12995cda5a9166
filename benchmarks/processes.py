"""Processes as Linux counts them: processor time and memory of a tree of them, and an orderly end of all."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.bastion_process import CommandFailed
from tests.servers.processes import ServerFailed

_TICKS = os.sysconf("SC_CLK_TCK")

QUIET_SHARE = 0.03
"""Share of one processor below which a tree counts as having nothing to do."""


class BenchmarkFailed(Exception):
    """A part of the measurement did not work; the message says which and how."""


def tree(root: int) -> list[int]:
    """`root` and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """Processor time that the tree has taken so far, with that of its ended members."""
    ticks = 0
    for pid in tree(root):
        if fields := _stat(pid):
            # utime, stime, and the same of children that have ended and were waited for: fields 14 to 17 in proc(5).
            ticks += sum(int(each) for each in fields[11:15])
    return ticks / _TICKS


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat behind the program's name: state first; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def memory_bytes(root: int) -> int:
    """Memory of the tree; a page that several processes share counts once among them (PSS)."""
    return sum(_proportional(pid) for pid in tree(root))


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def settle(root: int, limit: float = 30.0) -> bool:
    """Waits until the tree has nothing to do (what it still has to bring into a store, say); False after `limit`."""
    step = 0.2
    end = time.monotonic() + limit
    before = cpu_seconds(root)
    while time.monotonic() < end:
        time.sleep(step)
        now = cpu_seconds(root)
        if now - before <= QUIET_SHARE * step:
            return True
        before = now
    return False


def allow_many_files(wanted: int = 65_536) -> None:
    """Raises the limit of open files for this process and those that it starts, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def run(command: Sequence[str | Path], environment: dict[str, str], limit: float = 600) -> str:
    """A client program to its end; what it printed. Raises BenchmarkFailed with its last words."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise BenchmarkFailed(f"{words[0]} did not end within {limit:g} s") from late
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(words)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


@contextmanager
def running(command: Sequence[str | Path], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A client program in the background, its output thrown away; killed at the end of the block."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ending_cleanly(program: Callable[[], None]) -> int:
    """Runs a program so that Ctrl-C and SIGTERM stop everything that it started; its exit code.

    A second Ctrl-C does not interrupt the cleaning up.
    """

    def interrupted(number: int, frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupted)
    try:
        program()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (BenchmarkFailed, ServerFailed, CommandFailed) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    return 0
