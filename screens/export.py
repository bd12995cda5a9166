"""Exporting a result: what it becomes, where it goes, how far it is, and giving it up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends import formats
from backends.export import Destination, Export, ExportCancelled, ExportFailed
from backends.link import LinkError
from backends.spill import SpillBroken
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .words import mark, sentence, size
from .workstation import ControlLink, Dialog

if TYPE_CHECKING:
    from .widgets.result import Result

PROGRESS_SECONDS = 0.5
CALL_SECONDS = 60.0
PART_BYTES = 512 * 1024
FORMAT_NAMES = (
    ("csv", "CSV"), ("jsonl", "JSON Lines"), ("parquet", "Parquet"), ("insert", "SQL INSERT"), ("json", "JSON"),
    ("tsv", "TSV"),
)  # fmt: skip

_WORD = re.compile(r"[A-Za-z0-9_]+")


class BastionDestination:
    """A file that waits on the bastion. Used from a thread; the calls are made on the screen's loop.

    Raises Refused, LinkError.
    """

    def __init__(
        self, link: ControlLink, loop: asyncio.AbstractEventLoop, session: str, statement: str, format: str, name: str
    ) -> None:
        self._link, self._loop = link, loop
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._number = 0
        begin = methods.ExportBegin(session=session, statement=statement[:100_000], format=format, name=name)
        self.file: m.ExportFile = self._call(methods.EXPORT_BEGIN, begin)

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= PART_BYTES:
            self._send(PART_BYTES)

    def finish(self, rows: int) -> None:
        try:
            if self._waiting:
                self._send(len(self._waiting))
            finish = methods.ExportFinish(id=self.file.id, rows=rows, digest=self._digest.hexdigest())
            self.file = self._call(methods.EXPORT_FINISH, finish)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        try:
            self._call(methods.EXPORT_ABANDON, methods.ById(id=self.file.id))
        except (Refused, LinkError):
            return  # It is gone already, or goes by itself.

    def _send(self, count: int) -> None:
        data = bytes(self._waiting[:count])
        del self._waiting[:count]
        self._digest.update(data)
        self._call(methods.EXPORT_PART, methods.ExportPart(id=self.file.id, number=self._number, data=data))
        self._number += 1

    def _call(self, method: methods.Method, params: m.Message) -> Any:
        future = asyncio.run_coroutine_threadsafe(self._link.call(method, params), self._loop)
        try:
            return future.result(CALL_SECONDS)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise LinkError(_("the bastion did not answer in time")) from error


def suggested_name(result: Result, now: str, format: str) -> str:
    """`orders-20261122-030405.csv`: the table or a word of the statement, and the time."""
    from .widgets.result_actions import source_table

    table = source_table(list(result.table.columns))
    if table:
        word = table[-1]
    else:
        found = re.search(r"\b(?:from|into|update|table)\s+[\"`]?(?:\w+[\"`]?\.[\"`]?)?(\w+)", result.statement, re.I)
        word = found[1] if found is not None else "result"
    words = "-".join(_WORD.findall(word))[:40] or "result"
    return f"{words}-{now}{formats.ENDINGS[format]}"


class ExportDialog(Dialog[str | None]):
    """Writes while it is shown, and says how far it is. Gives a sentence about what came of it, None when given up."""

    DEFAULT_CSS = """
    ExportDialog { align: center middle; }
    ExportDialog > Vertical { width: 76; max-width: 96%; height: auto; padding: 1 2; background: $surface; border: round $accent; }
    ExportDialog .title { text-style: bold; margin-bottom: 1; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", mark("Cancel"), key_display="Esc")]

    def __init__(self, export: Export, name: str, begin: Callable[[], Destination]) -> None:
        super().__init__()
        self._export, self._shown_name, self._begin = export, name, begin
        self._stop = threading.Event()
        self.failure: Exception | None = None
        self.destination: Destination | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Exporting to {name}").format(name=visible_line(self._shown_name))), classes="title")
            yield Static(id="progress", markup=False)

    def on_mount(self) -> None:
        self.set_interval(PROGRESS_SECONDS, self._progress)
        self._progress()
        self._write()

    def _progress(self) -> None:
        done, total = self._export.rows, self._export.total
        text = _("{done} of {total} rows · {size}").format(
            done=f"{done:,}", total=f"{total:,}", size=size(self._export.size)
        )
        if self._stop.is_set():
            text = _("Cancelling …")
        self.query_one("#progress", Static).update(Text(text))

    @work(exclusive=True, group="export")
    async def _write(self) -> None:
        try:
            await asyncio.to_thread(contextvars.copy_context().run, self._work)
        except ExportCancelled:
            self.dismiss(None)
        except (ExportFailed, SpillBroken, formats.RepeatedColumn, Refused, LinkError, IndexError) as error:
            self.failure = error
            self.dismiss(None)
        else:
            self.dismiss("done")

    def _work(self) -> None:
        self.destination = self._begin()
        self._export.run(self.destination, self._stop.is_set)

    def action_give_up(self) -> None:
        self._stop.set()
        self._progress()


def failure_text(error: Exception) -> str:
    """What a person is told when an export came to nothing."""
    if isinstance(error, ExportFailed):
        if error.exists:
            return _("{path} exists already; nothing was written.").format(path=visible_line(str(error.path)))
        return _("{path} cannot be written: {detail}.").format(
            path=visible_line(str(error.path)), detail=visible_line(error.detail)
        )
    if isinstance(error, formats.RepeatedColumn):
        return _("Not exported: an INSERT cannot name the column {column} twice.").format(
            column=visible_line(str(error))
        )
    return sentence(error)


class FetchDialog(Dialog[bool]):
    """Says how an export that waits on the bastion is fetched; gives True to copy the line."""

    DEFAULT_CSS = """
    FetchDialog { align: center middle; }
    FetchDialog > Vertical { width: 90; max-width: 96%; height: auto; padding: 1 2; background: $surface; border: round $accent; }
    FetchDialog .title { text-style: bold; margin-bottom: 1; }
    FetchDialog .line { background: $field; padding: 0 1; margin: 1 0; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "answer(False)", mark("Close"), key_display="Esc"),
        Binding("enter,c", "answer(True)", mark("Copy the line"), key_display="c"),
    ]

    def __init__(self, file: m.ExportFile, line: str) -> None:
        super().__init__()
        self._file, self._line = file, line

    def compose(self) -> ComposeResult:
        file = self._file
        with Vertical():
            yield Static(
                Text(
                    _("{rows} rows ({size}) wait on the bastion until {until}.").format(
                        rows=f"{file.rows:,}", size=size(file.bytes), until=file.until
                    )
                ),
                classes="title",
            )
            yield Static(Text(_("Fetch them from your own machine:")))
            yield Static(Text(self._line), classes="line")
            yield Static(Text(_("The export and each time it is fetched are on record.")), classes="hint")

    def action_answer(self, copy: bool) -> None:
        self.dismiss(copy)


def fetch_line(link: ControlLink, file: m.ExportFile) -> str:
    """The line that fetches it with any ssh client."""
    target = link.hello
    port = "" if target.bastion.port == 22 else f" -p {target.bastion.port}"
    name = re.sub(r"[^A-Za-z0-9._-]", "-", file.name)
    return f"ssh{port} {target.user}@{target.bastion.host} export get {file.id} > {name}"


def local_path(text: str) -> Path:
    """What the person typed as a path; `~` is their home."""
    return Path(text.strip()).expanduser()
