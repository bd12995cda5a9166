"""What is too old goes, what is held stays, a tombstone says so, and a crash at any step leaves nothing half there."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.audit import chain, deleted_rows, tombstones
from bastion.audit import journal as journal_module
from bastion.audit.audit import Audit
from bastion.audit.bundle import BundleMaker, Wanted
from bastion.audit.bundle_verifier import examine
from bastion.audit.comparison import with_store
from bastion.audit.journal import Journal
from bastion.audit.records import Act, Tombstone
from bastion.audit.retention import Pace, Retention, Rules, pending
from bastion.audit.search import find_statements
from bastion.audit.segments import Line, segments_of
from bastion.audit.shipping.follower import Follower
from bastion.audit.verify import verify
from bastion.store import schema
from bastion.store.moments import to_text
from bastion.store.store import Store, sqlite_url

from .journal_samples import KEY, OTHER_KEY, closed, done, logged_in, open_journal, opened, sent
from .recording_stage import Stage, stage_in

PUBLIC = chain.public_bytes(KEY)
TODAY = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


class House:
    """A journal of many small segments over 100 days, its store, its recordings, and retention over them."""

    moment = ""

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.folder = folder
        self.stage = stage
        self.journal_folder = folder / "journal"
        self.url = sqlite_url(folder / "store.db")
        self.store = Store.open(self.url)
        self.store.migrate()
        self.journal: Journal
        self.audit: Audit

    async def open(self) -> None:
        self.journal = open_journal(self.journal_folder, segment_bytes=3000, checkpoint_records=6)
        self.audit = Audit(self.journal, self.store)
        await self.audit.start()

    async def settle(self) -> None:
        await self.audit.settle()

    async def close(self) -> None:
        await self.audit.stop()
        self.journal.close("over")

    def retention(self, rules: Rules, **settings: Any) -> Retention:
        return Retention(
            self.journal, self.store, self.stage.folder, rules, lambda: 10**9, pace=Pace(1), clock=lambda: TODAY,
            **settings,
        )  # fmt: skip

    def proof(self) -> m.Proof:
        return with_store(verify(self.journal_folder, PUBLIC, None, self.stage.folder), self.store, self.journal_folder)

    def hold(self, session: str) -> None:
        row = {"session": session, "reason": "case 9", "by": "eve", "at": to_text(TODAY)}
        self.store.run_now(lambda connection: connection.execute(sa.insert(schema.legal_holds).values(row)))

    def sessions(self) -> list[str]:
        table = schema.sessions
        return list(self.store.read_now(lambda connection: connection.scalars(sa.select(table.c.session)).all()))

    def count(self, table: sa.Table) -> int:
        return self.store.read_now(
            lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        )

    def found(self, word: str) -> list[str]:
        wanted = m.StatementFilter(words=[word])
        return [s.session for s in self.store.read_now(lambda c: find_statements(c, wanted)).statements]

    def numbers(self) -> list[int]:
        lines = (line for one in segments_of(self.journal_folder) for line in map(Line.parse, one.path.open("rb")))
        return [line.number for line in lines if line is not None and line.shown]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the journal itself records (starts, checkpoints) is of the time that is played."""
    House.moment = at(101)
    monkeypatch.setattr(journal_module, "now", lambda: House.moment)


def at(days: int) -> str:
    return to_text(TODAY - timedelta(days=days))


async def live(house: House, session: str, days: int, *, recorded: bool = False, ends: bool = True) -> None:
    """A session of so many days ago, with three statements."""
    House.moment = at(days)

    def of_then(record: Any) -> Any:
        return msgspec.structs.replace(record, at=at(days))

    house.journal.append(of_then(opened(session)), of_then(logged_in(session)))
    house.journal.append(Act(at=at(days), user="alice", source="x", act="token-shown", subject=f"t-{session}"))
    for seq in (1, 2, 3):
        text = f"SELECT {seq} FROM word_{session} {'x' * 60}"
        house.journal.append(of_then(sent(seq, text, session)), of_then(done(seq, session)))
    if recorded:
        playing = house.stage.session(session)
        playing.answer(1, random.Random(session).randbytes(400))
        record = await playing.recording.close(playing.position)
        assert record is not None
        house.journal.append(of_then(record))
    if ends:
        house.journal.append(of_then(closed(session, 3)))


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    async with stage_in(tmp_path) as stage:
        made = House(tmp_path, stage)
        await made.open()
        for days in range(100, 0, -5):
            if days == 90:
                await live(made, "long", 90, ends=False)
            await live(made, f"s{days:03}", days, recorded=days % 20 == 0)
        House.moment = at(0)
        await made.settle()
        yield made
        await made.close()
        made.store.close()


