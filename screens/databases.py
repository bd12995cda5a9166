"""The databases that the person may reach, with an account and the state of its token each."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from backends.connection import first_catalog, has_console
from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from .database_choice import GROUPINGS, Choice, Line, found, key_of, listed
from .token import TokenDialog
from .why import WhyDialog
from .widgets.database_list import DatabaseList
from .widgets.frame import KeyLine, TopLine
from .widgets.inputs import SearchInput
from .words import mark, moment, sentence
from .workstation import Page

REFRESH_SECONDS = 20.0
PAGE = 2000
"""Databases asked for at a time: the first of many thousands are shown while the others come."""

FAVOURITES, RECENT, PREFERENCES = "favourites", "recent", "preferences"
"""Kinds of what is kept at the bastion."""
RECENT_KEPT = 40
TOKEN_OVER = ("token-expired", "token-revoked", "token-unknown")
"""Refusals after which another token is asked for."""
AGAIN_SECONDS = 120.0
"""How old a list of many thousands may be when the page is looked at again."""


class Nothing(msgspec.Struct):
    """A favourite or a recent one: its key says all."""


class Preferences(msgspec.Struct):
    """How the person wants this page."""

    grouping: str = "usual"


class DatabaseSearch(SearchInput):
    """The search of this page."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", mark("Open console"))]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "submit" and isinstance(self.screen, DatabasesScreen):
            return self.screen.check_action("open", ())
        return True


