"""What can be done with a result: each asks, works in a thread where it may last, and shows what came of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING

from backends import formats
from backends.arrangement import Arrangement, NoNumber, arrange, parse
from backends.export import Destination, Export, FileDestination
from backends.interface import Column
from backends.spill import SpillBroken
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..choice import ChoiceDialog
from ..value import ValueDialog
from ..words import sentence, size
from .result import Result, rows_text

if TYPE_CHECKING:
    from ..workstation import Workstation
    from .results import Results

COPIED_CHARACTERS = 200_000
"""More than any terminal takes; what is longer is not even put together."""
FORMAT_NAMES = (
    ("csv", "CSV"), ("tsv", "TSV"), ("json", "JSON"), ("jsonl", "JSON Lines"), ("insert", "INSERT"),
    ("markdown", "Markdown"),
)  # fmt: skip


class ResultActions:
    """Works for one `Results`."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._stops: dict[int, threading.Event] = {}

    @property
    def _workstation(self) -> Workstation:
        from ..workstation import Workstation

        app: object = self._results.app
        assert isinstance(app, Workstation)
        return app

    def start(self, what: str, result: Result) -> None:
        """Does what the table asked for: at once, or in a worker where somebody is asked or it may last."""
        waiting: Coroutine[None, None, None] | None = getattr(self, what)(result)
        if waiting is not None:
            self._results.run_worker(waiting, group=f"result-{what}", exclusive=True)

    def stop(self, result: Result) -> None:
        """The result goes: whatever still reads it ends."""
        if (event := self._stops.pop(id(result), None)) is not None:
            event.set()

    def tell(self, text: str, *, bad: bool = False) -> None:
        """A passing message."""
        self._workstation.told(text, bad=bad)

    def copy(self, text: str, what: str) -> None:
        """To the person's clipboard."""
        self._workstation.copy(text, what)

    # -- arranging

    def sort(self, result: Result) -> None:
        """By the cursor's column: ascending, descending, not."""
        table = result.table
        self.arrange(result, result.wanted.sorted_by(table.cursor_column))

    async def filter(self, result: Result) -> None:
        """Asks for the rows to show."""
        from ..filter import FilterDialog

        table = result.table
        column = table.columns[table.cursor_column] if table.columns else None
        text = await self._results.app.push_screen_wait(FilterDialog(result.filter_text, column))
        if text is None:
            return
        try:
            chosen = parse(text, table.columns)
        except NoNumber as error:
            self.tell(
                _("{column} holds numbers, and {value} is none. `{column} ~ {value}` looks for text in it.").format(
                    column=error.column, value=error.value
                ),
                bad=True,
            )
            return
        result.filter_text = text.strip()
        self.arrange(result, Arrangement(chosen, result.wanted.sorts))

    def reset(self, result: Result) -> None:
        """All rows again, in the order in which they came."""
        result.filter_text = ""
        self.arrange(result, Arrangement())

    def unfilter(self, result: Result) -> None:
        """All rows again, in the order that was asked for."""
        result.filter_text = ""
        self.arrange(result, Arrangement(None, result.wanted.sorts))

    def arrange(self, result: Result, arrangement: Arrangement) -> None:
        """Filters and sorts; what was being worked on before is given up."""
        self.stop(result)
        result.wanted = arrangement
        if not arrangement:
            result.arranging = ""
            result.table.show_arranged(arrangement, None)
            self._results.title_changed()
            return
        self._results.run_worker(self._arrange(result, arrangement), group=f"arrange-{id(result)}", exclusive=True)

    async def _arrange(self, result: Result, arrangement: Arrangement) -> None:
        stop = self._stops[id(result)] = threading.Event()
        result.arranging = _("filtering and sorting {rows} …").format(rows=rows_text(result.table.store.rows))
        self._results.title_changed()
        try:
            arranged = await asyncio.to_thread(arrange, result.table.store, arrangement, stop.is_set)
        except SpillBroken as error:
            self.tell(sentence(error), bad=True)
            arranged = None
        except IndexError:
            return  # The result was closed under it.
        if stop.is_set():
            return
        result.arranging = ""
        if arranged is not None:
            result.table.show_arranged(arrangement, arranged)
        else:
            result.wanted = result.table.arrangement
        self._results.title_changed()

    # -- going about

    async def jump(self, result: Result) -> None:
        """To a column by its name."""
        table = result.table
        labels = [f"{name} · {column.type_name}" for name, column in zip(table.names, table.columns, strict=True)]
        numbered = [f"{number} {label}" for number, label in enumerate(labels, 1)]
        chosen = await self._results.app.push_screen_wait(ChoiceDialog(_("To which column?"), numbered))
        if chosen is not None:
            table.show_column(numbered.index(chosen))

    async def go_to_row(self, result: Result) -> None:
        """To a row by its number."""
        from .confirmation import TextQuestion

        table = result.table
        question = TextQuestion(_("Go to row (1 to {last})").format(last=f"{table.store.rows:,}"))
        text = await self._results.app.push_screen_wait(question)
        if text is None:
            return
        digits = text.strip().replace(",", "").replace("_", "")
        if not (digits.isascii() and digits.isdigit() and 1 <= int(digits) <= table.store.rows):
            self.tell(_("There is no row {number}.").format(number=text.strip()), bad=True)
        elif (place := table.place_of(int(digits) - 1)) is None:
            self.tell(_("The filter leaves row {number} out.").format(number=digits), bad=True)
        else:
            table.move_to(place, table.cursor_column)

    async def follow(self, result: Result) -> None:
        """Along the foreign keys of the cell; the console knows the catalog."""
        table = result.table
        if table.cursor is None:
            return
        row, column = table.cursor
        try:
            values = [table.value(row, index) for index in range(len(table.columns))]
        except SpillBroken as error:
            self.tell(sentence(error), bad=True)
            return
        wanted = self._results.FollowWanted(table.columns, values, column)
        self._results.post_message(wanted.set_sender(self._results))

    # -- looking

    async def view(self, result: Result) -> None:
        """The value of the cell, whole."""
        table = result.table
        if table.cursor is not None:
            try:
                value = table.value(*table.cursor)
            except SpillBroken as error:
                self.tell(sentence(error), bad=True)
                return
            await self._results.app.push_screen_wait(ValueDialog(table.columns[table.cursor_column], value))

    async def row(self, result: Result) -> None:
        """The row, one column a line."""
        from ..row import RowDialog

        await self._results.app.push_screen_wait(RowDialog(result.table))

    async def chart(self, result: Result) -> None:
        """Of the rows that are shown."""
        from ..chart import ChartDialog

        await self._results.app.push_screen_wait(ChartDialog(result.table))

    # -- exporting

    async def export(self, result: Result) -> None:
        """The rows and columns that are shown, to a file here, or to the bastion where there is no disk here."""
        from ..export import FORMAT_NAMES as EXPORT_FORMATS
        from ..export import BastionDestination, ExportDialog, FetchDialog, failure_text, fetch_line

        app, table, workstation = self._results.app, result.table, self._workstation
        title = _("Export {rows} as").format(rows=rows_text(table.row_count))
        names = {name: format for format, name in EXPORT_FORMATS}
        chosen = await app.push_screen_wait(ChoiceDialog(title, list(names)))
        if chosen is None:
            return
        columns = table.arrange_columns.shown
        source = source_table([table.columns[column] for column in columns])
        export = Export(table.store, columns, names[chosen], table.arranged, result.engine, source)
        if workstation.services.exports_to_bastion:
            begin, name = self._to_bastion(result, names[chosen])
        else:
            place = await self._asked_for_path(result, names[chosen])
            if place is None:
                return
            begin, name = place
        dialog = ExportDialog(export, name, begin)
        if await app.push_screen_wait(dialog) is None:
            if dialog.failure is not None:
                self.tell(failure_text(dialog.failure), bad=True)
            else:
                self.tell(_("The export was cancelled; nothing is left of it."))
            return
        if isinstance(dialog.destination, BastionDestination):
            line = fetch_line(workstation.bastion, dialog.destination.file)
            if await app.push_screen_wait(FetchDialog(dialog.destination.file, line)):
                self.copy(line, _("the line"))
            return
        told = _("{rows} ({size}) are in {name}.").format(
            rows=rows_text(export.rows), size=size(export.size), name=name
        )
        if table.store.cut:
            told += " " + _("Values that are not whole: {count}.").format(count=table.store.cut)
        self.tell(told, bad=bool(table.store.cut))

    async def _asked_for_path(self, result: Result, format: str) -> tuple[Callable[[], Destination], str] | None:
        from ..export import local_path, suggested_name
        from .confirmation import Confirmation, TextQuestion

        app = self._results.app
        name = suggested_name(result, f"{self._workstation.services.now():%Y%m%d-%H%M%S}", format)
        text = await app.push_screen_wait(TextQuestion(_("File to write"), name))
        if not text or not text.strip():
            return None
        path = local_path(text)
        shown = visible_line(str(path))
        overwrite = False
        if path.is_dir():
            self.tell(_("{path} is a folder.").format(path=shown), bad=True)
            return None
        if path.exists():
            question = Confirmation(
                _("Replace the file?"), _("{path} exists already.").format(path=shown), _("Replace"), _("Keep")
            )
            if not await app.push_screen_wait(question):
                return None
            overwrite = True
        return (lambda: FileDestination(path, overwrite=overwrite)), shown

    def _to_bastion(self, result: Result, format: str) -> tuple[Callable[[], Destination], str]:
        from ..export import BastionDestination, suggested_name

        link, loop = self._workstation.bastion, asyncio.get_running_loop()
        name = suggested_name(result, f"{self._workstation.services.now():%Y%m%d-%H%M%S}", format)
        return (lambda: BastionDestination(link, loop, result.session, result.statement, format, name)), name

    # -- copying

    async def copy_as(self, result: Result) -> None:
        """Asks how much, and in which format."""
        table = result.table
        scopes: list[tuple[str, range, list[int]]] = []
        everything = table.arrange_columns.shown
        if (selection := table.selection) is not None:
            scopes.append((_("the selection"), *selection))
        scopes.append((_("the row"), range(table.cursor_row, table.cursor_row + 1), everything))
        scopes.append((_("the column"), range(table.row_count), [table.cursor_column]))
        scopes.append((_("all rows shown"), range(table.row_count), everything))
        choices = {
            _("{what} as {format}").format(what=what, format=name): (what, format, rows, columns)
            for what, rows, columns in scopes
            for format, name in FORMAT_NAMES
        }
        chosen = await self._results.app.push_screen_wait(ChoiceDialog(_("Copy what, and how?"), list(choices)))
        if chosen is None:
            return
        what, format, rows, columns = choices[chosen]
        work = contextvars.copy_context().run
        try:
            text = await asyncio.to_thread(work, self._text, result, format, rows, columns)
        except formats.RepeatedColumn as error:
            self.tell(_("Not copied: an INSERT cannot name the column {column} twice.").format(column=error), bad=True)
        except SpillBroken as error:
            self.tell(sentence(error), bad=True)
        else:
            if text is None:
                self.tell(
                    _("Not copied: {what} is more than terminals take. e exports it to a file.").format(what=what),
                    bad=True,
                )
            else:
                self.copy(text, what)

    def _text(self, result: Result, format: str, rows: range, chosen: list[int]) -> str | None:
        table = result.table
        columns: list[Column] = [table.columns[column] for column in chosen]

        def taken() -> Iterator[list[str | None]]:
            for place in rows:
                values = table.store.values(table.number_at(place))
                yield [values[column] for column in chosen]

        pieces, length = [], 0
        for piece in formats.write(format, columns, taken(), engine=result.engine, table=source_table(columns)):
            pieces.append(piece)
            length += len(piece)
            if length > COPIED_CHARACTERS:
                return None
        return "".join(pieces)


def source_table(columns: list[Column]) -> tuple[str, ...]:
    """The one table that all columns come from, where that is known by name."""
    tables = {(c.origin.schema, c.origin.table) for c in columns if c.origin is not None and c.origin.table}
    if len(tables) != 1 or any(column.origin is None for column in columns):
        return ()
    return tuple(part for part in tables.pop() if part)
