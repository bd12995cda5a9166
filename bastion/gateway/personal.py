"""The calls about what a person keeps for themselves. Nobody sees another's, whatever their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bastion.api import messages as m
from bastion.api import methods

from .parts import Parts

if TYPE_CHECKING:
    from .caller import Caller


async def items(parts: Parts, caller: Caller, params: methods.PersonalList) -> m.PersonalPage:
    """`personal.list`."""
    return await parts.access.personal.items(caller.person, params)


async def put(parts: Parts, caller: Caller, params: methods.PersonalPut) -> m.PersonalKept:
    """`personal.put`."""
    return await parts.access.personal.put(caller.person, params)


async def remove(parts: Parts, caller: Caller, params: methods.PersonalRemove) -> int:
    """`personal.remove`."""
    return await parts.access.personal.remove(caller.person, params)