class DatabasesScreen(Page):
    """Search as you type; Enter opens the console."""

    DEFAULT_CSS = """
    DatabasesScreen #search-line { height: 1; margin: 1 1 0 1; }
    DatabasesScreen #search-line Static { width: auto; color: $muted; padding-right: 1; }
    DatabasesScreen #count { padding-left: 1; width: auto; }
    DatabasesScreen DatabaseSearch { width: 1fr; }
    DatabasesScreen #empty { display: none; height: 1fr; margin: 2 4; max-width: 90; }
    DatabasesScreen.empty #empty { display: block; }
    DatabasesScreen.empty DatabaseList { display: none; }
    DatabasesScreen #facts { height: 3; margin: 0 1; padding: 0 1; border-top: solid $line; color: $muted; }
    DatabasesScreen #facts { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f3", "token", mark("Token")),
        Binding("f4", "local_client", mark("Local client")),
        Binding("f7", "favourite", mark("Favourite")),
        Binding("f8", "why", mark("Why not?")),
        Binding("f6", "grouping", mark("Group"), show=False),
        Binding("f5", "refresh", mark("Refresh"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._choices: list[Choice] = []
        self._lines: list[Line] | None = None
        """All of them in their groups; None: to be made anew."""
        self._favourites: frozenset[str] = frozenset()
        self._recent: dict[str, int] = {}
        self._grouping = "usual"
        self._loaded = False
        self._loaded_at = 0.0
        self._failure = ""

    def title_words(self) -> str:
        return _("Databases")

    def compose(self) -> ComposeResult:
        yield TopLine("databases")
        with Horizontal(id="search-line"):
            yield Static(Text(_("Search")))
            yield DatabaseSearch(placeholder=_("name, engine, address, group, account"), id="search")
            yield Static("", id="count", markup=False)
        yield DatabaseList(self.workstation.services.now, id="databases")
        yield Static("", id="empty", markup=False)
        yield Static("", id="facts", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self.set_interval(REFRESH_SECONDS, self._times_changed)
        self._show_empty()
        self._load_kept()

    def on_screen_resume(self) -> None:
        # Many thousands are not asked for at every look: tokens are followed by notifications.
        if len(self._choices) < PAGE or monotonic() - self._loaded_at > AGAIN_SECONDS:
            self._load()

    # -- loading

    @work(exclusive=True, group="databases")
    async def _load(self) -> None:
        choices: list[Choice] = []
        after = ""
        while True:
            wanted = methods.DatabaseList(after=after, limit=PAGE)
            try:
                page: list[m.Database] = await self.workstation.bastion.call(methods.DATABASES, wanted)
            except (Refused, LinkError) as error:
                self._failure = sentence(error)
                if self._choices:
                    self.workstation.told(self._failure, bad=True)
                self._show_empty()
                return
            choices += [Choice(database, account) for database in page for account in database.accounts]
            if len(page) != PAGE:  # more than were asked for: a bastion that knows no pages has sent them all
                break
            after = page[-1].name
            if not self._loaded:
                self._take(choices)
        self._loaded, self._failure, self._loaded_at = True, "", monotonic()
        self._take(choices)

    @work(exclusive=True, group="kept")
    async def _load_kept(self) -> None:
        personal = self.workstation.personal
        favourites = await personal.items(FAVOURITES, Nothing)
        recent = await personal.items(RECENT, Nothing, limit=RECENT_KEPT)
        preferences = await personal.get(PREFERENCES, "databases", Preferences)
        self._favourites = frozenset(kept.key for kept in favourites)
        self._recent = {kept.key: place for place, kept in enumerate(recent)}
        if preferences is not None and preferences.grouping in GROUPINGS:
            self._grouping = preferences.grouping
        self._lines = None
        self._fill(keep=False)

    def _take(self, choices: list[Choice]) -> None:
        self._choices, self._lines = choices, None
        self.query_one(DatabaseList).measure(choices)
        self._fill(keep=True)

    def token_changed(self, database: str) -> None:
        """A token of the person for it was issued, renewed or revoked somewhere."""
        if self.is_mounted:
            self._load_one(database)

    @work(group="one")
    async def _load_one(self, name: str) -> None:
        """Asks for one database anew; the others stay as they are."""
        try:
            fresh: list[m.Database] = await self.workstation.bastion.call(
                methods.DATABASES, methods.DatabaseList(name=name)
            )
        except (Refused, LinkError):
            return  # the next look at the page asks for all of them, and says what is wrong
        by_key = {
            choice.key: choice
            for choice in (Choice(database, account) for database in fresh for account in database.accounts)
        }
        if by_key and all(each.key in by_key for each in self._choices if each.database.name == name):
            self._take([by_key.get(choice.key, choice) for choice in self._choices])
        else:
            self._load()

    def _times_changed(self) -> None:
        if self.is_current:
            self.query_one(DatabaseList).times_changed()

    # -- showing

    def _fill(self, *, keep: bool) -> None:
        """Shows what matches the search; `keep`: with the cursor on the line where it is."""
        if not self.is_mounted:
            return
        query = self.query_one(SearchInput).value.strip()
        shown = self.query_one(DatabaseList)
        chosen = shown.chosen.key if keep and shown.chosen is not None else None
        if self._lines is None:
            self._lines = listed(self._choices, self._favourites, self._recent, self._grouping)
        if query:
            # Each once, also where it stands in several groups.
            once = {line.key: line for line in self._lines if isinstance(line, Choice)}
            matching = found(list(once.values()), query)
            shown.show(matching, self._favourites, query, chosen)
            count = f"{len(matching)}/{len(self._choices)}"
        else:
            shown.show(self._lines, self._favourites, "", chosen)
            count = f"{len(self._choices)}"
            if self._grouping != "usual":
                count += f" · {_(GROUPINGS[self._grouping])}"
        self.query_one("#count", Static).update(Text(count))
        self._show_empty()
        self._show_facts()
        self.refresh_bindings()

    def _show_empty(self) -> None:
        """What to do where there is nothing to choose."""
        text = self._nothing_to_choose()
        self.set_class(text is not None, "empty")
        if text is not None:
            self.query_one("#empty", Static).update(text)

    def _nothing_to_choose(self) -> Text | None:
        if self.chosen is not None:
            return None
        query = self.query_one(SearchInput).value.strip()
        if self._failure and not self._choices:
            return _said(_("The databases could not be loaded."), visible(self._failure), _("F5 tries again."))
        if not self._loaded and not self._choices:
            return Text(_("Loading the databases …"), style="muted")
        if not self._choices:
            hello = self.workstation.bastion.hello
            return _said(
                _("You are not authorized for any database yet."),
                _("Ask {ask} for a grant. Say that your user name is {user}, and which database it is.").format(
                    ask=visible_line(hello.ask) or _("an administrator"), user=visible_line(hello.user)
                ),
                _("Once it is there, F5 shows it."),
            )
        return _said(
            _("No database of yours matches “{query}”.").format(query=visible_line(query)),
            _("Esc clears the search. Fewer words or letters find more; their order does not matter."),
            _("F8 says why a database of that name is not here, and whom to ask."),
        )

    def _show_facts(self) -> None:
        facts = Text()
        choice = self.chosen
        if choice is not None:
            facts.append(" · ".join(self._facts_of(choice.database)))
            facts.append("\n")
            if not has_console(choice.database.engine):
                facts.append(_("No console for this engine yet: F3 gives a token for your own client."))
            elif choice.token is None:
                facts.append(_("Enter requests a token and opens the console."))
            elif choice.token is not None:
                renewals = choice.token.renewals_left
                more = translate_many("{count} renewal left", "{count} renewals left", renewals)
                facts.append(_("Token until {until}").format(until=self._time(choice.token.expires_at)))
                facts.append(f" · {more.format(count=renewals)}")
        self.query_one("#facts", Static).update(facts)

    def _facts_of(self, database: m.Database) -> list[str]:
        facts = [
            visible_line(f"{database.host}:{database.port}"),
            _("reached directly")
            if database.domain in ("", "direct")
            else _("through {domain}").format(domain=visible_line(database.domain)),
        ]
        if database.groups:
            facts.append(visible_line(", ".join(database.groups)))
        if database.databases:
            facts.append(_("opens {names}").format(names=visible_line(", ".join(database.databases))))
        if database.until is not None:
            facts.append(_("granted until {until}").format(until=self._time(database.until)))
        if database.comment:
            facts.append(visible_line(database.comment))
        return facts

    def _time(self, text: str) -> str:
        at = moment(text)
        return (at.astimezone() if self.workstation.services.local_time else at).strftime("%Y-%m-%d %H:%M")

    @property
    def chosen(self) -> Choice | None:
        """The line that the cursor is on."""
        return self.query_one(DatabaseList).chosen

    # -- what the person does

    @on(SearchInput.Changed)
    def _searched(self) -> None:
        self._fill(keep=False)

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_open()

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        getattr(self.query_one(DatabaseList), f"action_{event.action}")()

    @on(DatabaseList.Moved)
    def _highlighted(self) -> None:
        self._show_facts()
        self.refresh_bindings()

    @on(DatabaseList.Opened)
    def _clicked(self) -> None:
        self.action_open()

    def go_home(self) -> None:
        """The search, empty."""
        search = self.query_one(SearchInput)
        search.value = ""
        search.focus()

    def action_refresh(self) -> None:
        """Asks the bastion again."""
        self._load()
        self._load_kept()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("token", "local_client", "open"):
            return self.workstation.has_role("operator") and self.chosen is not None
        if action == "favourite":
            return self.chosen is not None
        if action == "why":
            return self.chosen is not None or bool(self.query_one(SearchInput).value.strip())
        return True

    def action_favourite(self) -> None:
        """Puts the database among the favourites, or takes it out."""
        choice = self.chosen
        if choice is None:
            return
        personal = self.workstation.personal
        if choice.key in self._favourites:
            self._favourites -= {choice.key}
            personal.remove_soon(FAVOURITES, choice.key)
        else:
            self._favourites |= {choice.key}
            personal.put_soon(FAVOURITES, choice.key, Nothing())
        self._lines = None
        self._fill(keep=True)

    def action_grouping(self) -> None:
        """Groups the lines in the next way that there is."""
        ways = [way for way in GROUPINGS if way != "group" or any(each.database.groups for each in self._choices)]
        self._grouping = ways[(ways.index(self._grouping) + 1) % len(ways)] if self._grouping in ways else ways[0]
        self.workstation.personal.put_soon(PREFERENCES, "databases", Preferences(self._grouping))
        self._lines = None
        self._fill(keep=True)

    def action_token(self) -> None:
        """The token of the database: asks for it where there is none."""
        if (choice := self.chosen) is not None:
            self._open_dialog(choice, then_open=False)

    def action_local_client(self) -> None:
        """What to give one's own client; a token is asked for first where there is none."""
        if (choice := self.chosen) is not None:
            self._open_dialog(choice, then_open=False, tab="client")

    @work(exclusive=True, group="dialog")
    async def action_why(self) -> None:
        """Why the database cannot be worked with; of a name that is not in the list, why it is not."""
        choice = self.chosen
        if choice is not None:
            database, token = choice.database, choice.token
            why = WhyDialog(
                database.name,
                choice.account.name,
                engine=database.engine,
                token=None if token is None else token.id,
                catalog=first_catalog(database.databases),
            )
        else:
            why = WhyDialog(self.query_one(SearchInput).value.strip())
        await self.app.push_screen_wait(why)

    def action_open(self) -> None:
        """The console; a token is asked for first where there is none."""
        if (choice := self.chosen) is not None and self.workstation.has_role("operator"):
            self._open(choice)

    def _open(self, choice: Choice) -> None:
        if not has_console(choice.database.engine):
            self._open_dialog(choice, then_open=False, tab="client")
        elif choice.token is None:
            self._open_dialog(choice, then_open=True)
        else:
            self._open_console(choice, choice.token.id)

    def open_named(self, name: str, account: str) -> None:
        """Opens the console of a database by name; for the palette."""
        for choice in self._choices:
            if choice.database.name == name and choice.account.name == account:
                self._open(choice)
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
            self._load_one(choice.database.name)
            if isinstance(error, Refused) and error.code in TOKEN_OVER:
                self.workstation.told(sentence(error))
                self._open_dialog(choice, then_open=True, live=False)
            else:
                self.workstation.told(_("{reason} F8 says what to do.").format(reason=sentence(error)), bad=True)
            return
        self._opened(token, choice)

    @work(exclusive=True, group="token")
    async def _open_dialog(self, choice: Choice, *, then_open: bool, tab: str = "token", live: bool = True) -> None:
        """`live`: with the token that there is; else another one is asked for."""
        known = choice.token.id if live and choice.token is not None else None
        token = await self.app.push_screen_wait(
            TokenDialog(choice.database.name, choice.account, known, then_open=then_open, tab=tab)
        )
        self._load_one(choice.database.name)
        if token is not None and has_console(token.engine):
            self._opened(token, choice)

    def _opened(self, token: m.Token, choice: Choice) -> None:
        key = key_of(token.database, token.account)
        self._recent = {key: 0, **{other: place + 1 for other, place in self._recent.items() if other != key}}
        self._lines = None
        self.workstation.personal.put_soon(RECENT, key, Nothing())
        self.workstation.open_console(token, first_catalog(choice.database.databases))


def _said(what: str, *then: str) -> Text:
    """A sentence and what to do about it, each on a line of its own."""
    text = Text(what, style="bold")
    for line in then:
        text.append(f"\n\n{line}", style="not bold")
    return text
