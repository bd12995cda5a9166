"""The UI host as a program: what it takes orders for, what it refuses, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.api import screen_frames as frames
from tests.servers.processes import wait_for
from tui.hosting import process
from tui.hosting.host import Host, NotAlone

TERMINAL = frames.Terminal(80, 24, {"TERM": "xterm-256color", "LANG": "C.UTF-8"})


class Service:
    """A host that listens, as its systemd unit starts it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "control.sock"
        self.program = subprocess.Popen(
            [sys.executable, "-m", "tui.hosting", "--listen", str(self.path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), "TEXTUAL_LOG": str(folder / "never")},
        )  # fmt: skip
        assert self.program.stdout is not None
        assert b"listening" in self.program.stdout.readline()

    def connect(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(60)
        control.connect(str(self.path))
        return control


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("host"))
    yield made
    made.program.kill()
    made.program.communicate()


def hear(control: socket.socket) -> frames.Report:
    return frames.report(control.recv(frames.PACKET))


def spawn(control: socket.socket, id: int) -> tuple[int, socket.socket, socket.socket]:
    """A UI process; its id, and our ends of its screen and its bastion."""
    screen, screen_theirs = socket.socketpair()
    bastion, bastion_theirs = socket.socketpair()
    order = frames.Spawn(id, "alice", "127.0.0.1", 60022, TERMINAL, 0)
    with screen_theirs, bastion_theirs:
        socket.send_fds(control, [frames.encode(order)], [screen_theirs.fileno(), bastion_theirs.fileno()])
    started = hear(control)
    assert isinstance(started, frames.Started)
    return started.pid, screen, bastion


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_processes_of_a_gateway_end_with_its_connection_and_the_next_gateway_is_served(service: Service) -> None:
    control = service.connect()
    ready = hear(control)
    assert isinstance(ready, frames.Ready)
    assert (ready.pid, ready.uid) == (service.program.pid, os.geteuid())
    assert len(os.listdir(f"/proc/{ready.pid}/task")) == 1

    first, screen, _bastion = spawn(control, 1)
    second, _screen, _other = spawn(control, 2)
    screen.settimeout(60)
    assert screen.recv(100).startswith(frames.frame(frames.OUTPUT)[:1])

    control.send(frames.encode(frames.Kill(1, "KILL")))
    assert hear(control) == frames.Ended(1, -signal.SIGKILL)
    wait_for("the first is gone", lambda: gone(first))
    assert not gone(second)
    control.send(frames.encode(frames.Kill(77, "KILL")))  # of nobody's

    os.kill(second, signal.SIGSTOP)  # as hung as can be
    control.close()
    wait_for("the second is gone", lambda: gone(second))

    again = service.connect()
    assert isinstance(hear(again), frames.Ready)
    (folder,) = service.path.parent.glob("casemate-ui-*")  # the new gateway's
    assert list(folder.iterdir()) == []
    again.send(b"no order")
    assert again.recv(10) == b""
    again.close()


def test_a_killed_host_takes_its_processes_with_it(tmp_path: Path) -> None:
    service = Service(tmp_path)
    control = service.connect()
    hear(control)
    pid, screen, _bastion = spawn(control, 1)
    screen.settimeout(60)
    assert screen.recv(100)
    os.kill(pid, signal.SIGSTOP)
    service.program.kill()
    service.program.communicate()
    wait_for("it is gone", lambda: gone(pid))
    (left,) = tmp_path.glob("casemate-ui-*")
    next_one = Service(tmp_path)
    hear(next_one.connect())
    assert not left.exists()
    next_one.program.kill()
    next_one.program.communicate()


def test_a_host_with_a_second_thread_does_not_fork() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stay = threading.Event()
    other = threading.Thread(target=stay.wait)
    other.start()
    try:
        assert process.threads() > 1
        with ours, theirs, pytest.raises(NotAlone, match="threads and cannot fork"):
            Host(theirs)._fork(frames.Spawn(1, "alice", "h", 1, TERMINAL, 0), [])
    finally:
        stay.set()
        other.join()


def test_frames_come_whole_however_they_are_cut() -> None:
    stream = frames.frame(frames.INPUT, b"keys") + frames.size_frame(9999, 1) + frames.frame(frames.DETACH)
    reader = frames.Frames()
    found = [each for byte in stream for each in reader.feed(bytes([byte]))]
    assert [kind for kind, _payload in found] == [frames.INPUT, frames.SIZE, frames.DETACH]
    assert frames.size_of(found[1][1]) == (frames.COLUMNS[1], frames.LINES[0])
    assert frames.clamped(0, 0) == (80, 24)
    with pytest.raises(frames.FrameBroken):
        list(frames.Frames().feed(b"O\xff\xff\xff\xff"))
    for broken in (b"{}", b"[]", b'{"type":"spawn"}', b"\xff"):
        with pytest.raises(frames.FrameBroken):
            frames.order(broken)
        with pytest.raises(frames.FrameBroken):
            frames.report(broken)
