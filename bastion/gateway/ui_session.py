"""Workstations that the bastion serves: the gateway's side of each, from the login to the end of its process.

A session is a process of the UI host's with two sockets. On one it speaks SSH to this gateway, as its person; on the
other it gets and gives what the person's terminal does. The terminal may go and come again: the process, with what it
has open, waits for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

import msgspec

from bastion.access.door import Person
from bastion.api import messages as m
from bastion.api import screen_frames as frames
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from bastion.audit.journal import now
from bastion.audit.recorder import Recorder
from bastion.audit.records import Act
from bastion.audit.screen_recording import ENDED, LOST, OPENED, RESUMED, ScreenRecording, new_id
from bastion.configuration import WorkstationSettings

from .screen_watch import ScreenWatch
from .ui_host import UiHost

WRITE_AHEAD = 64 * 1024
"""Bytes of a person's keys that wait for a process which does not read them, before their client must wait."""

READ_AT_ONCE = 64 * 1024

WATCHERS_EVERY = 15.0
"""Seconds between two looks whether a screen is still watched."""

LEAVE_SECONDS, TERMINATE_SECONDS = 3.0, 2.0
"""From being told to leave to TERM, and from there to KILL."""

PICTURE_EVERY = 256 * 1024
"""Bytes of output after which a picture of the whole screen is put into the recording: a replay can begin there."""

ENDED_BY_ITSELF = 1

logger = logging.getLogger(__name__)


class Screen(Protocol):
    """The person's terminal, as a session sees it. Calls after its end do nothing."""

    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    async def answers(self) -> bool:
        """Whether there still is somebody at the other end."""

    def hang_up(self) -> None:
        """Nobody is: the connection ends."""

    def end(self, code: int, message: str) -> None:
        """Shows a last sentence, if there is one, and closes with an exit code."""


@dataclass(slots=True)
class Attached:
    """Since when, from where, on what terminal."""

    at: datetime
    source: str
    terminal: frames.Terminal


