"""Recordings being written: one thread for the node, fed with pieces by the sessions, beside the data path.

What a session hands over is bounded, and so is what all of them have handed over and the disk has not taken. Beyond it
pieces are left out and the recording says so: it is evidence beside the journal and holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import NamedTuple, Protocol

import zstandard

from bastion.protocols.contract import Piece, StatementEnds
from bastion.vault import Vault

from .journal import now
from .recording_file import Chunk, End, Gap, RecordingWriter, Sent
from .records import Recording

FLUSH_SECONDS = 2.0
"""Seconds after which what a session holds is handed over; a bastion that dies loses no more of a recording."""

WAITING_OF_SESSION = 4 * 1024 * 1024
"""Bytes of one session that may wait for the disk."""

WAITING = 64 * 1024 * 1024
"""Bytes of all sessions that may wait for the disk."""

WITNESS_SECONDS = 10.0
WITNESS_CHUNKS = 64
"""After so long, or so many chunks, the journal is told how far a recording has come."""

CLOSE_SECONDS = 5.0
"""Seconds that the end of a session waits for its recording to be on the disk."""

AUTHENTICATION = "authentication"
"""The kind of pieces that are a login made anew in mid-session. They are no result, so nothing of them is kept."""

_TOGETHER = 50
"""Sessions that are flushed before others get their turn of the event loop."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Bytes that are kept: of the server's answer to a statement, of all of a session, of what a client streams in."""

    per_statement: int = 1024 * 1024
    per_session: int = 256 * 1024 * 1024
    per_upload: int = 256 * 1024


class LeftOut(NamedTuple):
    """Bytes that a session did not hand over; see recording_file.Gap."""

    size: int
    why: str


class SentIn(NamedTuple):
    """What the client streamed into a statement: `data` behind its first `offset` bytes, `total` bytes so far."""

    number: int
    offset: int
    data: bytes
    total: int
    cut: str = ""


Items = list[Piece | LeftOut | SentIn]


class Flushed(Protocol):
    """A session that holds pieces."""

    def flush(self) -> None: ...


@dataclass(slots=True, eq=False)
class Track:
    """One session's recording, as the writing thread sees it. `handed` is the event loop's, the rest the thread's.

    position   of the stream, up to which pieces have come
    run        bytes kept of the statement that has not ended
    kept, sent bytes that are in the file: of the server, and of what the client streamed in
    dropping   why the rest of that statement is not kept, '' while it is
    stopped    why nothing more is kept: `session` (its limit) or what went wrong; read by the event loop
    """

    session: str
    engine: str
    handed: int = 0
    taken: int = 0
    position: int = 0
    run: int = 0
    dropping: str = ""
    kept: int = 0
    sent: int = 0
    stopped: str = ""
    cut: str = ""
    writer: RecordingWriter | None = None
    witnessed: int = 0
    witnessed_at: float = 0.0
    given_up: bool = False

    def left_out(self) -> int:
        """Bytes of the server so far that are not in the file."""
        return self.position - self.kept

    def record(self, state: str) -> Recording | None:
        """What the journal is told; None where there was nothing to keep."""
        writer = self.writer
        if writer is None and not self.cut:
            return None
        return Recording(
            at=now(),
            session=self.session,
            chunks=0 if writer is None else writer.chunks,
            bytes=0 if writer is None else writer.size,
            hash="" if writer is None else writer.chain.hex(),
            kept=self.kept,
            left_out=self.left_out(),
            state=state,
            cut=self.cut,
        )


@dataclass(slots=True)
class _Job:
    track: Track
    items: Items = field(default_factory=list)
    weight: int = 0
    codec: str = "utf-8"
    idle: bool = False
    total: int | None = None
    """The session is over: all bytes of the server that there were."""
    done: Callable[[Recording | None], None] | None = None


