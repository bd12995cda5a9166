"""What the catalog tree asks for, and what is done with what is chosen there."""

from __future__ import annotations

from backends.catalog import RELATIONS, CatalogNode
from backends.foreign_keys import Jump
from backends.statements import split
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _

from ..choice import ChoiceDialog
from ..definition import DefinitionDialog
from ..table_details import TableDialog
from ..widgets.catalog_model import Branch
from ..widgets.catalog_pane import CatalogPane
from ..widgets.catalog_tree import CatalogTree
from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..words import sentence
from ..workstation import Console, Page
from .at_hand import CONNECTION_ERRORS, AtHand


class Catalog:
    """Between the tree, the connection's catalog and the editor."""

    def __init__(self, page: Page, at_hand: AtHand) -> None:
        self._page, self._at_hand = page, at_hand
        self._uncommitted = False
        """Something was made in a transaction that is still open: nobody else sees it yet."""

    @property
    def _pane(self) -> CatalogPane:
        return self._page.query_one(CatalogPane)

    # -- loading

    async def load(self, message: CatalogTree.Wanted) -> None:
        """Fills a branch; an answer of a connection that was left meanwhile is dropped."""
        console, tree = self._at_hand.database, self._pane.catalog
        if console is None:
            tree.failed(message.branch, _("not connected"))
            return
        top = message.branch is tree.model.root
        if not message.again:
            await self._load_page(console, message.branch, message.offset)
        else:
            within = [message.branch, *_open_below(tree, message.branch)]
            for branch in within:
                if not await self._load_again(console, branch):
                    break
        if top:
            await self._load_names(console, fresh=message.again)

    async def _load_page(self, console: Console, branch: Branch, offset: int) -> bool:
        tree = self._pane.catalog
        try:
            page = await console.children(branch.node, offset)
        except CONNECTION_ERRORS as error:
            if console is self._at_hand.database:
                tree.failed(branch, sentence(error))
            return False
        if console is not self._at_hand.database:
            return False
        tree.fill(branch, page, offset)
        return True

    async def _load_again(self, console: Console, branch: Branch) -> bool:
        """As many pages as there were, so that what was seen is there again."""
        before = len(branch.children)
        if not await self._load_page(console, branch, 0):
            return False
        while branch.more and len(branch.children) < before:
            if not await self._load_page(console, branch, len(branch.children)):
                return False
        return True

    async def _load_names(self, console: Console, *, fresh: bool) -> None:
        try:
            names = await console.metadata(fresh=fresh)
        except CONNECTION_ERRORS as error:
            if console is self._at_hand.database:
                self._pane.names_failed(sentence(error))
            return
        if console is self._at_hand.database:
            self._pane.know(names)
            self._page.query_one(SqlEditor).metadata = names

    async def changed(self, *, committed: bool = True) -> None:
        """A statement may have made, altered or dropped something: what is open is read again, once it is committed."""
        console = self._at_hand.database
        if console is None:
            return
        self._uncommitted = not committed
        if self._uncommitted:
            return
        console.catalog_changed()
        tree = self._pane.catalog
        tree.model.forget_closed()
        for branch in tree.model.open_branches():
            if not await self._load_again(console, branch):
                return
        await self._load_names(console, fresh=True)

    async def committed(self) -> None:
        """A transaction is over: what was made in it is there now, or gone."""
        if self._uncommitted:
            await self.changed()

    # -- what was chosen

    async def take(self, message: CatalogTree.Chosen) -> None:
        """Does what the person wants with a node."""
        console, node = self._at_hand.database, message.node
        if console is None:
            return
        if message.action == "insert":
            self._put(self._name(console, node))
        elif message.action == "copy":
            self._page.workstation.copy(self._name(console, node), _("the name"))
        elif message.action == "select":
            await self._select(console, node)
        elif message.action == "describe":
            await self._describe(console, node)
        else:
            await self._define(console, node)

    async def follow(self, message: Results.FollowWanted) -> None:
        """From a value of a result along its foreign keys; asks where there are several."""
        console = self._at_hand.database
        if console is None:
            return
        tell = self._page.workstation.told
        try:
            jumps = await console.jumps(message.columns, message.row, message.index)
        except CONNECTION_ERRORS as error:
            tell(sentence(error), bad=True)
            return
        if not jumps:
            tell(_("No foreign key leads from this column, and none to it."))
            return
        jump: Jump | None = jumps[0]
        if len(jumps) > 1:
            labels = {f"{number} {_where(jump)}": jump for number, jump in enumerate(jumps, 1)}
            chosen: str | None = await self._page.app.push_screen_wait(ChoiceDialog(_("Where to?"), list(labels)))
            jump = labels[chosen] if chosen is not None else None
        if jump is None:
            return
        if jump.null:
            tell(_("The value is NULL: it references nothing."))
        elif jump.missing:
            columns = ", ".join(visible_line(column) for column in jump.missing)
            tell(_("The key has more columns than the result: {columns}. Select them too.").format(columns=columns))
        else:
            self._put_statement(jump.statement)
            await self._page.run_action("screen.run")

    def not_there(self, message: CatalogTree.NotThere) -> None:
        """A foreign key leads to what the catalog does not show."""
        name = visible_line(".".join(message.table.path))
        self._page.workstation.told(
            _("{name} is not in the catalog that this account sees.").format(name=name), bad=True
        )

    def _name(self, console: Console, node: CatalogNode) -> str:
        """A name as a statement needs it: qualified where the connection would not find it by itself."""
        if node.kind in ("column", "index", "key", "check", "trigger", "foreign key", "reference"):
            return console.quote(node.path[2] if node.kind == "column" else node.path[-1])
        path, names = node.path, self._pane.catalog.model.names
        if len(path) == 2 and names is not None and path[:1] == names.search_path[:1]:
            path = path[1:]
        return ".".join(console.quote(part) for part in path)

    def _put(self, text: str) -> None:
        editor = self._page.query_one(SqlEditor)
        editor.put(text)
        editor.focus()
        if visible(text) != text:
            self._page.workstation.told(
                _("The name has control characters, which the editor shows and does not keep: it will not be found."),
                bad=True,
            )

    def _put_statement(self, text: str) -> None:
        """At the end of the editor, apart from what stands there already."""
        editor = self._page.query_one(SqlEditor)
        there = editor.text
        before = "\n\n" if there.strip() else ""
        spans = split(there, self._at_hand.engine)
        if spans and spans[-1].stop == spans[-1].end:
            # On a line of its own where the last one may end in a comment.
            last = there.rstrip().rpartition("\n")[2]
            before = ("\n;" if "--" in last or "#" in last else ";") + before
        editor.move_cursor(editor.document.end)
        self._put(before + text)

    async def _select(self, console: Console, node: CatalogNode) -> None:
        """The first rows of a table, by a statement that stays in the editor."""
        if (table := node.table) is None:
            return
        self._put_statement(console.sample(table.path))
        await self._page.run_action("screen.run")

    async def _describe(self, console: Console, node: CatalogNode) -> None:
        if (table := node.table) is None:
            return
        try:
            told = await console.describe(table)
        except CONNECTION_ERRORS as error:
            self._page.workstation.told(sentence(error), bad=True)
            return
        then: str | None = await self._page.app.push_screen_wait(TableDialog(told))
        whole = CatalogNode(told.kind if told.kind in RELATIONS else "table", table.name, table.path)
        if then == "definition":
            await self._define(console, whole)
        elif then == "select":
            await self._select(console, whole)

    async def _define(self, console: Console, node: CatalogNode) -> None:
        try:
            definition = await console.definition(node)
        except CONNECTION_ERRORS as error:
            self._page.workstation.told(sentence(error), bad=True)
            return
        text: str | None = await self._page.app.push_screen_wait(DefinitionDialog(node, definition))
        if text is not None:
            self._put_statement(text)


def _where(jump: Jump) -> str:
    """A jump as a line to choose."""
    table = visible_line(".".join(jump.table.path))
    columns = ", ".join(jump.key.referenced_columns if jump.outward else jump.key.columns)
    if jump.outward:
        words = _("→ {table} ({columns}): the row that it references")
    else:
        words = _("← {table} ({columns}): the rows that reference it")
    return words.format(table=table, columns=visible_line(columns))


def _open_below(tree: CatalogTree, branch: Branch) -> list[Branch]:
    """The open branches below `branch`, the upper ones first."""
    found = []
    for other in tree.model.open_branches():
        above = other.parent
        while above is not None:
            if above is branch:
                found.append(other)
                break
            above = above.parent
    return found
