"""Queries that the person keeps under a name, with parameters to fill in: `:name`, `{{name}}`."""

from __future__ import annotations

import uuid

import msgspec

from backends.parameters import names
from backends.personal import Kept
from bastion.api.language import translate as _

from ..statement_list import Listed
from ..workstation import Page

KIND = "query"
LONGEST_NAME = 80


class SavedQuery(msgspec.Struct, omit_defaults=True):
    """`engine` is the one that it was written for."""

    name: str
    text: str
    engine: str = ""
    database: str = ""


class SavedQueries:
    """All at the bastion; nothing is held here."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def save(self, query: SavedQuery) -> bool:
        """Under its name; one of the same name is replaced. False where it could not be kept."""
        personal = self._page.workstation.personal
        same = [kept.key for kept in await personal.items(KIND, SavedQuery) if kept.value.name == query.name]
        return await personal.put(KIND, same[0] if same else uuid.uuid4().hex, query)

    async def taken(self, name: str) -> bool:
        """Whether there is one of that name."""
        kept = await self._page.workstation.personal.items(KIND, SavedQuery)
        return any(item.value.name == name for item in kept)

    async def by_name(self) -> list[Listed]:
        """All of them."""
        kept = await self._page.workstation.personal.items(KIND, SavedQuery)
        return [self._listed(item) for item in sorted(kept, key=lambda item: item.value.name.casefold())]

    def _listed(self, item: Kept[SavedQuery]) -> Listed:
        query = item.value
        asked = names(query.text, query.engine)
        facts = [query.engine, query.database]
        if asked:
            facts.append(_("asks for {names}").format(names=", ".join(asked)))
        return Listed((item.key,), query.text, query.name, "  ·  ".join(fact for fact in facts if fact))

    def remove(self, keys: list[str]) -> None:
        """Forgets these."""
        for key in keys:
            self._page.workstation.personal.remove_soon(KIND, key)
