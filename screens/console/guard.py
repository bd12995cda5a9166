"""The write guard: a write is tried in a transaction, and the person says whether it is kept.

It is there for people's mistakes, not against people: the bastion's policies are what holds everybody.
"""

from __future__ import annotations

import asyncio
from enum import Enum

from rich.text import Text

from backends.effects import Effect, EffectKind, effect_of
from backends.interface import TransactionState
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _

from ..widgets.confirmation import Confirmation
from ..widgets.keep_question import KeepQuestion, Tried
from ..widgets.results import Results
from ..widgets.typed_question import TypedQuestion
from ..workstation import Dialog, Page
from .at_hand import AtHand
from .stage import Stage
from .transactions import Transactions

SHOWN_STATEMENT = 300
"""Characters of a statement that a question quotes."""


class GuardLevel(Enum):
    """What the guard has to do with."""

    OFF = "off"
    WRITES = "writes"
    EVERYTHING = "everything"


_STRICTNESS = {level: number for number, level in enumerate(GuardLevel)}
KIND = "guard"
"""Of what the person keeps at the bastion: a level by the name of the database."""


class WriteGuard:
    """Asked before each statement of a run (`admit`), told what came of it (`done`), asked at its end (`settle`)."""

    def __init__(self, page: Page, at_hand: AtHand, stage: Stage, transactions: Transactions) -> None:
        self._page, self._at_hand, self._stage, self._transactions = page, at_hand, stage, transactions
        self._levels: dict[str, GuardLevel] = {}
        self._trying = False
        """The transaction that is open is the guard's."""
        self._tried: list[Tried] = []
        self._question: KeepQuestion | None = None
        self._given_up = ""

    # -- the level

    @property
    def level(self) -> GuardLevel:
        """Of the database at hand: what the person chose, else `writes` on production."""
        token = self._at_hand.token
        return GuardLevel.OFF if token is None else self._levels.get(token.database, _default(token))

    def words(self) -> str:
        """What the level means, for the band of a production database."""
        return {
            GuardLevel.OFF: _("the write guard is off: every write is kept at once"),
            GuardLevel.WRITES: _("writes ask whether they are kept")
            if self._transactions.autocommit
            else _("writes are kept when you commit them (F10)"),
            GuardLevel.EVERYTHING: _("every statement asks before it is sent"),
        }[self.level]

    @property
    def asking(self) -> bool:
        """The question whether to keep what was tried is open."""
        return self._question is not None

    def choose(self, level: GuardLevel) -> None:
        """For the database at hand. What is stricter than usual there is kept for the next time, too; a guard that was
        turned down is up again then."""
        token = self._at_hand.token
        if token is None:
            return
        self._levels[token.database] = level
        personal = self._page.workstation.personal
        if _STRICTNESS[level] > _STRICTNESS[_default(token)]:
            personal.put_soon(KIND, token.database, level.value)
        else:
            personal.remove_soon(KIND, token.database)

    async def recall(self, token: m.Token) -> None:
        """What was chosen for the database of `token` at another time."""
        if token.database in self._levels:
            return
        kept = await self._page.workstation.personal.get(KIND, token.database, str)
        if kept in (GuardLevel.WRITES.value, GuardLevel.EVERYTHING.value):
            level = GuardLevel(kept)
            if _STRICTNESS[level] > _STRICTNESS[_default(token)]:
                self._levels.setdefault(token.database, level)

    # -- a run

    def start_again(self) -> None:
        """The connection is another one, or gone: nothing is open on it."""
        self._trying = False
        self._tried = []
        self.give_up()

    def give_up(self, why: str = "") -> bool:
        """Takes an open question away; what was tried is rolled back, and `why` is said with it.

        False where there is none, or something else lies on it: then its answer finds nothing to keep.
        """
        question = self._question
        if question is None or not question.is_active:
            return False
        self._question, self._given_up = None, why
        question.dismiss(False)
        return True

    async def admit(self, text: str) -> bool:
        """Asks what has to be asked before `text` is sent, and opens a transaction where it is tried in one.

        False: it is not to be sent. Raises what a `Console` raises.
        """
        level = self.level
        if level is GuardLevel.OFF:
            return True
        effect = await asyncio.to_thread(effect_of, text, self._at_hand.engine)
        if not effect.writes:
            if self._trying and effect.kind is EffectKind.TRANSACTION and not await self.settle(failed=False):
                return False
            return level is not GuardLevel.EVERYTHING or await self._ask_to_send(text)
        if self._trying and not effect.undoable and not await self.settle(failed=False):
            return False
        if effect.loud:
            if not await self._ask_loudly(text, effect):
                return False
        elif not effect.undoable:
            if not await self._ask_without_return(text, effect):
                return False
        elif level is GuardLevel.EVERYTHING and not await self._ask_to_send(text):
            return False
        # Asked anew: a statement before it in the same run may have begun one.
        alone = self._transactions.autocommit and await self._transactions.read() is TransactionState.NONE
        if effect.undoable and alone and not self._trying:
            await self._transactions.begin()
            self._trying = True
        return True

    def done(self, text: str, said: str) -> None:
        """A statement has run. `said`: rows or the server's own word for it."""
        if self._trying:
            self._tried.append(Tried(_short(text), said))

    async def settle(self, *, failed: bool) -> bool:
        """Ends the guard's transaction: asks whether to keep it, or rolls it back after a failure.

        False when nothing of it was kept.
        """
        if not self._trying:
            return True
        tried, self._tried = self._tried, []
        self._trying = False
        state = await self._transactions.read()
        if state is TransactionState.NONE:
            self._write(_("The statement ended the transaction by itself: what it changed is kept or gone already."))
            return True
        if failed or state is not TransactionState.OPEN:
            await self._transactions.end(commit=False, why=_("Nothing was kept:"))
            return False
        if not tried:
            await self._transactions.end(commit=False)
            return False
        token = self._at_hand.token
        question = KeepQuestion(
            tried, visible_line(token.database if token is not None else ""), self._transactions.words, self._production
        )
        self._question = question
        keep = await self._ask(question)
        self._question = None
        if self._at_hand.database is None or not self._transactions.unfinished:
            return False  # lost or rolled back while it was asked about; that was said
        why, self._given_up = self._given_up, ""
        kept = await self._transactions.end(commit=keep, why=why)
        return keep and kept

    # -- the questions

    @property
    def _production(self) -> bool:
        token = self._at_hand.token
        return token is not None and token.production

    async def _ask(self, question: Dialog[bool]) -> bool:
        self._stage.say(_("waiting for your answer"))
        return await self._page.app.push_screen_wait(question)

    async def _ask_to_send(self, text: str) -> bool:
        return await self._ask(
            Confirmation(_("Send this statement?"), _short(text), _("Send"), _("Do not send"), danger=self._production)
        )

    async def _ask_without_return(self, text: str, effect: Effect) -> bool:
        if effect.certain:
            why = _("{verb} takes effect at once here: no rollback takes it back.").format(verb=effect.verb)
        else:
            why = _("What {verb} does is not known beforehand, and it may commit by itself.").format(verb=effect.verb)
        if self._transactions.state is TransactionState.OPEN and self._at_hand.engine in ("mysql", "oracle"):
            why += " " + _("It also commits the transaction that is open.")
        return await self._ask(
            Confirmation(_("Send what cannot be undone?"), f"{_short(text)}\n\n{why}", _("Send"), _("Do not send"))
        )

    async def _ask_loudly(self, text: str, effect: Effect) -> bool:
        tables = ", ".join(visible_line(name) for name in effect.every_row if name != "?")
        if effect.every_row and effect.verb != "TRUNCATE":
            why = (
                _("There is no WHERE: every row of {tables} is meant.").format(tables=tables)
                if tables
                else _("There is no WHERE: every row of the table is meant.")
            )
        else:
            why = _("{verb} removes all of it.").format(verb=effect.verb)
        if not effect.undoable:
            why += " " + _("It takes effect at once: no rollback takes it back.")
        return await self._ask(
            TypedQuestion(_("Every row?"), _short(text), why, effect.verb, production=self._production)
        )

    def _write(self, text: str) -> None:
        self._page.query_one(Results).write(Text(text, style="warning"))


def _default(token: m.Token) -> GuardLevel:
    return GuardLevel.WRITES if token.production else GuardLevel.OFF


def _short(text: str) -> str:
    line = visible_line(" ".join(text[: SHOWN_STATEMENT * 4].split()))
    return line if len(line) <= SHOWN_STATEMENT else line[: SHOWN_STATEMENT - 1] + "…"