class Recorder:
    """All recordings of this node.

    witness   writes a record into the journal, on the event loop's thread; what it raises is its own to handle
    sync      chunks are on the disk, not only in the kernel, before the journal says that they are there
    """

    def __init__(
        self,
        folder: Path,
        vault: Vault,
        node: str,
        witness: Callable[[Recording], None],
        limits: RecordingLimits | None = None,
        *,
        sync: bool = False,
    ) -> None:
        self.folder = folder
        self.limits = limits or RecordingLimits()
        self.holding: dict[Flushed, None] = {}
        self._vault = vault
        self._node = node
        self._witness = witness
        self._sync = sync
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._handed = 0
        self._taken = 0
        self._thread: threading.Thread | None = None
        self._timer: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._warned_at = -60.0

    # ----------------------------------------------------------------------------------------- on the event loop's side

    def start(self) -> None:
        """Begins. Raises OSError where the folder cannot be made."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
        self._thread.start()
        self._timer = asyncio.create_task(self._flush_at_intervals(), name="recordings-flush")

    async def stop(self) -> None:
        """Writes what was handed over and ends."""
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer
        for session in list(self.holding):
            session.flush()
        self._jobs.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def hand_over(self, track: Track, items: Items, weight: int, codec: str, *, idle: bool) -> bool:
        """Pieces for the file, in order; False when too much is waiting, and nothing was taken.

        `idle`: no statement is at work, so what comes next begins one.
        """
        if track.handed - track.taken + weight > WAITING_OF_SESSION or self._handed - self._taken + weight > WAITING:
            return False
        track.handed += weight
        self._handed += weight
        self._jobs.put(_Job(track, items, weight, codec, idle))
        return True

    async def settled(self, track: Track) -> None:
        """Everything of the session that was handed over so far is written. Raises TimeoutError."""
        await self._until(_Job(track))

    async def close(self, track: Track, total: int) -> Recording | None:
        """The last record of a recording, once it is written; `total` are all bytes that the server has sent."""
        try:
            return await self._until(_Job(track, total=total))
        except TimeoutError:
            # Whatever the thread is at now may still get into the file, but no more than that.
            track.given_up = True
            track.cut = track.cut or "behind"
            return track.record("closed")

    def forget(self, track: Track, total: int) -> None:
        """The same for a session that ends without waiting; the record follows by itself."""
        loop = self._loop
        assert loop is not None
        self._jobs.put(_Job(track, total=total, done=lambda record: self._tell(loop, record)))

    async def _until(self, job: _Job) -> Recording | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Recording | None] = loop.create_future()

        def resolve(record: Recording | None) -> None:
            if not waiter.done():
                waiter.set_result(record)

        def done(record: Recording | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(resolve, record)

        job.done = done
        self._jobs.put(job)
        async with asyncio.timeout(CLOSE_SECONDS):
            return await waiter

    async def _flush_at_intervals(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            for index, session in enumerate(list(self.holding), 1):
                session.flush()
                if index % _TOGETHER == 0:
                    await asyncio.sleep(0)

    # ---------------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._do(job)
            except Exception as error:  # noqa: BLE001 - one recording that fails must not end those of the others
                self._failed(job.track, error)
            self._taken += job.weight
            job.track.taken += job.weight
            if job.done is not None:
                job.done(job.track.record("open" if job.total is None else "closed"))

    def _do(self, job: _Job) -> None:
        track = job.track
        if track.given_up or track.stopped:
            if job.total is not None:
                track.position = job.total
            return
        if job.items:
            chunk, start = self._chunk(track, job)
            if chunk.data or chunk.gaps or chunk.ends or chunk.sent:
                if track.writer is None:
                    track.writer = RecordingWriter(
                        self.folder, track.session, track.engine, self._node, now(), self._vault
                    )
                track.writer.append(chunk, start, track.position, self._compressor, sync=self._sync)
                track.kept += len(chunk.data)
                track.sent += sum(len(sent.data) for sent in chunk.sent)
                self._tell_in_time(track)
        if job.idle:
            track.run, track.dropping = 0, ""
        if job.total is not None:
            track.position = job.total

    def _chunk(self, track: Track, job: _Job) -> tuple[Chunk, int]:
        """What of the items is kept: of each statement a prefix, up to the limits."""
        start = track.position
        keeper = _Keeper(track, self.limits)
        for item in job.items:
            if isinstance(item, LeftOut):
                keeper.leave_out(item.size, item.why)
            elif isinstance(item, SentIn):
                keeper.take_sent(item)
            elif item.size and not keeper.take_whole(item):  # without a size: the bastion's own words
                keeper.take(item)
        return Chunk(job.codec, keeper.runs, keeper.gaps, keeper.ends, b"".join(keeper.parts), keeper.sent), start

    def _tell_in_time(self, track: Track) -> None:
        writer = track.writer
        assert writer is not None
        moment = monotonic()
        if (
            track.witnessed
            and writer.chunks - track.witnessed < WITNESS_CHUNKS
            and moment - track.witnessed_at < WITNESS_SECONDS
        ):
            return
        track.witnessed, track.witnessed_at = writer.chunks, moment
        if self._loop is not None:
            self._tell(self._loop, track.record("open"))

    def _tell(self, loop: asyncio.AbstractEventLoop, record: Recording | None) -> None:
        if record is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._witness, record)

    def _failed(self, track: Track, error: Exception) -> None:
        """No more of this recording: what is in the file stays."""
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
        track.stopped = track.cut = f"failed: {reason}"
        if monotonic() - self._warned_at >= 60:
            self._warned_at = monotonic()
            if isinstance(error, OSError):
                _log.warning("the recording of session %s is cut: %s", track.session, reason)
            else:
                _log.error("the recording of session %s is cut", track.session, exc_info=error)


class _Keeper:
    """Puts a chunk together, counting against the limits."""

    def __init__(self, track: Track, limits: RecordingLimits) -> None:
        self.parts: list[bytes] = []
        self.runs: list[tuple[int, int]] = []
        self.gaps: list[Gap] = []
        self.ends: list[End] = []
        self.sent: list[Sent] = []
        self._track = track
        self._room = limits.per_session - track.kept - track.sent
        self._per_statement = limits.per_statement

    def take_whole(self, piece: Piece) -> bool:
        """Keeps a piece that is within the limits as a whole, as most are; it need not be cut where statements end."""
        track, size, data = self._track, piece.size, piece.data
        run = track.run + size
        if track.dropping or run > self._per_statement or size > self._room or len(data) != size:
            return False
        if piece.kind == AUTHENTICATION:
            return False
        begun = track.position
        track.position = position = begun + size
        for note in piece.notes:
            if type(note) is StatementEnds and note.position:
                done = note.position
                self.ends.append(End(note.number, done, note.bytes_down, note.described, note.formats))
                run = position - done
        track.run = run
        self.parts.append(data)
        self._room -= size
        runs = self.runs
        if runs and runs[-1][0] + runs[-1][1] == begun:
            runs[-1] = (runs[-1][0], runs[-1][1] + size)
        else:
            runs.append((begun, size))
        return True

    def take(self, piece: Piece) -> None:
        """A piece with the statements that end in it, of each as much as may be kept."""
        track, size, data = self._track, piece.size, piece.data
        begun, done = track.position, 0
        if piece.kind == AUTHENTICATION or len(data) != size:
            self.leave_out(size, AUTHENTICATION)
            done = size
        for note in piece.notes:
            if type(note) is StatementEnds and note.position:
                self.ends.append(End(note.number, note.position, note.bytes_down, note.described, note.formats))
                upto = min(max(note.position - begun, done), size)
                self._keep(data[done:upto])
                done = upto
                track.run, track.dropping = 0, ""
        if done < size:
            self._keep(data[done:])

    def take_sent(self, item: SentIn) -> None:
        """Data of the client, as far as the session's limit lets them be kept, and how many there were."""
        data = item.data[: max(self._room, 0)]
        self._room -= len(data)
        cut = item.cut or ("session" if len(data) < len(item.data) else "")
        self.sent.append(Sent(item.number, item.offset, data, item.total, cut))

    def leave_out(self, size: int, why: str) -> None:
        """Bytes that were not handed over; the rest of their statement is not kept either."""
        track = self._track
        track.dropping = track.dropping or why
        if why == "behind":
            track.cut = why
        self._leave(size)

    def _keep(self, data: bytes) -> None:
        """Keeps bytes of one statement that come next, as far as they may."""
        track, size = self._track, len(data)
        if not track.dropping:
            may = min(self._per_statement - track.run, self._room, size)
            if may > 0:
                self._put(data[:may], may)
                track.run += may
                size -= may
            if size and self._room <= 0:
                track.dropping = track.stopped = "session"
            elif size:
                track.dropping = "statement"
        self._leave(size)

    def _leave(self, size: int) -> None:
        """Notes a gap, or lengthens the last one."""
        track = self._track
        if not size:
            return
        last = self.gaps[-1] if self.gaps else None
        if last is not None and last.why == track.dropping and last.position + last.size == track.position:
            self.gaps[-1] = Gap(last.position, last.size + size, last.why)
        else:
            self.gaps.append(Gap(track.position, size, track.dropping))
        track.position += size

    def _put(self, data: bytes, size: int) -> None:
        position = self._track.position
        runs = self.runs
        if runs and runs[-1][0] + runs[-1][1] == position:
            runs[-1] = (runs[-1][0], runs[-1][1] + size)
        else:
            runs.append((position, size))
        self.parts.append(data)
        self._room -= size
        self._track.position = position + size
