"""What the editor asks for and cannot do alone: formatting, going to a line, another editor, parameters, lists."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from textual.app import SuspendNotSupported

from backends.formatting import LONGEST, NotFormatted, formatted
from backends.parameters import filled, names
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..parameters import ParametersDialog
from ..statement_list import Listed, StatementList
from ..widgets.confirmation import Confirmation, TextQuestion
from ..widgets.editor import SqlEditor
from ..widgets.find import FindBar
from ..words import mark
from ..workstation import Page
from .at_hand import AtHand
from .history import History
from .running import Piece
from .saved_queries import LONGEST_NAME, SavedQueries, SavedQuery

NOT_FORMATTED = (
    mark("The statement is too long to be formatted."),
    mark("The statement is not formatted: it could not be read."),
    mark("The statement is not formatted: this kind of statement is not known well enough."),
    mark("The statement is not formatted: a comment in it would be lost."),
    mark("The statement is not formatted: it would not be the same statement any more."),
)
"""Sentences of `backends.formatting`."""
VIM_KIND, VIM_KEY = "setting", "vim"


class Writing:
    """Between the editor and dialogs. Values of parameters are remembered for as long as the page lives."""

    def __init__(self, page: Page, at_hand: AtHand, history: History, run: Callable[[list[Piece]], None]) -> None:
        self._page, self._at_hand, self._history, self._run = page, at_hand, history, run
        self.queries = SavedQueries(page)
        self._values: dict[str, str] = {}

    @property
    def _editor(self) -> SqlEditor:
        return self._page.query_one(SqlEditor)

    async def wanted(self, what: str) -> None:
        """Does what the editor's key was for."""
        if what in ("find", "replace"):
            self._page.query_one(FindBar).open(replacing=what == "replace")
        elif what == "line":
            await self._go_to_line()
        elif what == "format":
            await self._format()
        elif what == "external":
            await self._external()
        elif what == "vim":
            await self._vim()

    async def _go_to_line(self) -> None:
        editor = self._editor
        count = editor.document.line_count
        question = TextQuestion(_("Go to line, 1 to {count}").format(count=f"{count:,}"))
        answer = await self._page.app.push_screen_wait(question)
        if answer is None:
            return
        row, _colon, column = answer.strip().partition(":")
        if not row.isdecimal() or (column and not column.isdecimal()):
            self._page.workstation.told(_("That is not the number of a line."), bad=True)
            return
        line = min(max(int(row[:9]), 1), count) - 1
        place = min(max(int(column[:9] or 1) - 1, 0), len(editor.document[line]))
        editor.move_cursor((line, place), center=True)

    async def _format(self) -> None:
        """The selection where it is one statement, else the statement at the cursor."""
        editor = self._editor
        selected = editor.selected_text
        if selected.strip():
            start = editor.offset_of(min(editor.selection))
            start += len(selected) - len(selected.lstrip())
            text = selected.strip().removesuffix(";").rstrip()
        else:
            span = editor.statement()
            if span is None:
                self._page.workstation.told(_("There is no statement at the cursor."))
                return
            start, text = span.start, editor.text[span.start : span.end]
        version = editor.document.text
        try:
            # In a thread: a statement of 100 KB takes seconds.
            new = await asyncio.to_thread(formatted, text[: LONGEST + 1], editor.engine or "postgresql")
        except NotFormatted as error:
            detail = f" {visible_line(error.detail)}" if error.detail else ""
            self._page.workstation.told(_(error.reason) + detail, bad=True)
            return
        if editor.document.text != version:
            return  # typed meanwhile
        if new == text:
            self._page.workstation.told(_("It is laid out already."))
            return
        editor.replace_span(start, start + len(text), new)

    async def _vim(self) -> None:
        editor = self._editor
        on = editor.vim is None
        editor.use_vim(on)
        self._page.workstation.personal.put_soon(VIM_KIND, VIM_KEY, on)
        self._page.workstation.told(_("Vim keys are on.") if on else _("Vim keys are off."))

    async def restore_vim(self) -> None:
        """As the person left it."""
        if await self._page.workstation.personal.get(VIM_KIND, VIM_KEY, bool):
            self._editor.use_vim(True)

    # -- another editor

    async def _external(self) -> None:
        """$VISUAL or $EDITOR on this machine, with the text in a file that only the person can read."""
        editor, app = self._editor, self._page.app
        words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
        served = _("$EDITOR works where the workstation runs on your own machine; this one is served by the bastion.")
        if self._page.workstation.services.exports_to_bastion:
            self._page.workstation.told(served, bad=True)
            return
        try:
            with app.batch_update(), app.suspend():
                # In a thread, so that the connection is kept up meanwhile.
                done, new = await asyncio.to_thread(_edited, words, editor.text)
        except SuspendNotSupported:
            self._page.workstation.told(served, bad=True)
            return
        except OSError as error:
            said = _("{program} could not be started: {reason}").format(program=words[0], reason=error.strerror or "")
            self._page.workstation.told(said, bad=True)
            return
        app.refresh(layout=True)
        if done != 0:
            self._page.workstation.told(_("{program} failed; nothing was taken from it.").format(program=words[0]))
            return
        if not editor.text.endswith("\n"):
            new = new.removesuffix("\n")  # most editors add one
        if new != editor.text:
            editor.replace_span(0, len(editor.text), new)

    # -- parameters

    def asks(self, pieces: list[Piece]) -> bool:
        """Whether there is something to fill in."""
        return any(names(piece.text, self._at_hand.engine) for piece in pieces)

    async def filled(self, pieces: list[Piece]) -> list[Piece] | None:
        """The statements with their parameters filled in, asked for one after the other; None: given up."""
        engine = self._at_hand.engine
        done = []
        for piece in pieces:
            asked = names(piece.text, engine)
            if not asked:
                done.append(piece)
                continue
            dialog = ParametersDialog(piece.text, asked, engine, self._values)
            values = await self._page.app.push_screen_wait(dialog)
            if values is None:
                return None
            self._values |= values
            done.append(replace(piece, text=filled(piece.text, values, engine), exact=False))
        return done

    # -- lists

    async def show_history(self) -> None:
        """Statements that were run, newest first."""
        await self._page.workstation.personal.flush()
        entries = await self._history.newest_first()
        empty = _("Nothing was run yet. F5 runs the statement at the cursor.")
        self._history.remove(await self._list(_("History"), entries, empty))

    async def show_queries(self) -> None:
        """The saved queries."""
        entries = await self.queries.by_name()
        empty = _("No query is saved yet. In the editor Ctrl+K and s saves the statement at the cursor.")
        self.queries.remove(await self._list(_("Saved queries"), entries, empty))

    async def _list(self, title: str, entries: list[Listed], empty: str) -> list[str]:
        can_run = bool(self._page.check_action("run", ()))
        dialog = StatementList(title, entries, empty, can_run=can_run)
        taken = await self._page.app.push_screen_wait(dialog)
        if taken is not None:
            self.insert(taken.listed.text)
            if taken.wish == "run":
                self._run([Piece(taken.listed.text, self._editor.cursor_offset, exact=False)])
        return dialog.removed

    def insert(self, text: str) -> None:
        """A statement as one of its own: at the cursor where its line is empty, else behind the one it is in."""
        editor = self._editor
        text = text.rstrip()
        text = text if text.endswith(";") else f"{text};"
        row, _column = editor.cursor_location
        if editor.document[row].strip():
            span = editor.statement()
            offset = span.stop if span is not None else len(editor.text)
            before = editor.text[span.start : span.stop] if span is not None else ""
            separator = "" if before.endswith(";") else ";"
            editor.replace_span(offset, offset, f"{separator}\n\n{text}")
        else:
            editor.put(text)
        editor.focus()

    async def save_query(self) -> None:
        """What is selected, else the statement at the cursor, under a name."""
        editor = self._editor
        text = editor.selected_text.strip()
        if not text:
            span = editor.statement()
            text = editor.text[span.start : span.end] if span is not None else ""
        if not text:
            self._page.workstation.told(_("There is no statement at the cursor."))
            return
        name = await self._page.app.push_screen_wait(TextQuestion(_("Save the statement under this name")))
        name = " ".join((name or "").split())[:LONGEST_NAME]
        if not name:
            return
        if await self.queries.taken(name) and not await self._page.app.push_screen_wait(
            Confirmation(_("Replace {name}?").format(name=name), _("A query of this name is there."), _("Replace"),
                         _("Keep"))
        ):  # fmt: skip
            return
        token = self._at_hand.token
        database = token.database if token is not None else ""
        if await self.queries.save(SavedQuery(name, text, editor.engine, database)):
            self._page.workstation.told(_("Saved as {name}.").format(name=visible_line(name)))


def _edited(words: list[str], text: str) -> tuple[int, str]:
    """What the program made of `text`, in a file that only the person can read and that is removed. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix="casemate-", suffix=".sql")
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([*words, name], check=False)
        return done.returncode, path.read_text(encoding="utf-8", errors="replace")
    finally:
        path.unlink(missing_ok=True)