class UiSession(asyncio.Protocol):
    """One served workstation. Made by UiSessions."""

    def __init__(
        self, owner: UiSessions, id: int, name: str, person: Person, where: Attached, recording: ScreenRecording | None
    ) -> None:
        self.id = id
        self.name = name
        self.recording = recording
        self.watch: ScreenWatch | None = None
        """There while somebody watches."""
        self._picture_wanted = False
        self.person = person
        self.began = where
        self.where = where
        self.size = where.terminal.columns, where.terminal.lines
        self.left: datetime | None = None
        """When its terminal was lost; None while there is one."""
        self.pid = 0
        self._owner = owner
        self._frames = frames.Frames()
        self._transport: asyncio.Transport | None = None
        self._screen: Screen | None = None
        self._dirty = False
        self._has_left = False
        self._code = ENDED_BY_ITSELF
        self._closing: asyncio.TimerHandle | None = None
        self._given_up: asyncio.TimerHandle | None = None
        self._exit: frames.Exit | None = None
        self._told_to_leave = False
        self._full = False
        self._size_to_tell: tuple[int, int] | None = None
        self.over = asyncio.Event()

    @property
    def waits(self) -> bool:
        """Whether another terminal can go on with it."""
        return self.left is not None and not self._told_to_leave and not self.over.is_set()

    # -- the person's terminal

    def attach(self, screen: Screen) -> None:
        """The terminal of the session from now on."""
        self._screen = screen
        if self.over.is_set():
            self._say_goodbye()

    def reattach(self, screen: Screen, where: Attached) -> None:
        """Another terminal, after the one before was lost."""
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None
        self._screen, self.where, self.left = screen, where, None
        self._size_to_tell = None
        self.size = where.terminal.columns, where.terminal.lines
        self._owner.note(self, RESUMED)
        if self.recording is not None:
            self.recording.mark(f"resumed from {where.source}")
            self.recording.resized(where.terminal.columns, where.terminal.lines)
        self._send(frames.frame(frames.ATTACH, msgspec.json.encode(where.terminal)))
        if self._transport is not None:
            self._transport.resume_reading()
        if self._full:
            # The process did not read before its terminal was lost, and asyncio says so once only.
            screen.pause_reading()

    def detach(self, screen: Screen) -> None:
        """The terminal is gone. The process is kept for `resume_for`; the screen is not drawn meanwhile."""
        if self._screen is not screen:
            return
        self._screen = None
        if self.over.is_set():
            return
        seconds = self._owner.settings.resume_for
        if seconds == 0 or self._told_to_leave:
            self.leave()
            return
        self.left = datetime.now(UTC)
        self._owner.note(self, LOST)
        if self.recording is not None:
            self.recording.mark("connection lost")
        self._send(frames.frame(frames.DETACH))
        if self._transport is not None:
            self._transport.resume_reading()
        self._given_up = asyncio.get_running_loop().call_later(seconds, self.leave)

    async def look_for_screen(self) -> None:
        """Lets go of a terminal that does not answer."""
        screen = self._screen
        if screen is not None and not await screen.answers():
            screen.hang_up()
            self.detach(screen)

    def typed(self, data: bytes) -> None:
        """Bytes of the terminal."""
        for start in range(0, len(data), READ_AT_ONCE):
            self._send(frames.frame(frames.INPUT, data[start : start + READ_AT_ONCE]))

    def resized(self, columns: int, lines: int) -> None:
        """The terminal has another size."""
        self.size = frames.clamped(columns, lines)
        if self.recording is not None:
            self.recording.resized(*frames.clamped(columns, lines))
        if self._full:
            # Clients may say a size at any time: of many only the last one waits.
            self._size_to_tell = columns, lines
        else:
            self._send(frames.size_frame(columns, lines))

    def round_trip(self, seconds: float) -> None:
        """How long a round trip to the terminal takes."""
        if not self._full:
            self._send(frames.round_trip_frame(seconds))

    def terminal_is_full(self, *, full: bool) -> None:
        """The person's side does not keep up, or does again."""
        if self._transport is not None:
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def watched(self) -> ScreenWatch:
        """Its screen, to be watched; from now on, until nobody asks for a while."""
        if self.watch is None:
            recording = self.recording
            if recording is None:
                # Nothing is kept of it: a cast for those who watch alone.
                recording = self.recording = self._owner.cast_of(self, None)
            self.watch = ScreenWatch(recording, self._want_picture)
            self._look_for_watchers()
        return self.watch

    def _look_for_watchers(self) -> None:
        watch = self.watch
        if watch is None or self.over.is_set():
            return
        if watch.unwatched:
            watch.over()
            self.watch = None
            if self.recording is not None and not self.recording.kept:
                self.recording = None
            return
        asyncio.get_running_loop().call_later(WATCHERS_EVERY, self._look_for_watchers)

    def _want_picture(self) -> None:
        self._picture_wanted = True
        self._send(frames.frame(frames.PICTURE_WANTED))

    # -- its end

    def leave(self) -> None:
        """Tells the process to end, then has it ended. What it has open is cancelled by the bastion."""
        if self.over.is_set() or self._told_to_leave:
            return
        self._told_to_leave = True
        self._send(frames.frame(frames.LEAVE_NOW))
        if self._transport is not None:
            self._transport.resume_reading()
        self._closing = asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._terminate)

    def _terminate(self) -> None:
        self._owner.host.kill(self.id, "TERM")
        self._closing = asyncio.get_running_loop().call_later(TERMINATE_SECONDS, self._kill)

    def _kill(self) -> None:
        self._owner.host.kill(self.id, "KILL")
        self._end()

    def process_ended(self, status: int) -> None:
        """The UI host says that the process is gone. What it has written before is still on its way."""
        if status < 0:
            logger.warning("the workstation of %s was ended by signal %d", self.person.name, -status)

    def stop(self, message: str) -> None:
        """The bastion ends."""
        self._exit = frames.Exit(ENDED_BY_ITSELF, message)
        self._end()

    def _end(self) -> None:
        """Everything of it is gone, or is taken to be."""
        if self.over.is_set():
            return
        self.over.set()
        for timer in (self._closing, self._given_up):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._say_goodbye()
        if self.recording is not None:
            self.recording.close(self._code)
        if self.watch is not None:
            self.watch.over()
        self._owner.ended(self)

    def _say_goodbye(self) -> None:
        """The terminal is given back, whatever the process did or did not do about it."""
        screen, self._screen = self._screen, None
        if screen is None:
            return
        if self._dirty and not self._has_left:
            screen.write(frames.RESTORE.encode())
        if self._exit is not None:
            screen.end(self._exit.code, self._exit.message)
        else:
            reference = secrets.token_hex(4)
            logger.error("the workstation of %s ended unexpectedly; reference %s", self.person.name, reference)
            screen.end(
                ENDED_BY_ITSELF,
                _(
                    "The workstation ended unexpectedly; what it had open is cancelled. Log in again. Tell an "
                    "administrator if it happens again: reference {reference}."
                ).format(reference=reference),
            )

    # -- the process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are asyncio's by what they do, not by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_AHEAD, low=WRITE_AHEAD // 4)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._frames.feed(data):
                self._heard(kind, payload)
        except (frames.FrameBroken, msgspec.MsgspecError):
            logger.error("the workstation of %s sent what is no frame: it is ended", self.person.name)  # noqa: TRY400
            self._kill()

    def _heard(self, kind: bytes, payload: bytes) -> None:
        if kind in (frames.OUTPUT, frames.SECRET) and self._screen is not None:
            self._dirty = True
            self._screen.write(payload)
        recording = self.recording
        if recording is not None:
            if kind in (frames.OUTPUT, frames.CONCEALED):
                recording.output(payload)
                if recording.unpainted > PICTURE_EVERY and not self._picture_wanted:
                    self._want_picture()
            elif kind == frames.PICTURE:
                self._picture_wanted = False
                recording.picture(payload)
        if kind == frames.EXIT:
            self._exit = msgspec.json.decode(payload, type=frames.Exit)
            self._has_left, self._code = True, self._exit.code
            # The terminal is given back at once; the process may take its time to hang up everything else.
            self._say_goodbye()
            self.leave()

    def pause_writing(self) -> None:
        self._full = True
        if self._screen is not None:
            self._screen.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        if self._size_to_tell is not None:
            size, self._size_to_tell = self._size_to_tell, None
            self._send(frames.size_frame(*size))
        if self._screen is not None:
            self._screen.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        # Its end of the socket is closed: it ends by itself, or it is ended.
        if not self.over.is_set():
            self._owner.host.kill(self.id, "TERM")
            self._owner.kill_later(self.id)
        self._transport = None
        self._end()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class UiSessions:
    """All served workstations of this node.

    advertise      the bastion's address as people know it
    recorder       keeps the screens, where they are kept
    record         writes what happens to a workstation into the journal
    serve_bastion  serves SSH on a socket for a person, from a source, in a workstation, until it closes
    """

    def __init__(
        self,
        settings: WorkstationSettings,
        advertise: m.Address,
        recorder: Recorder | None,
        record: Callable[[Act], None],
        serve_bastion: Callable[[socket.socket, Person, str, str], asyncio.Task[None]],
    ) -> None:
        self.settings = settings
        self._advertise = advertise
        self._recorder = recorder
        self._record = record
        self.host = UiHost(settings, self._process_ended)
        self._serve_bastion = serve_bastion
        self._sessions: dict[int, UiSession] = {}
        self._bastion_sides: dict[int, tuple[socket.socket, asyncio.Task[None]]] = {}
        self._next = 1
        self._opening: Counter[str] = Counter()
        """Of each person, workstations whose processes are being made."""
        self._killing: set[asyncio.TimerHandle] = set()

    def start(self) -> None:
        """Has the UI host made ready."""
        if self.settings.served:
            self.host.start()

    async def stop(self, message: str) -> None:
        """Ends every workstation."""
        for session in list(self._sessions.values()):
            session.stop(message)
        for timer in self._killing:
            timer.cancel()
        await self.host.stop()

    async def resumable(self, person: Person) -> list[UiSession]:
        """Workstations of a person that wait for a terminal, the one that was lost last first.

        A network that is gone may not have been noticed yet: those that seem to have a terminal are asked whether
        they do.
        """
        await asyncio.gather(
            *(each.look_for_screen() for each in self._sessions.values() if each.person.key == person.key)
        )
        waiting = [each for each in self._sessions.values() if each.person.key == person.key and each.waits]
        return sorted(waiting, key=lambda each: each.left or datetime.now(UTC), reverse=True)

    async def open(self, person: Person, where: Attached) -> UiSession:
        """A new workstation; a screen is attached next. Raises Refused."""
        if not self.settings.served:
            raise Refused("no-terminal-here")
        if len(self._sessions) + self._opening.total() >= self.settings.sessions:
            raise Refused("too-many-workstations", limit=self.settings.sessions)
        theirs = sum(each.person.key == person.key for each in self._sessions.values())
        if theirs + self._opening[person.key] >= self.settings.per_person:
            raise Refused("too-many-workstations-yours", limit=self.settings.per_person)
        self._opening[person.key] += 1
        try:
            return await self._open(person, where)
        finally:
            self._opening[person.key] -= 1
            if not self._opening[person.key]:
                del self._opening[person.key]

    async def _open(self, person: Person, where: Attached) -> UiSession:
        id, self._next = self._next, self._next + 1
        session = UiSession(self, id, new_id(), person, where, None)
        if self._recorder is not None:
            session.recording = self.cast_of(session, self._recorder)
        self.note(session, OPENED)
        screen, screen_theirs = socket.socketpair()
        bastion, bastion_theirs = socket.socketpair()
        try:
            with screen_theirs, bastion_theirs:
                session.pid = await self.host.spawn(
                    frames.Spawn(
                        id,
                        person.name,
                        self._advertise.host,
                        self._advertise.port,
                        where.terminal,
                        self.settings.memory,
                    ),
                    (screen_theirs, bastion_theirs),
                )
        except BaseException:
            screen.close()
            bastion.close()
            self.note(session, ENDED)
            raise
        self._sessions[id] = session
        self._bastion_sides[id] = (bastion, self._serve_bastion(bastion, person, where.source, session.name))
        screen.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: session, sock=screen)
        return session

    def cast_of(self, session: UiSession, recorder: Recorder | None) -> ScreenRecording:
        """The asciicast of a workstation's screen, from now on."""
        terminal = session.where.terminal
        return ScreenRecording(
            recorder, session.name, session.person.name, session.where.source, *session.size,
            terminal.environment.get("TERM", ""),
        )  # fmt: skip

    def named(self, name: str) -> UiSession | None:
        """The workstation with this name, while there is one."""
        return next((session for session in self._sessions.values() if session.name == name), None)

    def note(self, session: UiSession, act: str) -> None:
        """What happens to a workstation is on record."""
        terminal = session.where.terminal
        self._record(
            Act(
                at=now(), user=session.person.name, source=session.where.source, act=act, subject=session.name,
                detail={
                    "terminal": terminal.environment.get("TERM", ""), "columns": terminal.columns,
                    "lines": terminal.lines,
                    "recorded": "yes" if session.recording is not None and session.recording.kept else "no",
                },
            )
        )  # fmt: skip

    def kill_later(self, id: int) -> None:
        """KILL after a while, for a process that does not obey; nothing happens where it is gone by then."""
        loop = asyncio.get_running_loop()

        def kill() -> None:
            self._killing.discard(timer)
            self.host.kill(id, "KILL")

        timer = loop.call_later(TERMINATE_SECONDS, kill)
        self._killing.add(timer)

    def ended(self, session: UiSession) -> None:
        """Told by a session: its connection to the bastion ends, and with it what it has open on databases."""
        self._sessions.pop(session.id, None)
        self.note(session, ENDED)
        ours, serving = self._bastion_sides.pop(session.id)
        serving.cancel()
        with contextlib.suppress(OSError):
            ours.close()

    def _process_ended(self, id: int, status: int) -> None:
        session = self._sessions.get(id)
        if session is not None:
            session.process_ended(status)

    def __len__(self) -> int:
        return len(self._sessions)
