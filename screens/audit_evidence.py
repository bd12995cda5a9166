"""A session as a bundle of evidence: a file of the person's own machine, or one that waits on the bastion."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.export import ExportFailed, FileDestination
from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .export import FetchDialog, failure_text, fetch_line, local_path
from .widgets.confirmation import TextQuestion
from .words import mark, sentence, size
from .workstation import Dialog, Workstation


async def bundle_session(workstation: Workstation, session: str) -> None:
    """Asks why and where to, has it made, and says what came of it."""
    reason = await workstation.push_screen_wait(
        TextQuestion(_("Evidence of session {session}: why? It is recorded with your name.").format(session=session))
    )
    if reason is None or not reason.strip():
        return
    path: Path | None = None
    if not workstation.services.exports_to_bastion:
        name = f"evidence-{session}.zip"
        given = await workstation.push_screen_wait(TextQuestion(_("Export to which file?"), str(Path.home() / name)))
        if not given:
            return
        path = local_path(given)
    dialog = BundleDialog(methods.BundleRequest(session=session, reason=reason), path)
    made = await workstation.push_screen_wait(dialog)
    if dialog.failure:
        workstation.told(dialog.failure, bad=True)
    elif made is None:
        workstation.told(_("The bundle is given up; nothing is left of it."))
    elif path is None:
        line = fetch_line(workstation.bastion, made)
        if await workstation.push_screen_wait(FetchDialog(made, line)):
            workstation.copy(line, _("the line"))
    else:
        workstation.told(
            _("The evidence ({size}) is in {path}. Its SHA-256 is on record.").format(
                size=size(made.bytes), path=visible_line(str(path))
            )
        )


class BundleDialog(Dialog[m.ExportFile | None]):
    """Works while it is shown. None: given up, or `failure` says why."""

    DEFAULT_CSS = """
    BundleDialog > Vertical { width: 76; max-width: 96%; height: auto; padding: 1 2; }
    BundleDialog .title { text-style: bold; margin-bottom: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", mark("Cancel"), key_display="Esc")]

    def __init__(self, request: methods.BundleRequest, path: Path | None) -> None:
        super().__init__()
        self._request, self._path = request, path
        self._stop = False
        self.failure = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            title = _("Evidence of session {session}").format(session=visible_line(self._request.session))
            yield Static(Text(title), classes="title")
            yield Static(Text(_("The bastion makes it …")), id="progress")

    def on_mount(self) -> None:
        self._make()

    def _say(self, text: str) -> None:
        self.query_one("#progress", Static).update(Text(text))

    @work(exclusive=True, group="export")
    async def _make(self) -> None:
        bastion = self.workstation.bastion
        made: m.ExportFile | None = None
        try:
            made = await bastion.call(methods.BUNDLE, self._request)
            assert made is not None
            if self._path is not None:
                await self._fetch(made, self._path)
            if self._stop:
                raise _GivenUp
        except _GivenUp:
            await self._forget(made)
            self.dismiss(None)
        except (Refused, LinkError) as error:
            self.failure = sentence(error)
            self.dismiss(None)
        except ExportFailed as error:
            await self._forget(made)
            self.failure = failure_text(error)
            self.dismiss(None)
        else:
            if self._path is not None:
                await self._forget(made)
            self.dismiss(made)

    async def _fetch(self, made: m.ExportFile, path: Path) -> None:
        destination = await asyncio.to_thread(FileDestination, path)
        digest, fetched = sha256(), 0
        try:
            after: int | None = 0
            while after is not None:
                if self._stop:
                    raise _GivenUp
                piece: m.ExportPiece = await self.workstation.bastion.call(
                    methods.BUNDLE_READ, methods.ExportRead(id=made.id, after=after)
                )
                digest.update(piece.data)
                fetched += len(piece.data)
                await asyncio.to_thread(destination.write, piece.data)
                self._say(_("{done} of {size}").format(done=size(fetched), size=size(made.bytes)))
                after = piece.next
            if digest.hexdigest() != made.digest:
                raise Refused("export-broken", id=made.id)
            await asyncio.to_thread(destination.finish, 0)
        except BaseException:
            destination.abandon()
            raise

    async def _forget(self, made: m.ExportFile | None) -> None:
        """What waits on the bastion goes; where the link is gone, it goes by itself in a day."""
        if made is None:
            return
        try:
            await self.workstation.bastion.call(methods.BUNDLE_REMOVE, methods.ById(id=made.id))
        except (Refused, LinkError):
            return

    def action_give_up(self) -> None:
        self._stop = True
        self._say(_("Cancelling …"))


class _GivenUp(Exception):
    """The person does not want it any more."""
