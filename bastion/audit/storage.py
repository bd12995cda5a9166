"""The alarm for disks that the record needs: raised when one is nearly full, cleared when there is room again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bastion.api import messages as m

from .journal import now
from .records import StorageAlarm

HYSTERESIS = 5
"""Per cent of the disk that must be freed below the alarm's mark before it is cleared: so it does not flutter."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the disk that a folder is on. Bytes; `percent` of what others than root can use, rounded up, as df has it."""

    folder: Path
    device: int
    used: int
    total: int

    @property
    def percent(self) -> int:
        return -(-self.used * 100 // self.total) if self.total else 0


def usage(folder: Path) -> Usage:
    """Raises OSError. May block where the disk is far away."""
    status = os.statvfs(folder)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    return Usage(folder, folder.stat().st_dev, used, used + status.f_bavail * status.f_frsize)


def usages(folders: list[Path]) -> list[Usage]:
    """One of each disk; folders that are not there (yet) have none."""
    found: dict[int, Usage] = {}
    for folder in folders:
        try:
            one = usage(folder)
        except OSError:
            continue
        found.setdefault(one.device, one)
    return list(found.values())


class StorageWatch:
    """`percent`: from which there is an alarm; 0: never. `alarms` are those that stand."""

    def __init__(self, node: str, folders: list[Path], percent: int) -> None:
        self._node = node
        self._folders = folders
        self._percent = percent
        self._raised: dict[int, Usage] = {}

    @property
    def alarms(self) -> list[m.StorageState]:
        """For administrators and auditors."""
        return [shown(one) for one in self._raised.values()]

    def look(self) -> list[StorageAlarm]:
        """What has changed since the last look, for the record. Blocks."""
        changed = []
        for one in usages(self._folders) if self._percent else ():
            stands = one.device in self._raised
            if one.percent >= self._percent:
                self._raised[one.device] = one
            elif one.percent <= self._percent - HYSTERESIS:
                self._raised.pop(one.device, None)
            elif stands:
                self._raised[one.device] = one
            if stands != (one.device in self._raised):
                changed.append(
                    StorageAlarm(
                        at=now(), node=self._node, folder=str(one.folder), state="cleared" if stands else "raised",
                        used=one.used, total=one.total, percent=one.percent,
                    )
                )  # fmt: skip
        return changed


def shown(one: Usage) -> m.StorageState:
    """As people are told."""
    return m.StorageState(folder=str(one.folder), used=one.used, total=one.total, percent=one.percent)
