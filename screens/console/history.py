"""The statements that the person ran, in every sitting: kept at the bastion, which takes passwords out of them."""

from __future__ import annotations

import msgspec

from backends.connection import ResultEnded, RunEvent, RunFailed
from backends.personal import Kept
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..statement_list import Listed
from ..words import clock_time, seconds
from ..workstation import Page
from .at_hand import AtHand

KIND = "history"
LONGEST = 30_000
"""Characters of a statement that is kept."""


class Entry(msgspec.Struct, omit_defaults=True):
    """A statement that was run. `seconds` and `rows` are None where they are not known."""

    text: str
    engine: str
    database: str = ""
    catalog: str = ""
    account: str = ""
    at: str = ""
    seconds: float | None = None
    rows: int | None = None
    outcome: str = "done"
    """done, failed, cancelled, or sent: nothing came back."""


class History:
    """What was run in this sitting is at hand at once; the rest is asked of the bastion when it is looked at."""

    def __init__(self, page: Page, at_hand: AtHand) -> None:
        self._page, self._at_hand = page, at_hand
        self._number = 0

    def add(self, text: str, events: list[RunEvent]) -> None:
        """`text` was run; `events` say what came of it."""
        token = self._at_hand.token
        if token is None or len(text) > LONGEST:
            return
        entry = Entry(text, token.engine or self._at_hand.engine, token.database, self._at_hand.catalog, token.account)
        entry.at = self._page.workstation.services.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        entry.outcome = "sent"
        for event in events:
            if isinstance(event, RunFailed):
                entry.outcome, entry.seconds = "cancelled" if event.error.cancelled else "failed", event.seconds
            elif isinstance(event, ResultEnded):
                entry.outcome, entry.seconds = "cancelled" if event.cancelled else "done", event.seconds
                entry.rows = event.rows if event.rows is not None else event.affected
        self._number += 1
        # The time first, so that keys sort; nothing of the statement, since keys are not sealed.
        self._page.workstation.personal.put_soon(KIND, f"{entry.at} {self._number:06}", entry)

    async def newest_first(self) -> list[Listed]:
        """All that are kept, each text with the database it was run on once: where it was run last."""
        kept = await self._page.workstation.personal.items(KIND, Entry)
        kept.sort(key=lambda item: (item.value.at, item.key), reverse=True)
        found: dict[tuple[str, str, str], list[Kept[Entry]]] = {}
        for item in kept:
            found.setdefault((item.value.database, item.value.catalog, item.value.text), []).append(item)
        return [self._listed(items) for items in found.values()]

    def _listed(self, items: list[Kept[Entry]]) -> Listed:
        entry = items[0].value
        at = ""
        if entry.at:
            at = clock_time(entry.at, local=self._page.workstation.services.local_time, with_date=True)
        where = f"{entry.database}/{entry.catalog}" if entry.catalog else entry.database
        facts = [where, entry.account, _outcomes().get(entry.outcome, "")]
        if entry.rows is not None and entry.rows >= 0:
            facts.append(translate_many("{count} row", "{count} rows", entry.rows).format(count=f"{entry.rows:,}"))
        if entry.seconds is not None:
            facts.append(seconds(entry.seconds))
        return Listed(
            tuple(item.key for item in items),
            entry.text,
            f"{at}  {where}",
            "  ·  ".join(fact for fact in facts if fact),
            bad=entry.outcome in ("failed", "cancelled"),
        )

    def remove(self, keys: list[str]) -> None:
        """Forgets these."""
        for key in keys:
            self._page.workstation.personal.remove_soon(KIND, key)


def _outcomes() -> dict[str, str]:
    return {"done": _("done"), "failed": _("failed"), "cancelled": _("cancelled"), "sent": _("no answer")}
