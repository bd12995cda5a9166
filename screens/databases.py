"""The databases that the person may reach, with an account and the state of its token each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import DataTable, Static

from backends.connection import first_catalog, has_console
from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .token import TokenDialog
from .widgets.frame import KeyLine, TopLine
from .widgets.inputs import SearchInput
from .words import left, mark, moment, sentence
from .workstation import Page

ENGINES = {"mysql": "MySQL", "postgresql": "PostgreSQL", "sqlserver": "SQL Server", "oracle": "Oracle"}
PLATFORMS = {"rds": "RDS", "polardb": "PolarDB"}
REFRESH_SECONDS = 30.0


@dataclass(frozen=True)
class Choice:
    """One line: an account of a database."""

    database: m.Database
    account: m.Account

    @property
    def token(self) -> m.TokenState | None:
        """Its live token."""
        return next((token for token in self.database.tokens if token.account == self.account.name), None)

    @property
    def text(self) -> str:
        """What the search looks through."""
        database = self.database
        return " ".join(
            [database.name, database.engine, database.platform, database.host, database.domain, self.account.name]
        ).lower()

    @property
    def id(self) -> str:
        return f"{self.database.name}\n{self.account.name}"


def engine_name(database: m.Database) -> str:
    """`PostgreSQL`, `MySQL RDS`."""
    engine = ENGINES.get(database.engine, database.engine)
    platform = PLATFORMS.get(database.platform, "")
    return f"{engine} {platform}".strip()


class DatabaseSearch(SearchInput):
    """The search of this page."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", mark("Open console"))]


