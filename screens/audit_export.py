"""Exporting what the audit's filter finds: a file of the person's own machine, or one that waits on the bastion."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.export import ExportFailed, FileDestination
from backends.formats import ENDINGS
from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .choice import ChoiceDialog
from .export import FetchDialog, failure_text, fetch_line, local_path
from .widgets.confirmation import TextQuestion
from .words import mark, sentence, size
from .workstation import Dialog, Workstation

FORMATS = {"CSV": "csv", "JSON Lines": "jsonl", "Parquet": "parquet"}
LOOK_SECONDS = 0.5


async def export_listing(workstation: Workstation, wanted: m.StatementFilter | m.SessionFilter, what: str) -> None:
    """Asks as what and where to, writes it, and says what came of it."""
    chosen = await workstation.push_screen_wait(ChoiceDialog(_("Export as"), list(FORMATS)))
    if chosen is None:
        return
    format = FORMATS[chosen]
    name = f"{what}-{workstation.services.now():%Y%m%d-%H%M%S}{ENDINGS[format]}"
    path: Path | None = None
    if not workstation.services.exports_to_bastion:
        given = await workstation.push_screen_wait(TextQuestion(_("Export to which file?"), str(Path.home() / name)))
        if not given:
            return
        path = local_path(given)
        name = path.name
    begin = methods.AuditExportBegin(what=what, format=format, keep=path is None, name=name)
    if isinstance(wanted, m.StatementFilter):
        begin.statements = wanted
    else:
        begin.sessions = wanted
    dialog = AuditExportDialog(begin, path)
    done = await workstation.push_screen_wait(dialog)
    if dialog.failure:
        workstation.told(dialog.failure, bad=True)
    elif done is None:
        workstation.told(_("The export is given up; nothing is left of it."))
    elif done.file is not None:
        line = fetch_line(workstation.bastion, done.file)
        if await workstation.push_screen_wait(FetchDialog(done.file, line)):
            workstation.copy(line, _("the line"))
    else:
        workstation.told(
            _("{rows} rows ({size}) are in {path}.").format(
                rows=f"{done.rows:,}", size=size(done.bytes), path=visible_line(str(path))
            )
        )


class AuditExportDialog(Dialog[m.AuditExport | None]):
    """Works while it is shown, and says how far it is. None: given up, or `failure` says why."""

    DEFAULT_CSS = """
    AuditExportDialog > Vertical { width: 76; max-width: 96%; height: auto; padding: 1 2; }
    AuditExportDialog .title { text-style: bold; margin-bottom: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", mark("Cancel"), key_display="Esc")]

    def __init__(self, begin: methods.AuditExportBegin, path: Path | None) -> None:
        super().__init__()
        self._begin, self._path = begin, path
        self._rows = self._bytes = 0
        self._stop = False
        self.failure = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Exporting to {name}").format(name=visible_line(self._begin.name))), classes="title")
            yield Static("", id="progress", markup=False)

    def on_mount(self) -> None:
        self._show()
        self._export()

    def _show(self) -> None:
        text = _("{rows} rows · {size}").format(rows=f"{self._rows:,}", size=size(self._bytes))
        self.query_one("#progress", Static).update(Text(_("Cancelling …") if self._stop else text))

    @work(exclusive=True, group="export")
    async def _export(self) -> None:
        bastion = self.workstation.bastion
        try:
            export: m.AuditExport = await bastion.call(methods.AUDIT_EXPORT_BEGIN, self._begin)
            try:
                done = await (self._fetch(export) if self._path is not None else self._wait(export))
            except BaseException:
                await bastion.call(methods.AUDIT_EXPORT_CANCEL, methods.ById(id=export.id))
                raise
        except _GivenUp:
            self.dismiss(None)
        except (Refused, LinkError) as error:
            self.failure = sentence(error)
            self.dismiss(None)
        except ExportFailed as error:
            self.failure = failure_text(error)
            self.dismiss(None)
        else:
            self.dismiss(done)

    async def _fetch(self, export: m.AuditExport) -> m.AuditExport:
        """Piece by piece into the file."""
        assert self._path is not None
        destination = await asyncio.to_thread(FileDestination, self._path)
        try:
            while True:
                self._check()
                piece: m.AuditExportPiece = await self.workstation.bastion.call(
                    methods.AUDIT_EXPORT_READ, methods.AuditExportRead(id=export.id)
                )
                await asyncio.to_thread(destination.write, piece.data)
                self._rows = piece.rows
                self._bytes += len(piece.data)
                self._show()
                if piece.done:
                    break
            await asyncio.to_thread(destination.finish, self._rows)
        except BaseException:
            destination.abandon()
            raise
        export.rows, export.bytes, export.state = self._rows, self._bytes, "whole"
        return export

    async def _wait(self, export: m.AuditExport) -> m.AuditExport:
        """Until the bastion has it."""
        while True:
            self._check()
            export = await self.workstation.bastion.call(methods.AUDIT_EXPORT_STATE, methods.ById(id=export.id))
            self._rows, self._bytes = export.rows, export.bytes
            self._show()
            if export.state == "failed":
                raise Refused("audit-export-failed", detail=export.reason)
            if export.state != "running":
                return export
            await asyncio.sleep(LOOK_SECONDS)

    def _check(self) -> None:
        if self._stop:
            raise _GivenUp

    def action_give_up(self) -> None:
        self._stop = True
        self._show()


class _GivenUp(Exception):
    """The person does not want it any more."""