async def test_what_is_older_goes_and_the_rest_verifies(house: House) -> None:
    before = house.proof()
    assert (before.intact, before.deleted, before.tombstone) == (True, 0, None)
    outcome = house.retention(Rules(records=40)).run()
    await house.settle()
    assert outcome.records > 50
    proof = house.proof()
    assert (proof.intact, proof.store, proof.reason) == (True, "", None)
    assert proof.deleted == outcome.records
    assert proof.deleted_by == "records older than 40 days"
    tombstone = next(record for record in records_of_shown(house) if isinstance(record, Tombstone))
    assert proof.tombstone is not None
    assert proof.deleted_at == tombstone.at
    left = house.sessions()
    assert "s100" not in left
    assert {"s040", "s035", "s005", "long"} <= set(left)
    assert house.found("word_s100") == []
    assert house.found("word_s005") == ["s005"] * 3
    assert not (house.stage.folder / "s100.recording").exists()
    assert (house.stage.folder / "s020.recording").exists()
    content = b"".join(one.path.read_bytes() for one in segments_of(house.journal_folder))
    assert b"word_s100" not in content
    assert b"word_s040" in content


def records_of_shown(house: House) -> list[Any]:
    lines = (line for one in segments_of(house.journal_folder) for line in map(Line.parse, one.path.open("rb")))
    return [chain.record_from(line.body) for line in lines if line is not None and line.shown]


async def test_what_is_held_and_what_is_not_over_stays_whole(house: House, tmp_path: Path) -> None:
    house.hold("s080")
    house.retention(Rules(records=40)).run()
    await house.settle()
    proof = house.proof()
    assert (proof.intact, proof.reason) == (True, None)
    left = house.sessions()
    assert "s080" in left
    assert "s085" not in left
    assert "s075" not in left
    assert house.found("word_s080") == ["s080"] * 3
    assert (house.stage.folder / "s080.recording").exists()
    # A bundle of it can still be made, and holds.
    wanted = Wanted("s080", "eve", True, True, house.journal.number)
    maker = BundleMaker(
        house.store, house.stage.vault, KEY, "n1", house.journal_folder, house.stage.folder, tmp_path, wanted
    )
    bundle = tmp_path / "evidence.zip"
    bundle.write_bytes(b"".join(maker.parts()))
    found = examine(bundle, PUBLIC)
    assert (found.statements, found.recordings) == (3, 1)
    assert b"word_s075" not in bundle.read_bytes()


async def test_released_evidence_goes_with_the_next_deletion_and_old_tombstones_go_too(house: House) -> None:
    house.hold("s080")
    house.retention(Rules(records=60)).run()
    house.store.run_now(lambda connection: connection.execute(sa.delete(schema.legal_holds)))
    house.retention(Rules(records=30)).run()
    await house.settle()
    proof = house.proof()
    assert (proof.intact, proof.reason) == (True, None)
    assert "s080" not in house.sessions()
    assert proof.deleted_by == "records older than 30 days"


async def test_recordings_go_by_age_and_the_oldest_beyond_a_size(house: House) -> None:
    house.hold("s100")
    outcome = house.retention(Rules(recordings=50)).run()
    assert outcome.recordings == 2
    left = sorted(path.stem for path in house.stage.folder.iterdir())
    assert left == ["s020", "s040", "s100"]
    await house.settle()
    proof = house.proof()
    assert (proof.intact, proof.recordings, proof.recordings_deleted) == (True, 3, 2)
    house.retention(Rules(recordings_bytes=1)).run()
    assert sorted(path.stem for path in house.stage.folder.iterdir()) == ["s100"]
    await house.settle()
    proof = house.proof()
    assert (proof.intact, proof.recordings, proof.recordings_deleted) == (True, 1, 4)
    # The records of it are deleted later, and what is held still verifies.
    house.retention(Rules(records=30)).run()
    await house.settle()
    assert house.proof().intact


async def test_nothing_goes_that_somebody_has_not_got_yet(house: House) -> None:
    retention = house.retention(Rules(records=40))
    retention._taken = lambda: 0
    assert retention.run().records == 0
    assert house.proof().deleted == 0


async def test_a_second_run_finds_nothing_to_do(house: House) -> None:
    retention = house.retention(Rules(records=40, recordings=40))
    first = retention.run()
    number = house.journal.number
    again = retention.run()
    assert first.records
    assert (again.records, again.recordings, house.journal.number) == (0, 0, number)
    assert house.retention(Rules(records=40, recordings=40)).run().records == 0


