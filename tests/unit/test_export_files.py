"""Exports that wait on the bastion: sealed, whole or not there, bounded, gone after a day, their owner's alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bastion.access.export_files import KEPT_SECONDS, MOST_PART, UNFINISHED_SECONDS, ExportFiles, Kept, detail_of
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.gateway import exports
from bastion.vault import Vault

DATA = [b"id,name\r\n" + b"1,secret tea\r\n" * 100, b"\x00\xff" * 500, b"end"]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.create(tmp_path / "master.key")


@pytest.fixture
def files(tmp_path: Path, vault: Vault, clock: Clock) -> ExportFiles:
    return ExportFiles(tmp_path / "exports", vault, 100_000, clock)


def exported(files: ExportFiles, user: str = "alice", data: list[bytes] = DATA) -> Kept:
    kept = files.begin(user, "s-1", 3, "shop", "csv", "goods.csv")
    for number, part in enumerate(data):
        files.part(user, kept.id, number, part)
    return files.finish(user, kept.id, 100, hashlib.sha256(b"".join(data)).hexdigest())


def read(files: ExportFiles, kept: Kept) -> bytes:
    found, after = b"", 0
    while True:
        data, following = files.read(kept, after)
        found += data
        if following is None:
            return found
        after = following


def test_an_export_is_read_as_it_was_written_and_lies_sealed(files: ExportFiles, tmp_path: Path) -> None:
    kept = exported(files)
    assert read(files, files.find("alice", kept.id)) == b"".join(DATA)
    assert detail_of(kept) == {
        "session": "s-1", "seq": 3, "database": "shop", "format": "csv", "name": "goods.csv", "rows": 100,
        "bytes": sum(map(len, DATA)), "sha256": hashlib.sha256(b"".join(DATA)).hexdigest(),
    }  # fmt: skip
    paths = list((tmp_path / "exports").iterdir())
    assert len(paths) == 2
    for path in paths:
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"tea" not in path.read_bytes()
        assert b"goods" not in path.read_bytes()
    assert (tmp_path / "exports").stat().st_mode & 0o777 == 0o700


def test_nobody_sees_anothers_export(files: ExportFiles) -> None:
    kept = exported(files)
    assert files.finished("bob") == []
    for call in (files.find, files.abandon):
        with pytest.raises(Refused) as refused:
            call("bob", kept.id)
        assert refused.value.code == "export-unknown"
    assert [each.id for each in files.finished("alice")] == [kept.id]


@pytest.mark.parametrize("id", ["../../master.key", "x-0000000000000000", "", "x-" + "g" * 16])
def test_an_id_is_no_path(files: ExportFiles, id: str) -> None:
    with pytest.raises(Refused):
        files.find("alice", id)


def test_the_quota_of_a_person_bounds_all_their_exports(files: ExportFiles, tmp_path: Path) -> None:
    exported(files, data=[b"x" * 60_000])
    exported(files, "bob", data=[b"x" * 60_000])
    second = files.begin("alice", "s-1", None, "shop", "csv", "b.csv")
    files.part("alice", second.id, 0, b"x" * 40_000)
    with pytest.raises(Refused) as refused:
        files.part("alice", second.id, 1, b"x")
    assert refused.value.code == "export-quota"
    assert len(files.finished("alice")) == 1
    assert not (tmp_path / "exports" / f"{second.id}.sealed").exists()


def test_a_quota_of_nothing_allows_nothing(tmp_path: Path, vault: Vault, clock: Clock) -> None:
    with pytest.raises(Refused) as refused:
        ExportFiles(tmp_path / "exports", vault, 0, clock).begin("alice", "s-1", None, "shop", "csv", "x")
    assert refused.value.code == "exports-off"


@pytest.mark.parametrize("wrong", ["order", "empty", "long", "digest"])
def test_what_does_not_arrive_whole_is_not_there(files: ExportFiles, wrong: str) -> None:
    kept = files.begin("alice", "s-1", None, "shop", "csv", "x.csv")
    data: dict[str, Any] = {"order": (1, b"x"), "empty": (0, b""), "long": (0, b"x" * (MOST_PART + 1))}
    with pytest.raises(Refused) as refused:
        if wrong == "digest":
            files.part("alice", kept.id, 0, b"x")
            files.finish("alice", kept.id, 1, "0" * 64)
        else:
            files.part("alice", kept.id, *data[wrong])
    assert refused.value.code == "export-broken"
    assert files.finished("alice") == []
    with pytest.raises(Refused):
        files.part("alice", kept.id, 0, b"x")


def test_an_export_is_gone_after_a_day_and_one_that_was_given_up_after_an_hour(
    files: ExportFiles, clock: Clock, tmp_path: Path
) -> None:
    exported(files)
    begun = files.begin("alice", "s-1", None, "shop", "csv", "x.csv")
    clock.now += UNFINISHED_SECONDS + 1
    assert len(files.finished("alice")) == 1
    assert not (tmp_path / "exports" / f"{begun.id}.sealed").exists()
    clock.now += KEPT_SECONDS
    assert files.finished("alice") == []
    assert list((tmp_path / "exports").iterdir()) == []


def test_after_a_restart_finished_exports_are_there_and_unfinished_ones_gone(
    files: ExportFiles, tmp_path: Path, vault: Vault, clock: Clock
) -> None:
    kept = exported(files)
    files.begin("alice", "s-1", None, "shop", "csv", "x.csv")
    again = ExportFiles(tmp_path / "exports", vault, 100_000, clock)
    assert [each.id for each in again.finished("alice")] == [kept.id]
    assert read(again, again.find("alice", kept.id)) == b"".join(DATA)
    assert len(list((tmp_path / "exports").iterdir())) == 2


def test_a_changed_or_cut_file_is_refused(files: ExportFiles, tmp_path: Path) -> None:
    kept = exported(files)
    path = tmp_path / "exports" / f"{kept.id}.sealed"
    whole = path.read_bytes()
    for changed in (whole[:50] + b"\0" + whole[51:], whole[:-4], whole[: len(whole) // 2], b"\xff" * 20):
        path.write_bytes(changed)
        with pytest.raises(Refused) as refused:
            read(files, kept)
        assert refused.value.code == "export-broken"
    for after in (-1, 5, 1 << 48, 1 << 60):
        path.write_bytes(whole)
        with pytest.raises(Refused):
            assert files.read(kept, after) == (b"", None)
            raise Refused("export-broken", id=kept.id)


@pytest.mark.asyncio
async def test_no_part_of_an_export_is_given_without_a_record(files: ExportFiles) -> None:
    records: list[Any] = []

    async def record(act: Any) -> None:
        records.append(act.act)

    parts: Any = SimpleNamespace(exports=files, record=record)
    caller: Any = SimpleNamespace(person=SimpleNamespace(name="alice", key="alice"), source="192.0.2.1")
    kept = exported(files)
    after: int | None = 0
    places = []
    while after is not None:
        places.append(after)
        after = (await exports.read(parts, caller, methods.ExportRead(id=kept.id, after=after))).next
    assert records == ["export-fetched"]
    assert (await exports.read(parts, caller, methods.ExportRead(id=kept.id, after=places[1]))).data == DATA[1]
    assert records == ["export-fetched"] * 2


def test_a_part_that_the_disk_did_not_take_whole_ends_the_export(files: ExportFiles) -> None:
    kept = files.begin("alice", "s-1", 3, "shop", "csv", "goods.csv")
    files._writing[kept.id].file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        files._writing[kept.id].file = full
        with pytest.raises(OSError, match="No space"):
            files.part("alice", kept.id, 0, DATA[0])
    with pytest.raises(Refused):
        files.part("alice", kept.id, 0, DATA[0])
