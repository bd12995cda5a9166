"""A bastion that starts in a fraction of a second: a process that has everything loaded forks, and the fork serves.

What runs is `casemate serve`, in a process of its own, with its own journal, store and projector; only loading the
program's modules, which is most of a start, is done once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.servers.bastion_process import BastionProcess
from tests.servers.processes import wait_for

_FORKS = """
import ctypes, os, signal, sys
import bastion.demo, bastion.direct, bastion.gateway.server, bastion.own_machine, bastion.serve, bastion.store.migrate
from bastion.program import main

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
own = os.getpid()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != own:
        os._exit(1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdin = open(os.devnull)
    sys.argv = ["casemate", *line.split()]
    code = main()
    sys.stdout.flush()
    os._exit(code)
"""


class QuickBastion(BastionProcess):
    """As BastionProcess, but for how it is started. Its path holds no white space."""

    _forks: subprocess.Popen[str] | None = None
    _child = 0

    def begin(self) -> None:
        """Starts what it is forked off."""
        self._forks = subprocess.Popen(
            [sys.executable, "-c", _FORKS, str(self.log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=self._environment({}), cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def begin_to_start(self) -> int:
        """Starts it and waits for nothing; where its log ended before."""
        if self._forks is None:
            self.begin()
        assert self._forks is not None
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        before = self.log.stat().st_size if self.log.exists() else 0
        self._forks.stdin.write(f"serve --config {self.configuration}\n")
        self._forks.stdin.flush()
        self._child = int(self._forks.stdout.readline())
        return before

    def start(self) -> None:
        before = self.begin_to_start()

        def listening() -> bool:
            with self.log.open("rb") as log:
                log.seek(before)
                said = log.read()
            assert self.is_running(), said.decode(errors="replace")
            return b"casemate: listening on " in said

        wait_for("the bastion", listening, 60)

    @property
    def pid(self) -> int:
        return self._child

    def is_running(self) -> bool:
        return bool(self._child) and Path(f"/proc/{self._child}").exists()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if not self._child:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, number)
        wait_for("the end of the bastion", lambda: not self.is_running(), 60, 0.005)
        self._child = 0

    def remove(self) -> None:
        self.stop()
        if self._forks is not None:
            self._forks.kill()
            with self._forks:
                pass
        super().remove()