async def test_the_journal_goes_on_and_a_store_and_a_receiver_can_begin_anew(house: House, tmp_path: Path) -> None:
    house.retention(Rules(records=40)).run()
    await house.close()
    await house.open()
    await live(house, "new", 0)
    await house.settle()
    assert house.proof().intact
    follower = Follower(house.journal_folder, 0)
    lines = follower.lines(10**6)
    assert [line.number for line in lines] == house.numbers()
    follower.close()
    await house.audit.stop()
    fresh = Store.open(sqlite_url(tmp_path / "fresh.db"))
    fresh.migrate()
    audit = Audit(house.journal, fresh)
    await audit.start()
    await audit.settle()
    await audit.stop()
    proof = with_store(verify(house.journal_folder, PUBLIC), fresh, house.journal_folder)
    assert (proof.intact, proof.reason) == (True, None)
    fresh.close()
    house.audit = Audit(house.journal, house.store)
    await house.audit.start()


async def test_a_segment_does_not_grow_beyond_a_day(house: House) -> None:
    await live(house, "yesterday", 2)
    house.journal.begin_segment()
    await live(house, "old", 2)
    count = len(segments_of(house.journal_folder))
    retention = house.retention(Rules(records=400), segment_age=timedelta(days=1))
    retention.run()
    assert len(segments_of(house.journal_folder)) == count + 1
    house.journal.append(opened("next"))
    retention.run()
    assert len(segments_of(house.journal_folder)) == count + 1
    await house.settle()
    assert house.proof().intact


# ------------------------------------------------------------------------------------------------------------ tampering


def _segments(house: House) -> list[Path]:
    return [one.path for one in segments_of(house.journal_folder)]


def _redacted(house: House) -> Path:
    return next(path for path in _segments(house) if b"word_s080" in path.read_bytes())


def _hide_one_that_was_kept(house: House) -> None:
    path = _redacted(house)
    lines = [Line.parse(raw) for raw in path.open("rb")]
    out = [
        line.withheld().written() if line is not None and b"word_s080" in line.body else line.written()
        for line in lines
        if line is not None
    ]
    path.write_bytes(b"".join(out))


def _remove_one_more(house: House) -> None:
    _segments(house)[-3].unlink()


def _hide_a_record(house: House) -> None:
    path = next(path for path in _segments(house) if b"word_s005" in path.read_bytes())
    lines = [Line.parse(raw) for raw in path.open("rb")]
    path.write_bytes(
        b"".join(line.withheld().written() if b"word_s005" in line.body else line.written() for line in lines if line)
    )


def _forge_a_tombstone(house: House) -> None:
    """Whoever can write the folder, but has not the node's key."""
    path, last = _segments(house)[-3], _segments(house)[-1]
    removed = [line for line in map(Line.parse, path.open("rb")) if line is not None]
    before = [line for line in map(Line.parse, _segments(house)[-4].open("rb")) if line is not None][-1]
    found = tombstones.newest(house.journal_folder)
    assert found is not None
    deletion = tombstones.deletion_of(found[1])
    more = tombstones.Range(removed[0].number, removed[-1].number, before.hash.hex(), removed[-1].hash.hex(), gone=True)
    forged = tombstones.tombstone(
        OTHER_KEY, "n1", at(0), msgspec.structs.replace(deletion, ranges=[*deletion.ranges, more])
    )
    forged = msgspec.structs.replace(forged, public_key=base64.b64encode(PUBLIC).decode())
    end = [line for line in map(Line.parse, last.open("rb")) if line is not None][-1]
    line = Line(end.number + 1, b"", chain.canonical_bytes(forged), b"0" * 32)
    with last.open("ab") as file:
        file.write(dataclasses.replace(line, hash=line.hash_after(end.hash)).written())
    path.unlink()


def _remove_the_tombstone(house: House) -> None:
    for path in _segments(house):
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [raw for raw in lines if b'{"kind":"tombstone"' not in raw]
        if len(kept) < len(lines):
            path.write_bytes(b"".join(kept))


def _change_the_tombstone(house: House) -> None:
    for path in _segments(house):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"records older than 40 days", b"records older than 41 days"))


TAMPERING = [
    _hide_one_that_was_kept, _remove_one_more, _hide_a_record, _forge_a_tombstone, _remove_the_tombstone,
    _change_the_tombstone,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda one: one.__name__)
async def test_a_tombstone_covers_nothing_else(house: House, tamper: Callable[[House], None]) -> None:
    house.hold("s080")
    house.retention(Rules(records=40)).run()
    await house.settle()
    assert house.proof().intact
    tamper(house)
    proof = house.proof()
    assert not proof.intact
    assert proof.broken_at


async def test_a_recording_that_was_altered_before_its_deletion_does_not_pass(house: House) -> None:
    path = house.stage.folder / "s100.recording"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    house.retention(Rules(recordings=50)).run()
    await house.settle()
    proof = house.proof()
    assert not proof.intact
    assert proof.recording == "session s100: its recording had been altered before it was deleted"


