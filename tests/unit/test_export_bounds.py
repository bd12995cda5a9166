"""Exports on the bastion: bounded over everybody, and found without opening every file at each call."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bastion.access.export_files import ExportFiles, Kept
from bastion.access.identity import Person
from bastion.api.refusals import Refused
from bastion.vault import Vault

NOW = 1_000_000.0


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.create(tmp_path / "master.key")


def made(tmp_path: Path, vault: Vault, total: int = 0) -> ExportFiles:
    return ExportFiles(tmp_path / "exports", vault, 100_000, lambda: NOW, total=total)


def exported(files: ExportFiles, user: str, size: int = 1000) -> Kept:
    kept = files.begin(user, "s-1", None, "shop", "csv", "x.csv")
    files.part(user, kept.id, 0, b"x" * size)
    return files.finish(user, kept.id, 1, hashlib.sha256(b"x" * size).hexdigest())


def test_everybody_s_together_are_bounded_and_the_refusal_says_so(tmp_path: Path, vault: Vault) -> None:
    files = made(tmp_path, vault, total=120_000)
    exported(files, "1:alice", 90_000)
    begun = files.begin("2:bob", "s-1", None, "shop", "csv", "x.csv")
    files.part("2:bob", begun.id, 0, b"x" * 30_000)
    with pytest.raises(Refused) as refused:
        files.part("2:bob", begun.id, 1, b"x")
    assert refused.value.code == "exports-total"
    assert "120000 bytes" in str(refused.value)
    assert not (tmp_path / "exports" / f"{begun.id}.sealed").exists()
    files.abandon("1:alice", files.finished("1:alice")[0].id)
    exported(files, "2:bob", 90_000)


def test_what_is_known_of_a_file_is_read_once(tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(tmp_path, vault)
    kept = [exported(before, "1:alice") for _ in range(20)]
    opened: list[str] = []
    read = ExportFiles._read

    def counted(files: ExportFiles, id: str) -> Kept | None:
        opened.append(id)
        return read(files, id)

    monkeypatch.setattr(ExportFiles, "_read", counted)
    files = made(tmp_path, vault)
    assert len(files.finished("1:alice")) == 20
    assert sorted(opened) == sorted(each.id for each in kept)
    opened.clear()
    for each in kept:
        files.find("1:alice", each.id)
    exported(files, "1:alice")
    assert opened == []


def test_what_another_process_adds_and_removes_is_seen(tmp_path: Path, vault: Vault) -> None:
    here, there = made(tmp_path, vault), made(tmp_path, vault)
    kept = exported(here, "1:alice")
    assert [each.id for each in there.finished("1:alice")] == [kept.id]
    there.abandon("1:alice", kept.id)
    assert here.finished("1:alice") == []
    with pytest.raises(Refused):
        here.find("1:alice", kept.id)


def test_somebody_who_comes_later_with_the_same_name_is_somebody_else(tmp_path: Path, vault: Vault) -> None:
    first, second = Person("alice", frozenset(), 7), Person("alice", frozenset(), 9)
    files = made(tmp_path, vault)
    kept = exported(files, first.key)
    assert files.finished(second.key) == []
    with pytest.raises(Refused):
        files.find(second.key, kept.id)