class DatabasesScreen(Page):
    """Search as you type; Enter opens the console."""

    DEFAULT_CSS = """
    DatabasesScreen #search-line { height: 1; margin: 1 1 0 1; }
    DatabasesScreen #search-line Static { width: auto; color: $muted; padding-right: 1; }
    DatabasesScreen #count { padding-left: 1; width: auto; }
    DatabasesScreen DatabaseSearch { width: 1fr; }
    DatabasesScreen DataTable { height: 1fr; margin: 1 1 0 1; }
    DatabasesScreen DataTable > .datatable--cursor { background: $selection; color: $selection-text; }
    DatabasesScreen DataTable > .datatable--cursor { text-style: $selection-style; }
    DatabasesScreen #facts { height: 3; margin: 0 1; padding: 0 1; border-top: solid $line; color: $muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f3", "token", mark("Token")),
        Binding("f5", "refresh", mark("Refresh")),
        Binding("escape", "clear", mark("Clear the search"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._choices: list[Choice] = []
        self._shown: list[Choice] = []
        self._loaded = False

    def compose(self) -> ComposeResult:
        yield TopLine("databases")
        with Horizontal(id="search-line"):
            yield Static(Text(_("Search")))
            yield DatabaseSearch(placeholder=_("name, engine, address, account"), id="search")
            yield Static("", id="count", markup=False)
        table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=False, id="databases")
        table.can_focus = False
        yield table
        yield Static("", id="facts", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self.set_interval(REFRESH_SECONDS, self._times_changed)

    def on_screen_resume(self) -> None:
        self._load()

    def on_resize(self) -> None:
        self._fill()

    # -- loading

    @work(exclusive=True, group="databases")
    async def _load(self) -> None:
        try:
            databases = await self.workstation.bastion.call(methods.DATABASES, methods.DatabaseList())
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self._choices = [Choice(database, account) for database in databases for account in database.accounts]
        self._loaded = True
        self._fill()

    def token_changed(self) -> None:
        """A token of the person was issued, renewed or revoked somewhere."""
        if self.is_mounted:
            self._load()

    def _times_changed(self) -> None:
        if self.is_current:
            self._fill()

    # -- showing

    def _fill(self) -> None:
        if not self.is_mounted or not self.size.width:
            return
        words = self.query_one(SearchInput).value.lower().split()
        chosen = self.chosen
        self._shown = [choice for choice in self._choices if all(word in choice.text for word in words)]
        table: DataTable[Text] = self.query_one(DataTable)
        table.clear(columns=True)
        cells = [self._cells(choice) for choice in self._shown]
        heads = [_("Database"), _("Engine"), _("Address"), _("Account"), _("Token")]
        widths = _widths(heads, cells, self.size.width - 2 - 2 * len(heads) - 2)
        for head, width in zip(heads, widths, strict=True):
            table.add_column(Text(head), width=width)
        for choice, row in zip(self._shown, cells, strict=True):
            fitted = [_fit(cell, width) for cell, width in zip(row, widths, strict=True)]
            table.add_row(*fitted, key=choice.id)
        if chosen is not None:
            ids = [choice.id for choice in self._shown]
            if chosen.id in ids:
                table.move_cursor(row=ids.index(chosen.id))
        count = f"{len(self._shown)}/{len(self._choices)}" if words else f"{len(self._choices)}"
        self.query_one("#count", Static).update(Text(count))
        self._show_facts()

    def _cells(self, choice: Choice) -> list[Text]:
        database, token = choice.database, choice.token
        account = Text(visible_line(choice.account.name if choice.account.name != "*" else _("any")))
        if not choice.account.hosted:
            account.append(" " + _("(own password)"), style="muted")
        if token is None:
            state = Text(_("none"), style="muted")
        else:
            now = self.workstation.services.now()
            rest = left(token.expires_at, now)
            soon = (moment(token.expires_at) - now).total_seconds() < 600
            state = Text(rest, style="warning" if soon else "ok")
        return [
            Text(visible_line(database.name), style="bold"),
            Text(visible_line(engine_name(database))),
            Text(visible_line(f"{database.host}:{database.port}")),
            account,
            state,
        ]

    def _show_facts(self) -> None:
        facts = Text()
        choice = self.chosen
        if choice is None:
            if self._loaded:
                facts.append(
                    _("Nothing matches the search.")
                    if self._choices
                    else _("You are not authorized for any database. Ask an administrator for a grant.")
                )
        else:
            database = choice.database
            pieces = [
                visible_line(f"{database.host}:{database.port}"),
                _("reached directly")
                if database.domain in ("", "direct")
                else _("through {domain}").format(domain=visible_line(database.domain)),
            ]
            if database.databases:
                pieces.append(_("opens {names}").format(names=visible_line(", ".join(database.databases))))
            if database.until is not None:
                until = moment(database.until)
                shown = until.astimezone() if self.workstation.services.local_time else until
                pieces.append(_("granted until {until}").format(until=shown.strftime("%Y-%m-%d %H:%M")))
            facts.append(" · ".join(pieces))
            facts.append("\n")
            if not has_console(database.engine):
                facts.append(_("No console for this engine yet: F3 gives a token for your own client."))
            elif choice.token is None:
                facts.append(_("Enter requests a token and opens the console."))
        self.query_one("#facts", Static).update(facts)

    @property
    def chosen(self) -> Choice | None:
        """The line that the cursor is on."""
        table: DataTable[Text] = self.query_one(DataTable)
        if 0 <= table.cursor_row < len(self._shown) and table.row_count:
            return self._shown[table.cursor_row]
        return None

    # -- what the person does

    @on(SearchInput.Changed)
    def _searched(self) -> None:
        self._fill()

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_open()

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        getattr(table, f"action_{event.action}")()

    @on(DataTable.RowHighlighted)
    def _highlighted(self) -> None:
        self._show_facts()

    @on(DataTable.RowSelected)
    def _selected(self) -> None:
        self.action_open()

    def action_clear(self) -> None:
        self.query_one(SearchInput).value = ""

    def action_refresh(self) -> None:
        self._load()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("open", "token"):
            return self.workstation.has_role("operator")
        return True

    def action_token(self) -> None:
        if (choice := self.chosen) is not None:
            self._open_dialog(choice, then_open=False)

    def action_open(self) -> None:
        choice = self.chosen
        if choice is None:
            return
        if not has_console(choice.database.engine):
            self._open_dialog(choice, then_open=False)
        elif choice.token is None:
            self._open_dialog(choice, then_open=True)
        else:
            self._open_console(choice, choice.token.id)

    def open_named(self, name: str, account: str) -> None:
        """Opens the console of a database by name; for the palette."""
        for choice in self._choices:
            if choice.database.name == name and choice.account.name == account:
                if choice.token is None or not has_console(choice.database.engine):
                    self._open_dialog(choice, then_open=True)
                else:
                    self._open_console(choice, choice.token.id)
                return

    @property
    def choices(self) -> list[Choice]:
        """Every line, whatever the search says."""
        return list(self._choices)

    @work(exclusive=True, group="token")
    async def _open_console(self, choice: Choice, token_id: str) -> None:
        try:
            token = await self.workstation.bastion.call(methods.TOKEN_SHOW, methods.ById(id=token_id))
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            self._load()
            return
        self.workstation.open_console(token, first_catalog(choice.database.databases))

    @work(exclusive=True, group="token")
    async def _open_dialog(self, choice: Choice, *, then_open: bool) -> None:
        live = choice.token.id if choice.token is not None else None
        token = await self.app.push_screen_wait(
            TokenDialog(choice.database.name, choice.account, live, then_open=then_open)
        )
        self._load()
        if token is not None and has_console(token.engine):
            self.workstation.open_console(token, first_catalog(choice.database.databases))


def _widths(heads: list[str], rows: list[list[Text]], room: int) -> list[int]:
    """The widths of the columns: as wide as needed, the widest ones narrowed until all fit in `room` cells."""
    widths = [max([cell_len(head), *(row[index].cell_len for row in rows[:500])]) for index, head in enumerate(heads)]
    while sum(widths) > room and max(widths) > 8:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    spare = max(room - sum(widths), 0)
    for index in range(len(widths) - 1):
        widths[index] += min(spare // (len(widths) - 1), 6)
    return widths


def _fit(cell: Text, width: int) -> Text:
    cell.truncate(width, overflow="ellipsis")
    return cell
