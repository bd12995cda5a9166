"""Handing out checkpoints: whoever is logged in may keep them, so that nobody can put the record back unseen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bastion.api.witness import Checkpointed, CheckpointRequest
from bastion.audit.chain import anchor_line
from bastion.audit.journal import JournalFailed
from bastion.audit.witness import first_number, hash_of

from .parts import Parts

if TYPE_CHECKING:
    from .caller import Caller


async def checkpoint(parts: Parts, _caller: Caller, params: CheckpointRequest) -> Checkpointed:
    """The newest signed checkpoint, and the hash of an earlier record. Neither says anything of what is on record."""
    journal = parts.journal
    newest = journal.last_checkpoint
    if newest is None:  # every opening of a journal signs it
        raise JournalFailed("The journal has no checkpoint yet.")
    return Checkpointed(
        text=anchor_line(newest),
        hash=await asyncio.to_thread(hash_of, journal.folder, params.number),
        first=await asyncio.to_thread(first_number, journal.folder),
        last=journal.number,
    )
