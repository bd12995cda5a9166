"""The storage alarm is raised once, stays while it flutters, and is cleared when there is room again."""

from __future__ import annotations

from pathlib import Path

import pytest

from bastion.audit import storage
from bastion.audit.storage import StorageWatch, Usage, usage


class Disk:
    """A disk of 1,000 bytes."""

    def __init__(self) -> None:
        self.percent = 0

    def look(self, folders: list[Path]) -> list[Usage]:
        return [Usage(folders[0], 7, self.percent * 10, 1000)]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(storage, "usages", made.look)
    return made


def test_it_does_not_flutter(disk: Disk) -> None:
    watch = StorageWatch("n1", [Path("/journal")], 85)
    seen = []
    for percent in (50, 84, 85, 86, 84, 81, 85, 80, 84, 90, 10):
        disk.percent = percent
        seen.append([(one.state, one.percent, one.folder) for one in watch.look()])
        assert [one.percent for one in watch.alarms] == ([percent] if _stands(seen) else [])
    assert seen == [
        [], [], [("raised", 85, "/journal")], [], [], [], [], [("cleared", 80, "/journal")], [],
        [("raised", 90, "/journal")], [("cleared", 10, "/journal")],
    ]  # fmt: skip


def _stands(seen: list[list[tuple[str, int, str]]]) -> bool:
    states = [state for each in seen for state, _percent, _folder in each]
    return bool(states) and states[-1] == "raised"


def test_none_is_asked_for(disk: Disk) -> None:
    disk.percent = 99
    assert StorageWatch("n1", [Path("/journal")], 0).look() == []


def test_what_a_real_disk_says(tmp_path: Path) -> None:
    one = usage(tmp_path)
    assert 0 < one.used <= one.total
    assert 0 < one.percent <= 100
    assert [each.folder for each in storage.usages([tmp_path, tmp_path, tmp_path / "none"])] == [tmp_path]
