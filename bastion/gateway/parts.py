"""What the gateway stands on: the parts of a bastion that `serve` has built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bastion.access.door import Access
from bastion.access.export_files import ExportFiles
from bastion.api import messages as m
from bastion.audit.audit import Audit
from bastion.audit.journal import Journal
from bastion.audit.recorder import Recorder
from bastion.audit.records import AnyRecord
from bastion.authority import Authority
from bastion.configuration import Configuration
from bastion.housekeeping import Housekeeping
from bastion.sessions.registry import Sessions
from bastion.store.store import Store
from bastion.vault import Vault

if TYPE_CHECKING:
    from .ui_session import UiSessions


@dataclass(slots=True)
class Parts:
    """One of each. `advertise` is the address that people are told; its port is set once the gateway listens."""

    configuration: Configuration
    store: Store
    vault: Vault
    authority: Authority
    journal: Journal
    audit: Audit
    access: Access
    sessions: Sessions
    advertise: m.Address
    exports: ExportFiles
    screens: Recorder | None = None
    """What keeps the screens of served workstations, where they are kept."""
    workstations: UiSessions | None = None
    """The served workstations, once the gateway is made."""
    housekeeping: Housekeeping | None = None
    """Retention and the watch over the disks, of a bastion that serves."""

    async def record(self, *records: AnyRecord) -> None:
        """Writes records and waits until they hold as the durability asks. Raises JournalFailed."""
        durable = self.journal.append(*records)
        if durable is not None:
            await durable
