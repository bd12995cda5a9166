"""The catalog as a tree of which only the visible lines are drawn; each level is asked for when it is opened."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.catalog import GROUPS, RELATIONS, CatalogNode, CatalogPage, TableName
from backends.metadata import SchemaMetadata
from backends.visible_text import table_text
from bastion.api.language import translate as _

from ..words import mark, numbered
from .catalog_labels import label
from .catalog_model import Branch, CatalogModel, Line, Note, State

WIDE = 34
"""From this width on a level is indented by two."""


class CatalogTree(ScrollView, can_focus=True):
    """Posts `Wanted` for what is below a branch; `fill` or `failed` answers. Posts `Chosen` for what is to be done."""

    DEFAULT_CSS = """
    CatalogTree { height: 1fr; background: $background; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    CatalogTree > .catalog--cursor {
        background: $selection-idle; color: $selection-idle-text; text-style: $selection-idle-style;
    }
    CatalogTree:focus > .catalog--cursor { background: $selection; color: $selection-text; text-style: $selection-style; }
    """  # noqa: E501
    COMPONENT_CLASSES: ClassVar[set[str]] = {"catalog--cursor"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", mark("Filter"), key_display="/"),
        Binding("enter", "choose", mark("Open, or insert the name"), show=False),
        Binding("d", "describe", mark("Describe")),
        Binding("v", "select", mark("First rows")),
        Binding("i", "insert", mark("Insert the name")),
        Binding("D", "definition", mark("Definition (DDL)")),
        Binding("K", "follow", mark("Go along the foreign key"), show=False),
        Binding("c", "copy", mark("Copy the name"), show=False),
        Binding("f5", "reload", mark("Load again"), show=False),
        Binding("right", "open", mark("Open"), show=False),
        Binding("left", "shut", mark("Close"), show=False),
        Binding("up", "step(-1)", show=False),
        Binding("down", "step(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end", "edge(True)", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Wanted(Message):
        """What is below `branch` is to be loaded, from the `offset`th on. `again`: all that is open below it too."""

        def __init__(self, branch: Branch, offset: int = 0, *, again: bool = False) -> None:
            super().__init__()
            self.branch, self.offset, self.again = branch, offset, again

    class Chosen(Message):
        """`action`: insert, select, describe, definition, copy."""

        def __init__(self, node: CatalogNode, action: str) -> None:
            super().__init__()
            self.node, self.action = node, action

    class FilterWanted(Message):
        """The person wants to type a filter."""

    class Moved(Message):
        """The cursor is on another line, or what is on it has changed; `node` is None on a note."""

        def __init__(self, node: CatalogNode | None) -> None:
            super().__init__()
            self.node = node

    class FilterLeft(Message):
        """The tree is shown whole again, since the cursor went elsewhere."""

    class NotThere(Message):
        """A foreign key leads to a table that the catalog does not show."""

        def __init__(self, table: TableName) -> None:
            super().__init__()
            self.table = table

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = CatalogModel()
        self._lines: list[Line] = []
        self._opening = False
        """The tree is new: the schema that is most likely wanted is opened."""
        self._heading_for: TableName | None = None

    # -- told by the console

    def reset(self) -> None:
        """Empties the tree for another connection and asks for the top level; the current schema opens by itself."""
        self.model = CatalogModel()
        self._opening = True
        self._heading_for = None
        self.cursor = 0
        self._want(self.model.root)
        self._changed()

    def fill(self, branch: Branch, page: CatalogPage, offset: int = 0) -> None:
        """Puts children below a branch; the cursor stays on what it is on."""
        new = self.model.fill(branch, page, offset)
        if self._opening and branch.node is None:
            self._open_one([child for child in new if "current" in _node(child).marks])
        elif branch.node is not None and branch.node.kind in ("schema", "database"):
            # Whoever opens a schema wants its tables.
            for child in new[:1]:
                if _node(child).kind == "tables":
                    self._open(child)
            if self._opening and not page.nodes:
                branch.open = False
                self._open_one([])
            self._opening = False
        self._changed()
        self._go_on()

    def failed(self, branch: Branch, message: str) -> None:
        """Says why nothing could be loaded."""
        self.model.fail(branch, message)
        self._heading_for = None
        self._changed()

    def know(self, names: SchemaMetadata) -> None:
        """All names of the database are there: the filter looks through them."""
        self.model.names, self.model.names_reason = names, ""
        self._changed()

    def names_failed(self, reason: str) -> None:
        """The filter can look through what was loaded only."""
        self.model.names_reason = reason
        self._changed()

    def filter(self, text: str) -> None:
        """Shows what has every word of `text` in its name; '' shows the tree again, at what the cursor was on."""
        self.model.words = text.split()
        found = self._line
        self._changed()
        if self.model.words:
            self.cursor = min(1, max(len(self._lines) - 1, 0))
            self.scroll_home(animate=False)
        elif found is not None and found.branch.node is not None:
            self._reveal(found.branch.node)

    @property
    def current(self) -> CatalogNode | None:
        """What the cursor is on; None on a note."""
        line = self._line
        return line.branch.node if line is not None and line.note in (Note.NONE, Note.PLACE) else None

    def go_to(self, table: TableName) -> None:
        """Moves the cursor to a table, loading and opening what is above it."""
        self._heading_for = table
        self._go_on()

    # -- inside

    def _tell(self, message: Message) -> None:
        """Posts as the tree's own message: one that is made while the pane is at work would stop at the pane."""
        self.post_message(message.set_sender(self))

    @property
    def _line(self) -> Line | None:
        return self._lines[self.cursor] if 0 <= self.cursor < len(self._lines) else None

    def _changed(self) -> None:
        """The lines are other ones: the cursor stays on its node where that is still there."""
        line = self._line
        self._lines = self.model.lines()
        self.virtual_size = Size(self.size.width, len(self._lines))
        if line is not None:
            at = self._place_of(line)
            self.cursor = at if at is not None else max(min(self.cursor, len(self._lines) - 1), 0)
        self.refresh()
        self._tell(self.Moved(self.current))

    def _place_of(self, line: Line) -> int | None:
        if 0 <= self.cursor < len(self._lines) and self._lines[self.cursor].identity == line.identity:
            return self.cursor
        identity = line.identity
        return next((at for at, other in enumerate(self._lines) if other.identity == identity), None)

    def _want(self, branch: Branch, offset: int = 0, *, again: bool = False) -> None:
        if branch.state is State.LOADING and not again:
            return
        branch.state = State.LOADING
        self._tell(self.Wanted(branch, offset, again=again))

    def _open(self, branch: Branch) -> None:
        branch.open = True
        if branch.state in (State.UNKNOWN, State.FAILED):
            self._want(branch)

    def _open_one(self, likely: list[Branch]) -> None:
        """The likely schema, else the only one that is not the server's own and was not looked into yet."""
        others = [
            child for child in self.model.root.children if not _node(child).system and child.state is State.UNKNOWN
        ]
        chosen = likely[:1] or (others if len(others) == 1 else [])
        for child in chosen:
            self._open(child)
        self._opening = bool(chosen) and bool(likely)

    def _go_on(self) -> None:
        """One step further on the way to the table that a foreign key leads to."""
        table = self._heading_for
        if table is None:
            return
        for kind in sorted(RELATIONS):
            found = self.model.known(kind, table.path)
            if found is not None and found.parent is not None and found in found.parent.children:
                self._heading_for = None
                self._reveal_branch(found)
                return
        steps = [
            self.model.known("schema", (table.schema,)) or self.model.known("database", (table.schema,)),
            self.model.known("tables", (table.schema,)),
        ]
        for step in steps:
            if step is None:
                break
            if step.state in (State.UNKNOWN, State.FAILED):
                self._open(step)
                return
            if step.state is State.LOADING:
                return
        last = steps[1]
        if last is not None and last.more:
            self._want(last, len(last.children))
            return
        self._heading_for = None
        self._tell(self.NotThere(table))

    def _reveal(self, node: CatalogNode) -> None:
        found = self.model.branch_of(node, self.model.root)
        if found.parent is not None and found in found.parent.children:
            self._reveal_branch(found)
        elif (table := node.table) is not None:
            self.go_to(table)

    def _reveal_branch(self, branch: Branch) -> None:
        """Opens what is above a branch and puts the cursor on it; a filter is left."""
        above = branch.parent
        while above is not None:
            above.open = True
            above = above.parent
        if self.model.words:
            self.model.words = []
            self._tell(self.FilterLeft())
        self._changed()
        for at, line in enumerate(self._lines):
            if line.branch is branch and line.note is Note.NONE:
                self.cursor = at
                self.scroll_to(y=max(at - self.size.height // 2, 0), animate=False)
                break

    # -- keys

    def watch_cursor(self, before: int, now: int) -> None:
        self.refresh_line(before)
        self.refresh_line(now)
        height = self.size.height
        if height and not self.scroll_offset.y <= now < self.scroll_offset.y + height:
            self.scroll_to(y=now if now < self.scroll_offset.y else now - height + 1, animate=False)
        self._tell(self.Moved(self.current))

    def action_step(self, by: int) -> None:
        self._move(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._move(self.cursor + by * max(self.size.height - 1, 1))

    def action_edge(self, end: bool) -> None:
        self._move(len(self._lines) - 1 if end else 0)

    def _move(self, to: int) -> None:
        self.cursor = max(min(to, len(self._lines) - 1), 0)

    def action_choose(self) -> None:
        line = self._line
        if line is None:
            return
        branch = line.branch
        if line.note is Note.MORE:
            self._want(branch, len(branch.children))
        elif line.note is Note.FAILED:
            self._want(branch)
            self._changed()
        elif line.note is Note.NAMES:
            self.action_reload()
        elif line.note is Note.PLACE and branch.node is not None:
            self._reveal_branch(branch)
        elif line.note is not Note.NONE or branch.node is None:
            return
        elif branch.node.kind in ("foreign key", "reference"):
            self.action_follow()
        elif branch.leaf:
            self._choose("insert")
        elif branch.open:
            branch.open = False
            self._changed()
        else:
            self._open(branch)
            self._changed()

    def action_open(self) -> None:
        line = self._line
        if line is not None and line.note is Note.NONE and not line.branch.leaf and not line.branch.open:
            self._open(line.branch)
            self._changed()
        elif line is not None and line.note is Note.MORE:
            self.action_choose()
        else:
            self.action_step(1)

    def action_shut(self) -> None:
        line = self._line
        if line is None:
            return
        if line.note is Note.NONE and line.branch.open:
            line.branch.open = False
            self._changed()
            return
        for at in range(self.cursor - 1, -1, -1):
            if self._lines[at].depth < line.depth:
                self.cursor = at
                return

    def action_filter(self) -> None:
        self._tell(self.FilterWanted())

    def action_insert(self) -> None:
        self._choose("insert")

    def action_copy(self) -> None:
        self._choose("copy")

    def action_select(self) -> None:
        if (node := self.current) is not None and node.table is not None:
            self._choose("select")

    def action_describe(self) -> None:
        if (node := self.current) is not None and node.table is not None:
            self._choose("describe")

    def action_definition(self) -> None:
        node = self.current
        if node is not None and (node.kind in DEFINED or node.table is not None):
            self._choose("definition")

    def action_follow(self) -> None:
        """To the table at the other end of a foreign key."""
        if (node := self.current) is not None and node.target is not None:
            self.go_to(node.target)

    def _choose(self, action: str) -> None:
        if (node := self.current) is not None:
            self._tell(self.Chosen(node, action))

    def action_reload(self) -> None:
        """Loads the level of the cursor again, with all that is open below it."""
        line = self._line
        branch = line.branch if line is not None else self.model.root
        if line is not None and line.note in (Note.NONE, Note.PLACE) and (branch.leaf or not branch.open):
            branch = branch.parent or self.model.root
        self._want(branch, again=True)
        self._changed()

    def reload_all(self) -> None:
        """Loads everything that is open again."""
        self.model.forget_closed()
        self._want(self.model.root, again=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        node = self.current
        if action in ("describe", "select"):
            return node is not None and node.table is not None
        if action == "definition":
            return node is not None and (node.kind in DEFINED or node.table is not None)
        if action == "follow":
            return node is not None and node.target is not None
        if action in ("insert", "copy"):
            return node is not None and node.kind not in GROUPS
        return True

    # -- mouse

    def on_click(self, event: events.Click) -> None:
        event.stop()
        at = event.y + self.scroll_offset.y
        if not 0 <= at < len(self._lines):
            return
        again = at == self.cursor
        self.cursor = at
        if again or event.x <= self._lines[at].depth * self._indent + 1:
            self.action_choose()

    # -- drawing

    @property
    def _indent(self) -> int:
        return 2 if self.size.width >= WIDE else 1

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._lines))

    def on_focus(self) -> None:
        self._tell(self.Moved(self.current))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        at = y + self.scroll_offset.y
        if at >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[at]
        text = self._text(line)
        if getattr(self.app, "plain", False):
            text = Text.assemble(numbered(at + 1, "", plain=True), text, no_wrap=True, end="")
        text.truncate(width, overflow="ellipsis", pad=True)
        if at == self.cursor:
            style = self.get_component_rich_style("catalog--cursor")
            return Strip([Segment(text.plain, style)], width)
        return Strip(text.render(self.app.console), width).apply_style(self.rich_style)

    def _text(self, line: Line) -> Text:
        text = Text(" " * (line.depth * self._indent), no_wrap=True, end="")
        branch, node = line.branch, line.branch.node
        if line.note is Note.LOADING:
            return text.append("  " + _("loading …"), style="muted")
        if line.note is Note.FAILED:
            return text.append(f"✗ {table_text(branch.reason)}", style="danger").append(" · " + _("F5: try again"))
        if line.note is Note.NOTHING:
            return text.append("  " + (_("nothing found") if self.model.words else _("nothing")), style="muted")
        if line.note is Note.MORE:
            return text.append("… ", style="accent").append(_("Enter: more"), style="accent")
        if line.note is Note.NAMES:
            if self.model.names_reason:
                return text.append(
                    "✗ " + _("Not all names are known: {reason}").format(reason=table_text(self.model.names_reason)),
                    style="danger",
                ).append(" · " + _("F5: try again"))
            if self.model.names is not None:
                return text.append("  " + _("there are more than can be known here: open their schema"), style="muted")
            return text.append("  " + _("all names are being loaded …"), style="muted")
        if line.note is Note.CUT:
            return text.append("… " + _("there are more: type more of the name"), style="muted")
        if node is None:
            return text
        if line.note is Note.PLACE:
            return text.append(table_text(node.name), style="muted")
        return label(text, node, None if node.leaf else branch.open, len(branch.children), self.model.words)


def _node(branch: Branch) -> CatalogNode:
    assert branch.node is not None, "only the root has none, and it is nobody's child"
    return branch.node


DEFINED = frozenset({"function", "procedure", "aggregate", "package", "sequence", "synonym", "trigger", "event"})
"""What has a definition of its own beside tables and views."""