# --------------------------------------------------------------------------------------------------------------- crash


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """From the given step on nothing on the disk or in the store is changed any more."""
    done, mine = 0, threading.current_thread()

    def counting(before: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Any, **named: Any) -> Any:
            nonlocal done
            if threading.current_thread() is not mine:
                return before(*words, **named)
            done += 1
            if done >= step:
                raise Killed
            return before(*words, **named)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (Path, "unlink"), (Path, "replace"), (os, "fsync"), (Store, "run_now"), (Journal, "append"),
        ):  # fmt: skip
            patch.setattr(owner, name, counting(getattr(owner, name)))
        patch.setattr(deleted_rows, "TOGETHER", 2)
        yield


@pytest.mark.slow
async def test_killed_at_every_step_nothing_is_half_there(house: House, tmp_path: Path) -> None:
    house.hold("s080")
    rules = Rules(records=40, recordings=30)
    await house.close()
    house.store.close()
    template = tmp_path / "template"
    template.mkdir()
    for name in ("journal", "recordings"):
        shutil.copytree(house.folder / name, template / name)
    shutil.copy(house.folder / "store.db", template / "store.db")

    def restored() -> None:
        for name in ("journal", "recordings"):
            shutil.rmtree(house.folder / name)
            shutil.copytree(template / name, house.folder / name)
        for path in house.folder.glob("store.db*"):
            path.unlink()
        shutil.copy(template / "store.db", house.folder / "store.db")
        house.store = Store.open(house.url)

    step, finished = 0, False
    seen: set[tuple[bool, bool]] = set()
    for step in _some_steps():
        restored()
        house.journal = open_journal(house.journal_folder, segment_bytes=3000, checkpoint_records=6)
        retention = house.retention(rules)
        with killed_at(step), contextlib.suppress(Killed):
            retention.run()
            finished = True
        os.close(house.journal._lock)
        # As the files lie there: the journal holds, and between the tombstone and the end its plan is known.
        proof = verify(house.journal_folder, PUBLIC, None, house.stage.folder)
        assert (proof.intact, proof.reason) == (True, None), step
        seen.add((pending(house.journal_folder) is not None, proof.deleted > 0))
        await house.open()
        await house.settle()
        proof = house.proof()
        assert (proof.intact, proof.reason) == (True, None), step
        house.retention(rules).run()
        await house.settle()
        proof = house.proof()
        assert (proof.intact, proof.reason) == (True, None), step
        assert set(house.sessions()) >= {"s080", "s035", "long"}, step
        assert {"s085", "s075", "s050"} & set(house.sessions()) == set(), step
        assert sorted(path.stem for path in house.stage.folder.iterdir()) == ["s020", "s080"], step
        assert pending(house.journal_folder) is None
        assert not [path for path in house.journal_folder.iterdir() if path.suffix in (".kept", ".plan", ".part")]
        await house.close()
        house.store.close()
        if finished:
            break
    assert finished
    assert {(False, False), (True, False), (True, True), (False, True)} <= seen
    house.store = Store.open(house.url)
    await house.open()


def _some_steps() -> Iterator[int]:
    """Every one at the beginning, where all is decided, and then some; the last is beyond the end."""
    yield from range(1, 40)
    yield from range(40, 400, 5)
    yield 100_000


async def test_what_is_released_goes_by_order_also_where_the_segments_behind_it_are_gone(tmp_path: Path) -> None:
    rules = Rules(records=30)
    async with stage_in(tmp_path) as stage:
        house = House(tmp_path, stage)
        await house.open()
        for days in range(100, 0, -5):
            await live(house, f"s{days:03}", days)
        House.moment = at(0)
        await house.settle()
        house.hold("s100")
        house.retention(rules).run()
        firsts = [one.first for one in segments_of(house.journal_folder)]
        assert firsts[0] == 1
        assert max(after - before for before, after in pairwise(firsts)) > 100
        assert "s100" in house.sessions()
        assert "s080" not in house.sessions()
        assert house.proof().intact
        house.store.run_now(lambda connection: connection.execute(sa.delete(schema.legal_holds)))
        assert house.retention(rules).run().records == 0
        foreseen = house.retention(rules).foresee()
        assert foreseen.sessions == 1
        assert "s100" in house.sessions()
        assert house.retention(rules).run(thorough=True) == foreseen
        await house.settle()
        assert "s100" not in house.sessions()
        assert segments_of(house.journal_folder)[0].first > firsts[0]
        found = house.proof()
        assert (found.intact, found.store) == (True, ""), found
        await house.close()
