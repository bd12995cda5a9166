"""Who makes a call of the control API, and what stands open for them on the connection that it came by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bastion.access.door import Person

if TYPE_CHECKING:
    from .live_list import LiveView
    from .tunnel import Promises
    from .watches import Watch

_SEES_ALL = frozenset({"auditor", "administrator"})


@dataclass(slots=True)
class Caller:
    """Who calls, from where. `local`: on the bastion's own machine, with access to its files; no user of the store.

    promises and subscribe are there where the connection can use what they give. workstation: the name of the served
    one that calls. looks: at which screens the caller has looked, and when last (see gateway.screens).
    """

    person: Person
    source: str
    local: bool = False
    promises: Promises | None = None
    subscribe: Callable[[Person, list[str]], None] | None = None
    workstation: str = ""
    looks: dict[tuple[str, str], float] = field(default_factory=dict)
    views: dict[str, LiveView] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=dict)
    """The live lists and the watches of this channel, by id."""

    @property
    def sees_all(self) -> bool:
        """Whether they see other people's sessions and statements."""
        return bool(self.person.roles & _SEES_ALL)
