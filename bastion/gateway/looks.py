"""What people looked at, on record: once, however often the same page is refreshed or continued."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic

from bastion.audit.journal import now
from bastion.audit.records import Act

from .parts import Parts

AGAIN_AFTER = 3600.0
"""Seconds after which the same look by the same person is put on record anew."""

REMEMBERED = 20_000
"""Looks of everybody that are remembered; of more the oldest are recorded anew when they come again."""


class Looks:
    """Records of looking. Used on the event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._recent: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def is_new(self, *key: str) -> bool:
        """Whether nobody looked so within the last hour."""
        at = self._recent.get(key)
        return at is None or monotonic() - at >= AGAIN_AFTER

    async def note(self, key: tuple[str, ...], act: Act) -> None:
        """On record, unless the same was within the last hour. Raises JournalFailed: then nothing may be given."""
        if not self.is_new(*key):
            self._recent.move_to_end(key)
            return
        # Before it is written, so that two at one moment are one; taken back where it could not be.
        self._recent[key] = monotonic()
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        try:
            await self._parts.record(act)
        except BaseException:
            self._recent.pop(key, None)
            raise


def act_of(user: str, source: str, act: str, subject: str, **detail: str | int | None) -> Act:
    """An act of now."""
    return Act(at=now(), user=user, source=source, act=act, subject=subject, detail=detail)
