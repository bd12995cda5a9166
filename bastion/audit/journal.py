"""The journal: one writer, append-only segments, a hash chain with signed checkpoints. docs/journal-format.md.

An append is on record when the call returns: encoded, chained and handed to the kernel in one write. What is to
survive more than the death of this process is waited for with the future that `append` returns.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import logging
import os
import socket
import threading
from binascii import hexlify
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import get_ident

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion import __version__

from . import chain
from .chain import canonical_bytes
from .durability import GroupCommit, resolve, sync_folder, waiting
from .owed import Owed, for_want_of_room, has_room
from .records import Act, AnyRecord, Checkpoint, JournalRepaired, NodeStarted, NodeStopped, SessionClosed, StatementDone
from .recovery import Found, OpenSessions, find_end, keep_torn, write_open_sessions
from .segments import PUBLIC_KEY_FILE, node_of, segment_path

SEGMENT_BYTES = 64 * 1024 * 1024
"""Bytes after which a new segment is begun."""

CHECKPOINT_RECORDS = 1000
"""Records after which a checkpoint is written. `verify` refuses a journal with longer stretches (chain unsigned)."""

BLINDS = 256
"""Records for which blinds (see chain.leaf_of) are made at a time."""

OWED_AT_ONCE = 500
"""Records that are written together of those that came while there was no room."""

DURABILITIES = ("written", "synced", "stored")
LOCK_FILE = "lock"

_log = logging.getLogger(__name__)


class JournalFailed(Exception):
    """The record cannot be written. Nothing may be passed on: every later append fails too, until it is opened anew."""


class JournalLocked(Exception):
    """Another process writes this journal."""


class JournalForeign(Exception):
    """The folder holds the journal of another node or key."""


class NotStored(Exception):
    """The record is in the journal, but the shared store has not taken it in time."""


def now() -> str:
    """The time as records have it: RFC 3339 in UTC with microseconds and a `Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Journal:
    """The journal of one node. Open it with `Journal.open`; appends may come from any thread.

    listeners        are called with every record after it is written, in the thread that appended it; what they
                     raise is logged
    on_written       is called after each write with the first number, the records and their bytes, before the next
                     append can come
    """

    def __init__(
        self,
        folder: Path,
        node: str,
        signing_key: Ed25519PrivateKey,
        durability: str,
        segment_bytes: int,
        checkpoint_records: int,
    ) -> None:
        if durability not in DURABILITIES:
            raise ValueError(f"durability is one of {', '.join(DURABILITIES)}, not {durability!r}")
        self.folder = folder
        self.node = node
        self.durability = durability
        self.listeners: list[Callable[[AnyRecord], None]] = []
        self.on_written: Callable[[int, tuple[AnyRecord, ...], int], None] | None = None
        self.last_checkpoint: Checkpoint | None = None
        self._key = signing_key
        self._segment_bytes = segment_bytes
        self._checkpoint_records = checkpoint_records
        self._mutex = threading.Lock()
        self._failure: str | None = None
        self._failed_at = ""
        self._wants_room = False
        self._owed = Owed()
        self._written_hash = b""
        self._lines: list[bytes] = []
        self._records: list[AnyRecord] = []
        self._blinds: list[bytes] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._closed = False
        self._number = 0
        self._written = 0
        self._hash = b""
        self._signed = 0
        self._unwritten_checkpoint: Checkpoint | None = None
        self._lock = -1
        self._file = -1
        self._open_sessions = OpenSessions()
        self._size = 0
        self._group_commit = GroupCommit(folder, self._sync_failed)
        self._unstored: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._stored = 0

    @classmethod
    def open(
        cls,
        folder: Path,
        node: str,
        signing_key: Ed25519PrivateKey,
        durability: str = "written",
        *,
        segment_bytes: int = SEGMENT_BYTES,
        checkpoint_records: int = CHECKPOINT_RECORDS,
    ) -> Journal:
        """Takes the journal in `folder` (made if need be) and goes on where it ends.

        A torn tail is cut off and recorded, sessions that a crash left open are closed as lost, the start is recorded
        and signed. Raises JournalLocked, JournalForeign, JournalUnreadable, JournalFailed.
        """
        journal = cls(folder, node, signing_key, durability, segment_bytes, checkpoint_records)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            journal._lock = _take_lock(folder)
        except OSError as error:
            raise JournalFailed(f"The journal in {folder} cannot be opened: {error.strerror}.") from error
        try:
            journal._claim()
            journal._go_on(find_end(folder, node))
        except BaseException as error:
            os.close(journal._lock)
            if isinstance(error, OSError):
                raise JournalFailed(f"The journal in {folder} cannot be opened: {error.strerror}.") from error
            raise
        return journal

    # -------------------------------------------------------------------------------------------------------- writing

    @property
    def number(self) -> int:
        """The number of the last record that is written."""
        return self._written

    @property
    def signed(self) -> int:
        """The number of the last checkpoint's record."""
        return self._signed

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """The node's key, for whatever else it signs of the record."""
        return self._key

    @property
    def failure(self) -> str | None:
        """Why nothing can be written any more; None while all is well."""
        return self._failure

    def append(self, *records: AnyRecord) -> asyncio.Future[None] | None:
        """Writes the records next to each other. Raises JournalFailed; then nothing may be passed on.

        Returns None when they are as durable as the journal's `durability` asks, else a future for that. Without a
        running loop (a thread, a command) `synced` and `stored` wait here until the records are on the disk.
        """
        with self._mutex:
            self._write(records)
            number = self._number
        if self.listeners:
            self._tell(records)
        if self.durability == "written":
            return None
        return self._durable(number)

    def checkpoint(self) -> None:
        """Signs what has been written since the last checkpoint; nothing if that is nothing. Raises JournalFailed."""
        with self._mutex:
            if self._number > self._signed:
                self._sign()

    def begin_segment(self) -> None:
        """Goes on in a new segment. Raises JournalFailed."""
        with self._mutex:
            if self._failure is not None or not self._size:
                return
            if self._lines:
                self._write(())
            try:
                self._begin_segment(self._written + 1)
            except OSError as error:
                raise self._fail(error.strerror or str(error), wants_room=for_want_of_room(error)) from error

    def sync(self) -> None:
        """What is written so far is on the disk, whatever the durability. Blocks. Raises JournalFailed."""
        with self._mutex:
            file = os.dup(self._file)
        try:
            os.fdatasync(file)
        except OSError as error:
            raise self._sync_failed(error) from error
        finally:
            os.close(file)

    def close(self, reason: str) -> None:
        """Records the stop, signs, syncs and gives the journal free. A journal that has failed is only given free."""
        if self._closed:
            return
        try:
            if self._failure is None:
                self.append(NodeStopped(at=now(), node=self.node, reason=reason))
                self.checkpoint()
        finally:
            with self._mutex:
                self._closed = True
                self._failure = self._failure or "it is closed"
            try:
                self._group_commit.stop()
            except OSError as error:
                raise JournalFailed(f"The journal in {self.folder} could not be synced: {error.strerror}.") from error
            finally:
                os.close(self._lock)
                self.not_stored(NotStored("The journal was closed before the shared store had the record."))

    def _tell(self, records: tuple[AnyRecord, ...]) -> None:
        for listener in tuple(self.listeners):
            try:
                for record in records:
                    listener(record)
            except Exception:  # noqa: BLE001 - whoever watches must not break what is recorded
                _log.exception("a listener of the journal failed")

    def append_soon(self, *records: AnyRecord) -> None:
        """Like `append`, but written with the next append or at the end of this turn of the event loop.

        For outcomes: what they report has happened, so nothing waits for them, and one write serves many. A process
        that dies in between leaves "sent, no outcome". Raises JournalFailed where the journal has failed already.
        """
        if get_ident() != self._loop_thread:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                self.append(*records)
                return
            self._loop_thread = get_ident()
        with self._mutex:
            first = not self._lines
            self._chain(records)
        if first:
            assert self._loop is not None
            try:
                self._loop.call_soon(self.flush)
            except RuntimeError:
                # That loop is closed: look for the running one with the next record.
                self._loop_thread = 0
                self.flush()
        if self.listeners:
            self._tell(records)

    def flush(self) -> None:
        """Writes what `append_soon` has delayed."""
        with self._mutex:
            if self._lines and self._failure is None:
                try:
                    self._write(())
                except JournalFailed:
                    # Logged when it failed; the next append says so to whoever wants to pass something on.
                    return

    def _chain(self, records: tuple[AnyRecord, ...]) -> None:
        """Gives the records their numbers and hashes and puts their lines to those that the next write takes."""
        if self._failure is not None:
            self._owed.take_facts(records, self._open_sessions)
            raise JournalFailed(f"The journal in {self.folder} takes no more records: {self._failure}.")
        for record in records:
            try:
                body = canonical_bytes(record)
            except UnicodeEncodeError:
                record = chain.encodable(record)
                body = canonical_bytes(record)
            number = self._number + 1
            if not self._blinds:
                self._blinds = _blinds()
            rest = self._blinds.pop() + body
            # As chain.leaf_of and chain.link have it; calls cost as much as the hashes here.
            head = sha256(b"\1" + self._hash + sha256(rest).digest() + number.to_bytes(8, "big")).digest()
            self._lines.append(b"%d %b %b\n" % (number, hexlify(head), rest[1:]))
            self._records.append(record)
            self._number, self._hash = number, head
            if number - self._signed >= self._checkpoint_records:
                # Here, not behind the write: ten thousands of outcomes may be delayed together.
                self._chain_checkpoint()

    def _chain_checkpoint(self) -> None:
        """Signs what is chained so far. It may be handed out when it is written, not before."""
        checkpoint = chain.sign_checkpoint(self._key, self.node, self._number, self._hash, now())
        self._signed = self._number + 1
        self._unwritten_checkpoint = checkpoint
        self._chain((checkpoint,))

    def _write(self, records: tuple[AnyRecord, ...]) -> None:
        """Writes what was delayed and then `records`, in one write."""
        if records:
            self._chain(records)
        lines = self._lines
        data = b"".join(lines) if len(lines) > 1 else lines[0]
        lines.clear()
        written, self._records = self._records, []
        try:
            if self._size and self._size + len(data) > self._segment_bytes:
                self._begin_segment(self._written + 1)
            size = os.write(self._file, data)
        except OSError as error:
            self._owe(written, records)
            raise self._fail(error.strerror or str(error), wants_room=for_want_of_room(error)) from error
        if size != len(data):
            self._owe(written, records)
            # A part of a record at the end would read as a crash. It was not acknowledged: take it back if we can.
            clean = True
            try:
                os.ftruncate(self._file, self._size)
            except OSError as error:
                clean = False
                _log.warning("the torn end of the journal stays until it is opened anew: %s", error)
            raise self._fail(f"only {size} of {len(data)} bytes could be written (is the disk full?)", wants_room=clean)
        self._size += size
        first, self._written, self._written_hash = self._written + 1, self._number, self._hash
        if self._unwritten_checkpoint is not None:
            self.last_checkpoint, self._unwritten_checkpoint = self._unwritten_checkpoint, None
        for record in written:
            if type(record) is not StatementDone:
                self._open_sessions.follow(record)
        if self.on_written is not None:
            self.on_written(first, tuple(written), size)

    def _sign(self) -> None:
        self._chain_checkpoint()
        self._write(())

    def _begin_segment(self, first: int) -> None:
        path = segment_path(self.folder, first)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._size = 0
        self._group_commit.follow(self._file)
        write_open_sessions(path, self._open_sessions)

    # ----------------------------------------------------------------------------------------------------- durability

    def stored(self, number: int) -> None:
        """The projection says: the records up to `number` are in the shared store. From any thread."""
        with self._mutex:
            self._stored = max(self._stored, number)
            done = []
            while self._unstored and self._unstored[0][0] <= self._stored:
                done.append(self._unstored.popleft()[1])
        for waiter in done:
            resolve(waiter)

    def not_stored(self, error: Exception) -> None:
        """The projection says: the store takes nothing. Whoever waits for it now gets the error. From any thread."""
        with self._mutex:
            failed, self._unstored = self._unstored, deque()
        for _, waiter in failed:
            resolve(waiter, error)

    def _durable(self, number: int) -> asyncio.Future[None] | None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise self._sync_failed(error) from error
            return None
        if self.durability == "synced":
            return self._group_commit.wait()
        waiter = waiting()
        with self._mutex:
            if number > self._stored:
                self._unstored.append((number, waiter))
                return waiter
        return None

    def _sync_failed(self, error: OSError) -> Exception:
        return self._fail(error.strerror or str(error))

    def _fail(self, reason: str, *, wants_room: bool = False) -> JournalFailed:
        """Fail closed: after a failed sync nobody can say what is on the disk; after a full disk see `try_again`."""
        if self._failure is None:
            if not self._failed_at:
                self._failed_at = now()
                _log.critical("the journal in %s cannot be written: %s", self.folder, reason)
            self._failure = reason
            self._wants_room = wants_room
        elif not wants_room:
            self._wants_room = False
        after = "it then goes on by itself" if self._wants_room else "then restart the bastion"
        return JournalFailed(
            f"The journal in {self.folder} cannot be written: {reason}. Nothing is passed on without a record. "
            f"Make room or mend the disk; {after}."
        )

    def _owe(self, written: list[AnyRecord], refused: tuple[AnyRecord, ...]) -> None:
        """What was delayed has been promised to be written; of what is refused now, what has happened in any case."""
        asked = {id(record) for record in refused}
        self._owed.take(record for record in written if id(record) not in asked)
        self._owed.take_facts(refused, self._open_sessions)

    def try_again(self) -> bool:
        """Whether the journal can be written. One that failed for want of room goes on where it ended, once there is.

        What happened meanwhile is recorded then, and that there was such a time. Does not raise.
        """
        with self._mutex:
            if self._failure is None:
                return True
            try:
                if self._closed or not self._wants_room or not has_room(self._file):
                    return False
            except OSError:
                return False
            self._lines.clear()
            self._records.clear()
            self._number, self._hash = self._written, self._written_hash
            self._unwritten_checkpoint = None
            self._signed = 0 if self.last_checkpoint is None else self.last_checkpoint.number + 1
            reason, self._failure = self._failure, None
            owed, lost = self._owed.give(), self._owed.forget_lost()
            resumed = Act(
                at=now(), user="", source="", act="journal-resumed", subject=self.node,
                detail={"since": self._failed_at, "reason": reason, "recorded_late": len(owed), "lost": lost},
            )  # fmt: skip
            try:
                self._write((resumed,))
                while owed:
                    some, owed = owed[:OWED_AT_ONCE], owed[OWED_AT_ONCE:]
                    self._chain(some)
                    self._write(())
                self._sign()
            except JournalFailed:
                self._owed.take(owed)
                self._owed.lost += lost
                return False
            _log.warning("the journal in %s is written again; %d records came late, %d are lost", self.folder,
                         resumed.detail["recorded_late"], lost)  # fmt: skip
            self._failed_at = ""
            return True

    # -------------------------------------------------------------------------------------------------------- opening

    def _claim(self) -> None:
        """Makes sure that the journal is this node's and this key's; writes the public key beside a new one."""
        node = node_of(self.folder)
        if node is not None and node != self.node:
            raise JournalForeign(
                f"The journal in {self.folder} belongs to the node {node}, not to {self.node}. "
                "A chain cannot change its node: set the name back or give this node a folder of its own."
            )
        public_key = chain.public_bytes(self._key)
        path = self.folder / PUBLIC_KEY_FILE
        if path.exists():
            if chain.read_public_key(path) != public_key:
                raise JournalForeign(
                    f"The journal in {self.folder} is signed with another key than the one given ({path}). "
                    "Give it the key that it was begun with."
                )
        else:
            path.write_bytes(base64.b64encode(public_key) + b"\n")

    def _go_on(self, found: Found) -> None:
        self._open_sessions = found.open_sessions
        self._number, self._hash = found.number, found.hash
        # What a crash left unsigned is signed with the start, below.
        self._written = self._signed = found.number
        self._written_hash = found.hash
        self.last_checkpoint = found.checkpoint
        first: list[AnyRecord] = []
        if found.segment is None:
            self._begin_segment(self._number + 1)
            sync_folder(self.folder)
        else:
            if found.torn:
                keep_torn(found.segment, found.torn)
            self._file = os.open(found.segment.path, os.O_WRONLY | os.O_APPEND)
            self._size = found.size
            self._group_commit.follow(self._file)
            if found.torn:
                os.ftruncate(self._file, found.size)
                first.append(JournalRepaired(at=now(), segment=found.segment.path.name, bytes_cut=len(found.torn)))
                _log.warning("%d bytes of a torn record were cut off %s", len(found.torn), found.segment.path)
        first += [
            SessionClosed(
                at=now(), session=session, reason="the bastion stopped without closing it", statements=statements,
                bytes_up=0, bytes_down=0, unattributed_bytes=0, state="lost",
            )
            for session, statements in found.open_sessions.last_statement.items()
        ]  # fmt: skip
        # The start comes last: a later opening looks for open sessions back to the last start and no further.
        public_key = base64.b64encode(chain.public_bytes(self._key)).decode()
        first.append(NodeStarted(at=now(), node=self.node, version=__version__, public_key=public_key))
        with self._mutex:
            self._write(tuple(first))
            self._sign()


def _blinds() -> list[bytes]:
    """What is before the records in what their leaves are made of."""
    digits = hexlify(os.urandom(BLINDS * 16))
    return [b"\0%b " % digits[place : place + 32] for place in range(0, len(digits), 32)]


def _take_lock(folder: Path) -> int:
    """The lock's file descriptor; closing it lets go. Raises JournalLocked, which names the holder, and OSError."""
    path = folder / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise JournalLocked(
            f"The journal in {folder} is being written by {holder}. Stop it, or use its own door for this."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode(), 0)
    return descriptor
