"""What the screens need of the application, and of the world outside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.dom import DOMNode
from textual.events import Mount, Resize
from textual.screen import ModalScreen, Screen

from backends.catalog import CatalogNode, CatalogPage, Definition, Description, TableName
from backends.connection import RunEvent
from backends.foreign_keys import Jump
from backends.host_keys import HostKeys, OfferedKey
from backends.interface import Column, ServerFacts, TransactionState
from backends.link import Credentials, Listener, Target
from backends.metadata import SchemaMetadata
from backends.personal import Personal
from backends.plan import Plan
from backends.recent_bastions import RecentBastions
from backends.witness import Witness
from bastion.api import messages as m
from bastion.api.methods import Method

from .words import mark

T = TypeVar("T")


class ControlLink(Protocol):
    """The bastion, as `backends.link.Link` gives it."""

    target: Target
    hello: m.Hello
    on_lost: list[Callable[[str], None]]

    async def call(self, method: Method, params: m.Message) -> Any: ...

    async def subscribe(self, *topics: str) -> None: ...

    async def unsubscribe(self, *topics: str) -> None: ...

    def listen(self, listener: Listener) -> Callable[[], None]: ...

    async def round_trip(self) -> float: ...

    def close(self) -> None: ...


class Console(Protocol):
    """A connection to a database, as the console uses it; every call is awaited on the screen's loop."""

    session: str
    facts: ServerFacts
    engine: str

    async def run(self, text: str, listener: Callable[[RunEvent], None]) -> None:
        """Runs one statement; `listener` is called from the connection's thread."""

    async def cancel(self) -> bool:
        """Asks the bastion to cancel; True when the database took the order."""

    async def transaction(self) -> TransactionState: ...

    async def set_autocommit(self, on: bool) -> None: ...

    async def begin(self) -> None:
        """Opens a transaction while autocommit is on."""

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...

    async def explain(self, text: str, *, measured: bool) -> Plan:
        """The plan of a statement; `measured` runs it. Raises PlanUnreadable beside the usual errors."""

    async def children(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        """The catalog, over a connection of its own that is opened when it is first asked."""

    async def describe(self, table: TableName) -> Description:
        """A table or view with its indexes, keys and triggers."""

    async def definition(self, node: CatalogNode) -> Definition:
        """The DDL of a thing."""

    async def jumps(self, columns: Sequence[Column], row: Sequence[str | None], index: int) -> list[Jump]:
        """Where the foreign keys lead from the value at `index` of a result row; [] where it is part of none.

        Raises DatabaseError too where the database does not say which table the value is from.
        """

    async def metadata(self, *, fresh: bool = False) -> SchemaMetadata:
        """All names, for completion and search: at once where they were loaded, else when they are.

        `fresh` loads them again and waits. After `catalog_changed` the old ones are given while new ones are loaded.
        """

    def catalog_changed(self) -> None:
        """A statement that ran may have changed the catalog."""

    async def catalogs(self) -> list[str]:
        """The database names that could be opened instead."""

    def quote(self, name: str) -> str: ...

    def sample(self, path: Sequence[str]) -> str:
        """A statement that reads some rows of a table."""

    async def close(self) -> None: ...


@dataclass
class Services:
    """How the screens reach the world; tests put their own here."""

    log_in: Callable[[Target, Credentials, HostKeys], Awaitable[ControlLink]]
    open_console: Callable[[ControlLink, m.Token, str], Awaitable[Console]]
    host_keys: HostKeys
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    local_time: bool = True
    """Times are shown in the machine's zone; tests turn it off."""
    recent_bastions: RecentBastions = field(default_factory=RecentBastions)
    exports_to_bastion: bool = False
    """There is no disk of the person's here: an exported result waits on the bastion until it is fetched."""
    witness: Witness | None = None
    """Keeps the bastion's checkpoints on this machine; None where it is the bastion's own."""


@dataclass(frozen=True)
class Start:
    """What the workstation was started with. With a `target` and a password or key, the login is tried at once."""

    target: str = ""
    password: str | None = None
    identity: Path | None = None
    trust_new: bool = False
    plain: bool = False
    """Plain pages, whatever the settings say."""


class Workstation(App[int]):
    """The application, as its screens see it."""

    services: Services
    start: Start
    link: ControlLink | None = None
    plain: bool = False
    """Pages for screen readers: numbered lines, no frames, states in words."""
    again: Credentials | None = None
    """What the last login was made with, where it can be made again without asking: keys, never a password."""
    personal: Personal
    """What the person keeps at the bastion; there before anybody has logged in, and then it finds nothing."""

    @property
    def bastion(self) -> ControlLink:
        """The link, once somebody has logged in."""
        if self.link is None:
            raise RuntimeError("nobody is logged in")
        return self.link

    def has_role(self, *roles: str) -> bool:
        """Whether the person has one of `roles`."""
        return self.link is not None and any(role in self.link.hello.roles for role in roles)

    @property
    def sparing(self) -> bool:
        """Whether as little as possible is to be sent to the person's terminal."""
        return False

    def pace_words(self) -> str:
        """What the link to the bastion is like, where that is worth saying; else nothing."""
        return ""

    @abstractmethod
    def logged_in(self, link: ControlLink) -> None:
        """Takes the link over and shows the first page."""

    @abstractmethod
    def open_console(self, token: m.Token, catalog: str) -> None:
        """Goes to the console and connects it."""

    @abstractmethod
    def token_in_use(self, token: m.Token) -> None:
        """The person works with it from here on, and is told before it ends."""

    @abstractmethod
    def copy(self, text: str, what: str) -> None:
        """Puts `text` on the clipboard of the person's terminal and says honestly what happened. `what` names it."""

    @abstractmethod
    def told(self, message: str, *, bad: bool = False) -> None:
        """A passing message; nothing in it is interpreted."""


@runtime_checkable
class StepsBack(Protocol):
    """A widget in which there is something to take back before Esc leaves it."""

    def step_back(self) -> bool:
        """Takes one thing back: a selection, a filter. False where there is nothing."""


class Page(Screen[object]):
    """A screen of the workstation.

    Esc means the same on all of them: it closes what lies on top; else it takes back what was selected or filtered
    where the focus is; else it goes to where the page's work is done. It never ends or discards work.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", mark("One step back"), show=False)]

    def action_back(self) -> None:
        node: DOMNode | None = self.focused
        while node is not None and node is not self:
            if isinstance(node, StepsBack) and node.step_back():
                return
            node = node.parent
        self.go_home()

    def go_home(self) -> None:
        """Puts the focus where the page's work is done."""

    def title_words(self) -> str:
        """What the title of the terminal's window says of this page; nothing: the program's name alone."""
        return ""

    @property
    def workstation(self) -> Workstation:
        app: Any = self.app
        assert isinstance(app, Workstation)
        return app


class Dialog(ModalScreen[T]):
    """A dialog over a page. Its keys stand in the lower border of its frame, unless it has a place of its own for
    them (a widget with the id `keys`)."""

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical { border: round $accent; background: $surface; padding: 1 2 0 2; }
    Dialog > Vertical { border-title-color: $accent; border-title-style: bold; }
    Dialog > Vertical { border-subtitle-color: $muted; border-subtitle-align: left; }
    Dialog.danger > Vertical { border: round $warning; }
    """

    @property
    def workstation(self) -> Workstation:
        app: Any = self.app
        assert isinstance(app, Workstation)
        return app

    @on(Mount)
    def _listen_to_keys(self) -> None:
        self.bindings_updated_signal.subscribe(self, self._keys_changed)
        self._keys_changed(self)

    @on(Resize)
    def _keys_have_other_room(self) -> None:
        self._keys_changed(self)

    def _keys_changed(self, _screen: Screen[Any]) -> None:
        from .widgets.frame import key_text

        # Toasts lie beside it.
        frame = next((child for child in self.children if isinstance(child, Vertical)), None)
        if frame is None or self.query("#keys"):
            return
        line, _places = key_text(self, max((frame.size.width or self.size.width) - 6, 0), only=True)
        frame.border_subtitle = Content.from_rich_text(line, console=self.app.console)


__all__ = ["Console", "ControlLink", "Dialog", "OfferedKey", "Page", "Services", "Start", "Workstation"]
