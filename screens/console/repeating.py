"""One statement again and again, every few seconds, until somebody stops it: what a database does, watched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from backends.effects import EffectKind, effect_of
from bastion.api.language import translate as _

from ..widgets.confirmation import TextQuestion
from ..workstation import Page
from .at_hand import AtHand
from .running import Piece, Running
from .stage import Stage

USUAL_SECONDS = 2
LEAST_SECONDS, MOST_SECONDS = 1, 3600


class Repeating:
    """At most one at a time; a statement that only reads, and no longer than it succeeds."""

    def __init__(self, page: Page, at_hand: AtHand, stage: Stage, running: Running) -> None:
        self._page, self._at_hand, self._stage, self._running = page, at_hand, stage, running
        self._seconds = USUAL_SECONDS
        self._stopped = asyncio.Event()
        self._stopped.set()

    @property
    def now(self) -> bool:
        """Whether a statement is repeated."""
        return not self._stopped.is_set()

    def stop(self) -> None:
        """No run after the one that lasts."""
        self._stopped.set()

    async def ask(self, pieces: Sequence[Piece]) -> None:
        """Asks how often, and goes on until it is stopped, fails, or something else is run."""
        tell = self._page.workstation.told
        if len(pieces) != 1:
            tell(_("There is no statement at the cursor."))
            return
        effect = await asyncio.to_thread(effect_of, pieces[0].text, self._at_hand.engine)
        if effect.kind is not EffectKind.READ:
            tell(_("Only what reads is run again by itself, and this may do more."), bad=True)
            return
        answer = await self._page.app.push_screen_wait(
            TextQuestion(_("Run it again every how many seconds?"), str(self._seconds))
        )
        if answer is None or self._running.now:
            return
        text = answer.strip()
        if not (text.isascii() and text.isdigit() and LEAST_SECONDS <= int(text[:9]) <= MOST_SECONDS):
            said = _("It is a number from {least} to {most}.")
            tell(said.format(least=LEAST_SECONDS, most=MOST_SECONDS), bad=True)
            return
        self._seconds = int(text)
        self._page.run_worker(self._repeat(pieces[0]), group="repeat", exclusive=True)

    async def _repeat(self, piece: Piece) -> None:
        self._stopped.clear()
        count = 0
        try:
            while not self._stopped.is_set():
                # The history has it once, however often it is run.
                succeeded = await self._running.run([piece], remembered=count == 0)
                number, count = self._running.number, count + 1
                if not succeeded:
                    return
                self._stage.say(
                    _("every {seconds} s · run {number} · F8 stops").format(seconds=self._seconds, number=count),
                    lasting=True,
                )
                self._page.refresh_bindings()
                try:
                    await asyncio.wait_for(self._stopped.wait(), self._seconds)
                except TimeoutError:
                    if self._running.number != number or self._running.now or self._at_hand.database is None:
                        return  # something else was run meanwhile, or the connection is gone
            self._stage.say("")
        finally:
            self._stopped.set()
            self._page.refresh_bindings()


__all__ = ["Repeating"]
