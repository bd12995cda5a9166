"""Retention: what is older than the rules say, or more than they allow, is deleted, and a tombstone says so.

In this order, so that a crash leaves either nothing done or something that the next start completes: the new files are
written beside the old ones; a plan says what is to be done; the tombstone, which names the plan, is recorded, signed
and on the disk; only then is anything removed. Without its tombstone a plan is void.

Everything here blocks, at a bounded rate: it runs in a thread of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from time import monotonic

import msgspec

from bastion.store.moments import to_text
from bastion.store.store import Store

from . import deleted_rows, tombstones
from .durability import sync_folder
from .journal import Journal, now
from .kept_records import Found, Keeping
from .recording_file import CHAIN_BYTES, SUFFIX, RecordingDamaged, RecordingReader, path_of
from .screen_recording import PREFIX as SCREEN
from .segments import Line, last_line, segment_path, segments_of
from .tombstones import Deletion, Gone, Range

PLAN_FILE = "deletion.plan"
BESIDE = ".kept"
"""Of a segment that is to take another's place."""

SEGMENT_AGE = timedelta(days=1)
"""A segment goes as a whole, so with retention by age none is written to for longer."""

RECORDINGS_TOGETHER = 200
"""Recordings of one tombstone."""

LEFT_ALONE = 2
"""Segments at the end that are never touched: the one that is written to, and the one it follows from."""

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The bastion stops; what was begun goes on at its next start."""


@dataclass(frozen=True, slots=True)
class Rules:
    """0: for ever, as much as there is. Ages count from the end of a session.

    records           days that the journal and the store keep what was done
    recordings        days that results are kept; `screens`: the same of screens
    recordings_bytes  of both together; the oldest go first
    """

    records: int = 0
    recordings: int = 0
    screens: int = 0
    recordings_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.records or self.recordings or self.screens or self.recordings_bytes)


@dataclass(slots=True)
class Outcome:
    """What a run has deleted."""

    records: int = 0
    sessions: int = 0
    recordings: int = 0
    bytes: int = 0


class Pace:
    """Works a share of the time. Raises Stopped once `stop` was called."""

    def __init__(self, share: float = 0.2) -> None:
        self._share = share
        self._since = monotonic()
        self._stopping = threading.Event()

    def step(self) -> None:
        """Between two pieces of work; it rests as long as the share asks."""
        busy = monotonic() - self._since
        if self._stopping.is_set() or (
            self._share < 1 and self._stopping.wait(min(busy * (1 - self._share) / self._share, 1.0))
        ):
            raise Stopped
        self._since = monotonic()

    def stop(self) -> None:
        self._stopping.set()


class Plan(msgspec.Struct):
    """What a tombstone has announced. Done twice it does no harm.

    last      of the records that were looked at; `acts` are the numbers of those acts up to it that stay
    segments  by their first record, and whether they go; else another file takes their place
    """

    last: int = 0
    sessions: list[str] = []
    acts: list[int] = []
    segments: list[tuple[int, bool]] = []
    recordings: list[str] = []


def pending(folder: Path) -> Plan | None:
    """What a signed tombstone has announced and is not known to be done. Raises OSError."""
    try:
        content = (folder / PLAN_FILE).read_bytes()
        plan = msgspec.json.decode(content, type=Plan)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    found = tombstones.newest(folder)
    try:
        if found is None or tombstones.deletion_of(found[1]).plan != sha256(content).hexdigest():
            return None
    except ValueError:
        return None
    return plan


class Retention:
    """One node's. `taken` says up to which record the store and every receiver have the journal."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        recordings: Path,
        rules: Rules,
        taken: Callable[[], int],
        *,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        segment_age: timedelta = SEGMENT_AGE,
    ) -> None:
        self.rules = rules
        self._journal, self._store, self._recordings, self._taken = journal, store, recordings, taken
        self.pace = pace or Pace()
        self._clock = clock
        self._segment_age = segment_age
        self._newest: tuple[int, Deletion] | None = None
        self._looked = False
        self._done_to = 0

    def run(self, *, thorough: bool = False) -> Outcome:
        """Completes what was begun, and applies the rules once. Raises Stopped, JournalFailed, OSError, the store's.

        thorough: what an earlier run left is looked through again, also where nothing has become old since: what was on
        hold then and is released goes at once, and not with the next segment.
        """
        outcome = Outcome()
        self.resume()
        for rule, recordings in self._due_recordings().items():
            ids = list(recordings)
            for start in range(0, len(ids), RECORDINGS_TOGETHER):
                self._delete_these(rule, ids[start : start + RECORDINGS_TOGETHER], outcome)
        if self.rules.records:
            if self._segment_is_old():
                self._journal.begin_segment()
            self._delete_records(outcome, thorough=thorough)
        return outcome

    def foresee(self) -> Outcome:
        """What a thorough `run` would delete now; nothing is deleted or begun. Raises the same."""
        outcome = Outcome()
        sizes: dict[str, int] = {}
        for recordings in self._due_recordings().values():
            sizes.update(recordings)
        if self.rules.records:
            found = self._due_records(LEFT_ALONE - 1 if self._segment_is_old() else LEFT_ALONE, thorough=True)
            if found is not None:
                outcome.records, outcome.sessions = found.records, len(found.sessions)
                sizes |= self._sizes(found.recordings)
        outcome.recordings, outcome.bytes = len(sizes), sum(sizes.values())
        return outcome

    def resume(self) -> None:
        """Completes a deletion that a crash interrupted, or clears away one that was not announced."""
        folder = self._journal.folder
        plan = pending(folder)
        if plan is not None:
            _log.warning("a deletion by retention that was interrupted is completed")
            self._carry_out(plan)
        (folder / PLAN_FILE).unlink(missing_ok=True)
        for path in folder.glob(f"*{BESIDE}"):
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------------ recordings

    def _due_recordings(self) -> dict[str, dict[str, int]]:
        """Those that go, with their sizes, by rule."""
        rules = self.rules
        by_rule: dict[str, dict[str, int]] = {}
        if not (rules.recordings or rules.screens or rules.recordings_bytes):
            return by_rule
        left: list[tuple[str, int, str]] = []
        total = 0
        for id, size, ended in self._ended_recordings():
            total += size
            days, what = (rules.screens, "screens") if id.startswith(SCREEN) else (rules.recordings, "recordings")
            if ended is None:
                continue
            if days and ended < self._cutoff(days):
                by_rule.setdefault(f"{what} older than {days} days", {})[id] = size
                total -= size
            else:
                left.append((ended, size, id))
        if rules.recordings_bytes:
            for _ended, size, id in sorted(left):
                if total <= rules.recordings_bytes:
                    break
                by_rule.setdefault(f"recordings beyond {rules.recordings_bytes} bytes", {})[id] = size
                total -= size
        return by_rule

    def _ended_recordings(self) -> Iterator[tuple[str, int, str | None]]:
        """Every recording with its size and when its session ended; None while it has not, and where it is held."""
        if not self._recordings.is_dir():
            return
        held = self._store.read_now(deleted_rows.held)
        paths = sorted(self._recordings.glob(f"*{SUFFIX}"))
        for start in range(0, len(paths), 500):
            self.pace.step()
            part = paths[start : start + 500]
            ends = self._store.read_now(deleted_rows.ends_of([path.stem for path in part]))
            for path in part:
                with contextlib.suppress(FileNotFoundError):
                    ended = None if path.stem in held else ends.get(path.stem)
                    yield path.stem, path.stat().st_size, ended

    def _delete_these(self, rule: str, ids: list[str], outcome: Outcome) -> None:
        gone = []
        for id in ids:
            try:
                gone.append(_end_of(self._recordings, id))
            except (RecordingDamaged, FileNotFoundError) as error:
                _log.warning("the recording of %s is not deleted: %s. Run `casemate audit verify`", id, error)
        if not gone:
            return
        size = sum(path_of(self._recordings, one.id).stat().st_size for one in gone)
        plan = Plan(recordings=[one.id for one in gone])
        ranges = [] if self._last_deletion() is None else self._last_deletion_ranges()
        self._announce(plan, rule, "", ranges, recordings=gone)
        self._carry_out(plan)
        outcome.recordings += len(gone)
        outcome.bytes += size

    # --------------------------------------------------------------------------------------------------------- records

    def _segment_is_old(self) -> bool:
        """Whether the one that is written to is to be written to no longer."""
        segments = segments_of(self._journal.folder)
        if not segments:
            return False
        with segments[-1].path.open("rb") as file:
            line = Line.parse(file.readline())
        return line is not None and line.shown and _moment(line) < self._clock() - self._segment_age

    def _due_records(self, left_alone: int, *, thorough: bool) -> Found | None:
        """What goes of the segments but the last ones; None where nothing has become old since the last look."""
        cutoff = self._cutoff(self.rules.records)
        folder = self._journal.folder
        segments = segments_of(folder)
        firsts = [one.first for one in segments]
        old = []
        taken = self._taken()
        for segment, following in zip(segments[:-left_alone], firsts[1:], strict=False):
            line = last_line(segment)
            if line is None or (line.shown and to_text(_moment(line)) >= cutoff) or following - 1 > taken:
                break
            # By its own last line: the segments behind it may be gone already.
            old.append((segment, line.number))
        if not old:
            return None
        before = self._last_deletion_ranges()
        if not thorough and (self._done_to >= old[-1][1] or (before and before[-1].last >= old[-1][1])):
            return None  # all of it was looked at, and nothing has become old since
        held = self._store.read_now(deleted_rows.held)
        keeping = Keeping([(segment.path, last) for segment, last in old], held, self.pace.step)
        found = keeping.look(self._journal.node, before)
        self._done_to = old[-1][1]
        return found if found.records else None

    def _delete_records(self, outcome: Outcome, *, thorough: bool) -> None:
        found = self._due_records(LEFT_ALONE, thorough=thorough)
        if found is None:
            return
        cutoff, folder = self._cutoff(self.rules.records), self._journal.folder
        plan = Plan(
            last=found.last, sessions=found.sessions, acts=found.acts,
            segments=[(segment.first, gone) for segment, gone in found.segments], recordings=found.recordings,
        )  # fmt: skip
        for path in found.rewritten(BESIDE):
            _log.info("%s is kept in part", path.name)
        sync_folder(folder)
        rule = f"records older than {self.rules.records} days"
        ids = sha256("".join(f"{id}\n" for id in sorted(found.sessions)).encode()).hexdigest()
        sizes = self._sizes(found.recordings)
        self._announce(plan, rule, cutoff, found.ranges, records=found.records, sessions=len(found.sessions), ids=ids)
        self._carry_out(plan)
        outcome.records += found.records
        outcome.sessions += len(found.sessions)
        outcome.recordings += len(sizes)
        outcome.bytes += sum(sizes.values())

    def _sizes(self, ids: list[str]) -> dict[str, int]:
        """Of those recordings that are there."""
        sizes = {}
        for id in ids:
            with contextlib.suppress(FileNotFoundError):  # most sessions have none
                sizes[id] = path_of(self._recordings, id).stat().st_size
        return sizes

    # ------------------------------------------------------------------------------------------------- one step a time

    def _announce(
        self, plan: Plan, rule: str, before: str, ranges: list[Range], *, records: int = 0, sessions: int = 0,
        ids: str = "", recordings: list[Gone] | None = None,
    ) -> None:  # fmt: skip
        """The plan, and then the tombstone that makes it hold, are on the disk."""
        folder = self._journal.folder
        content = msgspec.json.encode(plan)
        _write(folder / PLAN_FILE, content)
        sync_folder(folder)
        deletion = Deletion(rule, before, records, sessions, ids, ranges, recordings or [], sha256(content).hexdigest())
        self._journal.append(tombstones.tombstone(self._journal.signing_key, self._journal.node, now(), deletion))
        self._journal.checkpoint()
        self._journal.sync()
        self._newest, self._looked = (self._journal.number, deletion), True

    def _carry_out(self, plan: Plan) -> None:
        for id in plan.recordings:
            self.pace.step()
            path_of(self._recordings, id).unlink(missing_ok=True)
        if plan.last:
            deleted_rows.delete(self._store, self._journal.node, plan.sessions, plan.last, plan.acts, self.pace.step)
            for first, gone in plan.segments:
                self._replace(first, gone=gone)
            sync_folder(self._journal.folder)
        (self._journal.folder / PLAN_FILE).unlink(missing_ok=True)

    def _replace(self, first: int, *, gone: bool) -> None:
        self.pace.step()
        path = segment_path(self._journal.folder, first)
        if gone:
            path.unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):  # done before the crash
            path.with_suffix(BESIDE).replace(path)

    # ------------------------------------------------------------------------------------------------------------ state

    def _last_deletion(self) -> Deletion | None:
        """What the newest tombstone states. The files are searched for it once."""
        if not self._looked:
            found = tombstones.newest(self._journal.folder)
            self._newest = None if found is None else (found[0], tombstones.deletion_of(found[1]))
            self._looked = True
        return None if self._newest is None else self._newest[1]

    def _last_deletion_ranges(self) -> list[Range]:
        deletion = self._last_deletion()
        return [] if deletion is None else sorted(deletion.ranges, key=lambda one: one.first)

    def _cutoff(self, days: int) -> str:
        return to_text(self._clock() - timedelta(days=days))


def _end_of(folder: Path, id: str) -> Gone:
    """How many chunks a recording has, and its last link. Raises RecordingDamaged, OSError."""
    with RecordingReader(path_of(folder, id)) as reader:
        count, end = 0, 0
        for frame in reader.frames():
            count, end = frame.number, frame.offset + frame.length
        link = reader.link
    if count:
        with path_of(folder, id).open("rb") as file:
            file.seek(end)
            link = file.read(CHAIN_BYTES)
    return Gone(id, count, link.hex())


def _moment(line: Line) -> datetime:
    at = msgspec.json.decode(line.body, type=_At).at
    return datetime.fromisoformat(at)


class _At(msgspec.Struct):
    at: str


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
