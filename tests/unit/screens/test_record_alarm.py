"""What a person sees when the bastion's record is not the one that their workstation has witnessed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.link import Target
from backends.witness import Broken, Kept, Witness
from bastion.api import language
from screens.record_alarm import RecordAlarm

from .conftest import Compare, settled
from .world import World, world

KEPT = Kept(
    node="node-1", number=48_213, hash="ab" * 32, at="2026-11-21T17:20:00.000000Z", public_key="", signature=""
)  # fmt: skip
FILE = Path("~/.local/state/casemate/checkpoints/bastion.example.com-60022-node-1.anchor")


class Scripted(Witness):
    """Finds what the test says."""

    def __init__(self, found: Broken | None) -> None:
        super().__init__(Path("/nowhere"))
        self.found = found
        self.looked = 0

    async def look(self, _link: Any) -> Broken | None:
        self.looked += 1
        return self.found


def witnessing(folder: Path, found: Broken | None) -> tuple[World, Scripted]:
    made, witness = world(folder), Scripted(found)
    made.app.services = dataclasses.replace(made.app.services, witness=witness)
    return made, witness


@pytest.mark.parametrize("why", ["changed", "back", "key", "unsigned"])
async def test_it_is_said_over_everything_else(tmp_path: Path, why: str) -> None:
    made, _ = witnessing(tmp_path, Broken(why, KEPT, FILE, 112))
    async with made.app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(made.app.screen, RecordAlarm)
        await pilot.press("escape")
        await settled(pilot)
        assert not isinstance(made.app.screen, RecordAlarm)


async def test_nothing_is_said_where_all_is_well(tmp_path: Path) -> None:
    made, witness = witnessing(tmp_path, None)
    async with made.app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert witness.looked == 1
        assert not isinstance(made.app.screen, RecordAlarm)


def test_a_bastion_on_the_same_machine_is_not_witnessed() -> None:
    assert Witness.is_own_machine(Target("alice", "127.0.0.1", 60022))
    assert not Witness.is_own_machine(Target("alice", "bastion.example.com", 60022))


@pytest.mark.parametrize("tongue", ["en", "zh"])
async def test_picture(tmp_path: Path, picture: Compare, tongue: str) -> None:
    language.use("zh_CN" if tongue == "zh" else "en")
    made, _ = witnessing(tmp_path, Broken("back", KEPT, FILE, 112))

    async def there(pilot: Pilot[Any]) -> None:
        assert isinstance(pilot.app.screen, RecordAlarm)

    await picture(made.app, f"record-alarm{'-zh' if tongue == 'zh' else ''}", (80, 24), there)
